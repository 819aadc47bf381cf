//! What operators look at and turn: mailboxes, gates, quarantine, dead letters, the sandbox.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Caller, Role};
use crate::actors::{Census, Pardon, PartReport, Pause, Quarantined, System, TakeCensus, WhyQuarantined};
use crate::order::{OrderId, RiderId, StoreId};
use crate::providers::payment::{Failure, LedgerFailed, SandboxMood};
use crate::store::{Cursor, MessageFilter, MessageState};

use super::admission::{Admission, Count, Shown};
use super::code::Code;
use super::error::{ApiError, FieldErrors};
use super::extract::{Body, Path, Query};
use super::lists::message_page;

#[derive(Serialize, ToSchema)]
struct MailboxBody {
    name: &'static str,
    capacity: usize,
    in_use: usize,
}

/// How full every mailbox is.
#[utoipa::path(get, path = "/v1/operations/mailboxes", tag = "operations",
    responses((status = 200, description = "All mailboxes", body = Object)))]
pub(super) async fn mailboxes(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let items: Vec<_> = system
        .operations
        .mailboxes
        .iter()
        .map(|load| MailboxBody { name: load.name(), capacity: load.capacity(), in_use: load.in_use() })
        .collect();
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items })))
}

/// The payment gate: closed, half open or open, read off its places. And the door for new work: open, or bounded to so
/// many orders a second because work stands in the queues.
#[utoipa::path(get, path = "/v1/operations/gates", tag = "operations",
    responses((status = 200, description = "All gates", body = Object)))]
pub(super) async fn gates(
    caller: Caller,
    system: web::Data<System>,
    admission: web::Data<Admission>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let gate = &system.operations.gate;
    let (running, lost, places) = gate.places();
    let payment = serde_json::json!({
        "name": "payment", "state": gate.state().as_str(), "places": places, "running": running, "lost": lost,
    });
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": [payment, door(&admission.shown(), &system)] })))
}

fn door(admission: &Shown, system: &System) -> serde_json::Value {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    let queues: serde_json::Map<_, _> = system
        .pressure
        .standing()
        .into_iter()
        .map(|(queue, standing)| (queue.to_owned(), milliseconds(standing).into()))
        .collect();
    let count = |count: Count| serde_json::json!({ "admitted": count.admitted, "refused": count.refused });
    serde_json::json!({
        "name": "admission",
        "state": if admission.orders_per_s.is_some() { "bounded" } else { "open" },
        "orders_per_s": admission.orders_per_s,
        "seats": admission.seats,
        "seats_taken": admission.taken,
        "in_flight": admission.in_flight,
        "target_ms": admission.target.map(milliseconds),
        "standing_ms": queues,
        "new": count(admission.counted.new),
        "later": count(admission.counted.later),
    })
}

/// Which actors live, which parts are paused, who is quarantined: for which command, or from which position of the journal
/// on a history cannot be read.
#[utoipa::path(get, path = "/v1/operations/actors", tag = "operations",
    responses((status = 200, description = "The three registries", body = Object)))]
pub(super) async fn actors(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let operations = &system.operations;
    let censuses = [
        operations.orders.ask(TakeCensus).await?,
        operations.stores.ask(TakeCensus).await?,
        operations.riders.ask(TakeCensus).await?,
    ];
    let items: Vec<_> = censuses.iter().map(census).collect();
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items, "feeds": system.feed.watchers() })))
}

fn census(census: &Census) -> serde_json::Value {
    let quarantined: Vec<_> = census.quarantined.iter().map(quarantined).collect();
    serde_json::json!({
        "kind": census.kind, "live": census.live, "paused": census.paused, "quarantined": quarantined,
    })
}

fn quarantined(resident: &Quarantined) -> serde_json::Value {
    let id = &resident.id;
    match &resident.why {
        WhyQuarantined::Panics { command } => serde_json::json!({ "id": id, "command": command }),
        WhyQuarantined::Unreadable { at, why } => {
            serde_json::json!({ "id": id, "command": null, "position": at.map(|at| at.to_string()), "unreadable": **why })
        }
    }
}

/// The parts of which there is one each, the journal's readers among them: which run, which are being made anew after a
/// failure, and which are quarantined.
#[utoipa::path(get, path = "/v1/operations/parts", tag = "operations",
    responses((status = 200, description = "All parts", body = Object)))]
pub(super) async fn parts(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let items: Vec<_> = system.parts.report().iter().map(part).collect();
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items })))
}

fn part(part: &PartReport) -> serde_json::Value {
    let marks = part.cursor.iter().flat_map(Cursor::marks).filter(|mark| mark.position > 0);
    let cursor: Vec<_> =
        marks.map(|mark| serde_json::json!({ "shard": mark.shard.number(), "position": mark.position })).collect();
    serde_json::json!({
        "name": part.name, "state": part.state.as_str(), "failures": part.failures,
        "cursor": part.cursor.is_some().then_some(cursor),
    })
}

