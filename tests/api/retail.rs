//! An appliance shop (S1): goods from stock, packed by the store and carried by its own riders.

use serde_json::json;

use crate::helpers::{Life, TestApp};

const PRESET: &str = "retail";

#[tokio::test]
async fn s1_f1_f2_a_customer_orders_an_appliance_and_pays() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = app.place(&life.customer, &life.shop.order()).await.created();
    assert_eq!((&order["status"], &order["payment"]["status"]), (&json!("awaiting_acceptance"), &json!("captured")));
    let order = order["id"].as_str().unwrap();
    app.ledger(order).await.was_charged_once(life.shop.total());
    app.wait_for_stock(&life.shop, 0, 9).await;
    app.wait_for_stock(&life.shop, 1, 8).await;
    let cash = app.place(&life.customer, &life.shop.order_on_delivery()).await.refused(422, "invalid_value");
    assert_eq!(cash.pointers(), ["/payment/method"]);
}

#[tokio::test]
async fn s1_f3_only_after_payment_does_the_order_reach_the_store() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    app.payment_provider("error").await;
    let order = life.place(&app).await;
    assert_eq!(app.order(&order).await["status"], "awaiting_payment");
    app.get(&life.shop.owner, &format!("/v1/orders/{order}")).await.refused(404, "order_not_found");
    assert!(app.board(&life.shop.owner, &life.shop.id).await.is_empty());

    app.payment_provider(json!(null)).await;
    app.wait_for_status(&order, "awaiting_acceptance").await;
    let board = format!("/v1/stores/{}/orders", life.shop.id);
    app.wait_for_row(&life.shop.owner, &board, &order, |_| true).await;
    app.ledger(&order).await.was_charged_once(life.shop.total());
}

#[tokio::test]
async fn s1_f4_staff_take_the_order_and_pack_in_the_same_act() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    let accepted = app.accept(&life.shop.owner, &order).await.ok();
    assert_eq!((&accepted["status"], &accepted["preparation"]["status"]), (&json!("preparing"), &json!("started")));
}

#[tokio::test]
async fn s1_f5_a_courier_of_that_store_starts_the_delivery_when_it_is_packed() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let stranger = app.rider("stranger").await;
    let order = life.order_in(&app, "preparing").await;
    app.finish_preparation(&life.shop.owner, &order).await.ok();
    let departed = app.wait_for_status(&order, "picked_up").await;
    assert_eq!(departed["delivery"], json!({"status": "picked_up", "rider_id": life.rider.sub}));
    app.deliver(&stranger, &order).await.refused(404, "order_not_found");
    assert_eq!(app.deliver(&life.rider, &order).await.ok()["status"], "delivered");
}

#[tokio::test]
async fn s1_f5_without_a_courier_on_duty_the_parcel_waits_for_one() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let off_duty = json!({"available": false, "location": {"lat": 37.5, "lng": 127.0}});
    app.put(&life.rider, "/v1/riders/me", &off_duty).await.done();
    let order = life.order_in(&app, "ready").await;
    app.claim(&app.rider("stranger").await, &order).await.refused(409, "delivery_not_offered");
    app.report_for_duty(&life.rider).await;
    app.wait_for_status(&order, "picked_up").await;
}

#[tokio::test]
async fn s1_f6_delivery_start_sends_the_customer_a_message() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "picked_up").await;
    let told = app.wait_for_message(&life.customer, &order, "picked_up").await;
    assert_eq!(told["order_id"], *order);
}

#[tokio::test]
async fn s1_f7_the_customer_can_cancel_after_taking() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    for status in ["awaiting_acceptance", "preparing"] {
        let order = life.order_in(&app, status).await;
        let cancelled = app.cancel(&life.customer, &order).await.ok();
        assert_eq!(cancelled["status"], "cancelled");
        let settled = app.wait_until_settled(&order).await;
        assert_eq!(settled["payment"]["status"], "refunded");
        app.ledger(&order).await.keeps_nothing();
        app.wait_for_stock(&life.shop, 0, 10).await;
        app.wait_for_stock(&life.shop, 1, 10).await;
    }
}

#[tokio::test]
async fn s1_f8_cancelling_after_departure_cancels_payment_and_delivery() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "picked_up").await;
    assert_eq!(app.cancel(&life.customer, &order).await.ok()["status"], "cancelled");
    let settled = app.wait_until_settled(&order).await;
    assert_eq!(settled["delivery"]["status"], "cancelled");
    assert_eq!(settled["payment"]["status"], "refunded");
    assert_eq!(settled["cancellation"]["settled"], true);
    app.ledger(&order).await.keeps_nothing();
    app.wait_for_stock(&life.shop, 1, 10).await;
    let mine = app.get(&life.rider, "/v1/riders/me").await.ok();
    assert_eq!(mine["active_deliveries"], json!([]), "the rider is stood down");
}

#[tokio::test]
async fn s1_f8_a_delivered_appliance_is_not_cancelled_any_more() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "delivered").await;
    let refused = app.cancel(&life.customer, &order).await.refused(409, "wrong_status");
    assert_eq!(refused.0["allowed"], json!(["confirm"]));
    app.ledger(&order).await.was_charged_once(life.shop.total());
}

#[tokio::test]
async fn s1_f9_a_cancelled_delivery_sends_the_customer_a_message() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "picked_up").await;
    app.cancel(&life.customer, &order).await.ok();
    for event in ["order_cancelled", "delivery_cancelled", "payment_refunded"] {
        app.wait_for_message(&life.customer, &order, event).await;
    }
}

#[tokio::test]
async fn s1_f10_f11_my_page_shows_every_change_of_order_and_delivery() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    let (live, past) = ("/v1/my-page?status=live", "/v1/my-page?status=past");
    app.wait_for_row(&life.customer, live, &order, |row| row["status"] == "awaiting_acceptance").await;
    app.accept(&life.shop.owner, &order).await.ok();
    app.wait_for_row(&life.customer, live, &order, |row| row["preparation"]["status"] == "started").await;
    app.finish_preparation(&life.shop.owner, &order).await.ok();
    app.wait_for_row(&life.customer, live, &order, |row| row["delivery"]["status"] == "picked_up").await;
    app.deliver(&life.rider, &order).await.ok();
    app.wait_for_row(&life.customer, live, &order, |row| row["delivery"]["status"] == "delivered").await;
    app.confirm(&life.customer, &order).await.ok();
    let row = app.wait_for_row(&life.customer, past, &order, |row| row["status"] == "completed").await;
    assert_eq!(row["payment"]["status"], "captured");
}
