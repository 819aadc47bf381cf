//! A second server on the same database takes it over, and the first one shows nothing old, writes nothing more, and goes.

use serde_json::json;

use crate::helpers::{Feed, Options, TestApp, wait_until};
use crate::server::Server;

/// The exit status of a server that was replaced.
const REPLACED: i32 = 75;

async fn server_on(database: &Server) -> TestApp {
    Options::default().set("database.url", database.url()).expect_errors().start().await
}

#[tokio::test]
async fn the_server_that_was_taken_over_refuses_and_the_other_one_serves() {
    let Some(database) = Server::start() else { return };
    let mut old = server_on(&database).await;
    let shop = old.store("food_delivery").await;
    let customer = old.customer("alice").await;
    let before = old.placed(&customer, &shop.order_on_delivery()).await;
    let mut new = server_on(&database).await;

    // It may have learnt already that it was replaced, and be gone by now.
    let order = old.request(reqwest::Method::POST, "/v1/orders").bearer_auth(&customer.token);
    let order = order.header("Idempotency-Key", "after").json(&shop.order_on_delivery());
    if let Ok(refused) = old.try_send(order).await {
        assert_eq!(refused.status, 503, "{}", refused.body);
    }
    let customer = new.customer("alice").await;
    let after = new.placed(&customer, &shop.order_on_delivery()).await;
    new.wait_for_status(&before, "awaiting_acceptance").await;
    new.wait_for_status(&after, "awaiting_acceptance").await;
    assert_eq!(old.ended_by_itself(), Some(REPLACED));
    assert_eq!(new.stop().orders, 2);
}

#[tokio::test]
async fn an_idle_server_that_was_taken_over_ends_its_feeds_and_itself() {
    let Some(database) = Server::start() else { return };
    let mut old = server_on(&database).await;
    let customer = old.customer("alice").await;
    let mut feed = Feed::open(&old, &customer, "my-orders").await;
    let mut new = server_on(&database).await;

    assert_eq!(feed.closed().await, 1012);
    assert_eq!(old.ended_by_itself(), Some(REPLACED));
    new.open("/readyz").await.ok();
    new.stop();
}

#[tokio::test]
async fn a_server_that_was_taken_over_shows_no_old_order_and_is_not_ready() {
    let Some(database) = Server::start() else { return };
    let mut old = server_on(&database).await;
    let shop = old.store("food_delivery").await;
    let customer = old.customer("alice").await;
    let order = old.placed(&customer, &shop.order_on_delivery()).await;
    old.wait_for_status(&order, "awaiting_acceptance").await;
    let mut new = server_on(&database).await;
    let owner = new.owner(&shop.owner.sub).await;
    new.accept(&owner, &order).await.ok();

    // Until it goes, it says of itself that it was replaced, and of the order nothing old.
    let path = format!("/v1/orders/{order}");
    let refused = || async {
        let request = old.request(reqwest::Method::GET, &path).bearer_auth(&customer.token);
        match old.try_send(request).await {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(Some(answer.refused(503, "server_replaced"))),
            Err(_) => Some(None),
        }
    };
    let refused = wait_until("the old server knows", refused).await;
    if refused.is_some()
        && let Ok(ready) = old.try_send(old.request(reqwest::Method::GET, "/readyz")).await
    {
        assert_eq!((ready.status, &ready.body["checks"]["not_replaced"]), (503, &json!(false)));
    }
    assert_eq!(old.ended_by_itself(), Some(REPLACED));
    new.stop();
}
