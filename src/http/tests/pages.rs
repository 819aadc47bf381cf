//! What can be read about the service: its description, its health, its measurements.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::http::{Code, ROUTES, openapi_json};

use super::{answer, answer_with, config, services};

#[actix_web::test]
async fn every_code_has_a_page_for_people_and_for_programs() {
    for code in Code::ALL {
        let uri = format!("/problems/{}", code.as_str());
        let page = answer(TestRequest::get().uri(&uri).insert_header(("accept", "text/html,*/*"))).await;
        assert_eq!(page.status, StatusCode::OK, "{uri}");
        assert!(page.header("content-type").starts_with("text/html") && page.body.contains(code.advice()), "{uri}");
        let json = answer(TestRequest::get().uri(&uri).insert_header(("accept", "application/json"))).await;
        assert_eq!(serde_json::from_str::<Value>(&json.body).unwrap()["status"], code.status().as_u16(), "{uri}");
    }
    assert_eq!(answer(TestRequest::get().uri("/problems/nonsense")).await.status, StatusCode::NOT_FOUND);
}

/// A path of the description, in the form in which the table of routes has it.
fn described() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_str(openapi_json()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    let operations = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect::<Vec<_>>();
        let path = path.clone();
        methods.into_iter().map(move |method| (method, path.clone()))
    };
    paths.iter().flat_map(operations).collect()
}

#[test]
fn the_description_and_the_routes_are_the_same() {
    let registered = ROUTES.iter().flat_map(|route| {
        let described_as = route.path.replace(":.*}", "}");
        route.methods.iter().map(move |method| (method.to_string(), described_as.clone()))
    });
    assert_eq!(registered.collect::<BTreeSet<_>>(), described());
}

#[test]
fn every_described_operation_may_be_refused_and_says_who_may_use_it() {
    let document: Value = serde_json::from_str(openapi_json()).unwrap();
    assert_eq!(document["security"], json!([{"token": []}]));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let refused = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert_eq!(refused["schema"]["$ref"], "#/components/schemas/Problem", "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
    assert!(document["components"]["schemas"]["FieldError"].is_object());
}

#[actix_web::test]
async fn the_description_can_be_browsed_without_a_network() {
    let moved = answer(TestRequest::get().uri("/docs")).await;
    assert_eq!((moved.status, moved.header("location")), (StatusCode::PERMANENT_REDIRECT, "/docs/"));
    let page = answer(TestRequest::get().uri("/docs/")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("swagger-ui") && !page.body.contains("//cdn"), "{}", page.body);
    let start = answer(TestRequest::get().uri("/docs/swagger-initializer.js")).await;
    assert!(start.body.contains("/openapi.json"), "{}", start.body);
    assert_eq!(answer(TestRequest::get().uri("/docs/../livez")).await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn requests_are_measured_by_route_and_never_by_path() {
    let services = services(&config()).await;
    answer_with(services.clone(), TestRequest::get().uri("/problems/forbidden")).await;
    answer_with(services.clone(), TestRequest::get().uri("/made-up-4711")).await;
    let measured = answer_with(services, TestRequest::get().uri("/metrics")).await.body;
    let count = |labels: &str| measured.contains(&format!("http_server_request_duration_seconds_count{{{labels}}}"));
    assert!(count("method=\"GET\",route=\"/problems/{code}\",status=\"200\""), "{measured}");
    assert!(count("method=\"GET\",route=\"UNKNOWN\",status=\"404\""), "{measured}");
    assert!(!measured.contains("4711"));
}

#[actix_web::test]
async fn the_server_is_ready_once_started_while_the_journal_can_be_written_and_until_it_drains() {
    let services = services(&config()).await;
    let ready = async || answer_with(services.clone(), TestRequest::get().uri("/readyz")).await;
    assert_eq!(ready().await.status, StatusCode::SERVICE_UNAVAILABLE);
    services.readiness.set_started();
    assert_eq!(ready().await.status, StatusCode::OK);
    services.readiness.set_journal_writable(false);
    let unready = ready().await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    let report: Value = serde_json::from_str(&unready.body).unwrap();
    assert_eq!(
        report["checks"],
        json!({"started": true, "journal_writable": false, "not_replaced": true, "not_draining": true})
    );
    services.readiness.set_journal_writable(true);
    services.readiness.drain();
    assert_eq!(ready().await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[actix_web::test]
async fn a_server_that_was_replaced_tells_of_itself_alone() {
    let services = services(&config()).await;
    services.readiness.set_started();
    let get = async |uri: &str| answer_with(services.clone(), TestRequest::get().uri(uri)).await;
    assert_eq!(get("/v1/stores").await.status, StatusCode::OK);
    services.readiness.set_replaced();

    for uri in ["/v1/stores", "/v1/my-page", "/v1/feed?topics=my-orders", "/v1/operations/mailboxes", "/nowhere"] {
        let refused = get(uri).await;
        let code = refused.problem()["code"].clone();
        assert_eq!((refused.status, code), (StatusCode::SERVICE_UNAVAILABLE, json!("server_replaced")), "{uri}");
        assert!((1..=5).contains(&refused.header("retry-after").parse::<u32>().unwrap()), "{uri}");
    }
    for uri in ["/livez", "/metrics", "/problems/server_replaced"] {
        assert_eq!(get(uri).await.status, StatusCode::OK, "{uri}");
    }
    let unready = get("/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    let report: Value = serde_json::from_str(&unready.body).unwrap();
    assert_eq!(report["checks"]["not_replaced"], false);
}
