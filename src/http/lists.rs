//! Lists that are read from the views: my page, a store's board, messages, what needs attention.
//!
//! A page is asked for by an opaque cursor that belongs to its list. Whoever sends back the position of their last
//! command sees at least that state, or waits a moment for it.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::access::{Caller, Role};
use crate::actors::{System, ViewProgress};
use crate::order::{CustomerId, OrderId, Status, StoreId, Timestamp};
use crate::store::{DbError, MessageFilter, MessageMark, MessageRow, OrderRow, PageMark, Position};

use super::code::Code;
use super::error::ApiError;
use super::extract::{Path, Query};
use super::outcome::POSITION;
use super::schemas::OrderPage;
use super::stores::owned;

const MOST: usize = 100;
const USUAL: usize = 20;

/// How long a list waits for the views to show what its reader has done. After that it answers with what they show:
/// an older list is better than none.
const WAIT_FOR_VIEWS: Duration = Duration::from_millis(500);

/// How many rows a reader wants.
pub(super) fn limit(wanted: Option<usize>) -> Result<usize, ApiError> {
    match wanted.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(ApiError::new(Code::MalformedQuery).detail(format!("a limit is 1 to {MOST}"))),
    }
}

/// What a cursor says: which list it is of, and where the page before ended.
#[derive(Serialize, Deserialize)]
struct Mark<T> {
    of: String,
    after: T,
}

pub(super) fn cursor<T: Serialize>(of: &str, after: T) -> String {
    let mark = Mark { of: of.to_owned(), after };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&mark).expect("a mark has string keys"))
}

pub(super) fn mark<T: serde::de::DeserializeOwned>(of: &str, cursor: Option<&str>) -> Result<Option<T>, ApiError> {
    let Some(text) = cursor else { return Ok(None) };
    let refuse = || ApiError::new(Code::MalformedQuery).detail("this cursor is not of this list");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refuse())?;
    let mark: Mark<T> = serde_json::from_slice(&bytes).map_err(|_| refuse())?;
    if mark.of == of { Ok(Some(mark.after)) } else { Err(refuse()) }
}

/// A list whose sequence is made anew for each request: its cursor counts.
pub(super) fn offset(cursor: Option<&str>) -> Result<usize, ApiError> {
    Ok(mark::<usize>("stores", cursor)?.unwrap_or(0))
}

pub(super) fn offset_cursor(offset: usize) -> String {
    cursor("stores", offset)
}

/// Waits until the lists of orders show what `Baedal-Position` names.
async fn wait_for_views(headers: &HeaderMap, system: &System) -> Result<(), ApiError> {
    wait_for(headers, &system.progress.lists).await
}

/// The same for any view.
pub(super) async fn wait_for(headers: &HeaderMap, view: &ViewProgress) -> Result<(), ApiError> {
    let Some(value) = headers.get(POSITION) else { return Ok(()) };
    let position: Position = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| ApiError::new(Code::MalformedRequest).detail("Baedal-Position is as a reply gave it"))?;
    view.reaches(position, WAIT_FOR_VIEWS).await;
    Ok(())
}

/// Where a page of orders ended.
#[derive(Serialize, Deserialize)]
struct OrderMark(i64, OrderId);

fn page_mark(of: &str, cursor: Option<&str>) -> Result<Option<PageMark>, ApiError> {
    let mark = mark::<OrderMark>(of, cursor)?;
    Ok(mark.map(|OrderMark(at, order)| PageMark { placed_at: Timestamp::from_micros(at), order }))
}

#[derive(Clone, Copy)]
enum Side {
    Customer,
    Store,
    Nobody,
}

/// One row more than asked for was read: it tells whether there is another page.
fn page(of: &str, mut rows: Vec<OrderRow>, limit: usize, side: Side) -> HttpResponse {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| cursor(of, OrderMark(row.placed_at.as_micros(), row.order)));
    let items = rows.iter().map(|row| document(row, side)).collect::<Vec<Value>>();
    HttpResponse::Ok().json(Listing { items, next_cursor: next })
}

#[derive(Serialize)]
pub(super) struct Listing<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

/// The row's document, with what its reader may do.
fn document(row: &OrderRow, side: Side) -> Value {
    let mut document: Value = serde_json::from_str(&row.document).unwrap_or_default();
    if let Value::Object(fields) = &mut document {
        let mut allowed_to = fields.remove("allowed_to").unwrap_or_default();
        let allowed = match side {
            Side::Customer => allowed_to["customer"].take(),
            Side::Store => allowed_to["store"].take(),
            Side::Nobody => Value::Array(Vec::new()),
        };
        fields.insert("allowed".to_owned(), allowed);
    }
    document
}

