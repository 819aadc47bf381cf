//! What a subscriber may rely on, checked against what the journal says of the same orders.
//!
//! Nothing is missing. Nothing is there that the journal does not have. An order's events come first in the sequence of
//! its versions; a repeat may come at any time, is known by its id, and has the same bytes. Key, headers and partition
//! are as the contract says. Nothing private leaves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::helpers::{Options, TestApp, place, wait_until};
use crate::murmur2;
use crate::topic::{Record, Topic};

/// What the orders of these tests are paid with: looked for in what leaves.
pub const CARD: &str = "slow:1";

/// Partitions of a topic, unless a test says otherwise: several, so that a wrong one would be seen.
const PARTITIONS: usize = 12;

/// What was found in a topic, all of it as it should be.
pub struct Mirrored {
    pub records: Vec<Record>,
    pub repeats: usize,
}

/// A server that mirrors to this topic.
pub fn mirroring_to(topic: &Topic) -> Options {
    Options::default()
        .set("kafka.bootstrap_servers", topic.broker())
        .set("kafka.topic", &topic.name)
        .set("kafka.partitions", PARTITIONS)
}

/// Waits until the topic has every event of these orders, which are all there are, and checks everything.
pub async fn everything_is_mirrored(app: &TestApp, topic: &Topic, orders: &[String]) -> Mirrored {
    assert!(!orders.is_empty(), "nothing was done");
    let complete = || async {
        let records = topic.read().await?;
        // Read after the topic: what was in the topic must be in the journal by then.
        let mut histories = BTreeMap::new();
        for order in orders {
            histories.insert(order.clone(), app.history(order).await);
        }
        let mirrored: BTreeSet<_> = records.iter().map(|record| (record.key.as_str(), record.version())).collect();
        let events: usize = histories.values().map(Vec::len).sum();
        (mirrored.len() >= events).then_some((records, histories))
    };
    let (records, histories) = wait_until(&format!("{} has all events", topic.name), complete).await;
    let repeats = check(&records, &histories);
    Mirrored { records, repeats }
}

/// Checks what was read against the histories; the number of repeats.
pub fn check(records: &[Record], histories: &BTreeMap<String, Vec<Value>>) -> usize {
    let mut last: HashMap<&str, u64> = HashMap::new();
    let mut first: HashMap<&str, &Record> = HashMap::new();
    let mut repeats = 0;
    // By partition, then offset: an order's events share a partition, so for each order this is the sequence in which
    // every subscriber sees them.
    for record in records {
        let id = record.header("ce_id");
        if let Some(original) = first.get(id) {
            let content = |record: &Record| (record.key.clone(), record.headers.clone(), record.value.clone());
            assert_eq!(content(original), content(record), "a repeat has the same bytes");
            repeats += 1;
            continue;
        }
        let history = histories.get(&record.key).unwrap_or_else(|| panic!("no such order: {record:?}"));
        let last = last.entry(&record.key).or_default();
        assert_eq!(record.version(), *last + 1, "first occurrences come in sequence: {record:?}");
        *last += 1;
        let event = history.get(*last as usize - 1).unwrap_or_else(|| panic!("not in the journal: {record:?}"));
        is_as_the_contract_says(record, event);
        first.insert(id, record);
    }
    for (order, history) in histories {
        assert_eq!(last.get(order.as_str()).copied().unwrap_or_default(), history.len() as u64, "of order {order}");
    }
    repeats
}

/// One record against the event of the journal that it stands for.
fn is_as_the_contract_says(record: &Record, event: &Value) {
    let kind = event["type"].as_str().unwrap();
    let expected = [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_source", "/baedal/orders".to_owned()),
        ("ce_type", format!("baedal.order.{}.v1", kind.strip_prefix("order_").unwrap_or(kind))),
        ("ce_subject", record.key.clone()),
        ("ce_time", event["at"].as_str().unwrap().to_owned()),
        ("ce_sequence", event["version"].to_string()),
        ("content-type", "application/json".to_owned()),
    ];
    for (name, value) in &expected {
        assert_eq!(record.header(name), value, "{name}");
    }
    let names: BTreeSet<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
    let known = expected.iter().map(|(name, _)| *name).chain(["ce_id", "traceparent"]).collect();
    assert_eq!((&names, names.len()), (&known, record.headers.len()));
    assert!(is_traceparent(record.header("traceparent")), "{}", record.header("traceparent"));
    assert_eq!(record.partition, murmur2::partition_of(&record.key, PARTITIONS), "where every client looks for it");

    let value: Value = serde_json::from_str(&record.value).expect("the value is JSON");
    for field in ["version", "type", "at", "by"] {
        assert_eq!(value[field], event[field], "{field} of {value}");
    }
    assert_eq!(value["order_id"], record.key);
    leaves_nothing_private(record, &value, event);
}

