//! `public_events.txt` holds what other systems get of every event: the CloudEvents type, a space, the value.
//!
//! `UPDATE_PUBLIC_EVENTS=1 cargo test --lib public_events` writes it anew. A line that changes is a change of what
//! others read, and of what a repeat of an old event looks like: give the new meaning a new type instead.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use crate::order::public_event::{ENVELOPE_AT_MOST, PublicEvent, kind};
use crate::order::testing::golden::order_events;
use crate::order::testing::*;
use crate::order::{CommandId, EndReason, Ended, OrderEvent, OrderId};

const FILE: &str = include_str!("../public_events.txt");

/// As the journal would hold it: the seventh event of an order, caused by its customer.
fn row<'a>(name: &'a str, data: &'a str) -> PublicEvent<'a> {
    let command = CommandId::new(Uuid::from_u128(0xc0_4d));
    PublicEvent { order: ORDER, version: 7, name, at: NOON, by: "customer:alice", command, data }
}

fn written() -> String {
    let line = |event: &OrderEvent| {
        let data = event.data();
        let (value, whole) = row(event.name(), &data).value();
        assert!(whole, "{} is read", event.name());
        format!("{} {value}\n", kind(event.name()))
    };
    order_events().iter().map(line).collect()
}

#[test]
fn public_events_are_what_they_always_were() {
    let written = written();
    if std::env::var_os("UPDATE_PUBLIC_EVENTS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/order/public_events.txt");
        std::fs::write(path, &written).expect("the file can be written");
        return;
    }
    for (is, should) in written.lines().zip(FILE.lines()) {
        assert_eq!(is, should, "run again with UPDATE_PUBLIC_EVENTS=1 and look at the difference");
    }
    assert_eq!(written.len(), FILE.len(), "one line for each sample: run again with UPDATE_PUBLIC_EVENTS=1");
}

#[test]
fn a_public_event_is_named_by_its_order_and_version() {
    let accepted = row("order_accepted", "{}");
    assert_eq!(
        accepted.attributes().headers(),
        [
            ("ce_specversion", "1.0"),
            ("ce_id", "00000000-0000-0000-0000-00000000001d:7"),
            ("ce_source", "/baedal/orders"),
            ("ce_type", "baedal.order.accepted.v1"),
            ("ce_subject", "00000000-0000-0000-0000-00000000001d"),
            ("ce_time", "2026-11-21T12:00:00Z"),
            ("ce_sequence", "7"),
            ("traceparent", "00-0000000000000000000000000000c04d-000000070000001d-00"),
            ("content-type", "application/json"),
        ]
    );
    assert_eq!(kind("picked_up"), "baedal.order.picked_up.v1");
    let kinds: BTreeSet<String> = OrderEvent::NAMES.iter().map(|name| kind(name)).collect();
    assert_eq!(kinds.len(), OrderEvent::NAMES.len(), "no two events share a type");
}

/// Each of these is typed by a person, or names a card.
const CANARIES: [&str; 8] = [
    "canary-token",
    "canary-phone",
    "canary-address",
    "canary-note",
    "canary-parcel",
    "canary-size",
    "canary-reason",
    "canary-pick-up",
];

fn with_canaries() -> Vec<OrderEvent> {
    let everything = serde_json::json!({
        "store": {"id": ORDER, "name": "Soup", "owner": "bob", "point": {"lat": 37.5, "lng": 127.0}},
        "customer_id": "alice", "policy": "food_delivery", "lines": [],
        "total": {"amount": 1, "currency": "KRW"}, "payment_method": "card", "card_token": "canary-token",
        "destination": {"text": "canary-address", "lat": 37.123456, "lng": 127.654321, "phone": "canary-phone"},
        "note": "canary-note",
        "parcel": {"description": "canary-parcel", "size": "canary-size", "weight_g": 1,
            "pick_up": {"text": "canary-pick-up", "lat": 37.234567, "lng": -0.001, "phone": "canary-phone"}},
    });
    let note = Some(text("canary-note"));
    vec![
        OrderEvent::read("order_placed", &everything.to_string()).unwrap(),
        OrderEvent::read("payment_requested", r#"{"attempt":1,"token":"canary-token"}"#).unwrap(),
        OrderEvent::read("order_rejected", r#"{"reason":"canary-reason"}"#).unwrap(),
        OrderEvent::OrderCancelled(Ended {
            by: crate::order::PartyRole::Customer,
            reason: EndReason::Customer,
            note,
            stop_preparation: true,
        }),
    ]
}

#[test]
fn no_token_phone_note_or_address_leaves() {
    let inside: String = with_canaries().iter().map(OrderEvent::data).collect();
    for canary in CANARIES {
        assert!(inside.contains(canary), "{canary} is in the journal");
    }
    for event in with_canaries() {
        let data = event.data();
        let (value, _) = row(event.name(), &data).value();
        for hidden in CANARIES.iter().chain(&["123456", "654321", "234567", "canary"]) {
            assert!(!value.contains(hidden), "{hidden} leaves in {value}");
        }
    }
}

#[test]
fn coordinates_leave_with_two_decimals() {
    let data = with_canaries()[0].data();
    let (value, _) = row("order_placed", &data).value();
    assert!(value.contains(r#""destination":{"lat":37.12,"lng":127.65}"#), "{value}");
    assert!(value.contains(r#""pick_up":{"lat":37.23,"lng":0.0}"#), "{value}");
}

#[test]
fn what_cannot_be_read_is_announced_and_withheld() {
    let broken = [("order_placed", "{}"), ("order_placed", "nonsense"), ("payment_split", r#"{"token":"canary"}"#)];
    for (name, data) in broken {
        let (value, whole) = row(name, data).value();
        assert!(!whole && value.ends_with(r#""data":{}}"#), "{value}");
        let value: serde_json::Value = serde_json::from_str(&value).unwrap();
        assert_eq!((&value["version"], &value["type"]), (&7.into(), &name.into()));
    }
}

proptest! {
    /// The journal takes no body above 64 KiB: so no value comes near the 1 MB that a broker takes.
    #[test]
    fn a_public_event_is_hardly_longer_than_its_body(
        id in any::<u128>(), version in any::<u32>(), at in 0_i64..253_402_300_800_000_000, sample in any::<prop::sample::Index>(),
    ) {
        let samples = order_events();
        let event = &samples[sample.index(samples.len())];
        let (by, data) = (format!("customer:{}", "x".repeat(64)), event.data());
        let row = PublicEvent {
            order: OrderId::new(Uuid::from_u128(id)),
            version,
            name: event.name(),
            at: crate::order::Timestamp::from_micros(at),
            by: &by,
            command: CommandId::new(Uuid::from_u128(id)),
            data: &data,
        };
        let (value, _) = row.value();
        prop_assert!(value.len() <= data.len() + ENVELOPE_AT_MOST);
        prop_assert_eq!(&row.value().0, &value, "a repeat has the same bytes");
        let parsed: serde_json::Value = serde_json::from_str(&value).unwrap();
        prop_assert_eq!(&parsed["order_id"], &row.order.to_string());
    }
}
