//! A second server on the same database takes it over, and the first one writes nothing more.

use crate::helpers::{Options, TestApp};
use crate::server::Server;

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

    let refused = old.place(&customer, &shop.order_on_delivery()).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    let customer = new.customer("alice").await;
    let after = new.placed(&customer, &shop.order_on_delivery()).await;
    new.wait_for_status(&before, "awaiting_acceptance").await;
    new.wait_for_status(&after, "awaiting_acceptance").await;
    old.kill();
    assert_eq!(new.stop().orders, 2);
}
