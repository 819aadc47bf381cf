//! Every command an order understands: what people ask for, and what the world answers.
//!
//! Answers from payment, store and riders arrive as commands too, so that one set of rules decides about
//! all of them. What each may do is decided in the file of that step.

use super::id::{ItemId, RiderId};
use super::order::{CardToken, SharedPlacement};
use super::text::Text;

#[derive(Clone, Debug, PartialEq)]
pub enum OrderCommand {
    // The customer
    /// The catalogue has priced it: prices and the store's policy are copied, never looked up again.
    Place(SharedPlacement),
    /// Try a deferred payment again now, perhaps with another card.
    Pay {
        token: Option<CardToken>,
    },
    Cancel {
        note: Option<Text<200>>,
    },
    Confirm,

    // The store
    Accept,
    Reject {
        reason: Option<Text<200>>,
    },
    StartPreparation,
    FinishPreparation,
    Assign {
        rider: RiderId,
    },
    Depart,

    // A rider
    Claim,
    AcceptDelivery,
    DeclineDelivery,
    PickUp,
    Deliver,

    // Answers of the store's stock and kitchen
    NoteStockReserved,
    NoteOutOfStock {
        item: ItemId,
    },
    NoteStockReturned,
    NoteStockSold,
    NotePreparationStopped,

    // Answers of the payment provider
    NoteAuthorized {
        attempt: u16,
    },
    NoteCaptured {
        attempt: u16,
    },
    NoteDeclined {
        attempt: u16,
        code: Text<80>,
    },
    /// No certain answer. `sent` is false only if the provider was certainly not asked, neither now nor by a
    /// predecessor of the actor that says so.
    NoteNotPaidYet {
        attempt: u16,
        sent: bool,
        why: Text<80>,
    },
    /// The provider was asked to look for the request and has nothing.
    NotePaymentNotFound {
        attempt: u16,
    },
    NoteVoided,
    NoteRefunded,

    // Answers about riders
    NoteRiderFound {
        rider: RiderId,
    },
    /// `as_of`, here and below, is the version of the order for which the rider's book was asked.
    NoteRiderHeld {
        rider: RiderId,
        as_of: u32,
    },
    NoteRiderFull {
        rider: RiderId,
        as_of: u32,
    },
    NoteRiderReleased {
        rider: RiderId,
    },

    /// A deadline may have passed.
    NoteTime,
}

/// A command without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandName {
    Place,
    Pay,
    Cancel,
    Confirm,
    Accept,
    Reject,
    StartPreparation,
    FinishPreparation,
    Assign,
    Depart,
    Claim,
    AcceptDelivery,
    DeclineDelivery,
    PickUp,
    Deliver,
    NoteStockReserved,
    NoteOutOfStock,
    NoteStockReturned,
    NoteStockSold,
    NotePreparationStopped,
    NoteAuthorized,
    NoteCaptured,
    NoteDeclined,
    NoteNotPaidYet,
    NotePaymentNotFound,
    NoteVoided,
    NoteRefunded,
    NoteRiderFound,
    NoteRiderHeld,
    NoteRiderFull,
    NoteRiderReleased,
    NoteTime,
}

