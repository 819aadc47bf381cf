//! What happens around every request, whatever its route: a name for the log, a time limit, a net under panics,
//! the body of a refusal, headers for browsers, and a measurement.
//!
//! One layer instead of six, because each costs an allocation on every request. It lies around each route (and
//! around "no such route"), not around the app: only a routed request may be held on to, and says its route.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::admission::{AT_MOST, Admission, Class, Full, Seat, seated};
use super::caller;
use super::code::Code;
use super::connections;
use super::error::ApiError;
use super::extract::read_past;
use super::health::Readiness;
use super::measure;
use super::route::Route;
use super::trace::{REQUEST_ID, TraceId, request_id};

/// How long a request may take in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestTimeout(pub(super) Duration);

/// Nothing that this server answers may be framed, sniffed, or run scripts. Pages that need more say so themselves.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(super) async fn around(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let route = request.app_data::<Route>().copied().unwrap_or(Route::UNKNOWN);
    let connection = request.request().conn_data::<Arc<connections::Seat>>();
    let _working = connection.map(connections::Seat::work);
    if let Some(code) = connection.and_then(|connection| connection.refuses()).filter(|_| !route.is_vital()) {
        let (trace, answer) = (TraceId::of(request.headers()), request.error_response(ApiError::new(code)));
        return Ok(finish(answer, trace, route.path, started));
    }
    let admission = request.app_data::<web::Data<Admission>>().expect("every app of ours is given its door");
    let under_way = admission.begin();
    let seat = match admit(&request, admission, &route) {
        Ok(seat) => seat,
        Err(code) => {
            drop(under_way);
            // In a box, so that those who are admitted need no room for it.
            return Ok(Box::pin(turn_away(request, code, route.path, started)).await);
        }
    };
    let route = route.path;
    let request_head = request.request().clone();
    let trace = TraceId::of(request.headers());
    let limit = request.app_data::<RequestTimeout>().expect("every app of ours is given its limits").0;
    let span = tracing::info_span!(
        "request",
        trace.id = %trace,
        http.method = request_head.method().as_str(),
        http.route = route
    );
    let handled = async move { seated(seat, AT_MOST, next.call(request)).await };
    let handled = AssertUnwindSafe(handled).catch_unwind();
    let finished = async {
        let answer = match tokio::time::timeout(limit, handled).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(refused))) => ServiceResponse::from_err(refused, request_head),
            // The panic hook has logged it; its message is for the log alone.
            Ok(Err(_panic)) => ServiceResponse::from_err(ApiError::new(Code::Internal), request_head),
            Err(_elapsed) => ServiceResponse::from_err(ApiError::new(Code::OutcomeUnknown), request_head),
        };
        drop(under_way);
        finish(answer, trace, route, started)
    };
    Ok(finished.instrument(span).await)
}

/// Whether there is room for it, or a better reason to refuse it: whoever has no good token takes nobody's room.
fn admit(request: &ServiceRequest, admission: &Admission, route: &Route) -> Result<Option<Seat>, Code> {
    let readiness = request.app_data::<web::Data<Readiness>>().expect("every app of ours is given its readiness");
    if readiness.is_replaced() && !route.is_about_process() {
        return Err(Code::ServerReplaced);
    }
    let class = route.class_of(request.method());
    if class == Class::Finish {
        return Ok(None);
    }
    if admission.is_bounded() && caller::of(request.request()).is_err() {
        return Ok(None);
    }
    admission.admit(class).map_err(|Full| Code::ServiceFull)
}

/// Refuses before anything is made for the request. Its body is on the way all the same: a connection on which it was
/// left unread would have to be closed, and opened again, which costs more than all the rest.
async fn turn_away(
    request: ServiceRequest,
    code: Code,
    route: &'static str,
    started: Instant,
) -> ServiceResponse<BoxBody> {
    let trace = TraceId::of(request.headers());
    let (request, payload) = request.into_parts();
    read_past(&request, payload).await;
    let answer = ServiceResponse::from_err(ApiError::new(code), request);
    finish(answer, trace, route, started)
}

fn finish(
    answer: ServiceResponse<BoxBody>,
    trace: TraceId,
    route: &'static str,
    started: Instant,
) -> ServiceResponse<BoxBody> {
    let mut answer = with_problem(answer, trace);
    add_headers(&mut answer, trace);
    let connection = answer.request().conn_data::<Arc<connections::Seat>>();
    if connection.is_some_and(|connection| !connection.is_kept()) && answer.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    report(&answer, route, started.elapsed());
    answer
}

/// Gives a refusal its body: ours its own, the framework's one that fits the status.
fn with_problem(answer: ServiceResponse<BoxBody>, trace: TraceId) -> ServiceResponse<BoxBody> {
    let status = answer.status();
    if !status.is_client_error() && !status.is_server_error() {
        return answer;
    }
    let instance = |request: &HttpRequest| request.path().to_owned();
    let problem = match answer.response().error() {
        Some(error) => match error.as_error::<ApiError>() {
            Some(refusal) => refusal.render(&instance(answer.request()), trace.to_string()),
            None => unnamed(status, &instance(answer.request()), trace),
        },
        None if answer.response().body().size() == BodySize::Sized(0) => {
            unnamed(status, &instance(answer.request()), trace)
        }
        None => return answer,
    };
    answer.into_response(problem)
}

fn unnamed(status: StatusCode, instance: &str, trace: TraceId) -> HttpResponse {
    ApiError::new(Code::of_status(status)).render(instance, trace.to_string())
}

fn add_headers(answer: &mut ServiceResponse<BoxBody>, trace: TraceId) {
    let request_id = request_id(answer.request().headers(), trace);
    let headers = answer.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    headers.insert(REFERRER_POLICY, NO_REFERRER);
    let mut unless_set = |name, value| {
        let headers: &mut HeaderMap = headers;
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    };
    unless_set(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    unless_set(CACHE_CONTROL, NO_STORE);
}

/// Measures every request; logs the ones that somebody has to look at. A full service does not log each refusal:
/// it has better things to do, and the measurement counts them.
fn report(answer: &ServiceResponse<BoxBody>, route: &'static str, took: Duration) {
    let status = answer.status();
    measure::request(answer.request().method(), route, status, took);
    let duration_ms = took.as_secs_f64() * 1_000.0;
    if matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::GATEWAY_TIMEOUT) {
        tracing::warn!(http.status = status.as_u16(), duration_ms, "request failed");
    } else {
        tracing::debug!(http.status = status.as_u16(), duration_ms, "request answered");
    }
}
