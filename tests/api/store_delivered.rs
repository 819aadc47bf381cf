//! Food that the store itself delivers (S3): as S0, but the store departs.

use serde_json::json;

use crate::helpers::{Life, TestApp, place};

const PRESET: &str = "store_delivered";

#[tokio::test]
async fn s3_f1_to_f5_as_food_delivery_up_to_the_finished_dish() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    let board = format!("/v1/stores/{}/orders", life.shop.id);
    app.wait_for_row(&life.shop.owner, &board, &order, |row| row["payment"]["status"] == "authorized").await;
    assert_eq!(app.accept(&life.shop.owner, &order).await.ok()["status"], "accepted");
    assert_eq!(app.start_preparation(&life.shop.owner, &order).await.ok()["status"], "preparing");
    assert_eq!(app.finish_preparation(&life.shop.owner, &order).await.ok()["status"], "ready");
    let declined = life.place(&app).await;
    assert_eq!(app.reject(&life.shop.owner, &declined, "closing").await.ok()["status"], "rejected");
    let mut far = life.shop.order();
    far["destination"] = place("Incheon", (37.4563, 126.7052));
    app.place(&life.customer, &far).await.refused(422, "unavailable_area");
}

#[tokio::test]
async fn s3_f6_the_store_itself_departs_with_the_delivery() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "ready").await;
    app.claim(&life.rider, &order).await.refused(409, "delivery_not_offered");
    let departed = app.depart(&life.shop.owner, &order).await.ok();
    assert_eq!(departed["delivery"], json!({"status": "picked_up", "rider_id": null}));
    app.wait_for_message(&life.customer, &order, "picked_up").await;
    assert_eq!(app.deliver(&life.shop.owner, &order).await.ok()["status"], "delivered");
}

#[tokio::test]
async fn s3_f7_the_customers_confirmation_is_also_the_word_that_it_arrived() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "picked_up").await;
    let confirmed = app.confirm(&life.customer, &order).await.ok();
    assert_eq!((&confirmed["status"], &confirmed["delivery"]["status"]), (&json!("completed"), &json!("delivered")));
    app.ledger(&order).await.was_charged_once(life.shop.total());
    for event in ["delivered", "order_completed"] {
        app.wait_for_message(&life.customer, &order, event).await;
    }
}

#[tokio::test]
async fn s3_f8_the_customer_may_cancel_only_while_cooking_has_not_started() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let early = life.order_in(&app, "accepted").await;
    app.cancel(&life.customer, &early).await.ok();
    app.wait_until_settled(&early).await;
    app.ledger(&early).await.keeps_nothing();
    let late = life.order_in(&app, "preparing").await;
    app.cancel(&life.customer, &late).await.refused(409, "wrong_status");
}

#[tokio::test]
async fn s3_f8_cancelling_cancels_the_delivery() {
    let app = TestApp::start().await;
    let life = Life::at(&app, json!({"preset": PRESET, "cancel_until": "delivery"})).await;
    let order = life.order_in(&app, "picked_up").await;
    let cancelled = app.cancel(&life.customer, &order).await.ok();
    assert_eq!(cancelled["delivery"]["status"], "cancelled", "nobody has to be asked: the store carries it");
    let settled = app.wait_until_settled(&order).await;
    assert_eq!(settled["payment"]["status"], "refunded");
    app.ledger(&order).await.keeps_nothing();
    app.wait_for_message(&life.customer, &order, "delivery_cancelled").await;
}
