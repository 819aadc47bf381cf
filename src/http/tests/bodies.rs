//! Bodies that can and cannot be read.

use actix_web::HttpMessage as _;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::web;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::*;

#[actix_web::test]
async fn a_body_is_refused_with_what_is_wrong_and_where() {
    let item = r#""item":"8e03978e-40d5-43dd-bc93-6894a57f9324""#;
    let cases = [
        ("{\"lines\":\n[}", 400, "malformed_json", None),
        ("", 400, "malformed_json", None),
        ("{\"lines\":[]} x", 400, "malformed_json", None),
        ("{\"lines\":[],\"note\":\"\u{1}\"}", 400, "malformed_json", None),
        ("{\"lines\":[],\"statsu\":1}", 400, "unknown_field", Some("/statsu")),
        ("{\"note\":\"hi\"}", 400, "missing_field", Some("/lines")),
        ("{\"lines\":[{\"quantity\":1}]}", 400, "missing_field", Some("/lines/0/item")),
        ("{\"lines\":[],\"lines\":[]}", 400, "malformed_request", Some("/lines")),
        ("{\"lines\":[{ITEM,\"quantity\":\"2\"}]}", 400, "wrong_type", Some("/lines/0/quantity")),
        ("{\"lines\":[{ITEM,\"quantity\":1.5}]}", 400, "wrong_type", Some("/lines/0/quantity")),
        ("{\"lines\":[{ITEM,\"quantity\":1e999}]}", 400, "malformed_json", None),
        ("{\"lines\":[{ITEM,\"quantity\":300}]}", 422, "invalid_value", Some("/lines/0/quantity")),
        ("{\"lines\":[{ITEM,\"quantity\":-1}]}", 422, "invalid_value", Some("/lines/0/quantity")),
    ];
    for (body, status, code, pointer) in cases {
        let answer = answer(json_post("/t/fill", body.replace("ITEM", item))).await;
        let problem = answer.problem();
        assert_eq!((answer.status.as_u16(), &problem["code"]), (status, &json!(code)), "{body}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"].as_str(), pointer, "{body}: {problem}");
    }
}

#[actix_web::test]
async fn malformed_json_is_named_by_line_and_column() {
    let problem = answer(json_post("/t/fill", "{\"lines\":\n[}")).await.problem();
    assert!(problem["detail"].as_str().unwrap().contains("line 2 column 2"), "{problem}");
}

#[actix_web::test]
async fn all_wrong_values_are_named_at_once() {
    let body = json!({"lines": [{"item": "x", "quantity": 0}, {"item": "y", "quantity": 1}]}).to_string();
    let answer = answer(json_post("/t/fill", body)).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = answer.problem();
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/lines/0/quantity", "/lines/0/item", "/lines/1/item"]);
}

#[actix_web::test]
async fn a_long_value_is_not_sent_back_whole() {
    let problem = answer(json_post("/t/fill", json!({"lines": "한".repeat(600)}).to_string())).await.problem();
    assert_eq!(problem["code"], "wrong_type");
    assert!(problem["detail"].as_str().unwrap().len() < 300, "{problem}");
}

#[actix_web::test]
async fn only_plain_json_is_read() {
    let post = |kind: &str| TestRequest::post().uri("/t/fill").insert_header(("content-type", kind)).set_payload("{}");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        assert_eq!(answer(post(kind)).await.problem()["code"], "unsupported_media_type", "{kind:?}");
    }
    let compressed = json_post("/t/fill", "{}").insert_header(("content-encoding", "gzip"));
    assert_eq!(answer(compressed).await.problem()["code"], "unsupported_media_type");
    assert_eq!(answer(post("Application/JSON; charset=utf-8")).await.problem()["code"], "missing_field");
}

#[actix_web::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let body = json!({"lines": [], "note": "x".repeat(2_000)}).to_string();
    let announced = json_post("/t/fill", "{}").insert_header(("content-length", body.len().to_string()));
    assert_eq!(answer(announced).await.problem()["code"], "body_too_large");

    // In pieces, and without a word about how many.
    let app = serving!(services(&config()).await);
    let spaces = futures_util::stream::repeat_with(|| Ok(web::Bytes::from_static(&[b' '; 512]))).take(8);
    let payload = actix_web::dev::Payload::Stream { payload: spaces.boxed_local() };
    let request = TestRequest::post().uri("/t/fill").insert_header(("content-type", "application/json"));
    let (request, _) = request.to_request().replace_payload(payload);
    assert!(!request.headers().contains_key("content-length"));
    assert_eq!(call_service(&app, request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut config = config();
    config.http.body_read_timeout_ms = crate::config::Millis(1);
    let app = serving!(services(&config).await);
    let request = json_post("/t/fill", "").to_request();
    let payload = actix_web::dev::Payload::Stream { payload: futures_util::stream::pending().boxed_local() };
    let (request, _) = request.replace_payload(payload);
    assert_eq!(call_service(&app, request).await.status(), StatusCode::REQUEST_TIMEOUT);
}

#[actix_web::test]
async fn the_same_bytes_have_the_same_fingerprint() {
    let fingerprint = async |body: &str| {
        let answer = answer(json_post("/t/fill", body.to_owned())).await;
        serde_json::from_str::<Value>(&answer.body).unwrap()["fingerprint"].as_i64().unwrap()
    };
    let first = fingerprint("{\"lines\":[]}").await;
    assert_eq!(fingerprint("{\"lines\":[]}").await, first);
    assert_ne!(fingerprint("{\"lines\":[],\"note\":\"x\"}").await, first);
}

#[actix_web::test]
async fn a_command_without_anything_to_say_may_leave_its_body_out() {
    let empty = answer(TestRequest::post().uri("/t/confirm")).await;
    let braces = answer(json_post("/t/confirm", "{}")).await;
    assert_eq!((empty.status, &empty.body), (StatusCode::OK, &braces.body));
    let other = answer(json_post("/t/confirm", "{\"reason\":1}")).await;
    assert_eq!(other.problem()["code"], "unknown_field");
}