pub(super) fn unreadable(error: DbError) -> ApiError {
    match error {
        DbError::Unavailable(_) => ApiError::new(Code::ServiceUnavailable),
        other => ApiError::internal(&other),
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Which {
    Live,
    Past,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct MyPageQuery {
    /// `live` (the default) or `past`
    #[param(value_type = Option<String>)]
    status: Option<Which>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The customer's orders: order, preparation, delivery and payment in one list, the newest first.
#[utoipa::path(get, path = "/v1/my-page", tag = "lists", params(MyPageQuery),
    responses((status = 200, description = "A page of orders", body = OrderPage)))]
pub(super) async fn my_page(
    caller: Caller,
    request: HttpRequest,
    system: web::Data<System>,
    query: Query<MyPageQuery>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Customer])?;
    let live = !matches!(query.0.status, Some(Which::Past));
    let (limit, of) = (limit(query.0.limit)?, if live { "live" } else { "past" });
    let after = page_mark(of, query.0.cursor.as_deref())?;
    wait_for_views(request.headers(), &system).await?;
    let customer = CustomerId(caller.subject);
    let rows = system.views.my_page(&customer, live, after, limit + 1).await.map_err(unreadable)?;
    Ok(page(of, rows, limit, Side::Customer))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct BoardQuery {
    /// Only orders of this status
    #[param(value_type = Option<String>)]
    status: Option<Status>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The store's board: every order that was submitted to it, the newest first.
#[utoipa::path(get, path = "/v1/stores/{store_id}/orders", tag = "lists",
    params(("store_id" = String, Path), BoardQuery),
    responses((status = 200, description = "A page of orders", body = OrderPage)))]
pub(super) async fn store_board(
    caller: Caller,
    request: HttpRequest,
    system: web::Data<System>,
    store: Path<StoreId>,
    query: Query<BoardQuery>,
) -> Result<HttpResponse, ApiError> {
    owned(&system, store.0, &caller)?;
    let status = query.0.status.map(Status::as_str);
    let of = format!("board:{}:{}", store.0, status.unwrap_or("all"));
    let (limit, after) = (limit(query.0.limit)?, page_mark(&of, query.0.cursor.as_deref())?);
    wait_for_views(request.headers(), &system).await?;
    let rows = system.views.store_board(store.0, status, after, limit + 1).await.map_err(unreadable)?;
    Ok(page(&of, rows, limit, Side::Store))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Orders that an operator should look at: late ones, unpaid ones, payments in doubt.
#[utoipa::path(get, path = "/v1/operations/attention", tag = "operations", params(PageQuery),
    responses((status = 200, description = "A page of orders, each with its reason", body = Object)))]
pub(super) async fn attention(
    caller: Caller,
    request: HttpRequest,
    system: web::Data<System>,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let (limit, after) = (limit(query.0.limit)?, page_mark("attention", query.0.cursor.as_deref())?);
    wait_for_views(request.headers(), &system).await?;
    let mut rows = system.views.attention(after, limit + 1).await.map_err(unreadable)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor =
        rows.last().filter(|_| more).map(|row| cursor("attention", OrderMark(row.placed_at.as_micros(), row.order)));
    let items =
        rows.iter().map(|row| serde_json::json!({ "reason": row.attention, "order": document(row, Side::Nobody) }));
    Ok(HttpResponse::Ok().json(Listing { items: items.collect(), next_cursor }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct MessagesQuery {
    /// Only about this order
    #[param(value_type = Option<String>)]
    order_id: Option<OrderId>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct MessageBody {
    #[schema(value_type = String)]
    order_id: OrderId,
    event: String,
    text: String,
    channel: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    attempts: u32,
    /// `waiting`, `sent` or `dead`
    state: &'static str,
}

impl From<MessageRow> for MessageBody {
    fn from(row: MessageRow) -> Self {
        Self {
            order_id: row.order,
            event: row.event,
            text: row.text,
            channel: row.channel,
            at: row.at,
            attempts: row.attempts,
            state: row.state.as_str(),
        }
    }
}

/// What the customer was told: of the newest order first, and of each the newest message first.
#[utoipa::path(get, path = "/v1/messages", tag = "lists", params(MessagesQuery),
    responses((status = 200, description = "A page of messages", body = Object)))]
pub(super) async fn messages(
    caller: Caller,
    request: HttpRequest,
    system: web::Data<System>,
    query: Query<MessagesQuery>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Customer, Role::Admin])?;
    let customer = (caller.role == Role::Customer).then(|| CustomerId(caller.subject.clone()));
    let filter = MessageFilter { order: query.0.order_id, customer, state: None };
    wait_for(request.headers(), &system.progress.messages).await?;
    message_page(&system, &filter, "messages", query.0.limit, query.0.cursor.as_deref()).await
}

/// Where a page of messages ended.
#[derive(Serialize, Deserialize)]
struct MessagePageMark(OrderId, u32);

pub(super) async fn message_page(
    system: &System,
    filter: &MessageFilter,
    of: &str,
    wanted: Option<usize>,
    from: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    let limit = limit(wanted)?;
    let after =
        mark::<MessagePageMark>(of, from)?.map(|MessagePageMark(order, version)| MessageMark { order, version });
    let mut rows = system.views.messages(filter, after, limit + 1).await.map_err(unreadable)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.map(|row| cursor(of, MessagePageMark(row.order, row.version)));
    let items: Vec<MessageBody> = rows.into_iter().map(MessageBody::from).collect();
    Ok(HttpResponse::Ok().json(Listing { items, next_cursor }))
}
