//! Every waiting state has a deadline with a declared outcome: the table of the design, row by row.
//!
//! The clock is set ahead, never waited for.

use serde_json::{Value, json};

use crate::helpers::{Life, TestApp};

fn reminded(history: &[Value], whom: &str) -> usize {
    let told = |event: &&Value| event["type"] == "reminder_given" && event["data"]["to"] == whom;
    history.iter().filter(told).count()
}

/// The operator's list of orders to look at names the order and why.
async fn is_shown_to_the_operator(app: &TestApp, order: &str, reason: &str) {
    let shown = || async {
        let listed = app.get(&app.admin, "/v1/operations/attention").await.items();
        listed.into_iter().find(|row| row["order"]["id"] == order).filter(|row| row["reason"] == reason)
    };
    crate::helpers::wait_until(&format!("the operator sees {reason}"), shown).await;
}

async fn wait_until_reminded(app: &TestApp, order: &str, whom: &str) {
    let told = || async { (reminded(&app.history(order).await, whom) == 1).then_some(()) };
    crate::helpers::wait_until(&format!("the {whom} is reminded"), told).await;
}

#[tokio::test]
async fn a_payment_that_does_not_come_cancels_the_order() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "awaiting_payment").await;
    assert_eq!(app.order(&order).await["deadline"]["then"], "payment_not_completed");
    app.advance(1_700).await;
    assert_eq!(app.order(&order).await["status"], "awaiting_payment");
    app.advance(101).await;
    let ended = app.wait_for_status(&order, "cancelled").await;
    assert_eq!(
        (&ended["cancellation"]["by"], &ended["cancellation"]["reason"]),
        (&json!("system"), &json!("payment_not_completed"))
    );
    app.wait_for_message(&life.customer, &order, "order_cancelled").await;
    app.ledger(&order).await.keeps_nothing();
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_reminded_at_half_and_then_loses_the_order() {
    let app = TestApp::start().await;
    for (preset, money) in [("food_delivery", "voided"), ("retail", "refunded")] {
        let life = Life::at(&app, preset).await;
        let order = life.place(&app).await;
        app.advance(301).await;
        wait_until_reminded(&app, &order, "store").await;
        assert_eq!(app.order(&order).await["status"], "awaiting_acceptance");
        app.advance(300).await;
        let ended = app.wait_for_status(&order, "cancelled").await;
        assert_eq!(ended["cancellation"]["reason"], "store_did_not_answer");
        assert_eq!(app.wait_until_settled(&order).await["payment"]["status"], money);
        app.ledger(&order).await.keeps_nothing();
        app.accept(&life.shop.owner, &order).await.refused(409, "wrong_status");
    }
}

#[tokio::test]
async fn preparation_that_takes_too_long_is_shown_to_the_operator_and_goes_on() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "preparing").await;
    assert_eq!(app.order(&order).await["deadline"]["then"], "shown_as_late");
    app.advance(7_201).await;
    wait_until_reminded(&app, &order, "operator").await;
    is_shown_to_the_operator(&app, &order, "preparation_late").await;
    let shown = app.order(&order).await;
    assert_eq!((&shown["status"], &shown["deadline"]), (&json!("preparing"), &json!(null)));
    life.bring_to(&app, &order, "completed").await;
}

#[tokio::test]
async fn an_order_that_no_rider_takes_is_shown_at_half_and_then_cancelled() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "ready").await;
    app.advance(901).await;
    wait_until_reminded(&app, &order, "operator").await;
    is_shown_to_the_operator(&app, &order, "waiting_for_rider").await;
    app.advance(900).await;
    let ended = app.wait_for_status(&order, "cancelled").await;
    assert_eq!(ended["cancellation"]["reason"], "no_rider");
    let settled = app.wait_until_settled(&order).await;
    assert_eq!(
        (&settled["delivery"]["status"], &settled["payment"]["status"]),
        (&json!("cancelled"), &json!("refunded"))
    );
    app.ledger(&order).await.keeps_nothing();
    app.claim(&life.rider, &order).await.refused(409, "delivery_not_offered");
}

