//! What operators look at and turn.

use reqwest::Method;
use serde_json::json;

use crate::helpers::{Life, TestApp, wait_until};

#[tokio::test]
async fn the_operator_sees_mailboxes_gates_and_actors() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    life.place(&app).await;
    let look = async |what: &str| app.get(&app.admin, &format!("/v1/operations/{what}")).await;
    let mailboxes = look("mailboxes").await;
    let mailboxes = mailboxes.ok()["items"].as_array().unwrap().clone();
    for name in ["journal", "orders", "stores", "riders", "payment"] {
        let found = mailboxes.iter().find(|mailbox| mailbox["name"] == name);
        assert!(found.is_some_and(|mailbox| mailbox["capacity"].as_u64() > Some(0)), "{name}: {mailboxes:?}");
    }
    let gates = look("gates").await;
    let gates = gates.ok();
    assert_eq!((&gates["items"][0]["name"], &gates["items"][0]["state"]), (&json!("payment"), &json!("closed")));
    let door = &gates["items"][1];
    assert_eq!(
        (&door["name"], &door["state"], &door["new"]["refused"]),
        (&json!("admission"), &json!("open"), &json!(0))
    );
    for queue in ["http", "orders", "journal", "appends"] {
        assert!(door["standing_ms"][queue].is_number(), "{queue}: {door}");
    }
    let actors = look("actors").await.ok();
    let orders = actors["items"].as_array().unwrap().iter().find(|kind| kind["kind"] == "order").unwrap().clone();
    assert_eq!((&orders["live"], &orders["quarantined"]), (&json!(1), &json!([])), "{actors}");
    app.pause_store_management(true).await;
    let paused = look("actors").await.ok();
    let stores = paused["items"].as_array().unwrap().iter().find(|kind| kind["kind"] == "store").unwrap().clone();
    assert_eq!(stores["paused"], true);
}

#[tokio::test]
async fn a_gate_that_is_hung_on_opens_and_closes_again() {
    let app = crate::helpers::Options::default()
        .set("mailboxes.payment.running", 2)
        .set("payments.slow_after_ms", 50)
        .set("payments.call_timeout_ms", 500)
        .set("orders.placement_answer_within_ms", 200)
        .start()
        .await;
    let life = Life::at(&app, "food_delivery").await;
    let state = |wanted: &'static str| {
        let app = &app;
        async move {
            let look = || async {
                let gates = app.get(&app.admin, "/v1/operations/gates").await.ok();
                (gates["items"][0]["state"] == wanted).then_some(())
            };
            wait_until(&format!("the gate is {wanted}"), look).await;
        }
    };
    app.payment_provider("hang").await;
    let orders = [life.place(&app).await, life.place(&app).await, life.place(&app).await];
    state("open").await;
    app.payment_provider(json!(null)).await;
    state("closed").await;
    for order in &orders {
        app.wait_for_status(order, "awaiting_acceptance").await;
        app.ledger(order).await.did_nothing_twice();
    }
}

#[tokio::test]
async fn what_is_not_quarantined_cannot_be_released() {
    let app = TestApp::start().await;
    let id = uuid::Uuid::now_v7();
    for path in
        [format!("order/{id}"), format!("store/{id}"), "rider/rico".into(), "kitchen/7".into(), "order/7".into()]
    {
        let request = app.request(Method::POST, &format!("/v1/operations/quarantine/{path}/release"));
        app.send(request.bearer_auth(&app.admin.token)).await.refused(404, "not_found");
    }
    assert!(app.get(&app.admin, "/v1/operations/dead-letters").await.items().is_empty());
}

#[tokio::test]
async fn the_clock_can_only_be_set_where_development_says_so() {
    let app = crate::helpers::Options::default().set("access.development_clock", false).start().await;
    app.put(&app.admin, "/v1/operations/clock", &json!({"advance_s": 1})).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_sandbox_is_told_nothing_absurd() {
    let app = TestApp::start().await;
    for bad in [
        json!({"latency_ms": [5, 1]}),
        json!({"latency_ms": [0, 3_600_000]}),
        json!({"failure": "explode"}),
        json!({"x": 1}),
    ] {
        app.put(&app.admin, "/v1/operations/sandbox", &bad).await.problem();
    }
}

#[tokio::test]
async fn without_a_broker_the_mirror_is_off() {
    let app = TestApp::start().await;
    assert_eq!(app.get(&app.admin, "/v1/operations/kafka").await.ok(), json!({"state": "off"}));
    let again = app.request(Method::POST, "/v1/operations/kafka/rewind").json(&json!({"shard": 0, "from": 1}));
    app.send(again.bearer_auth(&app.admin.token)).await.refused(404, "not_found");
}
