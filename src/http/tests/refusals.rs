//! Requests that come to nothing, and what every answer has.

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::json;

use super::{answer, answer_with, bind, config, serve, services};

#[actix_web::test]
async fn a_path_without_a_route_is_a_problem() {
    let answer = answer(TestRequest::get().uri("/v1/nothing?here=1")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let problem = answer.problem();
    assert_eq!(problem["type"], "/problems/not_found");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["code"], "not_found");
    assert_eq!(problem["instance"], "/v1/nothing");
    assert!(problem.get("errors").is_none() && problem.get("order_id").is_none(), "{problem}");
}

#[actix_web::test]
async fn a_method_that_a_path_does_not_have_is_refused_with_those_that_it_has() {
    let refused = answer(TestRequest::delete().uri("/livez")).await;
    assert_eq!((refused.status, refused.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    assert_eq!(refused.problem()["code"], "method_not_allowed");
    let refused = answer(TestRequest::get().uri("/v1/tokens")).await;
    assert_eq!((refused.status, refused.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    let head = TestRequest::default().method(actix_web::http::Method::HEAD).uri("/livez");
    assert_eq!(answer(head).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn an_id_that_cannot_be_one_names_nothing() {
    assert_eq!(answer(TestRequest::get().uri("/t/item/42")).await.problem()["code"], "not_found");
}

#[actix_web::test]
async fn a_query_that_cannot_be_read_is_refused_with_its_parameter() {
    for (query, code) in [
        ("limit=5&limt=6", "unknown_field"),
        ("", "missing_field"),
        ("limit=many", "malformed_query"),
        ("limit=300", "malformed_query"),
    ] {
        let answer = answer(TestRequest::get().uri(&format!("/t/page?{query}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.problem()["code"], code, "{query}");
    }
}

#[actix_web::test]
async fn a_panic_is_a_problem_that_does_not_repeat_it() {
    let answer = answer(TestRequest::get().uri("/t/panics")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.problem()["code"], "internal");
    assert!(!answer.body.contains("kitchen"));
}

#[actix_web::test]
async fn a_request_that_takes_too_long_has_an_unknown_outcome() {
    let mut config = config();
    config.http.request_timeout_ms = crate::config::Millis(1);
    let answer = answer_with(services(&config).await, TestRequest::get().uri("/t/hangs")).await;
    assert_eq!((answer.status, &answer.problem()["code"]), (StatusCode::GATEWAY_TIMEOUT, &json!("outcome_unknown")));
}

#[actix_web::test]
async fn a_refused_command_says_where_the_order_stands_and_when_to_come_back() {
    let answer = answer(TestRequest::get().uri("/t/refused")).await;
    let problem = answer.problem();
    assert_eq!(problem["status"], 409);
    assert_eq!(problem["order_status"], "ready");
    assert_eq!(problem["allowed"], json!(["cancel", "pick_up"]));
    assert_eq!(problem["order_id"], "00000000-0000-0000-0000-000000000007");
    assert!((1..=5).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
}

#[actix_web::test]
async fn a_request_keeps_the_name_that_it_came_with() {
    let traced = TestRequest::get()
        .uri("/nowhere")
        .insert_header(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    let traced = answer(traced).await;
    assert_eq!(traced.problem()["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(traced.header("x-request-id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    let named = answer(TestRequest::get().uri("/livez").insert_header(("x-request-id", "call-7"))).await;
    assert_eq!(named.header("x-request-id"), "call-7");
    let odd = answer(TestRequest::get().uri("/livez").insert_header(("x-request-id", "<script>"))).await;
    assert_eq!(odd.header("x-request-id").len(), 32);
}

#[actix_web::test]
async fn every_answer_tells_browsers_to_keep_their_hands_off() {
    for uri in ["/livez", "/nowhere", "/", "/docs/", "/problems/not_found"] {
        let answer = answer(TestRequest::get().uri(uri)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{uri}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{uri}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{uri}");
        assert!(!answer.header("content-security-policy").contains("script-src"), "{uri}");
    }
    assert_eq!(answer(TestRequest::get().uri("/readyz")).await.header("cache-control"), "no-store");
}

#[actix_web::test]
async fn an_address_that_is_taken_is_named() {
    let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let taken = first.local_addr().unwrap();
    let refused = bind(taken).unwrap_err();
    assert_eq!(refused.to_string(), format!("cannot listen on {taken}"));
}

#[actix_web::test]
async fn a_server_answers_where_it_listens_until_it_is_stopped() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = config();
    config.http.workers = 1;
    let server = serve(listener, None, &config.http, services(&config).await).unwrap();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let answer = reqwest::get(format!("http://{address}/nowhere")).await.unwrap();
    assert_eq!(answer.status().as_u16(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    handle.stop(true).await;
    running.await.unwrap().unwrap();
    assert!(reqwest::get(format!("http://{address}/livez")).await.is_err());
}
