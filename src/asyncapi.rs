//! The events in Kafka, described for their consumers as AsyncAPI 3.0: one channel, one message for each event.
//!
//! What stands in an event is decided in `order::public_event`; the tests here hold the description against samples
//! of every event, in both directions. The promises of the mirror are said in words, because no schema can.

use serde_json::{Map, Value, json};

use crate::config::Kafka;
use crate::order::{Attributes, kind};

const PROMISES: &str = "Every event of every order, at least once. The key is the order's id, so an order's events \
are in one partition, and their first occurrences come in sequence. After a failure some come again, with the same \
`ce_id` and the same bytes: remember the last `ce_sequence` of each order and pass over what is not above it. New \
fields and new types may appear; a new meaning is a new type. What people typed, card tokens, telephone numbers and \
addresses are never in an event; places are coarse, two decimals of a degree.";

/// Every event: wire name, what it says, and the schema of its data.
fn events() -> Vec<(&'static str, &'static str, Value)> {
    let rider = || object(json!({ "rider_id": { "type": "string" } }), &["rider_id"]);
    let attempt = || object(json!({ "attempt": integer(1) }), &["attempt"]);
    vec![
        ("order_placed", "A customer has ordered.", placed()),
        ("unavailable_area", "The destination is outside of the store's area.", nothing()),
        ("stock_reserved", "The store's stock holds what was ordered.", nothing()),
        ("out_of_stock", "The store has too little of an item.", object(json!({ "item_id": id() }), &["item_id"])),
        ("payment_requested", "The provider is about to be asked for the money.", attempt()),
        ("payment_deferred", "The payment could not be settled yet and is tried again.", deferred()),
        ("payment_authorized", "The card is authorized.", attempt()),
        ("payment_captured", "The money has been taken.", attempt()),
        ("payment_declined", "The provider said no, and why in its own word.", declined()),
        ("payment_voided", "The authorization was released.", nothing()),
        ("payment_refunded", "The money was given back.", nothing()),
        ("order_submitted", "The store sees the order.", nothing()),
        ("order_accepted", "The store has taken the order.", nothing()),
        ("order_rejected", "The store does not take the order.", nothing()),
        ("preparation_started", "The kitchen is at work.", nothing()),
        ("preparation_finished", "It is ready.", nothing()),
        ("preparation_cancelled", "The kitchen has confirmed that it stopped.", nothing()),
        ("delivery_offered", "Riders nearby may take the delivery.", nothing()),
        ("rider_assigned", "A rider was found.", assigned()),
        ("rider_accepted", "The rider has said yes.", rider()),
        ("rider_declined", "The rider gave the delivery back, or did not answer.", rider_declined()),
        ("picked_up", "The order is on its way.", nothing()),
        ("delivered", "The order is with the customer.", nothing()),
        ("rider_released", "The rider's hands are free of this order.", rider()),
        ("delivery_cancelled", "The rider of a cancelled order was stood down.", nothing()),
        ("stock_returned", "The store's stock has it back.", nothing()),
        ("stock_sold", "What was reserved is sold.", nothing()),
        ("reminder_given", "Someone was told that the order waits for them.", reminded()),
        ("order_completed", "The customer has confirmed, or has not said otherwise in time.", completed()),
        ("order_cancelled", "The order ended before its end.", cancelled()),
        ("order_settled", "Whatever the ended order held has been given back.", nothing()),
    ]
}

/// The document, as `baedal asyncapi` prints it.
pub fn document_json(settings: &Kafka) -> String {
    let mut text = serde_json::to_string_pretty(&document(settings)).expect("the document is made of texts");
    text.push('\n');
    text
}

fn document(settings: &Kafka) -> Value {
    let events = events();
    let messages: Map<String, Value> =
        events.iter().map(|(name, summary, data)| ((*name).to_owned(), message(name, summary, data))).collect();
    let reference = |name: &str| json!({ "$ref": format!("#/components/messages/{name}") });
    let of_channel: Map<String, Value> =
        events.iter().map(|(name, ..)| ((*name).to_owned(), reference(name))).collect();
    let sent: Vec<Value> =
        events.iter().map(|(name, ..)| json!({ "$ref": format!("#/channels/orders/messages/{name}") })).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "baedal: events of orders",
            "version": env!("CARGO_PKG_VERSION"),
            "description": PROMISES,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": {
            "orders": {
                "address": settings.topic,
                "description": "What happens to orders, in the binary Kafka binding of CloudEvents 1.0.",
                "messages": of_channel,
                "bindings": { "kafka": {
                    "topic": settings.topic, "partitions": settings.partitions, "bindingVersion": BINDING,
                } },
            },
        },
        "operations": {
            "mirror": {
                "action": "send",
                "summary": "Every event of every order, at least once, in sequence for each order.",
                "channel": { "$ref": "#/channels/orders" },
                "messages": sent,
            },
        },
        "components": {
            "messages": messages,
            "schemas": {
                "Money": object(json!({
                    "amount": { "type": "integer", "description": "In the minor unit: won for KRW, cents for USD" },
                    "currency": { "type": "string" },
                }), &["amount", "currency"]),
                "Point": object(json!({ "lat": { "type": "number" }, "lng": { "type": "number" } }), &["lat", "lng"]),
            },
        },
    })
}

