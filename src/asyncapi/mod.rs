//! The events in Kafka, described for their consumers as AsyncAPI 3.0: one channel, one message for each event.
//!
//! What stands in an event is decided in `order::public_event`; the tests here hold the description against samples
//! of every event, in both directions. The promises of the mirror are said in words, because no schema can.

#[cfg(test)]
mod tests;

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
        ("payment_unresolved", "Whether the provider did it is not known, and a person has to look.", attempt()),
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
        ("assignment_confirmed", "The rider whom the store named has room for it.", rider()),
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
