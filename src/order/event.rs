//! Every event in the life of an order: its wire name and its body.
//!
//! The name stands in a column of its own and the body is untagged JSON, which halves the cost of reading an
//! order back. A name or field that has been released keeps its meaning for ever; a new meaning is a new name.

use serde::{Deserialize, Serialize};

use super::id::{ItemId, RiderId};
use super::order::{Assignment, CardToken, SharedPlacement};
use super::party::{Ended, PartyRole};
use super::text::Text;

/// Declares the events once: variant, wire name, body.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($body:ident) = $name:literal,)*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub enum OrderEvent {
            $($(#[$doc])* $variant($body),)*
        }

        impl OrderEvent {
            /// Every wire name, in the order of an order's life.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The wire name, as in the journal, on the feed and in Kafka.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(OrderEvent::$variant(_) => $name,)*
                }
            }

            /// The body as JSON.
            pub fn data(&self) -> String {
                let json = match self {
                    $(OrderEvent::$variant(body) => serde_json::to_string(body),)*
                };
                json.expect("event bodies have string keys and finite numbers")
            }

            /// Reads an event back from the journal.
            pub fn read(name: &str, data: &str) -> Result<Self, UnreadableEvent> {
                let unreadable = |source| UnreadableEvent { name: name.to_owned(), source: Some(source) };
                match name {
                    $($name => serde_json::from_str(data).map(OrderEvent::$variant).map_err(unreadable),)*
                    unknown => Err(UnreadableEvent { name: unknown.to_owned(), source: None }),
                }
            }
        }
    };
}

events! {
    OrderPlaced(SharedPlacement) = "order_placed",
    UnavailableArea(Nothing) = "unavailable_area",
    StockReserved(Nothing) = "stock_reserved",
    OutOfStock(OutOfStock) = "out_of_stock",
    /// The intent to charge: stands in the journal before the provider is called.
    PaymentRequested(PaymentRequested) = "payment_requested",
    PaymentDeferred(PaymentDeferred) = "payment_deferred",
    /// The provider was asked to look and has nothing, after the time in which the request could be repeated. It stays in
    /// doubt; a person has to look.
    PaymentUnresolved(Attempt) = "payment_unresolved",
    PaymentAuthorized(Attempt) = "payment_authorized",
    PaymentCaptured(Attempt) = "payment_captured",
    PaymentDeclined(PaymentDeclined) = "payment_declined",
    PaymentVoided(Nothing) = "payment_voided",
    PaymentRefunded(Nothing) = "payment_refunded",
    /// The store sees the order from here on.
    OrderSubmitted(Nothing) = "order_submitted",
    OrderAccepted(Nothing) = "order_accepted",
    OrderRejected(OrderRejected) = "order_rejected",
    PreparationStarted(Nothing) = "preparation_started",
    PreparationFinished(Nothing) = "preparation_finished",
    /// The kitchen has confirmed that it stopped.
    PreparationCancelled(Nothing) = "preparation_cancelled",
    DeliveryOffered(Nothing) = "delivery_offered",
    RiderAssigned(RiderAssigned) = "rider_assigned",
    /// The rider's book holds a delivery that the store gave them: from here on they may say yes.
    AssignmentConfirmed(Rider) = "assignment_confirmed",
    RiderAccepted(Rider) = "rider_accepted",
    RiderDeclined(RiderDeclined) = "rider_declined",
    PickedUp(Nothing) = "picked_up",
    Delivered(Nothing) = "delivered",
    /// The rider's book no longer holds the delivered order.
    RiderReleased(Rider) = "rider_released",
    /// The rider of a cancelled order has been stood down.
    DeliveryCancelled(Nothing) = "delivery_cancelled",
    StockReturned(Nothing) = "stock_returned",
    StockSold(Nothing) = "stock_sold",
    ReminderGiven(ReminderGiven) = "reminder_given",
    OrderCompleted(OrderCompleted) = "order_completed",
    OrderCancelled(Ended) = "order_cancelled",
    OrderSettled(Nothing) = "order_settled",
}

/// An event whose name says it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfStock {
    pub item_id: ItemId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRequested {
    pub attempt: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<CardToken>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDeferred {
    pub attempt: u16,
    /// Whether the provider may have been asked, and may yet have taken the money.
    pub in_doubt: bool,
    pub why: Text<80>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub attempt: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    pub attempt: u16,
    pub code: Text<80>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRejected {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<200>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiderAssigned {
    pub rider_id: RiderId,
    pub how: Assignment,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rider {
    pub rider_id: RiderId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiderDeclined {
    pub rider_id: RiderId,
    pub why: DeclineReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    Rider,
    DidNotAnswer,
    AtCapacity,
}

/// Someone was told that an order waits for them; nothing else changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReminderGiven {
    pub to: PartyRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCompleted {
    /// The customer, or the system when they did not say anything in time.
    pub by: PartyRole,
}

/// The journal holds an event that this program cannot read: it is from a newer one, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("the event {name} cannot be read")]
pub struct UnreadableEvent {
    pub name: String,
    #[source]
    pub source: Option<serde_json::Error>,
}
