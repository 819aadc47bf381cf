//! `GET /v1/feed`: live events over a WebSocket, for everyone who may see them and no one else.
//!
//! The socket's task only waits: on its watcher's queue, on the client, on the clock. A client that does not read is
//! closed with the token to come back by, and costs nobody else anything.

use std::time::Duration;

use actix_web::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout};
use utoipa::IntoParams;

use crate::access::{Caller, Role};
use crate::actors::{Delivery, FeedEvent, Subscription, System, Topic};
use crate::order::{CustomerId, Party, Timestamp};
use crate::store::Cursor;

use super::caller::BEARER_PROTOCOL;
use super::code::Code;
use super::error::ApiError;
use super::extract::Query;
use super::near::point;
use super::outcome::Reader;
use super::riders::DeliveryBody;

const HEARTBEAT: Duration = Duration::from_secs(20);

/// A client that answers neither of two pings in a row is gone.
const MISSED_AT_MOST: u32 = 2;

/// A write that makes no progress for this long is to someone who does not read.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// What one socket may watch: a page's worth.
const MOST_TOPICS: usize = 50;

/// Clients have nothing to say but pongs.
const MOST_INBOUND_BYTES: usize = 4 * 1024;

const EXPIRED: u16 = 4001;
const NOT_YOURS: u16 = 4003;
const TOO_SLOW: u16 = 4008;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    /// `order:<id>`, `my-orders`, `store:<id>`, `deliveries:<lat>,<lng>,<radius_m>`, `operations`, with commas between
    topics: String,
    /// The `resume` of the last frame that was seen
    after: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum Frame<'a> {
    Hello {
        heartbeat_s: u64,
        /// Everything that happens after this point is in the frames that follow
        resume: String,
    },
    Event {
        topic: &'a str,
        order_id: crate::order::OrderId,
        version: u32,
        #[serde(rename = "type")]
        kind: &'static str,
        at: Timestamp,
        order: &'a RawValue,
        resume: String,
    },
    /// Too old to replay: read everything again
    Reset { topic: &'a str },
    /// The last frame before the socket is closed because its reader is too slow
    TooSlow { resume: String },
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
    query: Query<FeedQuery>,
) -> Result<HttpResponse, ApiError> {
    same_origin(&request)?;
    let (names, topics) = topics(&query.0.topics, &caller)?;
    let after = query.0.after.as_deref().map(|token| {
        Cursor::decode(token).ok_or_else(|| ApiError::new(Code::MalformedQuery).detail("after is a resume token"))
    });
    let after = after.transpose()?;
    let offered = offered_protocol(&request);
    let protocols: Vec<&str> = offered.as_deref().into_iter().collect();
    let (response, session, stream) = actix_ws::handle_with_protocols(&request, payload, &protocols)
        .map_err(|_| ApiError::new(Code::MalformedRequest).detail("this route is a WebSocket"))?;
    let stream = stream.max_frame_size(MOST_INBOUND_BYTES);
    let socket = Socket { session, caller, names, after, seen: Cursor::start() };
    actix_web::rt::spawn(socket.run(stream, topics, system, closing.subscribe()));
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

/// `deliveries` has commas of its own: a part that is a number belongs to the topic before it.
fn topics(text: &str, caller: &Caller) -> Result<(Vec<String>, Vec<Topic>), ApiError> {
    let mut names: Vec<String> = Vec::new();
    for part in text.split(',') {
        match names.last_mut() {
            Some(last) if last.starts_with("deliveries:") && part.trim().parse::<f64>().is_ok() => {
                last.push(',');
                last.push_str(part.trim());
            }
            _ => names.push(part.trim().to_owned()),
        }
    }
    if names.len() > MOST_TOPICS {
        return Err(ApiError::new(Code::MalformedQuery).detail(format!("a feed has at most {MOST_TOPICS} topics")));
    }
    let topics = names.iter().map(|name| topic(name, caller)).collect::<Option<Vec<Topic>>>();
    let topics = topics.ok_or_else(|| ApiError::new(Code::MalformedQuery).detail("a topic is not known"))?;
    Ok((names, topics))
}

fn topic(name: &str, caller: &Caller) -> Option<Topic> {
    match name.split_once(':') {
        None if name == "my-orders" => Some(Topic::MyOrders(CustomerId(caller.subject.clone()))),
        None if name == "operations" => Some(Topic::Operations),
        Some(("order", id)) => id.parse().ok().map(Topic::Order),
        Some(("store", id)) => id.parse().ok().map(Topic::Store),
        Some(("deliveries", place)) => {
            let (place, radius) = place.rsplit_once(',')?;
            let radius_m = radius.parse::<f64>().ok().filter(|metres| (0.0..=20_037_508.0).contains(metres))?;
            Some(Topic::Deliveries { around: point(place).ok()?, radius_m })
        }
        None | Some(_) => None,
    }
}

/// The same rule as for reading.
async fn is_theirs(topic: &Topic, caller: &Caller, system: &System) -> bool {
    match topic {
        Topic::Order(order) => system
            .orders
            .order(*order)
            .await
            .is_ok_and(|order| order.is_some_and(|order| order.is_visible_to(&caller.party()))),
        Topic::MyOrders(_) => caller.role == Role::Customer,
        Topic::Store(store) => super::stores::owned(system, *store, caller).is_ok(),
        Topic::Deliveries { .. } => caller.role == Role::Rider,
        Topic::Operations => caller.role == Role::Admin,
    }
}

/// Why a socket ends.
enum End {
    /// The client left, or is not there any more.
    Gone,
    Close(u16),
}

struct Socket {
    session: Session,
    caller: Caller,
    names: Vec<String>,
    after: Option<Cursor>,
    /// What its client has been sent.
    seen: Cursor,
}

impl Socket {
    async fn run(
        mut self,
        stream: MessageStream,
        topics: Vec<Topic>,
        system: web::Data<System>,
        closing: watch::Receiver<bool>,
    ) {
        let end = match self.begin(topics, &system).await {
            Ok(subscription) => self.pass_on(stream, subscription, &system, closing).await,
            Err(end) => end,
        };
        if let End::Close(code) = end {
            if code == TOO_SLOW {
                // A resume token does not fit the close frame's 123 bytes.
                let last = Frame::TooSlow { resume: self.seen.encode() };
                let _ = self.send(&last).await;
            }
            let reason = CloseReason { code: CloseCode::from(code), description: None };
            let _ = timeout(WRITE_WITHIN, self.session.close(Some(reason))).await;
        }
    }

    /// Joins, says hello, and sends what the client missed.
    async fn begin(&mut self, topics: Vec<Topic>, system: &System) -> Result<Subscription, End> {
        for topic in &topics {
            if !is_theirs(topic, &self.caller, system).await {
                return Err(End::Close(NOT_YOURS));
            }
        }
        let subscription = system.feed.join(topics).map_err(|_| End::Close(CloseCode::Again.into()))?;
        let from = self.after.take();
        self.seen = from.clone().unwrap_or_else(|| subscription.joined.clone());
        let hello = Frame::Hello { heartbeat_s: HEARTBEAT.as_secs(), resume: self.seen.encode() };
        self.send(&hello).await?;
        let Some(from) = from else { return Ok(subscription) };
        match subscription.missed(&system.readers, from).await {
            Ok(Some(missed)) => {
                for delivery in missed {
                    self.deliver(&delivery, &subscription, system).await?;
                }
            }
            Ok(None) => {
                for name in self.names.clone() {
                    self.send(&Frame::Reset { topic: &name }).await?;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a feed could not be replayed");
                return Err(End::Close(CloseCode::Again.into()));
            }
        }
        self.seen = subscription.joined.clone();
        Ok(subscription)
    }

    async fn pass_on(
        &mut self,
        mut stream: MessageStream,
        mut subscription: Subscription,
        system: &System,
        mut closing: watch::Receiver<bool>,
    ) -> End {
        let expires = sleep(system.clock.now().until(self.caller.expires_at));
        tokio::pin!(expires);
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.tick().await; // The first tick is now.
        let mut unanswered = 0;
        let mut moves = system.clock.moves();
        loop {
            let outcome = tokio::select! {
                delivery = subscription.live.recv() => match delivery {
                    Some(delivery) => self.deliver(&delivery, &subscription, system).await,
                    None => Err(End::Close(TOO_SLOW)),
                },
                frame = stream.next() => match frame {
                    Some(Ok(frame)) => {
                        unanswered = 0;
                        self.answer(frame).await
                    }
                    Some(Err(_)) | None => Err(End::Gone),
                },
                _ = heartbeat.tick() => {
                    unanswered += 1;
                    if unanswered > MISSED_AT_MOST { Err(End::Gone) } else { self.ping().await }
                }
                () = &mut expires => Err(End::Close(EXPIRED)),
                _ = moves.changed() => {
                    expires.as_mut().reset(Instant::now() + system.clock.now().until(self.caller.expires_at));
                    Ok(())
                }
                _ = closing.wait_for(|closing| *closing) => Err(End::Close(CloseCode::Restart.into())),
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    async fn answer(&mut self, frame: Message) -> Result<(), End> {
        match frame {
            Message::Ping(bytes) => self.session.pong(&bytes).await.map_err(|_| End::Gone),
            Message::Close(_) => Err(End::Close(CloseCode::Normal.into())),
            Message::Text(_) | Message::Binary(_) | Message::Continuation(_) | Message::Pong(_) | Message::Nop => {
                Ok(())
            }
        }
    }

    async fn ping(&mut self) -> Result<(), End> {
        match timeout(WRITE_WITHIN, self.session.ping(b"")).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn deliver(&mut self, delivery: &Delivery, subscription: &Subscription, system: &System) -> Result<(), End> {
        let event = &delivery.event;
        let topic = subscription.topics.get(delivery.topic);
        let board = matches!(topic, Some(Topic::Deliveries { .. }));
        let order = rendered(event, audience(&self.caller, board), system.clock.now());
        let name = self.names.get(delivery.topic).cloned().unwrap_or_default();
        let order = RawValue::from_string(order.to_string()).map_err(|_| End::Gone)?;
        let frame = Frame::Event {
            topic: &name,
            order_id: event.order.id,
            version: event.version,
            kind: event.name,
            at: event.at,
            order: &order,
            resume: event.cursor.encode(),
        };
        self.send(&frame).await?;
        self.seen = event.cursor.clone();
        Ok(())
    }

    async fn send(&mut self, frame: &Frame<'_>) -> Result<(), End> {
        let text = serde_json::to_string(frame).expect("a frame has string keys");
        match timeout(WRITE_WITHIN, self.session.text(text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Close(TOO_SLOW)),
        }
    }
}

/// Who reads an event: everyone of one kind sees the same.
#[derive(Clone, Copy)]
enum Audience {
    Customer,
    Store,
    Rider,
    Operator,
    /// Riders who look for deliveries: nothing that tells who ordered.
    Board,
}

fn audience(caller: &Caller, board: bool) -> Audience {
    match caller.role {
        _ if board => Audience::Board,
        Role::Customer => Audience::Customer,
        Role::Owner => Audience::Store,
        Role::Rider => Audience::Rider,
        Role::Admin => Audience::Operator,
    }
}

/// The order as JSON for an audience, made once however many watch.
fn rendered(event: &FeedEvent, audience: Audience, now: Timestamp) -> std::sync::Arc<str> {
    let order = &event.order;
    let render = || -> std::sync::Arc<str> {
        let placement = &order.placement;
        let party = match audience {
            Audience::Board => {
                let body = serde_json::to_string(&DeliveryBody::of(order, None));
                return body.expect("a delivery has string keys").into();
            }
            Audience::Customer => Party::Customer(placement.customer_id.clone()),
            Audience::Store => Party::Store(placement.store.owner.clone()),
            Audience::Rider => match order.rider() {
                Some(rider) => Party::Rider(rider.clone()),
                None => Party::System,
            },
            Audience::Operator => Party::Operator(placement.store.owner.0.clone()),
        };
        Reader { party: &party, now }.json(order).into()
    };
    event.rendered[audience as usize].get_or_init(render).clone()
}
