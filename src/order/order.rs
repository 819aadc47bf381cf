//! An order as it stands: what was agreed when it was placed, and how far it has come.
//!
//! Only `machine::after` builds the next state; nothing here decides anything.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(super) use super::delivery::Assignment;
pub use super::delivery::{Delivery, DeliveryStatus};
use super::id::{CustomerId, ItemId, OrderId, OwnerId, RiderId, StoreId};
use super::money::Money;
use super::party::Ended;
use super::place_on_earth::{Place, Point};
use super::policy::{PaymentMethod, SharedPolicy};
use super::text::Text;
use super::time::Timestamp;

/// A token that stands for a card at the payment provider. Never logged, never mirrored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CardToken(pub Text<200>);

impl std::fmt::Debug for CardToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardToken(***)")
    }
}

/// The store as the order knows it: copied when the order was placed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreRef {
    pub id: StoreId,
    pub name: Text<80>,
    pub owner: OwnerId,
    pub point: Point,
}

/// So many of one item, at the price of the day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub item_id: ItemId,
    pub name: Text<80>,
    pub quantity: u32,
    pub unit_price: Money,
    pub total: Money,
}

/// What a courier carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    pub description: Text<200>,
    pub size: Text<40>,
    /// Grams.
    pub weight_g: u32,
    pub pick_up: Place,
}

/// What was agreed when the order was placed. Never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Shared by the orders of a store for as long as it keeps its name, its owner and its place.
    pub store: Arc<StoreRef>,
    pub customer_id: CustomerId,
    pub policy: SharedPolicy,
    pub lines: Box<[Line]>,
    pub total: Money,
    pub destination: Place,
    /// Apart, because few orders have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parcel: Option<Box<Parcel>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<500>>,
    pub payment_method: PaymentMethod,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_token: Option<CardToken>,
}

/// The placement is shared by every state of an order, and by everyone who shows one.
pub type SharedPlacement = Arc<Placement>;

/// How far the order has come, with exactly what is known then. `since` is when it came there.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderState {
    /// Waiting for stock and payment to be settled.
    Placed {
        since: Timestamp,
    },
    /// The payment could not be settled at once and is tried again until its deadline.
    AwaitingPayment {
        since: Timestamp,
    },
    AwaitingAcceptance {
        since: Timestamp,
        reminded: bool,
    },
    Accepted {
        since: Timestamp,
        late: bool,
    },
    /// The deadline of preparation counts from acceptance.
    Preparing {
        accepted_at: Timestamp,
        late: bool,
    },
    /// Waiting for a rider, or for the one who said yes to arrive.
    Ready {
        since: Timestamp,
        reminded: bool,
    },
    PickedUp {
        since: Timestamp,
        late: bool,
    },
    Delivered {
        since: Timestamp,
        reminded: bool,
    },
    Completed,
    Rejected {
        reason: Option<Text<200>>,
    },
    Cancelled(Ended),
}

/// The wire name of an [`OrderState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Placed,
    AwaitingPayment,
    AwaitingAcceptance,
    Accepted,
    Preparing,
    Ready,
    PickedUp,
    Delivered,
    Completed,
    Rejected,
    Cancelled,
}

impl Status {
    pub const ALL: [Status; 11] = [
        Status::Placed,
        Status::AwaitingPayment,
        Status::AwaitingAcceptance,
        Status::Accepted,
        Status::Preparing,
        Status::Ready,
        Status::PickedUp,
        Status::Delivered,
        Status::Completed,
        Status::Rejected,
        Status::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Placed => "placed",
            Status::AwaitingPayment => "awaiting_payment",
            Status::AwaitingAcceptance => "awaiting_acceptance",
            Status::Accepted => "accepted",
            Status::Preparing => "preparing",
            Status::Ready => "ready",
            Status::PickedUp => "picked_up",
            Status::Delivered => "delivered",
            Status::Completed => "completed",
            Status::Rejected => "rejected",
            Status::Cancelled => "cancelled",
        }
    }

    /// No one will do anything more for the customer: it is one of their past orders.
    pub const fn is_closed(self) -> bool {
        matches!(self, Status::Completed | Status::Rejected | Status::Cancelled)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    None,
    /// Asked for; no answer yet.
    Pending,
    /// Could not be asked for, or got no answer in time; tried again.
    Deferred,
    Authorized,
    Captured,
    DueOnDelivery,
    Collected,
    Declined,
    Voided,
    Refunded,
}

