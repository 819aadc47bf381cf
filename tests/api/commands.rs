//! Commands where they are not allowed, repeated, raced and made on what is stale.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{Life, TestApp};

/// Every command and who issues it.
const COMMANDS: [(&str, &str); 14] = [
    ("customer", "pay"),
    ("customer", "cancel"),
    ("customer", "confirm"),
    ("owner", "accept"),
    ("owner", "reject"),
    ("owner", "start-preparation"),
    ("owner", "finish-preparation"),
    ("owner", "assign"),
    ("owner", "depart"),
    ("rider", "claim"),
    ("rider", "accept-delivery"),
    ("rider", "decline-delivery"),
    ("rider", "pick-up"),
    ("rider", "deliver"),
];

const STATUSES: [&str; 10] = [
    "awaiting_payment",
    "awaiting_acceptance",
    "accepted",
    "preparing",
    "ready",
    "picked_up",
    "delivered",
    "completed",
    "rejected",
    "cancelled",
];

fn body(life: &Life, command: &str) -> Value {
    match command {
        "assign" => json!({"rider_id": life.rider.sub}),
        "reject" => json!({"reason": "no"}),
        _ => json!({}),
    }
}

/// In every status: what `allowed` does not list either holds already or is refused, and changes nothing.
async fn what_is_not_allowed_changes_nothing(preset: &str, statuses: &[&str]) {
    let app = TestApp::start().await;
    let life = Life::at_plenty(&app, preset).await;
    for status in statuses {
        let order = life.order_in(&app, status).await;
        for (role, command) in COMMANDS {
            try_what_is_not_allowed(&app, &life, &order, status, role, command).await;
        }
    }
}

async fn try_what_is_not_allowed(app: &TestApp, life: &Life, order: &str, status: &str, role: &str, command: &str) {
    let who = life.person(role);
    let seen = app.get(who, &format!("/v1/orders/{order}")).await;
    let allowed = match seen.status {
        200 => seen.body["allowed"].clone(),
        // Not theirs to see; a rider may still claim an offered delivery.
        404 if command == "claim" && status == "ready" => return,
        404 => json!([]),
        other => panic!("{other}: {}", seen.body),
    };
    if allowed.as_array().unwrap().contains(&json!(command)) {
        return;
    }
    let (before, done_before) = (app.order(order).await, done_by_people(app, order).await);
    let answer = app.command(who, order, command, &body(life, command)).await;
    let what = format!("{command} by the {role} in {status}: {} {}", answer.status, answer.body);
    match answer.status {
        200 => assert_eq!(answer.body["status"], before["status"], "{what}"),
        404 => assert_eq!(seen.status, 404, "{what}"),
        403 => assert_eq!(answer.problem().code(), "wrong_role", "{what}"),
        409 => {
            let problem = answer.problem();
            let codes = ["wrong_status", "not_by_policy", "delivery_not_offered", "delivery_taken", "payment_in_doubt"];
            assert!(codes.contains(&problem.code()), "{what}");
            if problem.code() == "wrong_status" {
                assert_eq!((&problem.0["order_status"], &problem.0["allowed"]), (&json!(status), &allowed), "{what}");
            }
        }
        _ => panic!("{what}"),
    }
    let after = app.order(order).await;
    assert_eq!(after["status"], before["status"], "{what}");
    assert_eq!(done_by_people(app, order).await, done_before, "{what}");
}

/// What the history says that people did; the rest follows by itself, sooner or later.
async fn done_by_people(app: &TestApp, order: &str) -> Vec<Value> {
    let mut history = app.history(order).await;
    history.retain(|event| event["by"] != "system");
    history
}

#[tokio::test]
async fn food_delivery_refuses_what_its_status_does_not_allow() {
    what_is_not_allowed_changes_nothing("food_delivery", &STATUSES).await;
}

#[tokio::test]
async fn a_courier_refuses_what_its_status_does_not_allow() {
    let statuses: Vec<&str> =
        STATUSES.into_iter().filter(|status| !matches!(*status, "accepted" | "preparing")).collect();
    what_is_not_allowed_changes_nothing("quick_service", &statuses).await;
}

#[tokio::test]
async fn a_store_that_delivers_itself_refuses_what_its_status_does_not_allow() {
    what_is_not_allowed_changes_nothing("store_delivered", &STATUSES).await;
}

#[tokio::test]
async fn a_shop_refuses_what_its_status_does_not_allow() {
    let statuses: Vec<&str> = STATUSES.into_iter().filter(|status| !matches!(*status, "accepted" | "ready")).collect();
    what_is_not_allowed_changes_nothing("retail", &statuses).await;
}

