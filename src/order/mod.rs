//! What an order is and what may happen to it.
//!
//! Pure: no clock, no randomness, no I/O, no actors. Three functions carry it all: `decide` says what follows
//! from a command, `after` folds an event into the next state, `outstanding` says what is still to be asked of
//! the world. A new status or event does not compile until every rule has an opinion about it.
//! `transitions.txt` shows the whole table.
#![deny(clippy::wildcard_enum_match_arm)]

mod accept;
mod access;
mod cancel;
mod command;
mod deadline;
mod deliver;
mod delivery;
mod dispatch;
mod document;
mod event;
mod fold;
mod id;
mod machine;
mod money;
#[allow(clippy::module_inception, reason = "the order is what this folder is about")]
mod order;
mod outstanding;
mod party;
mod payment;
mod place;
mod place_on_earth;
mod policy;
mod policy_spec;
mod prepare;
mod public_event;
mod rejection;
mod rider;
mod snapshot;
mod stock;
mod stock_event;
#[cfg(test)]
pub(crate) mod testing;
mod text;
mod time;

pub use command::{CommandName, OrderCommand};
pub use deadline::{Deadline, Outcome};
pub use document::OrderDocument;
pub use event::{DeclineReason, OrderEvent, UnreadableEvent};
pub use fold::replay;
pub use id::{BadSubject, CommandId, CustomerId, ItemId, OrderId, OwnerId, RiderId, StoreId, Subject};
pub use machine::{IllegalEvent, NoStep, Step, step};
pub use money::{Currency, MAX_AMOUNT, Money, MoneyError};
pub use order::{
    CardToken, Delivery, DeliveryStatus, Line, Order, OrderState, Parcel, Payment, PaymentStatus, Placement,
    Preparation, SharedPlacement, Status, StockHold, StoreRef,
};
pub use outstanding::Request;
pub use party::{EndReason, Ended, Party, PartyRole};
pub use payment::{PaymentOperation, provider_key};
pub use place_on_earth::{Area, BadPlace, Place, Point};
pub use policy::{
    Acceptance, BadPolicy, CancelUntil, Capture, Dispatch, PaymentMethod, PreparationPolicy, Preset, ServicePolicy,
    SharedPolicy, StockPolicy,
};
pub use policy_spec::{Overrides, PolicySpec};
pub use public_event::{Attributes, ENVELOPE_AT_MOST, PublicEvent, kind};
pub use rejection::Rejection;
pub use rider::{DEFAULT_CAPACITY, RiderBook, RiderCommand, RiderEvent, RiderFull};
pub use snapshot::BadSnapshot;
pub use stock::{Level, MAX_LEVEL, Stock, StockCommand, StockRefusal};
pub use stock_event::{Pieces, StockEvent};
pub use text::{BadText, Text};
pub use time::{Seconds, Timestamp};
