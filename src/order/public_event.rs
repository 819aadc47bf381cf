//! An event as other systems get it: the value, the key and the CloudEvents attributes.
//!
//! Everything here is a function of the journal's row alone, so a repeat has the same bytes, after a restart and in
//! a later release. Nothing that names a card, a telephone or an address leaves, nor any free text that people
//! typed: what goes out is listed, what is not listed stays. Sent by the Kafka bridge, described by `asyncapi`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event::OrderEvent;
use super::id::{CommandId, OrderId};
use super::time::Timestamp;

/// A row of an order's history, borrowed from the journal.
#[derive(Clone, Copy, Debug)]
pub struct PublicEvent<'a> {
    pub order: OrderId,
    pub version: u32,
    /// The wire name, such as `order_placed`.
    pub name: &'a str,
    pub at: Timestamp,
    /// Who caused it: `customer:alice`, `system`.
    pub by: &'a str,
    pub command: CommandId,
    /// The body as the journal holds it.
    pub data: &'a str,
}

/// The attributes of CloudEvents 1.0 in its binary Kafka binding, and of W3C Trace Context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// `<order id>:<version>`: a repeat has the same.
    pub id: String,
    /// `baedal.order.accepted.v1`
    pub kind: String,
    /// The order id, which is also the key: it keeps an order's events in one partition, in sequence.
    pub subject: String,
    /// RFC 3339.
    pub time: String,
    /// The order's version.
    pub sequence: String,
    pub traceparent: String,
}

impl Attributes {
    /// The `ce_source` of every event.
    pub const SOURCE: &'static str = "/baedal/orders";

    /// As headers, the same ones in the same sequence for every event.
    pub fn headers(&self) -> [(&'static str, &str); 9] {
        [
            ("ce_specversion", "1.0"),
            ("ce_id", &self.id),
            ("ce_source", Self::SOURCE),
            ("ce_type", &self.kind),
            ("ce_subject", &self.subject),
            ("ce_time", &self.time),
            ("ce_sequence", &self.sequence),
            ("traceparent", &self.traceparent),
            ("content-type", "application/json"),
        ]
    }
}

/// A value is never longer than the body in the journal by more than this: ids, name, time, who did it, field names.
/// The journal takes no body above 64 KiB, so a broker that takes the usual 1 MB takes every event.
pub const ENVELOPE_AT_MOST: usize = 512;

/// What was read of a body: all of it, its public part, or nothing.
enum PublicData<'a> {
    AsItIs(&'a str),
    Rewritten(String),
    Withheld,
}

impl PublicEvent<'_> {
    pub fn attributes(&self) -> Attributes {
        let subject = self.order.to_string();
        Attributes {
            id: format!("{subject}:{}", self.version),
            kind: kind(self.name),
            time: self.at.to_string(),
            sequence: self.version.to_string(),
            traceparent: self.traceparent(),
            subject,
        }
    }

    /// The value: the event in the shape of `GET /v1/orders/{order_id}/events`, without what is private.
    ///
    /// An event that this program cannot read is announced with empty data, and the second part says so: whoever
    /// counts versions sees no hole, and what is not understood does not leave.
    pub fn value(&self) -> (String, bool) {
        let data = self.public_data();
        let (data, whole) = match &data {
            PublicData::AsItIs(data) => (*data, true),
            PublicData::Rewritten(data) => (data.as_str(), true),
            PublicData::Withheld => ("{}", false),
        };
        let mut value = String::with_capacity(data.len() + ENVELOPE_AT_MOST);
        let written = write!(
            value,
            r#"{{"order_id":"{}","version":{},"type":{},"at":"{}","by":{},"data":{data}}}"#,
            self.order,
            self.version,
            serde_json::Value::from(self.name),
            self.at,
            serde_json::Value::from(self.by),
        );
        written.expect("a text can be written to");
        (value, whole)
    }

