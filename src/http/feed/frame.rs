//! Frames of a feed, and an order as their reader may see it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::actors::FeedEvent;
use crate::http::outcome::Reader;
use crate::http::riders::DeliveryBody;
use crate::order::{Order, OrderId, Party, Timestamp};

#[derive(Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(super) enum Frame<'a> {
    Hello {
        heartbeat_s: u64,
        /// Everything that happens after this point is in the frames that follow
        resume: String,
    },
    Event {
        topic: &'a str,
        order_id: OrderId,
        version: u32,
        #[serde(rename = "type")]
        kind: &'static str,
        at: Timestamp,
        order: &'a RawValue,
        resume: String,
    },
    /// Too old to replay: read everything again
    Reset { topic: &'a str },
    /// Not this client's to see any more: nothing more comes of it. The socket is closed when no topic is left
    NotYours { topic: &'a str },
    /// The last frame before the socket is closed because its reader is too slow
    TooSlow { resume: String },
}

/// Readers who are shown the same of an event: rendered once however many they are.
#[derive(Clone, Copy)]
enum Audience {
    Customer,
    Store,
    /// The rider who had the delivery at that event.
    Rider,
    Operator,
    /// Riders who look for deliveries.
    Board,
}

/// None for a reader who is alone with what they may do: a rider who has the delivery now and reads of earlier days.
fn audience(order: &Order, party: &Party) -> Option<Audience> {
    match party {
        Party::Customer(_) => Some(Audience::Customer),
        Party::Store(_) => Some(Audience::Store),
        Party::Rider(rider) => (order.rider() == Some(rider)).then_some(Audience::Rider),
        Party::Operator(_) => Some(Audience::Operator),
        Party::System => None,
    }
}

/// The order as it stood after the event, as JSON for `party`, who may see it.
pub(super) fn rendered(event: &FeedEvent, party: &Party, board: bool, now: Timestamp) -> Arc<str> {
    let order = &event.order;
    let shared = |audience: Audience| &event.rendered[audience as usize];
    if board {
        let delivery = || serde_json::to_string(&DeliveryBody::of(order, None)).expect("a delivery has string keys");
        return shared(Audience::Board).get_or_init(|| delivery().into()).clone();
    }
    let render = || Arc::<str>::from(Reader { party, now }.json(order));
    match audience(order, party) {
        Some(audience) => shared(audience).get_or_init(render).clone(),
        None => render(),
    }
}