/// Only what is listed leaves, and what leaves is what the journal has; places lose their last digits.
fn leaves_nothing_private(record: &Record, value: &Value, event: &Value) {
    let private = [CARD, "1234-5678", "Samcheong", "Please ring", "Contract", "Jong-ro"];
    let found: Vec<_> = private.into_iter().filter(|text| record.value.contains(text)).collect();
    assert!(found.is_empty(), "{found:?} in {}", record.value);
    let (data, whole) = (value["data"].as_object().unwrap(), event["data"].as_object().unwrap());
    for (field, content) in data {
        let only_where = ["destination", "parcel"].contains(&field.as_str());
        assert!(only_where || whole.get(field) == Some(content), "{field} of {value}, which is {event}");
    }
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]) && parts.iter().all(|part| hex(part)) && parts[0] == "00"
}

/// The place that people of these tests live at has what [`leaves_nothing_private`] looks for.
#[test]
fn what_is_looked_for_is_what_people_write() {
    let address = place("7 Samcheong-ro", (0.0, 0.0)).to_string();
    assert!(address.contains("1234-5678"), "{address}");
}

/// A topic that is not as it should be does not pass.
mod the_checks_find {
    use super::*;

    const ORDER: &str = "0190a000-0000-7000-8000-000000000001";

    fn event(version: u64, kind: &str) -> Value {
        json!({"version": version, "type": kind, "at": "2026-11-21T12:00:00Z", "by": "system", "data": {}})
    }

    fn record(offset: i64, version: u64, kind: &str) -> Record {
        let value = json!({
            "order_id": ORDER, "version": version, "type": kind, "at": "2026-11-21T12:00:00Z", "by": "system", "data": {}
        });
        let headers = [
            ("ce_specversion", "1.0".into()),
            ("ce_id", format!("{ORDER}:{version}")),
            ("ce_source", "/baedal/orders".into()),
            ("ce_type", format!("baedal.order.{kind}.v1")),
            ("ce_subject", ORDER.into()),
            ("ce_time", "2026-11-21T12:00:00Z".into()),
            ("ce_sequence", version.to_string()),
            ("traceparent", format!("00-{:032x}-{:016x}-00", 7, 7)),
            ("content-type", "application/json".into()),
        ];
        Record {
            partition: murmur2::partition_of(ORDER, PARTITIONS),
            offset,
            key: ORDER.into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            value: value.to_string(),
        }
    }

    fn histories() -> BTreeMap<String, Vec<Value>> {
        BTreeMap::from([(ORDER.into(), vec![event(1, "picked_up"), event(2, "delivered")])])
    }

    #[test]
    fn nothing_where_all_is_well() {
        let again = record(2, 1, "picked_up");
        assert_eq!(check(&[record(0, 1, "picked_up"), record(1, 2, "delivered"), again], &histories()), 1);
    }

    #[test]
    #[should_panic(expected = "in sequence")]
    fn an_inversion() {
        check(&[record(0, 2, "delivered"), record(1, 1, "picked_up")], &histories());
    }

    #[test]
    #[should_panic(expected = "of order")]
    fn a_missing_end() {
        check(&[record(0, 1, "picked_up")], &histories());
    }

    #[test]
    #[should_panic(expected = "the same bytes")]
    fn a_repeat_with_other_bytes() {
        let mut again = record(1, 1, "picked_up");
        again.value.push(' ');
        check(&[record(0, 1, "picked_up"), again], &histories());
    }

    #[test]
    #[should_panic(expected = "not in the journal")]
    fn an_event_of_its_own() {
        check(&[record(0, 1, "picked_up"), record(1, 2, "delivered"), record(2, 3, "delivered")], &histories());
    }

    #[test]
    #[should_panic(expected = "ce_type")]
    fn a_wrong_header() {
        check(&[record(0, 1, "delivered")], &histories());
    }

    #[test]
    #[should_panic(expected = "where every client looks for it")]
    fn another_partition() {
        let mut astray = record(0, 1, "picked_up");
        astray.partition = (astray.partition + 1) % 12;
        check(&[astray], &histories());
    }

    #[test]
    #[should_panic(expected = "1234-5678")]
    fn a_telephone_number() {
        let mut told = record(0, 1, "picked_up");
        told.value = told.value.replace("\"data\":{}", "\"data\":{\"phone\":\"1234-5678\"}");
        check(&[told], &histories());
    }
}