/// Where the money is.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    pub method: PaymentMethod,
    pub status: PaymentStatus,
    /// Counts the requests that may be told apart at the provider: each has its own idempotency key. A new one
    /// begins only after a definite answer to the last.
    pub attempt: u16,
    pub token: Option<CardToken>,
    /// The provider may have been asked for this attempt and has not answered for certain. Nothing may be
    /// concluded, and the same key must be sent again until it has.
    pub in_doubt: bool,
    /// What is asked of the provider now was not asked before this: from here on its key ages.
    pub asked_since: Timestamp,
    /// The provider was asked to look and has nothing. That proves nothing, so what is in doubt stays so.
    pub unresolved: bool,
    /// The store has approved, so an authorized amount is to be captured.
    pub capture_due: bool,
    /// Why the last try did not bring the money: a word of ours or of the provider's.
    pub failure: Option<Text<80>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    None,
    Waiting,
    Started,
    Finished,
    /// The kitchen has confirmed that it stopped.
    Cancelled,
}

/// What the order holds of the store's stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockHold {
    /// The store does not count, or nothing was there.
    None,
    /// Asked for. Whether the store has set it aside is not known yet.
    Wanted,
    Reserved,
    /// Sold or given back.
    Ended,
}

/// An order that exists: at least its `order_placed` has happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub version: u32,
    pub placement: SharedPlacement,
    pub state: OrderState,
    pub payment: Payment,
    pub preparation: Preparation,
    pub delivery: Delivery,
    pub stock: StockHold,
    /// Riders who no longer carry this order, in whose books it may still stand.
    pub releasing: Vec<RiderId>,
    /// The store knows of it. An order that was never paid for never gets there, even if it ended for another reason.
    pub submitted: bool,
    /// Everything that this order held elsewhere has been given back or used up.
    pub settled: bool,
    pub placed_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Order {
    pub fn status(&self) -> Status {
        match self.state {
            OrderState::Placed { .. } => Status::Placed,
            OrderState::AwaitingPayment { .. } => Status::AwaitingPayment,
            OrderState::AwaitingAcceptance { .. } => Status::AwaitingAcceptance,
            OrderState::Accepted { .. } => Status::Accepted,
            OrderState::Preparing { .. } => Status::Preparing,
            OrderState::Ready { .. } => Status::Ready,
            OrderState::PickedUp { .. } => Status::PickedUp,
            OrderState::Delivered { .. } => Status::Delivered,
            OrderState::Completed => Status::Completed,
            OrderState::Rejected { .. } => Status::Rejected,
            OrderState::Cancelled(_) => Status::Cancelled,
        }
    }

    pub fn is_closed(&self) -> bool {
        self.status().is_closed()
    }

    /// It was rejected or cancelled: what it holds elsewhere goes back.
    pub fn ended_early(&self) -> bool {
        matches!(self.state, OrderState::Rejected { .. } | OrderState::Cancelled(_))
    }

    pub fn rider(&self) -> Option<&RiderId> {
        self.delivery.rider()
    }

    /// The rider in whose book this order stands for certain. It may stand in others' too: see `releasing`.
    pub fn held_by(&self) -> Option<&RiderId> {
        match &self.delivery {
            Delivery::Assigned { rider, confirmed: true, .. }
            | Delivery::Accepted { rider, confirmed: true }
            | Delivery::PickedUp { rider: Some(rider) } => (!self.is_closed()).then_some(rider),
            Delivery::Assigned { confirmed: false, .. }
            | Delivery::Accepted { confirmed: false, .. }
            | Delivery::PickedUp { rider: None }
            | Delivery::None
            | Delivery::Offered
            | Delivery::Delivered { .. }
            | Delivery::Cancelled { .. } => None,
        }
    }

    /// Whoever is to carry it has been named, and their book has not said yet whether it takes it.
    pub fn awaits_riders_book(&self) -> bool {
        !self.is_closed() && self.delivery.awaits_riders_book()
    }
}
