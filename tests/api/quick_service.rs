//! A parcel courier (S2): the desk approves and assigns a rider, who accepts and departs.

use serde_json::{Value, json};

use crate::helpers::{Life, STORE_AT, TestApp, place};

const PRESET: &str = "quick_service";

#[tokio::test]
async fn s2_f1_a_customer_submits_a_parcel() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let mut order = life.shop.order_of(1, 1);
    order["parcel"] = json!({"description": "Two lamps", "size": "large", "weight_g": 4_200,
        "pick_up": place("5 Mapo-daero", STORE_AT)});
    let order = app.place(&life.customer, &order).await.created();
    assert_eq!(order["parcel"]["weight_g"], 4_200);
    assert_eq!(
        (&order["parcel"]["size"], &order["parcel"]["pick_up"]["text"]),
        (&json!("large"), &json!("5 Mapo-daero"))
    );
    assert_eq!(order["destination"]["text"], "7 Samcheong-ro");
    assert_eq!(order["total"]["amount"], 2_500, "the price of the service");
}

#[tokio::test]
async fn telephone_numbers_leave_the_history_when_nobody_is_on_their_way_any_more() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let mut order = life.shop.order_of(1, 1);
    let with_phone = |text: &str| {
        let mut place = place(text, STORE_AT);
        place["phone"] = json!("+82-10-1234-5678");
        place
    };
    order["destination"] = with_phone("7 Samcheong-ro");
    order["parcel"] =
        json!({"description": "Lamp", "size": "small", "weight_g": 1, "pick_up": with_phone("5 Mapo-daero")});
    let order = app.placed(&life.customer, &order).await;
    let history = async || {
        let path = format!("/v1/orders/{order}/events");
        (app.get(&life.shop.owner, &path).await.ok().to_string(), app.get(&life.customer, &path).await.ok().to_string())
    };
    app.wait_for_status(&order, "awaiting_acceptance").await;
    assert_eq!(history().await.0.matches("1234-5678").count(), 2);
    app.cancel(&life.customer, &order).await.ok();
    let (owner, customer) = history().await;
    assert!(!owner.contains("1234-5678"), "{owner}");
    assert_eq!(customer.matches("1234-5678").count(), 2);
}

#[tokio::test]
async fn s2_f2_the_customer_chooses_prepaid_or_collect_on_delivery() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let prepaid = life.place(&app).await;
    assert_eq!(app.order(&prepaid).await["payment"]["status"], "authorized");
    let collect = app.placed(&life.customer, &life.shop.order_on_delivery()).await;
    assert_eq!(app.order(&collect).await["payment"]["status"], "due_on_delivery");
    let delivered = life.bring_to(&app, &collect, "delivered").await;
    assert_eq!(delivered["payment"]["status"], "collected");
}

#[tokio::test]
async fn s2_f3_the_request_reaches_the_courier_company() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    let board = format!("/v1/stores/{}/orders", life.shop.id);
    let row = app.wait_for_row(&life.shop.owner, &board, &order, |row| row["status"] == "awaiting_acceptance").await;
    assert_eq!(row["parcel"]["description"], "Contract");
}

#[tokio::test]
async fn s2_f4_the_desk_approves_and_assigns_and_the_rider_accepts_and_departs() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let (desk, rider, order) = (&life.shop.owner, &life.rider, life.place(&app).await);
    app.assign(desk, &order, rider).await.refused(409, "wrong_status");
    assert_eq!(app.accept(desk, &order).await.ok()["status"], "ready", "there is nothing to prepare");
    app.start_preparation(desk, &order).await.refused(409, "not_by_policy");

    let assigned = app.assign(desk, &order, rider).await.ok();
    assert_eq!(assigned["delivery"], json!({"status": "assigned", "rider_id": rider.sub}));
    app.pick_up(rider, &order).await.refused(409, "wrong_status");
    assert_eq!(app.accept_delivery(rider, &order).await.ok()["delivery"]["status"], "accepted");
    assert_eq!(app.pick_up(rider, &order).await.ok()["status"], "picked_up");
    assert_eq!(app.deliver(rider, &order).await.ok()["status"], "delivered");
}

#[tokio::test]
async fn s2_f4_a_rider_who_declines_makes_room_for_another() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let (desk, order) = (&life.shop.owner, life.order_in(&app, "ready").await);
    let other = app.rider("other").await;
    app.hire(&life.shop, &other).await;
    app.assign(desk, &order, &life.rider).await.ok();
    app.assign(desk, &order, &other).await.refused(409, "delivery_taken");
    app.accept_delivery(&other, &order).await.refused(404, "order_not_found");

    let declined = app.decline_delivery(&life.rider, &order).await;
    assert_eq!(declined.status, 200, "{}", declined.body);
    app.wait_for_order(&order, "it waits for a rider", |order| order["delivery"]["status"] == "offered").await;
    app.accept_delivery(&life.rider, &order).await.refused(404, "order_not_found");
    app.assign(desk, &order, &other).await.ok();
    app.accept_delivery(&other, &order).await.ok();
    assert_eq!(app.pick_up(&other, &order).await.ok()["rider_id"], "other");
}

#[tokio::test]
async fn s2_f5_f6_cancelling_cancels_the_delivery_too() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "ready").await;
    app.assign(&life.shop.owner, &order, &life.rider).await.ok();
    app.accept_delivery(&life.rider, &order).await.ok();

    assert_eq!(app.cancel(&life.customer, &order).await.ok()["status"], "cancelled");
    let settled = app.wait_until_settled(&order).await;
    assert_eq!(settled["delivery"]["status"], "cancelled");
    assert_eq!(settled["payment"]["status"], "refunded");
    app.ledger(&order).await.keeps_nothing();
    let mine = app.get(&life.rider, "/v1/riders/me").await.ok();
    assert_eq!(mine["active_deliveries"], json!([]));

    let on_its_way = life.order_in(&app, "picked_up").await;
    app.cancel(&life.customer, &on_its_way).await.refused(409, "wrong_status");
}

#[tokio::test]
async fn s2_f7_f8_status_at_any_time_and_a_message_on_every_change() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    for &step in life.steps() {
        let told = life.take(&app, &order, step).await.ok()["version"].as_u64();
        let seen = app.get(&life.customer, &format!("/v1/orders/{order}")).await.ok();
        assert!(seen["version"].as_u64() >= told, "after {}", step.command);
    }
    for event in ["order_placed", "order_accepted", "rider_accepted", "picked_up", "delivered", "order_completed"] {
        app.wait_for_message(&life.customer, &order, event).await;
    }
}

#[tokio::test]
async fn s2_f9_the_receiver_confirms_receipt() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "delivered").await;
    let confirmed: Value = app.confirm(&life.customer, &order).await.ok();
    assert_eq!(confirmed["status"], "completed");
    app.ledger(&order).await.was_charged_once(life.shop.total());
}
