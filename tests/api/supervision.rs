//! Parts of the server that panic: they come back by themselves, lose nothing, and no order waits for them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{CUSTOMER_AT, Feed, Life, Options, TestApp, wait_until};

async fn part(app: &TestApp, name: &str) -> Value {
    let parts = app.get(&app.admin, "/v1/operations/parts").await.ok();
    let found = parts["items"].as_array().unwrap().iter().find(|part| part["name"] == name);
    found.unwrap_or_else(|| panic!("there is no part {name}: {parts}")).clone()
}

async fn wait_for_state(app: &TestApp, name: &str, state: &str) {
    let seen = || async { (part(app, name).await["state"] == state).then_some(()) };
    wait_until(&format!("{name} is {state}"), seen).await;
}

async fn wait_for_failures(app: &TestApp, name: &str, failures: u64) {
    let seen = || async { (part(app, name).await["failures"].as_u64() >= Some(failures)).then_some(()) };
    wait_until(&format!("{name} has failed {failures} times"), seen).await;
}

async fn release(app: &TestApp, name: &str) {
    let request = app.request(Method::POST, &format!("/v1/operations/quarantine/part/{name}/release"));
    app.send(request.bearer_auth(&app.admin.token)).await.done();
}

async fn wait_for_my_page(app: &TestApp, life: &Life, orders: &[String]) {
    let seen = || async {
        let page = app.get(&life.customer, "/v1/my-page").await.items();
        orders.iter().all(|order| page.iter().any(|row| row["id"] == *order)).then_some(())
    };
    wait_until("all orders are on my page", seen).await;
}

#[tokio::test]
async fn a_panic_in_every_reader_stops_no_order_and_loses_nothing() {
    let app = Options::default()
        .fail_at("projector.write=panic:2,notifier.write=panic:2,deadlines.fold=panic:2,board.fold=panic:2")
        .start()
        .await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "ready").await;
    for name in ["projector", "notifier", "deadlines", "board"] {
        wait_for_failures(&app, name, 1).await;
        wait_for_state(&app, name, "running").await;
    }
    let (lat, lng) = CUSTOMER_AT;
    let near = format!("/v1/deliveries?near={lat},{lng}&radius_m=3000");
    let offered = || async {
        let found = app.get(&life.rider, &near).await;
        found.items().iter().any(|delivery| delivery["order_id"] == *order).then_some(())
    };
    wait_until("the delivery is on the board", offered).await;
    wait_for_my_page(&app, &life, std::slice::from_ref(&order)).await;
    let told = || async {
        let messages = app.get(&life.customer, "/v1/messages").await.items();
        messages.iter().any(|message| message["event"] == "order_accepted").then_some(())
    };
    wait_until("the customer is told", told).await;
    // The deadlines are known again: a kitchen that says nothing is not waited for for ever.
    let silent = life.place(&app).await;
    app.put(&app.admin, "/v1/operations/clock", &json!({"advance_s": 3_600})).await.ok();
    app.wait_for_status(&silent, "cancelled").await;
}

#[tokio::test]
async fn a_reader_that_panics_three_times_waits_for_an_operator() {
    let app = Options::default().fail_at("projector.write=panic:1x3").start().await;
    let life = Life::at(&app, "food_delivery").await;
    let first = life.place(&app).await;
    wait_for_state(&app, "projector", "quarantined").await;
    let second = life.order_in(&app, "ready").await;
    assert_eq!(part(&app, "notifier").await["state"], "running", "nobody else is touched");

    release(&app, "projector").await;

    wait_for_my_page(&app, &life, &[first, second]).await;
    wait_for_state(&app, "projector", "running").await;
    let request = app.request(Method::POST, "/v1/operations/quarantine/part/projector/release");
    app.send(request.bearer_auth(&app.admin.token)).await.refused(404, "not_found");
}

#[tokio::test]
async fn watchers_of_a_feed_that_panics_come_back_and_miss_nothing() {
    let app = Options::default().fail_at("feed.hand_out=panic:2").start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::with(crate::helpers::feed_request(&app, &life.customer, "topics=my-orders")).await.unwrap();
    let hello = feed.greeted().await["resume"].as_str().unwrap().to_owned();
    let order = life.place(&app).await;
    let (last, code) = feed.read_to_the_end().await;
    assert_eq!(code, 1012, "sent away, to come back");
    wait_for_state(&app, "feed", "running").await;

    let seen = last["version"].as_u64().unwrap_or(0);
    let resume = last["resume"].as_str().unwrap_or(&hello).to_owned();
    let mut feed = Feed::open_after(&app, &life.customer, "my-orders", &resume).await;
    app.accept(&life.shop.owner, &order).await.ok();
    let versions: Vec<u64> =
        feed.events_until("order_accepted").await.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (seen + 1..=seen + versions.len() as u64).collect::<Vec<_>>(), "no gap and no repeat");
}

#[tokio::test]
async fn a_thread_that_stands_still_is_not_alive() {
    for (thread, place) in [("orders", "order.execute"), ("readers", "projector.write"), ("journal", "journal.reply")] {
        let failpoint = format!("{place}=block:1");
        let mut app = Options::default().set("http.stalled_after_s", 1).fail_at(&failpoint).start().await;
        let life = Life::at(&app, "food_delivery").await;
        app.open("/livez").await.ok();
        // Whatever is answered to it: now the thread is blocked.
        app.place(&life.customer, &life.shop.order()).await;
        let dead = || async {
            let answer = app.open("/livez").await;
            (answer.status == 503).then_some(answer.body)
        };
        let said = wait_until(&format!("the thread of the {thread} is missed"), dead).await;
        assert!(said.as_str().is_some_and(|said| said.contains(thread)), "{said}");
        // Nothing else would end it.
        app.kill();
    }
}

#[tokio::test]
async fn a_payment_part_that_panics_charges_nobody_twice() {
    let app = Options::default().fail_at("payment.answer=panic:1x2").start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    app.wait_for_status(&order, "awaiting_acceptance").await;
    app.ledger(&order).await.did_nothing_twice();
    wait_for_state(&app, "payment", "running").await;
    assert_eq!(part(&app, "payment").await["failures"], 2);
}

#[tokio::test]
async fn a_board_that_panics_is_told_everything_again() {
    let app = Options::default().fail_at("dispatch.fold=panic:4").start().await;
    let life = Life::at(&app, "food_delivery").await;
    let orders = [life.order_in(&app, "ready").await, life.order_in(&app, "ready").await];
    wait_for_failures(&app, "dispatch", 1).await;
    let (lat, lng) = CUSTOMER_AT;
    let near = format!("/v1/deliveries?near={lat},{lng}&radius_m=3000");
    let offered = || async {
        let found = app.get(&life.rider, &near).await;
        if found.status != 200 {
            return None;
        }
        let found = found.items();
        orders.iter().all(|order| found.iter().any(|delivery| delivery["order_id"] == **order)).then_some(())
    };
    wait_until("both deliveries are on the board", offered).await;
}
