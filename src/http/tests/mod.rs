//! What a client sees of the parts that every route shares.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::around::around;
use super::*;
use crate::access::{Caller, SigningKey};
use crate::actors::{self, Clock};
use crate::config::Config;
use crate::providers::payment::Sandbox;
use crate::store::{DataPlace, Engine};
use crate::telemetry::Metrics;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Basket {
    lines: Vec<Line>,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    item: String,
    quantity: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: u8,
}

async fn fill(body: Body<Basket>) -> Result<HttpResponse, ApiError> {
    let fingerprint = body.fingerprint();
    let basket = body.into_inner();
    let mut errors = FieldErrors::default();
    for (index, line) in basket.lines.iter().enumerate() {
        if line.quantity == 0 {
            errors.refuse(format!("/lines/{index}/quantity"), "out_of_range", "at least 1");
        }
        errors.take(format!("/lines/{index}/item"), "malformed", line.item.parse::<uuid::Uuid>());
    }
    errors.finish()?;
    Ok(HttpResponse::Ok().json(json!({"fingerprint": fingerprint, "note": basket.note})))
}

async fn whoami(caller: Caller) -> String {
    caller.to_string()
}

async fn confirm(body: OptionalBody<Nothing>) -> String {
    format!("{} {:?}", body.fingerprint(), body.into_inner())
}

async fn turn(Query(page): Query<Page>) -> String {
    page.limit.to_string()
}

async fn item(Path(id): Path<uuid::Uuid>) -> String {
    id.to_string()
}

async fn panics() -> String {
    panic!("the secret of the kitchen")
}

async fn hangs() -> String {
    std::future::pending().await
}

async fn refuses_an_order() -> Result<String, ApiError> {
    let order = uuid::Uuid::from_u128(7);
    Err(ApiError::new(Code::RequestInProgress)
        .about_order(crate::order::OrderId::new(order))
        .in_state("ready", vec!["cancel", "pick_up"]))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn problem(&self) -> Value {
        assert_eq!(self.headers.get("content-type").unwrap(), "application/problem+json", "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.http.body_limit_bytes = 2_000;
    config
}

/// A whole system on a directory of its own. What these tests ask never changes it.
async fn services(config: &Config) -> Services {
    let data = tempfile::tempdir().unwrap();
    let engine = Engine::open(&DataPlace::Directory(data.path().to_owned())).await.unwrap();
    let sandbox = Arc::new(Sandbox::default());
    let (system, threads) = actors::start(config, engine, Clock::default(), sandbox, Box::new(|_| {})).await.unwrap();
    // Both live as long as the test's process: there is no moment when a test is over.
    std::mem::forget((data, threads));
    let key = SigningKey::generate().unwrap();
    Services::new(config, &key, Readiness::new(), Metrics::start(), system)
}

fn probe(path: &str, route: actix_web::Route) -> impl actix_web::dev::HttpServiceFactory + use<> {
    web::resource(path).route(route).wrap(from_fn(around))
}

/// The app with some routes more, to see what handlers of every kind come to. A macro, because the type of a
/// request at this level has no name outside of the framework.
macro_rules! serving {
    ($services:expr) => {
        init_service(
            app($services)
                .service(probe("/t/fill", web::post().to(fill)))
                .service(probe("/t/whoami", web::get().to(whoami)))
                .service(probe("/t/confirm", web::post().to(confirm)))
                .service(probe("/t/panics", web::get().to(panics)))
                .service(probe("/t/hangs", web::get().to(hangs)))
                .service(probe("/t/refused", web::get().to(refuses_an_order)))
                .service(probe("/t/page", web::get().to(turn)))
                .service(probe("/t/item/{id}", web::get().to(item))),
        )
        .await
    };
}

mod access;
mod admission;
mod bodies;
mod pages;
mod refusals;

async fn answer_with(services: Services, request: TestRequest) -> Answer {
    let answer = call_service(&serving!(services), request.to_request()).await;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = String::from_utf8_lossy(&read_body(answer).await).into_owned();
    Answer { status, headers, body }
}

async fn answer(request: TestRequest) -> Answer {
    answer_with(services(&config()).await, request).await
}

fn json_post(uri: &str, body: impl Into<web::Bytes>) -> TestRequest {
    TestRequest::post().uri(uri).insert_header(("content-type", "application/json")).set_payload(body)
}
