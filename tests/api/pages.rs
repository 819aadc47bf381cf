//! What is open to everyone: descriptions, problem pages, health and metrics.

use std::collections::HashSet;

use crate::helpers::{TestApp, baedal};

#[tokio::test]
async fn the_interface_is_described_for_programs_and_people() {
    let app = TestApp::start().await;
    let described = app.open("/openapi.json").await.ok();
    assert!(described["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let page = app.open("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.as_str().is_some_and(|html| html.contains("swagger")), "{}", page.body);
    assert_eq!(app.open("/docs").await.status, 200, "/docs leads to the page");
}

#[tokio::test]
async fn the_description_is_printed_as_it_is_served() {
    let app = TestApp::start().await;
    let printed = baedal().arg("openapi").output().expect("the program can be run");
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("it prints JSON");
    assert_eq!(printed, app.open("/openapi.json").await.ok());
}

#[tokio::test]
async fn every_route_of_the_contract_is_described() {
    let described = TestApp::start().await.open("/openapi.json").await.ok();
    let mut missing = Vec::new();
    for line in CONTRACT.lines() {
        let (methods, path) = line.split_once(' ').expect("a method and a path");
        for method in methods.split(',') {
            if described["paths"][path][method.to_lowercase()].is_null() {
                missing.push(format!("{method} {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "not described: {missing:?}");
}

const CONTRACT: &str = "\
GET,POST /v1/stores
GET,PATCH /v1/stores/{store_id}
GET /v1/stores/{store_id}/menu
PUT,DELETE /v1/stores/{store_id}/menu/{item_id}
POST /v1/stores/{store_id}/menu/{item_id}/restock
PUT,DELETE /v1/stores/{store_id}/riders/{rider_id}
GET /v1/stores/{store_id}/orders
POST /v1/orders
GET /v1/orders/{order_id}
GET /v1/orders/{order_id}/events
POST /v1/orders/{order_id}/cancel
POST /v1/orders/{order_id}/pay
POST /v1/orders/{order_id}/confirm
POST /v1/orders/{order_id}/accept
POST /v1/orders/{order_id}/reject
POST /v1/orders/{order_id}/start-preparation
POST /v1/orders/{order_id}/finish-preparation
POST /v1/orders/{order_id}/assign
POST /v1/orders/{order_id}/depart
POST /v1/orders/{order_id}/claim
POST /v1/orders/{order_id}/accept-delivery
POST /v1/orders/{order_id}/decline-delivery
POST /v1/orders/{order_id}/pick-up
POST /v1/orders/{order_id}/deliver
GET /v1/my-page
GET /v1/deliveries
GET,PUT /v1/riders/me
GET /v1/messages
GET /v1/feed
POST /v1/tokens
GET /livez
GET /readyz
GET /metrics
GET /openapi.json
GET /docs
GET /problems/{code}
GET /.well-known/jwks.json
GET /";

#[tokio::test]
async fn every_problem_leads_to_a_page_that_explains_it() {
    let app = TestApp::start().await;
    let problem = app.open("/v1/my-page").await.refused(401, "token_missing");
    let page = problem.0["type"].as_str().expect("checked when it was read");
    let shown = app.open(page).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(shown.body.as_str().is_some_and(|html| html.contains("token_missing")));
    app.open("/problems/no_such_code").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_path_that_does_not_exist_and_a_method_that_it_does_not_have_are_told_apart() {
    let app = TestApp::start().await;
    app.open("/v1/nothing").await.refused(404, "not_found");
    let wrong = app.open("/v1/tokens").await;
    assert_eq!(wrong.header("allow"), Some("POST"));
    wrong.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn health_says_alive_and_ready() {
    let app = TestApp::start().await;
    assert_eq!(app.open("/livez").await.status, 200);
    let ready = app.open("/readyz").await.ok();
    assert_eq!(ready["status"], "ready", "{ready}");
}

#[tokio::test]
async fn metrics_count_what_was_asked() {
    let app = TestApp::start().await;
    app.store("retail").await;
    app.open("/livez").await;
    let metrics = app.open("/metrics").await;
    let text = metrics.body.as_str().expect("metrics are text").to_owned();
    assert!(text.lines().any(|line| line.contains("route=\"/livez\"") && line.ends_with(" 1")), "{text}");
    let names: HashSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.iter().any(|name| name.contains("journal")), "{names:?}");
}

#[tokio::test]
async fn answers_cannot_be_framed_sniffed_or_cached() {
    let app = TestApp::start().await;
    let answer = app.open("/readyz").await;
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("content-security-policy").is_some_and(|policy| policy.contains("frame-ancestors 'none'")));
}
