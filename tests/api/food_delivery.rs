//! Food delivery (S0): cooked to order, carried by riders who are near the customer.

use serde_json::{Value, json};

use crate::helpers::{CUSTOMER_AT, Life, TestApp, place};

const PRESET: &str = "food_delivery";

#[tokio::test]
async fn s0_f1_a_customer_picks_menu_items_and_orders() {
    let app = TestApp::start().await;
    let shop = app.store(PRESET).await;
    let menu = app.open(&format!("/v1/stores/{}/menu", shop.id)).await.ok();
    let names: Vec<&str> = menu["items"].as_array().unwrap().iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(names.len(), 2, "{menu}");

    let alice = app.customer("alice").await;
    let order = app.place(&alice, &shop.order()).await.created();

    assert_eq!(order["status"], "awaiting_acceptance");
    assert_eq!((&order["store"]["id"], &order["store"]["name"]), (&json!(shop.id), &json!(shop.name)));
    assert_eq!(order["customer_id"], "alice");
    assert_eq!(order["lines"][1]["name"], "Kimchi");
    assert_eq!(order["lines"][1]["unit_price"], json!({"amount": 2_500, "currency": "KRW"}));
    assert_eq!(order["lines"][1]["total"]["amount"], 5_000);
    assert_eq!(order["total"]["amount"], shop.total());
    assert_eq!(order["note"], "Please ring twice");
    assert_eq!(order["destination"]["text"], "7 Samcheong-ro");
}

#[tokio::test]
async fn s0_f2_the_customer_pays_for_them() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    assert_eq!(app.order(&order).await["payment"], json!({"method": "card", "status": "authorized"}));
    assert_eq!(app.ledger(&order).await.operations(), ["authorize"], "nothing is taken before the store accepts");

    app.accept(&life.shop.owner, &order).await.ok();
    app.wait_for_order(&order, "the money is taken", |order| order["payment"]["status"] == "captured").await;
    app.ledger(&order).await.was_charged_once(life.shop.total());
    life.bring_to(&app, &order, "completed").await;
    app.ledger(&order).await.was_charged_once(life.shop.total());
}

#[tokio::test]
async fn s0_f2_cash_is_due_on_delivery_and_collected_by_the_rider() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = app.placed(&life.customer, &life.shop.order_on_delivery()).await;
    assert_eq!(app.order(&order).await["payment"], json!({"method": "on_delivery", "status": "due_on_delivery"}));
    let delivered = life.bring_to(&app, &order, "delivered").await;
    assert_eq!(delivered["payment"]["status"], "collected");
    assert!(app.ledger(&order).await.0.is_empty(), "the provider has nothing to do with cash");
}

#[tokio::test]
async fn s0_f2_a_declined_card_ends_the_order_and_takes_nothing() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let refused =
        app.place(&life.customer, &life.shop.order_with_card("declined")).await.refused(402, "payment_declined");
    let ended = app.wait_until_settled(&refused.order_id()).await;
    assert_eq!((&ended["status"], &ended["payment"]["status"]), (&json!("cancelled"), &json!("declined")));
    assert_eq!(ended["cancellation"]["reason"], "payment_declined");
    app.ledger(&refused.order_id()).await.keeps_nothing();
    app.wait_for_row(&life.customer, "/v1/my-page?status=past", &refused.order_id(), |_| true).await;
    assert!(app.board(&life.shop.owner, &life.shop.id).await.is_empty(), "the store never hears of it");
}

#[tokio::test]
async fn s0_f3_the_order_reaches_the_stores_owner() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    let board = format!("/v1/stores/{}/orders", life.shop.id);
    let row = app.wait_for_row(&life.shop.owner, &board, &order, |row| row["status"] == "awaiting_acceptance").await;
    assert_eq!(row["total"]["amount"], life.shop.total());
    app.wait_for_row(&life.shop.owner, &format!("{board}?status=awaiting_acceptance"), &order, |_| true).await;
    assert!(app.get(&life.shop.owner, &format!("{board}?status=accepted")).await.items().is_empty());
    let seen = app.get(&life.shop.owner, &format!("/v1/orders/{order}")).await.ok();
    assert_eq!(seen["allowed"], json!(["accept", "reject"]));
}

