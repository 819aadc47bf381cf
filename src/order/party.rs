//! Who does something to an order, and why an order ended before its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{CustomerId, OwnerId, RiderId, Subject};
use super::text::Text;

/// Who caused a command. Whether they may is decided by the rule of that command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    Customer(CustomerId),
    Store(OwnerId),
    Rider(RiderId),
    Operator(Subject),
    /// Ourselves: an answer from outside, or a deadline.
    System,
}

impl Party {
    pub const fn role(&self) -> PartyRole {
        match self {
            Party::Customer(_) => PartyRole::Customer,
            Party::Store(_) => PartyRole::Store,
            Party::Rider(_) => PartyRole::Rider,
            Party::Operator(_) => PartyRole::Operator,
            Party::System => PartyRole::System,
        }
    }
}

/// `customer:alice`, as the journal notes it beside each event.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Customer(id) => write!(f, "customer:{id}"),
            Party::Store(id) => write!(f, "store:{id}"),
            Party::Rider(id) => write!(f, "rider:{id}"),
            Party::Operator(id) => write!(f, "operator:{id}"),
            Party::System => f.write_str("system"),
        }
    }
}

/// A [`Party`] without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyRole {
    Customer,
    Store,
    Rider,
    Operator,
    System,
}

/// Why an order ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    Customer,
    UnavailableArea,
    OutOfStock,
    PaymentDeclined,
    PaymentNotCompleted,
    StoreRejected,
    StoreDidNotAnswer,
    NoRider,
    Operator,
}

impl EndReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            EndReason::Customer => "customer",
            EndReason::UnavailableArea => "unavailable_area",
            EndReason::OutOfStock => "out_of_stock",
            EndReason::PaymentDeclined => "payment_declined",
            EndReason::PaymentNotCompleted => "payment_not_completed",
            EndReason::StoreRejected => "store_rejected",
            EndReason::StoreDidNotAnswer => "store_did_not_answer",
            EndReason::NoRider => "no_rider",
            EndReason::Operator => "operator",
        }
    }
}

/// Who ended an order, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub by: PartyRole,
    pub reason: EndReason,
    /// What they said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<200>>,
    /// The kitchen was at work or about to be, and must be told to stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop_preparation: bool,
}
