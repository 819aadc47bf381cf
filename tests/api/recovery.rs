//! The process dies at every point of an order's life, and the next one ends where this one would have.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::helpers::{Answer, Ledger, Life, PATIENCE, Person, TestApp, wait_until};

/// Every point at which the program lets a test kill it.
const POINTS: [&str; 8] = [
    "journal.before_append",
    "journal.before_commit",
    "journal.after_commit",
    "journal.before_reply",
    "order.before_write",
    "order.after_write",
    "order.before_pay",
    "order.answer_before_note",
];

/// Which visit of the point kills: from the very first, at the start perhaps, to some late in life.
const VISITS: [u32; 5] = [1, 2, 3, 5, 8];

/// Sends it again and again until an answer is as it should be; none if the server has crashed meanwhile.
async fn send_until(
    app: &TestApp,
    request: impl Fn() -> RequestBuilder,
    is_it: impl Fn(&Answer) -> bool,
) -> Option<Answer> {
    let send = || async {
        match app.try_send(request()).await {
            Ok(answer) => is_it(&answer).then_some(Some(answer)),
            Err(_) => Some(None),
        }
    };
    wait_until("the server says what is waited for", send).await
}

/// What someone does about an answer that never came: the same again, with the same key, until there is one.
async fn insist(app: &mut TestApp, crashes: &mut u32, who: &Person, key: &str, path: &str, body: &Value) -> Answer {
    let is_final = |answer: &Answer| match answer.status {
        409 => answer.body["code"] != "request_in_progress",
        500 | 503 | 504 => false,
        _ => true,
    };
    loop {
        let request =
            || app.request(Method::POST, path).bearer_auth(&who.token).header("Idempotency-Key", key).json(body);
        match send_until(app, request, is_final).await {
            Some(answer) => return answer,
            None => come_back(app, crashes).await,
        }
    }
}

async fn come_back(app: &mut TestApp, crashes: &mut u32) {
    let crashed = wait_until("the process is gone", || {
        let crashed = app.has_crashed();
        async move { crashed.then_some(()) }
    });
    crashed.await;
    *crashes += 1;
    app.forget_crash_point();
    app.start_again();
}

/// The rider's app says again and again where they are; a server that has died has forgotten it.
async fn on_duty(app: &mut TestApp, crashes: &mut u32, rider: &Person) {
    let duty = json!({"available": true, "location": {"lat": 37.5, "lng": 127.0}});
    loop {
        let request = app.request(Method::PUT, "/v1/riders/me").bearer_auth(&rider.token);
        match app.try_send(request.json(&duty)).await {
            Ok(answer) => return drop(answer.ok()),
            Err(_) => come_back(app, crashes).await,
        }
    }
}

fn read(app: &TestApp, path: &str) -> RequestBuilder {
    app.request(Method::GET, path).bearer_auth(&app.admin.token)
}

/// Waits for the status, over a crash if one comes.
async fn reaches(app: &mut TestApp, crashes: &mut u32, life: &Life, order: &str, status: &str) {
    let path = format!("/v1/orders/{order}");
    let there = |answer: &Answer| answer.status == 200 && answer.body["status"] == status;
    while send_until(app, || read(app, &path), there).await.is_none() {
        come_back(app, crashes).await;
        on_duty(app, crashes, &life.rider).await;
    }
}

/// How an order ended, without what differs from run to run.
fn end_of(mut order: Value, ledger: Ledger) -> (Value, Ledger) {
    for field in ["id", "version", "placed_at", "updated_at", "deadline", "store"] {
        order.as_object_mut().expect("an order is an object").remove(field);
    }
    for line in order["lines"].as_array_mut().into_iter().flatten() {
        line.as_object_mut().expect("a line is an object").remove("item_id");
    }
    (order, ledger)
}

/// Lives one life, through the crash that is asked for; says how it ended and how often it crashed.
async fn live(preset: &str, crash: Option<(&str, u32)>, cancelled_in: Option<&str>) -> ((Value, Ledger), u32) {
    let lived = tokio::time::timeout(2 * PATIENCE, live_through(preset, crash, cancelled_in)).await;
    lived.unwrap_or_else(|_| panic!("an order at {preset} does not end after a crash at {crash:?}"))
}

