//! `Baedal-Position`: what a reply shows, every list shows that is sent its position.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::helpers::{Answer, CUSTOMER_AT, Life, Person, TestApp};

const ROUNDS: usize = 12;

fn position(answer: &Answer) -> String {
    answer.header("baedal-position").unwrap_or_else(|| panic!("no position: {}", answer.body)).to_owned()
}

/// A list as it is for someone who was at that position.
async fn list_at(app: &TestApp, who: &Person, path: &str, position: &str) -> Vec<Value> {
    let request = app.request(Method::GET, path).bearer_auth(&who.token).header("Baedal-Position", position);
    app.send(request).await.items()
}

#[tokio::test]
async fn a_position_is_of_the_last_event_that_its_reply_shows() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    // The first order of the only store: its events have the first positions of their shard.
    let placed = app.place_with_key(&life.customer, "k", &life.shop.order()).await;
    let at = position(&placed);
    let order = placed.created();
    assert!(order["version"].as_u64() > Some(1), "more than the placement itself is in the reply: {order}");
    assert_eq!(at.split(':').nth(1), Some(order["version"].to_string().as_str()));

    let repeated = app.place_with_key(&life.customer, "k", &life.shop.order()).await;
    assert_eq!((repeated.header("idempotency-replayed"), position(&repeated)), (Some("true"), at));
    let id = order["id"].as_str().unwrap();
    app.accept(&life.shop.owner, id).await.ok();
    app.wait_for_order(id, "it is paid", |order| order["payment"]["status"] == "captured").await;
    let unchanged = app.accept(&life.shop.owner, id).await;
    let at = position(&unchanged);
    assert_eq!(at.split(':').nth(1), Some(unchanged.ok()["version"].to_string().as_str()));
}

#[tokio::test]
async fn lists_of_orders_show_what_the_reply_showed() {
    let app = TestApp::start().await;
    let life = Life::at_plenty(&app, "restaurant").await;
    for _ in 0..ROUNDS {
        let placed = app.place(&life.customer, &life.shop.order()).await;
        let at = position(&placed);
        let order = placed.created();
        let page = list_at(&app, &life.customer, "/v1/my-page?limit=5", &at).await;
        let row = page.iter().find(|row| row["id"] == order["id"]).expect("the order is listed");
        assert!(row["version"].as_u64() >= order["version"].as_u64(), "{row} is older than {order}");
    }
}

#[tokio::test]
async fn messages_deliveries_and_menus_show_what_was_done() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let goods = app.store_with_stock("retail", 5).await;
    let (lat, lng) = CUSTOMER_AT;
    let open = format!("/v1/deliveries?near={lat},{lng}&radius_m=3000&limit=100");
    for round in 1..=ROUNDS {
        let order = life.order_in(&app, "preparing").await;
        let finished = app.finish_preparation(&life.shop.owner, &order).await;
        let at = position(&finished);
        let messages = list_at(&app, &life.customer, &format!("/v1/messages?order_id={order}"), &at).await;
        assert!(messages.iter().any(|message| message["event"] == "preparation_finished"), "{messages:?}");
        let listed = |open: &[Value]| open.iter().any(|delivery| delivery["order_id"] == json!(order));
        assert!(listed(&list_at(&app, &life.rider, &open, &at).await), "it is on offer");
        let taken = app.claim(&life.rider, &order).await;
        let at = position(&taken);
        assert!(!listed(&list_at(&app, &life.rider, &open, &at).await), "it is taken");
        for command in ["pick-up", "deliver"] {
            app.command(&life.rider, &order, command, &json!({})).await.ok();
        }

        let path = format!("/v1/stores/{}/menu", goods.id);
        let restock = format!("{path}/{}/restock", goods.items[0]);
        let key = Uuid::now_v7().to_string();
        let restocked = || {
            let request = app.request(Method::POST, &restock).bearer_auth(&goods.owner.token);
            app.send(request.header("Idempotency-Key", &key).json(&json!({"quantity": 1})))
        };
        let first = restocked().await;
        let at = position(&first);
        assert_eq!(position(&restocked().await), at, "a repeat says the same");
        let menu = list_at(&app, &life.customer, &path, &at).await;
        assert_eq!(menu[0]["stock"], json!(5 + round), "{menu:?}");
        assert_eq!(first.ok()["available"], menu[0]["stock"]);
    }
}

#[tokio::test]
async fn an_order_that_ended_at_once_is_found_by_the_position_of_its_refusal() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let declined = app.place(&life.customer, &life.shop.order_with_card("declined")).await;
    let at = position(&declined);
    let order = declined.refused(402, "payment_declined").order_id();
    let past = list_at(&app, &life.customer, "/v1/my-page?status=past", &at).await;
    assert!(past.iter().any(|row| row["id"] == json!(order) && row["status"] == "cancelled"), "{past:?}");
}