#[tokio::test]
async fn s0_f4_the_owner_accepts_or_rejects_it() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;

    let taken = life.place(&app).await;
    assert_eq!(app.accept(&life.shop.owner, &taken).await.ok()["status"], "accepted");

    let refused = life.place(&app).await;
    let rejected = app.reject(&life.shop.owner, &refused, "the stove is broken").await.ok();
    assert_eq!(rejected["status"], "rejected");
    let settled = app.wait_until_settled(&refused).await;
    let cancellation =
        json!({"by": "store", "reason": "store_rejected", "note": "the stove is broken", "settled": true});
    assert_eq!(settled["cancellation"], cancellation);
    assert_eq!(settled["payment"]["status"], "voided");
    app.ledger(&refused).await.keeps_nothing();
    app.wait_for_message(&life.customer, &refused, "order_rejected").await;
}

#[tokio::test]
async fn s0_f5_the_owner_reports_that_cooking_started_and_finished() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let (owner, order) = (&life.shop.owner, life.order_in(&app, "accepted").await);
    assert_eq!(app.order(&order).await["preparation"]["status"], "waiting");
    app.finish_preparation(owner, &order).await.refused(409, "wrong_status");

    let started = app.start_preparation(owner, &order).await.ok();
    assert_eq!((&started["status"], &started["preparation"]["status"]), (&json!("preparing"), &json!("started")));
    let finished = app.finish_preparation(owner, &order).await.ok();
    assert_eq!((&finished["status"], &finished["preparation"]["status"]), (&json!("ready"), &json!("finished")));
}

#[tokio::test]
async fn s0_f6_the_customer_may_cancel_only_while_cooking_has_not_started() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;

    for (status, money) in [("awaiting_acceptance", "voided"), ("accepted", "refunded")] {
        let order = life.order_in(&app, status).await;
        if status == "accepted" {
            app.wait_for_order(&order, "the money is taken", |order| order["payment"]["status"] == "captured").await;
        }
        assert_eq!(app.cancel(&life.customer, &order).await.ok()["status"], "cancelled");
        let settled = app.wait_until_settled(&order).await;
        assert_eq!(settled["payment"]["status"], money);
        assert_eq!(settled["cancellation"], json!({"by": "customer", "reason": "customer", "settled": true}));
        app.ledger(&order).await.keeps_nothing();
        app.wait_for_message(&life.customer, &order, "order_cancelled").await;
    }

    for status in ["preparing", "ready", "picked_up"] {
        let order = life.order_in(&app, status).await;
        let refused = app.cancel(&life.customer, &order).await.refused(409, "wrong_status");
        assert_eq!((&refused.0["order_status"], &refused.0["allowed"]), (&json!(status), &json!([])));
        assert_eq!(app.order(&order).await["status"], status);
    }
}

#[tokio::test]
async fn s0_f7_riders_near_the_customer_look_the_delivery_up() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let cooking = life.order_in(&app, "preparing").await;
    let near = life.order_in(&app, "ready").await;
    let mut farther = life.shop.order();
    farther["destination"] = place("Up the hill", (CUSTOMER_AT.0 + 0.01, CUSTOMER_AT.1));
    let farther = app.placed(&life.customer, &farther).await;
    life.bring_to(&app, &farther, "ready").await;

    let found = crate::helpers::wait_until("both deliveries are on the board", || async {
        let found = app.deliveries(&life.rider, CUSTOMER_AT, 5_000).await;
        (found.len() == 2).then_some(found)
    })
    .await;
    let ids: Vec<&Value> = found.iter().map(|delivery| &delivery["order_id"]).collect();
    assert_eq!(ids, [&json!(near), &json!(farther)], "the nearest first, and not {cooking}, which is still cooking");
    assert_eq!(app.deliveries(&life.rider, CUSTOMER_AT, 500).await.len(), 1);
    assert!(app.deliveries(&life.rider, (35.1798, 129.0750), 50_000).await.is_empty(), "nothing near Busan");

    let shown = found[0].to_string();
    for secret in ["alice", "Samcheong", "1234-5678", "ring twice"] {
        assert!(!shown.contains(secret), "an open delivery shows {secret}: {shown}");
    }
}

