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
    let life = Life::at(&app, "store_delivered").await;
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