#[tokio::test]
async fn an_assigned_rider_who_does_not_answer_is_unassigned() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "quick_service").await;
    let order = life.order_in(&app, "ready").await;
    app.assign(&life.shop.owner, &order, &life.rider).await.ok();
    app.advance(301).await;
    let waits = |order: &Value| order["delivery"] == json!({"status": "offered", "rider_id": null});
    app.wait_for_order(&order, "it waits for a rider again", waits).await;
    let declined = app.history(&order).await.into_iter().find(|event| event["type"] == "rider_declined").unwrap();
    assert_eq!(declined["data"], json!({"rider_id": life.rider.sub, "why": "did_not_answer"}));
    app.accept_delivery(&life.rider, &order).await.refused(404, "order_not_found");

    let other = app.rider("other").await;
    app.hire(&life.shop, &other).await;
    app.assign(&life.shop.owner, &order, &other).await.ok();
    app.accept_delivery(&other, &order).await.ok();
    app.pick_up(&other, &order).await.ok();
}

#[tokio::test]
async fn a_hand_over_that_takes_too_long_is_shown_to_the_operator_and_goes_on() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "picked_up").await;
    app.advance(7_201).await;
    wait_until_reminded(&app, &order, "operator").await;
    is_shown_to_the_operator(&app, &order, "delivery_late").await;
    assert_eq!(app.deliver(&life.rider, &order).await.ok()["status"], "delivered");
}

#[tokio::test]
async fn an_order_that_nobody_confirms_is_completed_after_a_reminder() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "delivered").await;
    app.advance(43_201).await;
    app.wait_for_message(&life.customer, &order, "reminder_given").await;
    app.advance(43_200).await;
    app.wait_for_status(&order, "completed").await;
    app.wait_until_settled(&order).await;
    app.ledger(&order).await.was_charged_once(life.shop.total());
    let completed = app.history(&order).await.into_iter().find(|event| event["type"] == "order_completed").unwrap();
    assert_eq!(completed["data"], json!({"by": "system"}));
}

#[tokio::test]
async fn a_deadline_fires_after_any_restart() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let orders = [life.place(&app).await, life.place(&app).await];
    app.kill();
    app.start_again();
    app.restart();
    app.advance(601).await;
    for order in &orders {
        let ended = app.wait_for_status(order, "cancelled").await;
        assert_eq!(ended["cancellation"]["reason"], "store_did_not_answer");
        app.wait_until_settled(order).await;
        app.ledger(order).await.keeps_nothing();
    }
}

#[tokio::test]
async fn a_store_sets_its_own_times() {
    let app = TestApp::start().await;
    let life = Life::at(&app, json!({"preset": "food_delivery", "accept_within_s": 60})).await;
    let usual = Life::at(&app, "food_delivery").await;
    let (hurried, patient) = (life.place(&app).await, usual.place(&app).await);
    app.advance(61).await;
    app.wait_for_status(&hurried, "cancelled").await;
    assert_eq!(app.order(&patient).await["status"], "awaiting_acceptance");
}

#[tokio::test]
async fn what_was_answered_in_time_does_not_expire() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    app.advance(590).await;
    app.accept(&life.shop.owner, &order).await.ok();
    app.advance(590).await;
    let other = life.place(&app).await;
    app.advance(301).await;
    wait_until_reminded(&app, &other, "store").await;
    assert_eq!(app.order(&order).await["status"], "accepted", "its old deadline is gone");
}

#[tokio::test]
async fn only_an_admin_sets_the_clock_and_only_forward() {
    let app = TestApp::start().await;
    let alice = app.customer("alice").await;
    app.put(&alice, "/v1/operations/clock", &json!({"advance_s": 1})).await.refused(403, "forbidden");
    app.put(&app.admin, "/v1/operations/clock", &json!({"advance_s": -1})).await.problem();
    app.put(&app.admin, "/v1/operations/clock", &json!({"advance_s": "soon"})).await.problem();
}
