//! The machine's clock jumps: nothing is cancelled for it before somebody says that it is right.
//!
//! Where the database has a clock of its own that one counts, and a machine whose clock is wrong is only told of.

use serde_json::{Value, json};

use crate::helpers::{Engine, Life, Options, TestApp, engine, wait_until};

/// What lets the clock of a server's machine be wrong.
struct MachineClock(tempfile::TempDir);

impl MachineClock {
    fn right() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn is_wrong_by(&self, seconds: i64) {
        let (file, new) = (self.0.path().join("wrong-by"), self.0.path().join("new"));
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    async fn server(&self) -> TestApp {
        Options::default().machine_clock_wrong_by(&self.0.path().join("wrong-by")).start().await
    }
}

async fn clock(app: &TestApp) -> Value {
    app.get(&app.admin, "/v1/operations/clock").await.ok()
}

/// The clock as operators see it, once it has jumped by about so much, or is noticed to be wrong by it.
async fn seen_off_by(app: &TestApp, seconds: i64) -> Value {
    let near = |value: &Value| value.as_f64().is_some_and(|seen| (seen - seconds as f64).abs() < 60.0);
    let seen = || async {
        let clock = clock(app).await;
        (near(&clock["jump"]["by_s"]) || near(&clock["ahead_of_database_s"])).then_some(clock)
    };
    wait_until("the clock is seen to be off", seen).await
}

/// Lets the deadlines look at the clock: they remind a store whose order of just now is half-way to being cancelled.
async fn deadlines_look(app: &TestApp, order: &str) {
    app.advance(301).await;
    let reminded = || async {
        let history = app.history(order).await;
        history.iter().any(|event| event["type"] == "reminder_given").then_some(())
    };
    wait_until("the store is reminded", reminded).await;
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_cancels_nothing_before_it_is_confirmed() {
    let machine = MachineClock::right();
    let app = machine.server().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    machine.is_wrong_by(3_600);
    let seen = seen_off_by(&app, 3_600).await;
    deadlines_look(&app, &order).await;
    assert_eq!(app.order(&order).await["status"], "awaiting_acceptance", "{seen}");
    app.put(&app.admin, "/v1/operations/clock", &json!({"confirm_jump": true})).await.ok();

    if engine() == Engine::Postgres {
        assert_eq!((&seen["source"], &seen["jump"]), (&json!("database"), &json!(null)));
        assert_eq!(app.order(&order).await["status"], "awaiting_acceptance");
    } else {
        assert_eq!(seen["source"], "machine");
        let ended = app.wait_for_status(&order, "cancelled").await;
        assert_eq!(ended["cancellation"]["reason"], "store_did_not_answer");
        assert_eq!(clock(&app).await["jump"], json!(null));
    }
    assert!(app.log().contains("clock"), "it is in the log");
}

#[tokio::test]
async fn a_clock_that_jumps_back_is_told_and_time_goes_on() {
    let machine = MachineClock::right();
    let app = machine.server().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let before = clock(&app).await["now"].clone();
    machine.is_wrong_by(-3_600);
    let seen = seen_off_by(&app, -3_600).await;
    assert!(seen["now"].as_str() > before.as_str(), "{seen} is not after {before}");
    deadlines_look(&app, &order).await;

    machine.is_wrong_by(0);
    wait_until("the jump is over", || async { clock(&app).await["jump"].is_null().then_some(()) }).await;
}

#[tokio::test]
async fn a_server_does_not_start_before_what_has_happened() {
    let machine = MachineClock::right();
    let mut app = machine.server().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let placed = app.order(&order).await["placed_at"].clone();
    app.stop();
    machine.is_wrong_by(-7_200);
    app.start_again();
    let seen = seen_off_by(&app, -7_200).await;
    assert!(seen["now"].as_str() >= placed.as_str(), "{seen} is before {placed}");
    deadlines_look(&app, &order).await;
}

#[tokio::test]
async fn a_clock_is_told_something_or_nothing_is_done() {
    let app = TestApp::start().await;
    app.put(&app.admin, "/v1/operations/clock", &json!({})).await.refused(400, "missing_field");
    let alice = app.customer("alice").await;
    app.get(&alice, "/v1/operations/clock").await.refused(403, "forbidden");
    app.put(&app.admin, "/v1/operations/clock", &json!({"confirm_jump": true})).await.ok();
    assert_eq!(clock(&app).await["jump"], json!(null));
}