/// Of AsyncAPI's Kafka bindings.
const BINDING: &str = "0.5.0";

fn message(name: &str, summary: &str, data: &Value) -> Value {
    let payload = object(
        json!({
            "order_id": id(),
            "version": { "type": "integer", "minimum": 1, "description": "Counts what happened to the order" },
            "type": { "const": name },
            "at": { "type": "string", "format": "date-time" },
            "by": { "type": "string", "description": "`customer:alice`, `store:mario`, `rider:ravi`, `system`" },
            "data": data,
        }),
        &["order_id", "version", "type", "at", "by", "data"],
    );
    json!({
        "name": name,
        "title": kind(name),
        "summary": summary,
        "contentType": "application/json",
        "headers": headers(name),
        "payload": payload,
        "bindings": { "kafka": { "key": id(), "bindingVersion": BINDING } },
    })
}

fn headers(name: &str) -> Value {
    let properties = json!({
        "ce_specversion": { "const": "1.0" },
        "ce_id": { "type": "string", "description": "`<order id>:<version>`; a repeat has the same" },
        "ce_source": { "const": Attributes::SOURCE },
        "ce_type": { "const": kind(name) },
        "ce_subject": id(),
        "ce_time": { "type": "string", "format": "date-time" },
        "ce_sequence": { "type": "string", "description": "The order's version" },
        "traceparent": { "type": "string", "description": "Of the command that caused the event" },
        "content-type": { "const": "application/json" },
    });
    let names: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    object(properties, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

fn nothing() -> Value {
    json!({ "type": "object" })
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn integer(minimum: u32) -> Value {
    json!({ "type": "integer", "minimum": minimum })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn placed() -> Value {
    let line = object(
        json!({
            "item_id": id(), "name": { "type": "string" }, "quantity": integer(1),
            "unit_price": schema("Money"), "total": schema("Money"),
        }),
        &["item_id", "name", "quantity", "unit_price", "total"],
    );
    let store = object(
        json!({
            "id": id(), "name": { "type": "string" }, "owner": { "type": "string" }, "point": schema("Point"),
        }),
        &["id", "name", "owner", "point"],
    );
    let parcel = object(json!({ "weight_g": integer(0), "pick_up": schema("Point") }), &["weight_g", "pick_up"]);
    object(
        json!({
            "store": store,
            "customer_id": { "type": "string" },
            "policy": {
                "description": "A preset's name, or an object with `preset` and the fields that differ from it",
                "type": ["string", "object"],
            },
            "lines": { "type": "array", "items": line },
            "total": schema("Money"),
            "destination": schema("Point"),
            "parcel": parcel,
            "payment_method": one_of(&["card", "on_delivery"]),
        }),
        &["store", "customer_id", "policy", "lines", "total", "destination", "payment_method"],
    )
}

fn deferred() -> Value {
    object(
        json!({
            "attempt": integer(1),
            "in_doubt": { "type": "boolean", "description": "Whether the money may have been taken all the same" },
            "why": { "type": "string" },
        }),
        &["attempt", "in_doubt", "why"],
    )
}

fn declined() -> Value {
    object(json!({ "attempt": integer(1), "code": { "type": "string" } }), &["attempt", "code"])
}

fn assigned() -> Value {
    let how = one_of(&["claimed", "by_store", "own"]);
    object(json!({ "rider_id": { "type": "string" }, "how": how }), &["rider_id", "how"])
}

fn rider_declined() -> Value {
    let why = one_of(&["rider", "did_not_answer", "at_capacity"]);
    object(json!({ "rider_id": { "type": "string" }, "why": why }), &["rider_id", "why"])
}

fn reminded() -> Value {
    object(json!({ "to": one_of(&["store", "operator", "customer"]) }), &["to"])
}

fn completed() -> Value {
    object(json!({ "by": one_of(&["customer", "system"]) }), &["by"])
}

fn cancelled() -> Value {
    let reasons = [
        "customer",
        "unavailable_area",
        "out_of_stock",
        "payment_declined",
        "payment_not_completed",
        "store_rejected",
        "store_did_not_answer",
        "no_rider",
        "operator",
    ];
    let by = one_of(&["customer", "system", "operator"]);
    object(json!({ "by": by, "reason": one_of(&reasons) }), &["by", "reason"])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::order::OrderEvent;

    /// Every event as it leaves: its type, a space, its value.
    const SAMPLES: &str = include_str!("order/public_events.txt");

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
}