#[tokio::test]
async fn s0_f8_a_rider_picks_the_food_up_and_reports_it() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "ready").await;
    let claimed = app.claim(&life.rider, &order).await.ok();
    assert_eq!(claimed["delivery"], json!({"status": "accepted", "rider_id": "rico"}));
    let mine = app.get(&life.rider, "/v1/riders/me").await.ok();
    assert!(mine["active_deliveries"].to_string().contains(&order), "{mine}");

    let picked_up = app.pick_up(&life.rider, &order).await.ok();
    assert_eq!((&picked_up["status"], &picked_up["delivery"]["status"]), (&json!("picked_up"), &json!("picked_up")));
    assert_eq!(app.deliver(&life.rider, &order).await.ok()["status"], "delivered");
    app.wait_for_message(&life.customer, &order, "delivered").await;
}

#[tokio::test]
async fn s0_f9_the_customer_looks_at_the_orders_status_at_any_time() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.place(&app).await;
    let mut version = 0;
    for &step in life.steps() {
        let seen = app.get(&life.customer, &format!("/v1/orders/{order}")).await;
        assert_eq!(seen.header("etag"), Some(format!("\"{}\"", seen.body["version"]).as_str()));
        let seen = seen.ok();
        assert!(seen["version"].as_u64() > Some(version));
        version = seen["version"].as_u64().unwrap();
        life.take(&app, &order, step).await.ok();
        let after = app.get(&life.customer, &format!("/v1/orders/{order}")).await.ok();
        assert!(after["version"].as_u64() > Some(version), "{} shows at once", step.command);
    }
    assert_eq!(app.order(&order).await["status"], "completed");
}

#[tokio::test]
async fn s0_f10_every_status_change_sends_the_customer_a_message() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "completed").await;
    app.wait_for_message(&life.customer, &order, "order_completed").await;

    let messages = app.messages(&life.customer, &order).await;
    let told: Vec<&str> = messages.iter().filter_map(|message| message["event"].as_str()).collect();
    for event in [
        "order_placed",
        "payment_authorized",
        "order_submitted",
        "order_accepted",
        "payment_captured",
        "preparation_started",
        "preparation_finished",
        "rider_accepted",
        "picked_up",
        "delivered",
        "order_completed",
    ] {
        assert_eq!(told.iter().filter(|told| **told == event).count(), 1, "{event} among {told:?}");
    }
    for message in &messages {
        assert_eq!(message["order_id"], *order);
        assert!(message["text"].as_str().is_some_and(|text| text.len() > 5) && message["at"].is_string(), "{message}");
        assert_eq!((&message["state"], message["channel"].is_string()), (&json!("sent"), true));
    }
}

#[tokio::test]
async fn s0_f11_confirming_receipt_completes_the_transaction() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let order = life.order_in(&app, "delivered").await;
    let confirmed = app.confirm(&life.customer, &order).await.ok();
    assert_eq!((&confirmed["status"], &confirmed["allowed"]), (&json!("completed"), &json!([])));
    app.wait_until_settled(&order).await;
    app.ledger(&order).await.was_charged_once(life.shop.total());
    app.wait_for_row(&life.customer, "/v1/my-page?status=past", &order, |row| row["status"] == "completed").await;
    assert!(app.my_page(&life.customer, "live").await.is_empty());
}

#[tokio::test]
async fn s0_f12_an_address_outside_the_area_ends_the_order() {
    let app = TestApp::start().await;
    let life = Life::at(&app, PRESET).await;
    let mut far = life.shop.order();
    far["destination"] = place("Incheon", (37.4563, 126.7052));
    let refused = app.place(&life.customer, &far).await.refused(422, "unavailable_area");

    let order = refused.order_id();
    app.wait_for_row(&life.customer, "/v1/my-page?status=past", &order, |row| row["status"] == "cancelled").await;
    assert!(app.my_page(&life.customer, "live").await.is_empty(), "it leaves the list of live orders");
    assert_eq!(app.order(&order).await["cancellation"]["reason"], "unavailable_area");
    assert!(app.ledger(&order).await.0.is_empty(), "nobody is charged for it");
    assert!(app.board(&life.shop.owner, &life.shop.id).await.is_empty());
    app.get(&life.shop.owner, &format!("/v1/orders/{order}")).await.refused(404, "order_not_found");
}