#[tokio::test]
async fn a_restaurant_refuses_what_its_status_does_not_allow() {
    let statuses: Vec<&str> =
        ["awaiting_payment", "preparing", "picked_up", "delivered", "completed", "cancelled"].into_iter().collect();
    what_is_not_allowed_changes_nothing("restaurant", &statuses).await;
}

#[tokio::test]
async fn a_repeated_command_that_holds_already_answers_200_and_writes_nothing() {
    let app = TestApp::start().await;
    for preset in ["food_delivery", "retail", "quick_service", "store_delivered", "restaurant"] {
        let life = Life::at(&app, preset).await;
        let order = life.place(&app).await;
        for &step in life.steps() {
            life.take(&app, &order, step).await.ok();
            let repeated = app.command(life.person(step.by), &order, step.command, &life.body(step)).await;
            assert_eq!(repeated.status, 200, "{preset}: {} again: {}", step.command, repeated.body);
        }
        app.wait_until_settled(&order).await;
        let events = app.event_names(&order).await;
        for name in ["order_accepted", "picked_up", "delivered", "order_completed", "payment_captured"] {
            assert_eq!(events.iter().filter(|event| *event == name).count(), 1, "{preset}: {name} in {events:?}");
        }
    }
}

#[tokio::test]
async fn a_command_on_a_stale_version_is_refused() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let seen = app.get(&life.shop.owner, &format!("/v1/orders/{order}")).await;
    let fresh = seen.header("etag").unwrap().to_owned();
    let with_version = |command: &str, version: &str| {
        let request = app.request(Method::POST, &format!("/v1/orders/{order}/{command}"));
        request.bearer_auth(&life.shop.owner.token).header("If-Match", version).json(&json!({}))
    };
    app.send(with_version("accept", "\"1\"")).await.refused(412, "stale");
    assert_eq!(app.order(&order).await["status"], "awaiting_acceptance");
    app.send(with_version("accept", &fresh)).await.ok();
    app.send(with_version("start-preparation", &fresh)).await.refused(412, "stale");
    app.send(with_version("start-preparation", "nonsense")).await.problem();
    app.send(with_version("start-preparation", "*")).await.ok();
}

#[tokio::test]
async fn of_two_owners_taps_that_contradict_each_other_one_wins() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    for _ in 0..10 {
        let order = life.place(&app).await;
        let owner = &life.shop.owner;
        let (accepted, rejected) = tokio::join!(app.accept(owner, &order), app.reject(owner, &order, "no"));
        let won = [accepted.status, rejected.status].iter().filter(|status| **status == 200).count();
        assert_eq!(won, 1, "accept {}, reject {}", accepted.status, rejected.status);
        let expected = if accepted.status == 200 { "accepted" } else { "rejected" };
        assert_eq!(app.order(&order).await["status"], expected);
    }
}

#[tokio::test]
async fn of_a_cancellation_and_a_stove_that_is_lit_at_once_one_wins() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    for _ in 0..10 {
        let order = life.order_in(&app, "accepted").await;
        let (cancelled, started) =
            tokio::join!(app.cancel(&life.customer, &order), app.start_preparation(&life.shop.owner, &order));
        let won = [cancelled.status, started.status].iter().filter(|status| **status == 200).count();
        assert_eq!(won, 1, "cancel {}, start {}", cancelled.status, started.status);
        let expected = if cancelled.status == 200 { "cancelled" } else { "preparing" };
        assert_eq!(app.order(&order).await["status"], expected);
    }
}

#[tokio::test]
async fn the_second_riders_claim_is_refused() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "ready").await;
    let second = app.rider("second").await;
    app.claim(&life.rider, &order).await.ok();
    app.claim(&second, &order).await.refused(409, "delivery_taken");
    assert_eq!(app.claim(&life.rider, &order).await.ok()["rider_id"], life.rider.sub, "the first one still has it");
}

#[tokio::test]
async fn many_taps_on_one_button_are_one_command() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let taps = join_all((0..8).map(|_| app.accept(&life.shop.owner, &order))).await;
    assert!(
        taps.iter().all(|tap| matches!(tap.status, 200 | 503)),
        "{:?}",
        taps.iter().map(|t| t.status).collect::<Vec<_>>()
    );
    let events = app.event_names(&order).await;
    assert_eq!(events.iter().filter(|event| *event == "order_accepted").count(), 1);
}
