//! Money in a race: whatever crosses whatever, it is taken once or given back.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::helpers::{Life, Options, TestApp, wait_until};

const PRESETS: [&str; 5] = ["food_delivery", "retail", "quick_service", "store_delivered", "restaurant"];

/// Every answer of the provider takes its time.
async fn slow_provider(app: &TestApp) {
    let mood = json!({"latency_ms": [1, 40], "failure": null});
    app.put(&app.admin, "/v1/operations/sandbox", &mood).await.done();
}

/// The money agrees with how the order ended.
async fn the_books_agree(app: &TestApp, life: &Life, order: &str) {
    let paid = |order: &Value| {
        let closed = matches!(order["status"].as_str(), Some("cancelled" | "rejected"));
        closed || order["payment"]["status"] == "captured"
    };
    let seen = app.wait_for_order(order, "it is paid or has ended", paid).await;
    if matches!(seen["status"].as_str(), Some("cancelled" | "rejected")) {
        app.wait_until_settled(order).await;
        app.ledger(order).await.keeps_nothing();
    } else {
        app.ledger(order).await.was_charged_once(life.shop.total());
    }
}

#[tokio::test]
async fn a_cancellation_that_crosses_the_acceptance_leaves_the_books_right() {
    let app = TestApp::start().await;
    slow_provider(&app).await;
    for preset in PRESETS {
        let life = Life::at_plenty(&app, preset).await;
        for _ in 0..4 {
            let order = life.place(&app).await;
            let (accepted, cancelled) =
                tokio::join!(app.accept(&life.shop.owner, &order), app.cancel(&life.customer, &order));
            assert!(accepted.status == 200 || cancelled.status == 200, "{} {}", accepted.body, cancelled.body);
            the_books_agree(&app, &life, &order).await;
        }
    }
}

#[tokio::test]
async fn a_cancellation_right_after_the_acceptance_gets_the_money_back() {
    let app = TestApp::start().await;
    slow_provider(&app).await;
    for preset in PRESETS {
        let life = Life::at_plenty(&app, preset).await;
        let order = life.place(&app).await;
        app.accept(&life.shop.owner, &order).await.ok();
        app.cancel(&life.customer, &order).await.done();
        the_books_agree(&app, &life, &order).await;
    }
}

#[tokio::test]
async fn a_customer_who_cancels_while_the_card_is_asked_pays_nothing() {
    let app = Options::default().set("orders.placement_answer_within_ms", 2_000).start().await;
    for preset in PRESETS {
        let life = Life::at_plenty(&app, preset).await;
        let slow = life.shop.order_with_card("slow:600");
        let cancelling = async {
            let listed = || async { app.my_page(&life.customer, "live").await.first().cloned() };
            let order = wait_until("the order is listed", listed).await["id"].as_str().unwrap().to_owned();
            app.cancel(&life.customer, &order).await.ok();
            order
        };
        let (placed, order) = tokio::join!(app.place(&life.customer, &slow), cancelling);
        assert!(placed.status < 500, "{}", placed.body);
        app.wait_until_settled(&order).await;
        app.ledger(&order).await.keeps_nothing();
        assert!(app.board(&life.shop.owner, &life.shop.id).await.is_empty(), "{preset}: it was never paid");
    }
}

#[tokio::test]
async fn a_deadline_that_crosses_the_payment_leaves_the_books_right() {
    let app = Options::default().set("orders.placement_answer_within_ms", 50).start().await;
    for preset in ["food_delivery", "retail"] {
        let life = Life::at_plenty(&app, preset).await;
        let slow = life.shop.order_with_card("slow:300");
        let orders = join_all((0..6).map(|_| app.placed(&life.customer, &slow))).await;
        app.advance(1_801).await;
        for order in &orders {
            let decided = |order: &Value| order["status"] != "awaiting_payment";
            let seen = app.wait_for_order(order, "it is decided", decided).await;
            if seen["status"] == "awaiting_acceptance" {
                app.accept(&life.shop.owner, order).await.ok();
            }
            the_books_agree(&app, &life, order).await;
        }
    }
}

#[tokio::test]
async fn a_card_that_is_declined_later_can_be_replaced_by_none_and_ends_the_order() {
    let app = Options::default().set("orders.placement_answer_within_ms", 100).start().await;
    let life = Life::at(&app, "food_delivery").await;
    app.payment_provider("hang").await;
    let order = app.placed(&life.customer, &life.shop.order_with_card("declined")).await;
    let other_card = app.command(&life.customer, &order, "pay", &json!({"token": "ok"})).await;
    other_card.refused(409, "payment_in_doubt");
    app.payment_provider(json!(null)).await;
    let ended = app.wait_for_status(&order, "cancelled").await;
    assert_eq!(ended["cancellation"]["reason"], "payment_declined");
    app.wait_until_settled(&order).await;
    app.ledger(&order).await.keeps_nothing();
}

#[tokio::test]
async fn a_card_is_nobodys_to_see() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = app.placed(&life.customer, &life.shop.order_with_card("slow:1")).await;
    life.bring_to(&app, &order, "picked_up").await;
    for who in [&life.customer, &life.shop.owner, &life.rider, &app.admin] {
        for path in ["", "/events"] {
            let shown = app.get(who, &format!("/v1/orders/{order}{path}")).await.ok().to_string();
            assert!(!shown.contains("slow:1"), "the {} sees the card: {shown}", who.role);
        }
    }
    let ledger = app.get(&app.admin, &format!("/v1/operations/sandbox/orders/{order}")).await.ok().to_string();
    assert!(!ledger.contains("slow:1") && !app.log().contains("slow:1"));
}

/// Past the time for which providers keep keys.
const A_DAY: u32 = 24 * 3_600;

#[tokio::test]
async fn a_payment_in_doubt_for_a_day_is_looked_up_and_not_repeated() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    // The first try breaks off before anything is done; a second one would charge.
    let order = app.placed(&life.customer, &life.shop.order_with_card("reset")).await;
    app.advance(A_DAY).await;
    let listed = || async {
        let listed = app.get(&app.admin, "/v1/operations/attention").await.items();
        let mine = listed.iter().find(|row| row["order"]["id"] == order.as_str())?;
        (mine["reason"] == "payment_unresolved").then_some(())
    };
    wait_until("a person is told to look", listed).await;
    assert_eq!(app.ledger(&order).await.operations(), [""; 0]);
    assert_eq!(app.order(&order).await["status"], "cancelled");
}

#[tokio::test]
async fn what_was_charged_unnoticed_is_found_after_a_day_and_given_back() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = app.placed(&life.customer, &life.shop.order_with_card("apply_then_reset")).await;
    app.advance(A_DAY).await;
    app.wait_until_settled(&order).await;
    app.ledger(&order).await.keeps_nothing();
    assert!(app.event_names(&order).await.contains(&"payment_voided".to_owned()));
}

#[tokio::test]
async fn a_charge_that_comes_after_the_caller_gave_up_is_taken_once() {
    let app = Options::default().set("payments.call_timeout_ms", 200).set("payments.slow_after_ms", 100).start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = app.placed(&life.customer, &life.shop.order_with_card("apply_late:600")).await;
    app.wait_for_status(&order, "awaiting_acceptance").await;
    assert_eq!(app.ledger(&order).await.operations(), ["authorize"]);
}

#[tokio::test]
async fn a_failure_that_the_provider_has_saved_is_looked_behind() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = app.placed(&life.customer, &life.shop.order_with_card("saved_error")).await;
    app.wait_for_status(&order, "awaiting_acceptance").await;
    assert_eq!(app.ledger(&order).await.operations(), ["authorize"]);
}