/// Gives a quarantined order, store, rider or part another chance.
#[utoipa::path(post, path = "/v1/operations/quarantine/{kind}/{id}/release", tag = "operations",
    params(("kind" = String, Path, description = "order, store, rider or part"), ("id" = String, Path)),
    responses((status = 204, description = "It is in service again")))]
pub(super) async fn release(
    caller: Caller,
    system: web::Data<System>,
    names: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let (kind, id) = names.0;
    let operations = &system.operations;
    let none = || ApiError::new(Code::NotFound);
    let was = match kind.as_str() {
        "order" => operations.pardon_order.ask(Pardon(id.parse::<OrderId>().map_err(|_| none())?)).await?,
        "store" => operations.pardon_store.ask(Pardon(id.parse::<StoreId>().map_err(|_| none())?)).await?,
        "rider" => operations.pardon_rider.ask(Pardon(id.parse::<RiderId>().map_err(|_| none())?)).await?,
        "part" => system.parts.release(&id),
        _ => return Err(none()),
    };
    if was { Ok(HttpResponse::NoContent().finish()) } else { Err(none()) }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Messages that could not be delivered.
#[utoipa::path(get, path = "/v1/operations/dead-letters", tag = "operations", params(DeadLetterQuery),
    responses((status = 200, description = "A page of messages", body = Object)))]
pub(super) async fn dead_letters(
    caller: Caller,
    system: web::Data<System>,
    query: Query<DeadLetterQuery>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let filter = MessageFilter { state: Some(MessageState::Dead), ..MessageFilter::default() };
    message_page(&system, &filter, "dead-letters", query.0.limit, query.0.cursor.as_deref()).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PausedBody {
    paused: bool,
}

/// Pauses store management, as for maintenance: orders are still taken, stores' commands wait.
#[utoipa::path(put, path = "/v1/operations/store-management", tag = "operations", request_body = PausedBody,
    responses((status = 204, description = "Done")))]
pub(super) async fn store_management(
    caller: Caller,
    system: web::Data<System>,
    body: Body<PausedBody>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    system.operations.pause_stores.ask(Pause(body.into_inner().paused)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SandboxBody {
    /// Every answer takes between so many and so many milliseconds
    #[serde(default)]
    #[schema(value_type = Option<Vec<u64>>)]
    latency_ms: Option<(u64, u64)>,
    /// `error`, `hang` or null
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    failure: Option<Failure>,
}

/// Slows or breaks the sandbox payment provider as a whole.
#[utoipa::path(put, path = "/v1/operations/sandbox", tag = "operations", request_body = SandboxBody,
    responses((status = 200, description = "How it behaves now", body = Object)))]
pub(super) async fn sandbox(
    caller: Caller,
    system: web::Data<System>,
    body: Body<SandboxBody>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let SandboxBody { latency_ms, failure } = body.into_inner();
    let latency_ms = latency_ms.unwrap_or_default();
    let mut errors = FieldErrors::default();
    if latency_ms.0 > latency_ms.1 || latency_ms.1 > 60_000 {
        errors.refuse("/latency_ms", "out_of_range", "two numbers, the smaller first, at most 60000");
    }
    errors.finish()?;
    let mood = SandboxMood { latency_ms, failure };
    let sandbox = system.operations.sandbox.as_ref().ok_or_else(|| ApiError::new(Code::NotFound))?;
    sandbox.set_mood(mood);
    Ok(HttpResponse::Ok().json(mood))
}

/// What the sandbox has done for an order: its own books, not ours.
#[utoipa::path(get, path = "/v1/operations/sandbox/orders/{order_id}", tag = "operations",
    params(("order_id" = String, Path)), responses((status = 200, description = "Its entries", body = Object)))]
pub(super) async fn sandbox_ledger(
    caller: Caller,
    system: web::Data<System>,
    order: Path<OrderId>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let sandbox = system.operations.sandbox.as_ref().ok_or_else(|| ApiError::new(Code::NotFound))?;
    let items = sandbox.ledger().of_order(order.0).await.map_err(unreadable)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items })))
}

fn unreadable(_: LedgerFailed) -> ApiError {
    ApiError::new(Code::ServiceUnavailable)
}

/// Orders of a page of the ledger: some hundred kilobytes.
const LEDGER_ORDERS: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerQuery {
    /// The last order of the page before; without it, from the first order on
    #[param(value_type = Option<String>)]
    after: Option<OrderId>,
}

/// The sandbox's own books, all of them, in the sequence of the orders: at most 500 orders a page. Empty at the end.
#[utoipa::path(get, path = "/v1/operations/sandbox/ledger", tag = "operations", params(LedgerQuery),
    responses((status = 200, description = "A page of entries", body = Object)))]
pub(super) async fn sandbox_books(
    caller: Caller,
    system: web::Data<System>,
    query: Query<LedgerQuery>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let sandbox = system.operations.sandbox.as_ref().ok_or_else(|| ApiError::new(Code::NotFound))?;
    let after = query.0.after.unwrap_or(OrderId::new(uuid::Uuid::nil()));
    let items = sandbox.ledger().page(after, LEDGER_ORDERS).await.map_err(unreadable)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items })))
}
