//! The delivery of an order: who carries it and how far they are.
//!
//! Which rider may is decided in `dispatch`, what follows from an event in `fold`.

use serde::{Deserialize, Serialize};

use super::id::RiderId;
use super::time::Timestamp;

/// Who carries the order and how far they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    None,
    /// A rider is wanted.
    Offered,
    /// Named by the store, or taken by the rider; it holds once the rider's own book has it.
    Assigned {
        rider: RiderId,
        how: Assignment,
        /// When it was assigned; from its confirmation on, when that came.
        since: Timestamp,
        /// The version with which it was assigned: what the book said to an earlier one is not about this.
        version: u32,
        /// The rider's book holds it. Only what the store assigned stays assigned after that.
        confirmed: bool,
    },
    /// The rider has said yes.
    Accepted {
        rider: RiderId,
        /// The rider's book holds it. Journals of earlier releases have riders who said yes before it did.
        confirmed: bool,
    },
    /// On its way; without a rider when the store carries it itself.
    PickedUp {
        rider: Option<RiderId>,
    },
    Delivered {
        rider: Option<RiderId>,
    },
    Cancelled {
        rider: Option<RiderId>,
    },
}

/// How a rider came to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// The rider took it: entering it in their book is all that is left.
    Claimed,
    /// The store named them: they still have to say yes.
    ByStore,
    /// The store's own rider, who departs at once.
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    None,
    Offered,
    Assigned,
    Accepted,
    PickedUp,
    Delivered,
    Cancelled,
}

impl DeliveryStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryStatus::None => "none",
            DeliveryStatus::Offered => "offered",
            DeliveryStatus::Assigned => "assigned",
            DeliveryStatus::Accepted => "accepted",
            DeliveryStatus::PickedUp => "picked_up",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Cancelled => "cancelled",
        }
    }
}

impl Delivery {
    pub fn status(&self) -> DeliveryStatus {
        match self {
            Delivery::None => DeliveryStatus::None,
            Delivery::Offered => DeliveryStatus::Offered,
            Delivery::Assigned { .. } => DeliveryStatus::Assigned,
            Delivery::Accepted { .. } => DeliveryStatus::Accepted,
            Delivery::PickedUp { .. } => DeliveryStatus::PickedUp,
            Delivery::Delivered { .. } => DeliveryStatus::Delivered,
            Delivery::Cancelled { .. } => DeliveryStatus::Cancelled,
        }
    }

    pub(super) fn awaits_riders_book(&self) -> bool {
        match self {
            Delivery::Assigned { confirmed, .. } | Delivery::Accepted { confirmed, .. } => !confirmed,
            Delivery::None
            | Delivery::Offered
            | Delivery::PickedUp { .. }
            | Delivery::Delivered { .. }
            | Delivery::Cancelled { .. } => false,
        }
    }

    pub fn rider(&self) -> Option<&RiderId> {
        match self {
            Delivery::None | Delivery::Offered => None,
            Delivery::Assigned { rider, .. } | Delivery::Accepted { rider, .. } => Some(rider),
            Delivery::PickedUp { rider } | Delivery::Delivered { rider } | Delivery::Cancelled { rider } => {
                rider.as_ref()
            }
        }
    }
}
