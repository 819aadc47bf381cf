//! Holds the description against samples of every event, in both directions.

use std::collections::BTreeSet;

use super::*;
use crate::order::OrderEvent;

/// Every event as it leaves: its type, a space, its value.
const SAMPLES: &str = include_str!("../order/public_events.txt");

/// Says what of the schema the value shows, by path; fails on a value that the schema does not describe.
fn shown(document: &Value, schema: &Value, value: &Value, path: &str, seen: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(&reference[1..]).expect("a reference leads somewhere");
        return shown(document, schema, value, path, seen);
    }
    seen.insert(path.to_owned());
    if let Some(constant) = schema.get("const") {
        return assert_eq!(constant, value, "{path}");
    }
    let is = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::Null => "null",
    };
    let types = &schema["type"];
    let fits = types == is || types.as_array().is_some_and(|types| types.contains(&is.into()));
    assert!(fits, "{path} is {is}, described as {types}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{path} is {value}");
        seen.insert(format!("{path}={value}"));
    }
    // The policy is described in words.
    let Some(properties) = schema["properties"].as_object() else {
        let is_described = path.ends_with("/policy") || value.as_object().is_none_or(Map::is_empty);
        assert!(is_described, "{path} has fields that are not described: {value}");
        if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
            values.iter().for_each(|value| shown(document, items, value, &format!("{path}[]"), seen));
        }
        return;
    };
    let fields = value.as_object().expect("it is an object");
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{path} lacks {name}");
    }
    for (name, value) in fields {
        let schema = properties.get(name).unwrap_or_else(|| panic!("{path}/{name} is not described"));
        shown(document, schema, value, &format!("{path}/{name}"), seen);
    }
}

/// Every path that the schema describes, and every word that it allows.
fn described(document: &Value, schema: &Value, path: &str, all: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(&reference[1..]).expect("a reference leads somewhere");
        return described(document, schema, path, all);
    }
    all.insert(path.to_owned());
    for word in schema["enum"].as_array().into_iter().flatten() {
        all.insert(format!("{path}={word}"));
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        described(document, schema, &format!("{path}/{name}"), all);
    }
    if let Some(items) = schema.get("items") {
        described(document, items, &format!("{path}[]"), all);
    }
}

#[test]
fn what_is_described_is_what_is_sent() {
    let document = document(&Kafka::default());
    let messages = document["components"]["messages"].as_object().unwrap();
    let (mut seen, mut all) = (BTreeSet::new(), BTreeSet::new());
    for sample in SAMPLES.lines() {
        let (kind, value) = sample.split_once(' ').unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        let name = value["type"].as_str().unwrap();
        assert_eq!(messages[name]["title"], kind);
        shown(&document, &messages[name]["payload"], &value, name, &mut seen);
    }
    for (name, message) in messages {
        described(&document, &message["payload"], name, &mut all);
    }
    assert_eq!(seen, all, "everything that is described is in a sample");
}

#[test]
fn every_event_has_a_message() {
    let names: Vec<_> = events().iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, OrderEvent::NAMES);
}

/// As AsyncAPI 3.0 wants it: an operation's messages are the channel's, the channel's are the components'.
#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document(&Kafka { topic: "elsewhere".into(), ..Kafka::default() });
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 2 * OrderEvent::NAMES.len());
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
    let known = ["asyncapi", "channels", "components", "defaultContentType", "info", "operations"];
    assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), known);
    assert_eq!(document["channels"]["orders"]["address"], "elsewhere");
    assert_eq!(document["operations"]["mirror"]["action"], "send");
}

#[test]
fn the_headers_are_those_that_are_sent() {
    let attributes = Attributes {
        id: String::new(),
        kind: String::new(),
        subject: String::new(),
        time: String::new(),
        sequence: String::new(),
        traceparent: String::new(),
    };
    let sent: BTreeSet<_> = attributes.headers().iter().map(|(name, _)| (*name).to_owned()).collect();
    let headers = headers("delivered");
    assert_eq!(headers["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>(), sent);
}
