//! The requirements that are about how, not what (N1 to N8).

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::helpers::{Feed, Life, Options, TestApp, wait_until};

/// A server whose placements do not wait long for what is down.
fn impatient() -> Options {
    Options::default().set("orders.placement_answer_within_ms", 200)
}

/// A server that gives up on the payment provider soon.
fn quick_to_give_up() -> Options {
    impatient().set("payments.call_timeout_ms", 300).set("payments.slow_after_ms", 100)
}

#[tokio::test]
async fn n1_orders_are_taken_while_store_management_is_down_and_it_catches_up_with_all_of_them() {
    let app = impatient().start().await;
    let mut taken: Vec<(Life, Vec<String>)> = Vec::new();
    for preset in ["food_delivery", "retail", "quick_service", "store_delivered"] {
        taken.push((Life::at(&app, preset).await, Vec::new()));
    }
    app.pause_store_management(true).await;
    for (life, orders) in &mut taken {
        for _ in 0..3 {
            orders.push(life.place(&app).await);
        }
    }
    let (life, orders) = &taken[0];
    let refused = app.accept(&life.shop.owner, &orders[0]).await.problem();
    assert_eq!((&refused.0["status"], refused.code()), (&json!(503), "service_unavailable"));

    app.pause_store_management(false).await;
    for (life, orders) in &taken {
        for order in orders {
            app.wait_for_status(order, "awaiting_acceptance").await;
        }
        let all_there = || async {
            let board = app.board(&life.shop.owner, &life.shop.id).await;
            (board.len() >= orders.len()).then_some(board)
        };
        let board = wait_until("the board has caught up", all_there).await;
        let shown: Vec<&str> = board.iter().filter_map(|row| row["id"].as_str()).collect();
        assert_eq!(shown.len(), orders.len(), "each is there once: {shown:?}");
        assert_eq!(shown.into_iter().collect::<HashSet<_>>(), orders.iter().map(String::as_str).collect());
        for order in orders {
            app.accept(&life.shop.owner, order).await.ok();
        }
    }
}

#[tokio::test]
async fn n2_when_payment_hangs_orders_are_taken_and_paid_later() {
    let app = quick_to_give_up().start().await;
    let life = Life::at(&app, "food_delivery").await;
    app.payment_provider("hang").await;
    let order = app.place(&life.customer, &life.shop.order()).await.created();
    assert_eq!((&order["status"], &order["payment"]["status"]), (&json!("awaiting_payment"), &json!("deferred")));
    let allowed = order["allowed"].as_array().unwrap();
    assert!(allowed.contains(&json!("cancel")), "{order}");
    let order = order["id"].as_str().unwrap();
    app.wait_for_message(&life.customer, order, "payment_deferred").await;

    app.payment_provider(json!(null)).await;
    app.wait_for_status(order, "awaiting_acceptance").await;
    life.bring_to(&app, order, "completed").await;
    app.ledger(order).await.was_charged_once(life.shop.total());
}

#[tokio::test]
async fn n2_a_provider_that_fails_at_once_is_held_off_as_well() {
    let app = quick_to_give_up().start().await;
    let life = Life::at(&app, "retail").await;
    app.payment_provider("error").await;
    let order = life.place(&app).await;
    assert_eq!(app.order(&order).await["status"], "awaiting_payment");
    app.payment_provider(json!(null)).await;
    app.pay(&life.customer, &order).await.ok();
    app.wait_for_status(&order, "awaiting_acceptance").await;
    app.ledger(&order).await.was_charged_once(life.shop.total());
}

#[tokio::test]
async fn n2_an_order_that_is_not_paid_in_time_is_cancelled_and_nothing_is_kept() {
    let app = quick_to_give_up().start().await;
    let life = Life::at(&app, "retail").await;
    app.payment_provider("hang").await;
    let order = life.place(&app).await;
    app.advance(1_801).await;
    let ended = app.wait_for_status(&order, "cancelled").await;
    assert_eq!(ended["cancellation"]["reason"], "payment_not_completed");

    app.payment_provider(json!(null)).await;
    app.wait_until_settled(&order).await;
    app.ledger(&order).await.keeps_nothing();
    app.wait_for_stock(&life.shop, 0, 10).await;
    assert!(app.board(&life.shop.owner, &life.shop.id).await.is_empty(), "the store never heard of it");
}

#[tokio::test]
async fn n2_a_call_that_timed_out_but_was_applied_is_not_charged_again() {
    let app = TestApp::start().await;
    for preset in ["food_delivery", "retail"] {
        let life = Life::at(&app, preset).await;
        for token in ["apply_then_reset", "reset", "slow:300"] {
            let order = app.placed(&life.customer, &life.shop.order_with_card(token)).await;
            life.bring_to(&app, &order, "delivered").await;
            app.wait_for_order(&order, "it is paid", |order| order["payment"]["status"] == "captured").await;
            app.ledger(&order).await.was_charged_once(life.shop.total());
        }
    }
}