async fn live_through(preset: &str, crash: Option<(&str, u32)>, cancelled_in: Option<&str>) -> ((Value, Ledger), u32) {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, preset).await;
    let mut crashes = 0;
    if let Some((point, visit)) = crash {
        app.stop();
        app.change_options(|options| options.crash_at(point, visit));
        if !app.starts_again() {
            crashes += 1;
            app.forget_crash_point();
            app.start_again();
        }
        on_duty(&mut app, &mut crashes, &life.rider).await;
    }
    let placed = insist(&mut app, &mut crashes, &life.customer, "place", "/v1/orders", &life.shop.order()).await;
    let order = placed.created()["id"].as_str().expect("an order has an id").to_owned();
    let mut steps = life.steps().iter();
    loop {
        let step = steps.next();
        if let Some(step) = step {
            on_duty(&mut app, &mut crashes, &life.rider).await;
            reaches(&mut app, &mut crashes, &life, &order, step.from).await;
        }
        if step.is_none() || step.map(|step| step.from) == cancelled_in {
            break;
        }
        let step = step.expect("checked just now");
        let path = format!("/v1/orders/{order}/{}", step.command);
        let who = life.person(step.by);
        insist(&mut app, &mut crashes, who, step.command, &path, &life.body(*step)).await.ok();
    }
    if cancelled_in.is_some() {
        let path = format!("/v1/orders/{order}/cancel");
        insist(&mut app, &mut crashes, &life.customer, "cancel", &path, &json!({})).await.ok();
    }
    let settled = settles(&mut app, &mut crashes, &order).await;
    let ledger = app.ledger(&order).await;
    ledger.did_nothing_twice();
    assert_eq!(app.stop().open, 0, "nothing is left to do");
    (end_of(settled, ledger), crashes)
}

async fn settles(app: &mut TestApp, crashes: &mut u32, order: &str) -> Value {
    let path = format!("/v1/orders/{order}/events");
    let settled = |answer: &Answer| answer.body.to_string().contains("order_settled");
    while send_until(app, || read(app, &path), settled).await.is_none() {
        come_back(app, crashes).await;
    }
    app.order(order).await
}

/// Crashes at every point and each of the visits; every first visit must really have crashed.
async fn ends_the_same_wherever_it_crashes(preset: &str, points: &[&str], cancelled_in: Option<&str>) {
    let (undisturbed, crashes) = live(preset, None, cancelled_in).await;
    assert_eq!(crashes, 0);
    for point in points {
        for visit in VISITS {
            let (end, crashes) = live(preset, Some((point, visit)), cancelled_in).await;
            assert_eq!(end, undisturbed, "after a crash at visit {visit} of {point}");
            assert!(crashes == 1 || visit > 1, "{point} was never visited");
        }
    }
}

#[tokio::test]
async fn food_delivery_ends_the_same_wherever_the_journal_is_cut() {
    ends_the_same_wherever_it_crashes("food_delivery", &POINTS[..4], None).await;
}

#[tokio::test]
async fn food_delivery_ends_the_same_wherever_the_order_is_cut() {
    ends_the_same_wherever_it_crashes("food_delivery", &POINTS[4..], None).await;
}

#[tokio::test]
async fn retail_ends_the_same_wherever_the_journal_is_cut() {
    ends_the_same_wherever_it_crashes("retail", &POINTS[..4], None).await;
}

#[tokio::test]
async fn retail_ends_the_same_wherever_the_order_is_cut() {
    ends_the_same_wherever_it_crashes("retail", &POINTS[4..], None).await;
}

#[tokio::test]
async fn a_cancelled_order_gives_everything_back_wherever_it_is_cut() {
    ends_the_same_wherever_it_crashes(
        "retail",
        &["journal.after_commit", "order.answer_before_note"],
        Some("picked_up"),
    )
    .await;
}

#[tokio::test]
async fn every_crash_point_of_the_program_is_in_this_test() {
    // The mirror's own, which the tests with a real Kafka crash at; and those of `rebuilding.rs`.
    let elsewhere = ["kafka.", "rebuild."];
    let mut found = Vec::new();
    collect_points(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut found);
    found.sort();
    found.dedup();
    found.retain(|point: &String| !elsewhere.iter().any(|part| point.starts_with(part)));
    let mut known = POINTS.map(str::to_owned).to_vec();
    known.sort();
    assert_eq!(found, known);
}

fn collect_points(directory: &std::path::Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("the sources are there") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            collect_points(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the sources are text");
        for after in text.split("crash::point(\"").skip(1) {
            found.extend(after.split('"').next().map(str::to_owned));
        }
    }
}
