//! How a token comes in, and how one is had.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::SEC_WEBSOCKET_PROTOCOL;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::access::Role;

use super::{answer, answer_with, config, json_post, services};

#[actix_web::test]
async fn whoever_sends_no_good_token_is_told_how_to_come_in() {
    let none = answer(TestRequest::get().uri("/t/whoami")).await;
    assert_eq!((none.status, none.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer realm=\"baedal\""));
    assert_eq!(none.problem()["code"], "token_missing");

    let cookie = TestRequest::get().uri("/t/whoami").insert_header(("cookie", "token=abc"));
    assert_eq!(answer(cookie).await.problem()["code"], "token_missing");

    let wrong = answer(TestRequest::get().uri("/t/whoami").insert_header(("authorization", "Bearer abc"))).await;
    assert_eq!(wrong.problem()["code"], "token_invalid");
    assert!(wrong.header("www-authenticate").contains("error=\"invalid_token\""));
}

#[actix_web::test]
async fn a_token_is_read_from_the_header_or_from_the_protocols_of_a_socket() {
    let services = services(&config()).await;
    let token = services.issuer.issue(Role::Rider, &"ri".parse().unwrap(), Duration::from_secs(60)).token;
    let get = || TestRequest::get().uri("/t/whoami");
    let header = get().insert_header(("authorization", format!("bearer {token}")));
    assert_eq!(answer_with(services.clone(), header).await.body, "rider:ri");
    let protocol = get().insert_header((SEC_WEBSOCKET_PROTOCOL, format!("baedal.v1, bearer.{token}")));
    assert_eq!(answer_with(services.clone(), protocol).await.body, "rider:ri");
    let twice = get()
        .append_header(("authorization", format!("Bearer {token}")))
        .append_header(("authorization", "Bearer other"));
    assert_eq!(answer_with(services, twice).await.problem()["code"], "token_invalid");
}

#[actix_web::test]
async fn the_development_sign_in_gives_a_token_that_works_here_and_only_here() {
    let services = services(&config()).await;
    let sign_in = |host: &'static str| {
        json_post("/v1/tokens", r#"{"role":"customer","sub":"alice"}"#).insert_header(("host", host))
    };
    let given = answer_with(services.clone(), sign_in("localhost:8088")).await;
    assert_eq!(given.status, StatusCode::OK, "{}", given.body);
    let given: Value = serde_json::from_str(&given.body).unwrap();
    assert!(given["expires_at"].as_str().unwrap().ends_with('Z'));
    let bearer = format!("Bearer {}", given["token"].as_str().unwrap());
    let me = TestRequest::get().uri("/t/whoami").insert_header(("authorization", bearer));
    assert_eq!(answer_with(services.clone(), me).await.body, "customer:alice");

    assert_eq!(answer_with(services.clone(), sign_in("evil.example")).await.status, StatusCode::NOT_FOUND);
    let bad = json_post("/v1/tokens", r#"{"role":"customer","sub":"a b"}"#).insert_header(("host", "localhost"));
    let bad = answer_with(services, bad).await;
    assert_eq!((bad.status.as_u16(), &bad.problem()["errors"][0]["pointer"]), (422, &json!("/sub")));
}

#[actix_web::test]
async fn the_sign_in_is_not_there_when_the_server_is_open_to_a_network() {
    let mut config = config();
    config.http.listen = "0.0.0.0:8088".parse().unwrap();
    let sign_in = json_post("/v1/tokens", r#"{"role":"admin","sub":"me"}"#).insert_header(("host", "localhost"));
    assert_eq!(answer_with(services(&config).await, sign_in).await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn anyone_can_check_our_tokens_with_the_published_key() {
    let keys: Value =
        serde_json::from_str(&answer(TestRequest::get().uri("/.well-known/jwks.json")).await.body).unwrap();
    assert_eq!(keys["keys"][0]["alg"], "EdDSA");
    assert!(keys["keys"][0].get("d").is_none());
}
