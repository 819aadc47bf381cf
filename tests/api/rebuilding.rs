//! Making the views anew while people go on ordering.

use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{Feed, Life, TestApp, wait_until};

/// Lives that go on until they are told to end, each order noted.
async fn order_meanwhile(app: &TestApp, life: &Life, until: &tokio::sync::watch::Receiver<bool>) -> Vec<String> {
    let mut orders = Vec::new();
    while !*until.borrow() || orders.len() < 3 {
        let order = life.place(app).await;
        life.bring_to(app, &order, "preparing").await;
        orders.push(order);
    }
    orders
}

async fn rebuilt(app: &TestApp, before: u64) -> Value {
    wait_until("the views are made anew", || async {
        let state = app.get(&app.admin, "/v1/operations/views").await.ok();
        (state["ended"] == before + 1).then_some(state)
    })
    .await
}

#[tokio::test]
async fn views_are_made_anew_under_traffic_and_nobody_notices() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::open(&app, &life.customer, "my-orders").await;
    let (end, ending) = tokio::sync::watch::channel(false);
    let rebuilding = async {
        for before in 0..3 {
            let asked =
                app.send(app.request(Method::POST, "/v1/operations/views/rebuild").bearer_auth(&app.admin.token));
            assert_eq!(asked.await.status, 202);
            let state = rebuilt(&app, before).await;
            assert_eq!(state["last"]["same"], true, "the views were right before: {state}");
        }
        end.send_replace(true);
    };
    let (orders, ()) = tokio::join!(order_meanwhile(&app, &life, &ending), rebuilding);

    wait_until("my page shows every order", || async {
        let listed = app.my_page(&life.customer, "live").await;
        (orders.iter().all(|order| listed.iter().any(|row| row["id"] == **order))).then_some(())
    })
    .await;
    let last = orders.last().expect("several were placed");
    let mut versions: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    loop {
        let event = feed.event().await;
        let order = event["order_id"].as_str().expect("an id").to_owned();
        let version = event["version"].as_u64().expect("a number");
        let before = versions.insert(order.clone(), version).unwrap_or(0);
        assert_eq!(version, before + 1, "the feed goes on without gap or repeat: {event}");
        if order == *last && event["type"] == "preparation_started" {
            break;
        }
    }
}

/// Every point of a rebuild at which the program lets a test kill it.
const POINTS: [&str; 5] =
    ["rebuild.begun", "rebuild.saved", "rebuild.before_swap", "rebuild.swapped", "rebuild.compared"];

async fn begin_rebuild(app: &TestApp) {
    let asked = app.request(Method::POST, "/v1/operations/views/rebuild").bearer_auth(&app.admin.token);
    // The server may be gone before it has answered.
    let _ = app.try_send(asked).await;
}

#[tokio::test]
async fn a_rebuild_that_crashes_anywhere_is_in_nobodys_way() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    for point in POINTS {
        app.stop();
        let at_rest = app.baedal(&["rebuild-views"]).env("BAEDAL_CRASH_AT", format!("{point}:1")).output().unwrap();
        assert!(!at_rest.status.success(), "{point}: it should have crashed");
        app.change_options(|options| options.crash_at(point, 1));
        app.start_again();
        begin_rebuild(&app).await;
        wait_until("the process is gone", || {
            let crashed = app.has_crashed();
            async move { crashed.then_some(()) }
        })
        .await;
        app.forget_crash_point();
        app.start_again();
        for before in 0..2 {
            begin_rebuild(&app).await;
            let state = rebuilt(&app, before).await;
            assert_eq!(state["last"]["same"], true, "{point}: {state}");
        }
        assert_eq!(app.my_page(&life.customer, "live").await[0]["id"], *order, "{point}");
    }
}

#[tokio::test]
async fn a_rebuild_that_is_told_to_stop_is_in_nobodys_way() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    for _ in 0..3 {
        life.place(&app).await;
        begin_rebuild(&app).await;
        app.restart();
        begin_rebuild(&app).await;
        let state = rebuilt(&app, 0).await;
        assert_eq!(state["last"]["same"], true, "{state}");
    }
}

#[tokio::test]
async fn only_the_operator_makes_views_anew() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    app.post(&life.customer, "/v1/operations/views/rebuild", &json!({})).await.refused(403, "forbidden");
    app.get(&life.shop.owner, "/v1/operations/views").await.refused(403, "forbidden");
}

#[tokio::test]
async fn the_command_works_beside_a_server_and_without_one() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    // Stock is counted there, and stands in the views too.
    life.place(&app).await;
    let address = app.address().to_string();
    let beside = rebuild(&app, &address);
    app.stop();
    for said in [beside, rebuild(&app, &address)] {
        assert!(said.contains("the same rows as before"), "{said}");
    }
}

fn rebuild(app: &TestApp, address: &str) -> String {
    let output = app.baedal(&["rebuild-views", "--listen", address]).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