impl OrderCommand {
    pub fn name(&self) -> CommandName {
        match self {
            OrderCommand::Place(_) => CommandName::Place,
            OrderCommand::Pay { .. } => CommandName::Pay,
            OrderCommand::Cancel { .. } => CommandName::Cancel,
            OrderCommand::Confirm => CommandName::Confirm,
            OrderCommand::Accept => CommandName::Accept,
            OrderCommand::Reject { .. } => CommandName::Reject,
            OrderCommand::StartPreparation => CommandName::StartPreparation,
            OrderCommand::FinishPreparation => CommandName::FinishPreparation,
            OrderCommand::Assign { .. } => CommandName::Assign,
            OrderCommand::Depart => CommandName::Depart,
            OrderCommand::Claim => CommandName::Claim,
            OrderCommand::AcceptDelivery => CommandName::AcceptDelivery,
            OrderCommand::DeclineDelivery => CommandName::DeclineDelivery,
            OrderCommand::PickUp => CommandName::PickUp,
            OrderCommand::Deliver => CommandName::Deliver,
            OrderCommand::NoteStockReserved => CommandName::NoteStockReserved,
            OrderCommand::NoteOutOfStock { .. } => CommandName::NoteOutOfStock,
            OrderCommand::NoteStockReturned => CommandName::NoteStockReturned,
            OrderCommand::NoteStockSold => CommandName::NoteStockSold,
            OrderCommand::NotePreparationStopped => CommandName::NotePreparationStopped,
            OrderCommand::NoteAuthorized { .. } => CommandName::NoteAuthorized,
            OrderCommand::NoteCaptured { .. } => CommandName::NoteCaptured,
            OrderCommand::NoteDeclined { .. } => CommandName::NoteDeclined,
            OrderCommand::NoteNotPaidYet { .. } => CommandName::NoteNotPaidYet,
            OrderCommand::NotePaymentNotFound { .. } => CommandName::NotePaymentNotFound,
            OrderCommand::NoteVoided => CommandName::NoteVoided,
            OrderCommand::NoteRefunded => CommandName::NoteRefunded,
            OrderCommand::NoteRiderFound { .. } => CommandName::NoteRiderFound,
            OrderCommand::NoteRiderHeld { .. } => CommandName::NoteRiderHeld,
            OrderCommand::NoteRiderFull { .. } => CommandName::NoteRiderFull,
            OrderCommand::NoteRiderReleased { .. } => CommandName::NoteRiderReleased,
            OrderCommand::NoteTime => CommandName::NoteTime,
        }
    }
}

impl CommandName {
    /// What a person may issue, in the order of an order's life.
    pub const BY_PEOPLE: [CommandName; 15] = [
        CommandName::Place,
        CommandName::Pay,
        CommandName::Cancel,
        CommandName::Confirm,
        CommandName::Accept,
        CommandName::Reject,
        CommandName::StartPreparation,
        CommandName::FinishPreparation,
        CommandName::Assign,
        CommandName::Depart,
        CommandName::Claim,
        CommandName::AcceptDelivery,
        CommandName::DeclineDelivery,
        CommandName::PickUp,
        CommandName::Deliver,
    ];

    /// The word of the route, as in `POST /v1/orders/{id}/start-preparation`.
    pub const fn as_str(self) -> &'static str {
        match self {
            CommandName::Place => "place",
            CommandName::Pay => "pay",
            CommandName::Cancel => "cancel",
            CommandName::Confirm => "confirm",
            CommandName::Accept => "accept",
            CommandName::Reject => "reject",
            CommandName::StartPreparation => "start-preparation",
            CommandName::FinishPreparation => "finish-preparation",
            CommandName::Assign => "assign",
            CommandName::Depart => "depart",
            CommandName::Claim => "claim",
            CommandName::AcceptDelivery => "accept-delivery",
            CommandName::DeclineDelivery => "decline-delivery",
            CommandName::PickUp => "pick-up",
            CommandName::Deliver => "deliver",
            CommandName::NoteStockReserved => "note-stock-reserved",
            CommandName::NoteOutOfStock => "note-out-of-stock",
            CommandName::NoteStockReturned => "note-stock-returned",
            CommandName::NoteStockSold => "note-stock-sold",
            CommandName::NotePreparationStopped => "note-preparation-stopped",
            CommandName::NoteAuthorized => "note-authorized",
            CommandName::NoteCaptured => "note-captured",
            CommandName::NoteDeclined => "note-declined",
            CommandName::NoteNotPaidYet => "note-not-paid-yet",
            CommandName::NotePaymentNotFound => "note-payment-not-found",
            CommandName::NoteVoided => "note-voided",
            CommandName::NoteRefunded => "note-refunded",
            CommandName::NoteRiderFound => "note-rider-found",
            CommandName::NoteRiderHeld => "note-rider-held",
            CommandName::NoteRiderFull => "note-rider-full",
            CommandName::NoteRiderReleased => "note-rider-released",
            CommandName::NoteTime => "note-time",
        }
    }
}
