//! One open feed.
//!
//! Its task only waits: on its watcher's queue, on the client, on the clock. A client that does not read is closed with
//! the token to come back by, and costs nobody else anything.

use std::time::Duration;

use actix_web::web;
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout};

use super::Feeds;
use super::frame::{Frame, rendered};
use super::resume::After;
use super::seats::FeedSeat;
use super::topics::{is_theirs, may_see};
use crate::access::Caller;
use crate::actors::{Delivery, ReplayError, Subscription, System, Topic};
use crate::order::Party;
use crate::store::Cursor;

const HEARTBEAT: Duration = Duration::from_secs(20);

/// A client that answers neither of two pings in a row is gone.
const MISSED_AT_MOST: u32 = 2;

/// A write that makes no progress for this long is to someone who does not read.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// How long a feed waits until the person's other feeds have been sent what they missed.
const REPLAYS_WITHIN: Duration = Duration::from_secs(10);

const EXPIRED: u16 = 4001;
const NOT_YOURS: u16 = 4003;
const TOO_SLOW: u16 = 4008;

/// Why a socket ends.
pub(super) enum End {
    /// The client left, or is not there any more.
    Gone,
    Close(u16),
}

pub(super) struct Socket {
    session: Session,
    caller: Caller,
    party: Party,
    /// Of the topics, by number; none for one that is not its client's to see any more.
    names: Vec<Option<String>>,
    after: After,
    feeds: web::Data<Feeds>,
    /// What its client has been sent.
    seen: Cursor,
}

impl Socket {
    pub(super) fn new(
        session: Session,
        caller: Caller,
        names: Vec<String>,
        after: After,
        feeds: web::Data<Feeds>,
    ) -> Self {
        let names = names.into_iter().map(Some).collect();
        Self { session, party: caller.party(), caller, names, after, feeds, seen: Cursor::start() }
    }

    pub(super) async fn run(
        mut self,
        stream: MessageStream,
        topics: Vec<Topic>,
        system: web::Data<System>,
        closing: watch::Receiver<bool>,
        seat: FeedSeat,
    ) {
        let end = match self.begin(topics, &seat, &system).await {
            Ok(subscription) => self.pass_on(stream, subscription, &system, closing).await,
            Err(end) => end,
        };
        if let End::Close(code) = end {
            if code == TOO_SLOW {
                // A resume token does not fit the close frame's 123 bytes.
                let last = Frame::TooSlow { resume: self.feeds.tokens.write(&self.seen) };
                let _ = self.send(&last).await;
            }
            let reason = CloseReason { code: CloseCode::from(code), description: None };
            let _ = timeout(WRITE_WITHIN, self.session.close(Some(reason))).await;
        }
    }

    /// Joins, says hello, and sends what the client missed.
    async fn begin(&mut self, topics: Vec<Topic>, seat: &FeedSeat, system: &System) -> Result<Subscription, End> {
        for topic in &topics {
            if !is_theirs(topic, &self.caller, system).await? {
                return Err(End::Close(NOT_YOURS));
            }
        }
        let subscription = system.feed.join(topics).map_err(|_| End::Close(CloseCode::Again.into()))?;
        let after = std::mem::replace(&mut self.after, After::Now);
        if let After::Cursor(from) = &after {
            self.seen = from.clone();
        } else {
            self.seen = subscription.joined.clone();
        }
        let resume = match &after {
            After::Now | After::Cursor(_) => self.feeds.tokens.write(&self.seen),
            // Until they have been told to read everything again, nothing lets them go on from here.
            After::Foreign(token) => token.clone(),
        };
        self.send(&Frame::Hello { heartbeat_s: HEARTBEAT.as_secs(), resume }).await?;
        let complete = match after {
            After::Now => true,
            After::Cursor(from) => {
                let turn = timeout(REPLAYS_WITHIN, seat.replay_turn()).await;
                let _turn = turn.map_err(|_| End::Close(CloseCode::Again.into()))?;
                self.replay(&subscription, from, system).await?
            }
            After::Foreign(_) => false,
        };
        self.seen = subscription.joined.clone();
        if !complete {
            for topic in self.names.clone().into_iter().flatten() {
                self.send(&Frame::Reset { topic: &topic }).await?;
            }
        }
        Ok(subscription)
    }

    /// Sends what the client missed. False if that cannot be done: it is too much.
    async fn replay(&mut self, subscription: &Subscription, from: Cursor, system: &System) -> Result<bool, End> {
        let again = |error: ReplayError| {
            match &error {
                ReplayError::Busy => tracing::debug!(%error, "a feed could not be replayed"),
                ReplayError::Follow(_) => tracing::warn!(%error, "a feed could not be replayed"),
            }
            End::Close(CloseCode::Again.into())
        };
        let Some(mut missed) = subscription.missed(&system.readers, from).await.map_err(again)? else {
            return Ok(false);
        };
        while let Some(page) = subscription.next(&mut missed).await.map_err(again)? {
            for delivery in page {
                self.deliver(&delivery, subscription, system).await?;
            }
        }
        Ok(true)
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
                    None if subscription.is_lagging() => Err(End::Close(TOO_SLOW)),
                    None => Err(End::Close(CloseCode::Restart.into())),
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
        // Whoever leaves between two frames of one event hears it again, rather than one topic of it never.
        let seen = if delivery.completes { delivery.event.cursor.clone() } else { self.seen.clone() };
        self.show(delivery, &seen, subscription, system).await?;
        self.seen = seen;
        Ok(())
    }

    async fn show(
        &mut self,
        delivery: &Delivery,
        seen: &Cursor,
        subscription: &Subscription,
        system: &System,
    ) -> Result<(), End> {
        let (event, topic) = (&delivery.event, &subscription.topics[delivery.topic]);
        let Some(name) = self.names[delivery.topic].clone() else { return Ok(()) };
        if !may_see(topic, &event.order, (&self.caller, &self.party), system).await? {
            return self.leave(delivery.topic, &name).await;
        }
        let board = matches!(topic, Topic::Deliveries { .. });
        let order = rendered(event, &self.party, board, system.clock.now());
        let order = RawValue::from_string(order.to_string()).map_err(|_| End::Gone)?;
        let frame = Frame::Event {
            topic: &name,
            order_id: event.order.id,
            version: event.version,
            kind: event.name,
            at: event.at,
            order: &order,
            resume: self.feeds.tokens.write(seen),
        };
        self.send(&frame).await
    }

    async fn leave(&mut self, topic: usize, name: &str) -> Result<(), End> {
        self.names[topic] = None;
        self.send(&Frame::NotYours { topic: name }).await?;
        if self.names.iter().all(Option::is_none) { Err(End::Close(NOT_YOURS)) } else { Ok(()) }
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
