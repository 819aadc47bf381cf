//! `GET /v1/feed`: live events over a WebSocket, for everyone who may see them and no one else.

mod frame;
mod resume;
mod seats;
mod socket;
mod topics;

use std::sync::Arc;

use actix_web::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use self::resume::ResumeTokens;
use self::seats::FeedSeats;
use self::socket::Socket;
use self::topics::topics;
use super::caller::BEARER_PROTOCOL;
use super::code::Code;
use super::connections;
use super::error::ApiError;
use super::extract::Query;
use crate::access::{Caller, SigningKey};
use crate::actors::System;
use crate::config::Config;

/// Clients have nothing to say but pongs.
const MOST_INBOUND_BYTES: usize = 4 * 1024;

/// What all feeds share.
pub(super) struct Feeds {
    tokens: ResumeTokens,
    seats: Arc<FeedSeats>,
}

impl Feeds {
    pub(super) fn new(config: &Config, key: &SigningKey) -> Self {
        let seats = FeedSeats::new(config.limits.feeds_per_person, config.http.max_connections);
        Self { tokens: ResumeTokens::new(key), seats }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    /// `order:<id>`, `my-orders`, `store:<id>`, `deliveries:<lat>,<lng>,<radius_m>`, `operations`, with commas between
    topics: String,
    /// The `resume` of the last frame that was seen
    after: Option<String>,
}

/// Opens a live feed.
#[utoipa::path(get, path = "/v1/feed", tag = "feed", params(FeedQuery),
    responses((status = 101, description = "A WebSocket: frames are JSON, see the documentation of the feed")))]
pub(super) async fn open(
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
    system: web::Data<System>,
    closing: web::Data<watch::Sender<bool>>,
    feeds: web::Data<Feeds>,
    query: Query<FeedQuery>,
) -> Result<HttpResponse, ApiError> {
    same_origin(&request)?;
    let (names, topics) = topics(&query.0.topics, &caller)?;
    let after = feeds
        .tokens
        .read(query.0.after.as_deref())
        .ok_or_else(|| ApiError::new(Code::MalformedQuery).detail("after is a resume token"))?;
    let seat = feeds.seats.take(&caller)?;
    let working = request.conn_data::<Arc<connections::Seat>>().map(connections::Seat::work);
    let offered = offered_protocol(&request);
    let protocols: Vec<&str> = offered.as_deref().into_iter().collect();
    let (response, session, stream) = actix_ws::handle_with_protocols(&request, payload, &protocols)
        .map_err(|_| ApiError::new(Code::MalformedRequest).detail("this route is a WebSocket"))?;
    let stream = stream.max_frame_size(MOST_INBOUND_BYTES);
    let socket = Socket::new(session, caller, names, after, feeds);
    let closing = closing.subscribe();
    actix_web::rt::spawn(async move {
        let _working = working;
        socket.run(stream, topics, system, closing, seat).await;
    });
    Ok(response)
}

/// A page of another site could open a socket with the visitor's own means. Programs send no Origin.
fn same_origin(request: &HttpRequest) -> Result<(), ApiError> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = header(ORIGIN) else { return Ok(()) };
    let host = origin.split_once("://").map(|(_, host)| host);
    if host.is_some() && host == header(HOST) {
        return Ok(());
    }
    Err(ApiError::new(Code::Forbidden).detail("feeds are not opened from another origin"))
}

fn offered_protocol(request: &HttpRequest) -> Option<String> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    offered
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .find(|name| name.starts_with(BEARER_PROTOCOL))
        .map(str::to_owned)
}
