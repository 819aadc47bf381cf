//! Damage: what was changed in the journal behind the program's back, or cannot be read any more, shows and hurts nobody
//! else.

use serde_json::json;

use crate::helpers::{Feed, Life, Options, TestApp, wait_until};

fn verified(app: &TestApp, arguments: &[&str]) -> (bool, String) {
    let output = app.baedal(&[&["verify"], arguments].concat()).output().expect("the program runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    (output.status.success(), said.concat())
}

#[tokio::test]
async fn an_event_that_cannot_be_read_concerns_its_order_alone() {
    let mut app = Options::default().expect_errors().start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::open(&app, &life.customer, "my-orders").await;
    life.place(&app).await;
    let resume = feed.event().await["resume"].as_str().unwrap().to_owned();
    let (bad, good) = (life.order_in(&app, "preparing").await, life.order_in(&app, "preparing").await);
    app.stop();
    let stream = app.stream(&bad);
    app.change_journal(&format!("update events set name = 'from_the_future' where stream = {stream} and version = 3"));
    app.start_again();

    let quarantined = wait_until("the order is quarantined", || async {
        let actors = app.get(&app.admin, "/v1/operations/actors").await.ok();
        let orders = actors["items"].as_array()?.iter().find(|kind| kind["kind"] == "order")?.clone();
        orders["quarantined"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(quarantined["id"], *bad, "{quarantined}");
    assert!(quarantined["position"].as_str().is_some_and(|at| at.contains(':')), "{quarantined}");
    app.get(&life.customer, &format!("/v1/orders/{bad}")).await.refused(503, "quarantined");
    life.bring_to(&app, &good, "completed").await;
    life.order_in(&app, "completed").await;

    let mut resumed = Feed::open_after(&app, &life.customer, "my-orders", &resume).await;
    while resumed.event().await["order_id"] != *good {}

    app.post(&app.admin, "/v1/operations/views/rebuild", &json!({})).await;
    let last = wait_until("the views are made anew", || async {
        let state = app.get(&app.admin, "/v1/operations/views").await.ok();
        (state["ended"] == 1).then(|| state["last"].clone())
    })
    .await;
    assert_eq!((&last["left_out"][0]["id"], &last["left_out"][0]["kind"]), (&json!(bad), &json!("order")), "{last}");
    assert_eq!(last["left_out"].as_array().unwrap().len(), 1, "{last}");
    app.kill();

    let rebuilt = app.baedal(&["rebuild-views"]).output().unwrap();
    let said = String::from_utf8_lossy(&rebuilt.stdout);
    assert!(rebuilt.status.success() && said.contains("left out") && said.contains(&bad), "{said}");
    let (kept, said) = verified(&app, &[]);
    assert!(!kept && said.contains(&bad) && !said.contains(&good), "{said}");
}

#[tokio::test]
async fn what_is_changed_in_the_journal_shows() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let (changed, other) = (life.order_in(&app, "completed").await, life.order_in(&app, "completed").await);
    app.stop();
    let (kept, before) = verified(&app, &[]);
    assert!(kept && before.contains(" 0 are from before"), "{before}");
    let tips = before.split("tips ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned();
    app.start_again();
    life.order_in(&app, "completed").await;
    app.stop();
    let (kept, said) = verified(&app, &["--tips", &tips]);
    assert!(kept, "what came since does not matter: {said}");
    let stream = app.stream(&changed);
    app.change_journal(&format!(
        "update events set by_whom = 'customer:mallory' where stream = {stream} and version = 1"
    ));

    let (kept, said) = verified(&app, &[]);

    assert!(!kept && said.contains(&format!("order {changed} version 1 ")) && !said.contains(&other), "{said}");

    // Whoever knows how can make the chain again, or take it away. What was kept elsewhere tells.
    app.change_journal(&format!("update events set hash = null where stream = {stream}"));
    let (kept, said) = verified(&app, &["--tips", &tips]);
    assert!(!kept && said.contains("are not those whose tips were"), "{said}");
}