#[tokio::test]
async fn n3_an_unpaid_order_is_never_shown_to_the_store() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::open(&app, &life.shop.owner, &format!("store:{}", life.shop.id)).await;
    let unpaid = life.order_in(&app, "awaiting_payment").await;
    app.wait_for_row(&life.customer, "/v1/my-page?status=live", &unpaid, |_| true).await;
    assert!(app.board(&life.shop.owner, &life.shop.id).await.is_empty());
    app.get(&life.shop.owner, &format!("/v1/orders/{unpaid}")).await.refused(404, "order_not_found");
    app.get(&life.shop.owner, &format!("/v1/orders/{unpaid}/events")).await.refused(404, "order_not_found");
    app.accept(&life.shop.owner, &unpaid).await.refused(404, "order_not_found");
    app.cancel(&life.customer, &unpaid).await.ok();

    let paid = life.place(&app).await;
    let first = feed.event().await;
    assert_eq!((&first["order_id"], &first["type"]), (&json!(paid), &json!("order_submitted")));
    assert!(!app.board(&life.shop.owner, &life.shop.id).await.iter().any(|row| row["id"] == *unpaid));
}

#[tokio::test]
async fn n4_nothing_is_captured_before_the_store_has_approved() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "quick_service").await;
    let approved = life.place(&app).await;
    let rejected = life.place(&app).await;
    for order in [&approved, &rejected] {
        assert_eq!(app.ledger(order).await.operations(), ["authorize"]);
    }
    app.accept(&life.shop.owner, &approved).await.ok();
    app.wait_for_order(&approved, "it is captured", |order| order["payment"]["status"] == "captured").await;
    app.ledger(&approved).await.was_charged_once(life.shop.total());
    app.reject(&life.shop.owner, &rejected, "too heavy").await.ok();
    app.wait_until_settled(&rejected).await;
    assert_eq!(app.ledger(&rejected).await.operations(), ["authorize", "void"]);
}

#[tokio::test]
async fn n5_cancelling_the_order_and_the_cooking_happen_together() {
    let app = impatient().start().await;
    let life = Life::at(&app, "restaurant").await;
    let confirmed = life.place(&app).await;
    let answer = app.cancel(&life.customer, &confirmed).await.ok();
    assert_eq!(answer["preparation"]["status"], "cancelled", "the answer waits for the kitchen's word");

    let unconfirmed = life.place(&app).await;
    app.pause_store_management(true).await;
    let answer = app.cancel(&life.customer, &unconfirmed).await.ok();
    assert_eq!((&answer["status"], &answer["preparation"]["status"]), (&json!("cancelled"), &json!("started")));
    assert_eq!(answer["cancellation"]["settled"], false, "the answer says what is not done yet");
    app.pause_store_management(false).await;
    let settled = app.wait_until_settled(&unconfirmed).await;
    assert_eq!(settled["preparation"]["status"], "cancelled");
    app.ledger(&unconfirmed).await.keeps_nothing();
}

#[tokio::test]
async fn n6_when_the_order_system_is_overloaded_users_are_held_off_for_a_moment() {
    let app = Options::default().set("limits.running_requests", 4).start().await;
    let life = Life::at(&app, "food_delivery").await;
    let slow = life.shop.order_with_card("slow:400");
    let answers = join_all((0..16).map(|_| app.place(&life.customer, &slow))).await;

    let (taken, held_off): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert!(!taken.is_empty() && !held_off.is_empty(), "{} taken, {} held off", taken.len(), held_off.len());
    for answer in held_off {
        answer.refused(503, "service_full");
    }
    let taken = taken.len();
    let listed = || async { (app.my_page(&life.customer, "live").await.len() >= taken).then_some(()) };
    wait_until("all that were taken are listed", listed).await;
    assert_eq!(app.my_page(&life.customer, "live").await.len(), taken, "who was held off has ordered nothing");
    app.place(&life.customer, &life.shop.order()).await.created();
}

#[tokio::test]
async fn n7_lists_are_a_view_that_can_be_made_anew_and_shows_what_its_reader_has_done() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    for status in ["completed", "rejected"] {
        let order = life.order_in(&app, status).await;
        app.wait_until_settled(&order).await;
    }
    let on_its_way = life.order_in(&app, "picked_up").await;
    app.wait_for_order(&on_its_way, "it is paid", |order| order["payment"]["status"] == "captured").await;
    for _ in 0..5 {
        let placed = app.place(&life.customer, &life.shop.order()).await;
        let position = placed.header("baedal-position").expect("a reply carries its position").to_owned();
        let order = placed.created();
        let request = app.request(reqwest::Method::GET, "/v1/my-page?status=live").bearer_auth(&life.customer.token);
        let rows = app.send(request.header("Baedal-Position", position)).await.items();
        assert!(rows.iter().any(|row| row["id"] == order["id"]), "who has ordered sees the order");
    }

    // Views may be a moment old; a server that has stopped has none of its news left untold.
    app.restart();
    let shown = lists(&app, &life).await;
    app.stop();
    let rebuilt = app.baedal(&["rebuild-views"]).output().unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    app.start_again();
    assert_eq!(lists(&app, &life).await, shown);
}

async fn lists(app: &TestApp, life: &Life) -> [Vec<Value>; 3] {
    let board = app.board(&life.shop.owner, &life.shop.id).await;
    [app.my_page(&life.customer, "live").await, app.my_page(&life.customer, "past").await, board]
}

#[tokio::test]
async fn n8_every_change_of_status_can_notify() {
    let app = TestApp::start().await;
    for preset in ["food_delivery", "retail", "quick_service", "store_delivered", "restaurant"] {
        let life = Life::at(&app, preset).await;
        let mut feed = Feed::open(&app, &life.customer, "my-orders").await;
        let order = life.order_in(&app, "completed").await;
        app.wait_until_settled(&order).await;
        let events = feed.events_until("order_settled").await;
        let notified: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(notified, app.event_names(&order).await, "{preset}");
    }
}
