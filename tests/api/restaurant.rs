//! A restaurant with stock (S4): cooking and delivery start by themselves.

use serde_json::json;

use crate::helpers::{Life, TestApp};

const PRESET: &str = "restaurant";

#[tokio::test]
async fn s4_f1_an_order_starts_cooking_by_itself() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = app.place(&life.customer, &life.shop.order()).await.created();
    assert_eq!((&order["status"], &order["preparation"]["status"]), (&json!("preparing"), &json!("started")));
    assert_eq!(order["payment"]["status"], "captured");
    let order = order["id"].as_str().unwrap();
    app.ledger(order).await.was_charged_once(life.shop.total());
    for event in ["order_accepted", "preparation_started"] {
        app.wait_for_message(&life.customer, order, event).await;
    }
}

#[tokio::test]
async fn s4_f2_cooked_means_the_delivery_starts_by_itself() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    app.finish_preparation(&life.shop.owner, &order).await.ok();
    let departed = app.wait_for_status(&order, "picked_up").await;
    assert_eq!(departed["delivery"], json!({"status": "picked_up", "rider_id": life.rider.sub}));
    life.bring_to(&app, &order, "completed").await;
    app.wait_until_settled(&order).await;
    app.wait_for_stock(&life.shop, 1, 8).await;
}

#[tokio::test]
async fn s4_f3_cancelling_the_order_cancels_the_cooking_and_the_customer_is_told() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    let cancelled = app.cancel(&life.customer, &order).await.ok();
    assert_eq!((&cancelled["status"], &cancelled["preparation"]["status"]), (&json!("cancelled"), &json!("cancelled")));
    let settled = app.wait_until_settled(&order).await;
    assert_eq!(settled["payment"]["status"], "refunded");
    app.ledger(&order).await.keeps_nothing();
    app.wait_for_stock(&life.shop, 0, 10).await;
    app.wait_for_stock(&life.shop, 1, 10).await;
    for event in ["order_cancelled", "preparation_cancelled", "payment_refunded"] {
        app.wait_for_message(&life.customer, &order, event).await;
    }
}

#[tokio::test]
async fn s4_f4_if_stock_is_short_the_order_is_cancelled() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let refused = app.place(&life.customer, &life.shop.order_of(0, 11)).await.refused(409, "out_of_stock");
    let order = app.wait_until_settled(&refused.order_id()).await;
    assert_eq!((&order["status"], &order["cancellation"]["reason"]), (&json!("cancelled"), &json!("out_of_stock")));
    assert!(app.ledger(&refused.order_id()).await.0.is_empty(), "nobody pays for what is not there");
    app.wait_for_stock(&life.shop, 0, 10).await;
    app.wait_for_message(&life.customer, &refused.order_id(), "order_cancelled").await;
    app.place(&life.customer, &life.shop.order_of(0, 10)).await.created();
    app.wait_for_stock(&life.shop, 0, 0).await;
}

#[tokio::test]
async fn s4_f5_my_page_shows_order_cooking_and_delivery_together() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "picked_up").await;
    let seen = |row: &serde_json::Value| row["status"] == "picked_up";
    let row = app.wait_for_row(&life.customer, "/v1/my-page?status=live", &order, seen).await;
    assert_eq!(row["preparation"]["status"], "finished");
    assert_eq!(row["delivery"], json!({"status": "picked_up", "rider_id": life.rider.sub}));
    assert_eq!(row["payment"]["status"], "captured");
}