    /// The trace is the command that caused the event, the span this one of its events; not sampled, because nobody
    /// here records it. Derived, so that a repeat is the same; ids of nothing but zeros are not allowed.
    fn traceparent(&self) -> String {
        let trace = self.command.uuid().as_u128().max(1);
        let order = self.order.uuid().as_u128();
        // A span is told from its neighbours by the version; the order's random half tells it from other orders'.
        let span = (order as u64 ^ u64::from(self.version).rotate_left(32)).max(1);
        format!("00-{trace:032x}-{span:016x}-00")
    }

    fn public_data(&self) -> PublicData<'_> {
        let rewritten = match self.name {
            "order_placed" => rewrite::<Placed>(self.data),
            "payment_requested" => rewrite::<PaymentRequested>(self.data),
            "order_rejected" => rewrite::<Rejected>(self.data),
            "order_cancelled" => rewrite::<Cancelled>(self.data),
            name if HARMLESS.contains(&name) => return PublicData::AsItIs(self.data),
            _ => None,
        };
        rewritten.map_or(PublicData::Withheld, PublicData::Rewritten)
    }
}

/// `order_accepted` is `baedal.order.accepted.v1`, `picked_up` is `baedal.order.picked_up.v1`.
pub fn kind(name: &str) -> String {
    format!("baedal.order.{}.v1", name.strip_prefix("order_").unwrap_or(name))
}

/// Events whose bodies hold nothing but ids, numbers and words of our own or the provider's: they pass as they are.
const HARMLESS: &[&str] = &[
    "unavailable_area",
    "stock_reserved",
    "out_of_stock",
    "payment_deferred",
    "payment_unresolved",
    "payment_authorized",
    "payment_captured",
    "payment_declined",
    "payment_voided",
    "payment_refunded",
    "order_submitted",
    "order_accepted",
    "preparation_started",
    "preparation_finished",
    "preparation_cancelled",
    "delivery_offered",
    "rider_assigned",
    "assignment_confirmed",
    "rider_accepted",
    "rider_declined",
    "picked_up",
    "delivered",
    "rider_released",
    "delivery_cancelled",
    "stock_returned",
    "stock_sold",
    "reminder_given",
    "order_completed",
    "order_settled",
];

// A new event does not compile until it stands above or is rewritten.
const _: () = assert!(HARMLESS.len() + 4 == OrderEvent::NAMES.len());

/// Reads the public part of a body and writes it down.
fn rewrite<'a, T: Deserialize<'a> + Serialize>(data: &'a str) -> Option<String> {
    let public: T = serde_json::from_str(data).ok()?;
    serde_json::to_string(&public).ok()
}

/// The menu's names and the store's are public; whatever the customer typed is not.
#[derive(Serialize, Deserialize)]
struct Placed<'a> {
    #[serde(borrow)]
    store: &'a RawValue,
    #[serde(borrow)]
    customer_id: &'a RawValue,
    #[serde(borrow)]
    policy: &'a RawValue,
    #[serde(borrow)]
    lines: &'a RawValue,
    #[serde(borrow)]
    total: &'a RawValue,
    destination: Somewhere,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parcel: Option<Parcel>,
    #[serde(borrow)]
    payment_method: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Parcel {
    weight_g: u32,
    pick_up: Somewhere,
}

/// A place to within about a kilometre: enough to count orders by district, not to find a door.
#[derive(Serialize, Deserialize)]
struct Somewhere {
    #[serde(deserialize_with = "coarse")]
    lat: f64,
    #[serde(deserialize_with = "coarse")]
    lng: f64,
}

/// Degrees with two decimals.
fn coarse<'de, D: serde::Deserializer<'de>>(degrees: D) -> Result<f64, D::Error> {
    let degrees = f64::deserialize(degrees)?;
    // Adding zero makes 0.0 of -0.0 and nothing of anything else.
    Ok((degrees * 100.0).round() / 100.0 + 0.0)
}

#[derive(Serialize, Deserialize)]
struct PaymentRequested {
    attempt: u16,
}

/// The store's reason is free text.
#[derive(Serialize, Deserialize)]
struct Rejected {}

#[derive(Serialize, Deserialize)]
struct Cancelled<'a> {
    #[serde(borrow)]
    by: &'a RawValue,
    #[serde(borrow)]
    reason: &'a RawValue,
}
