//! What an order is and what may happen to it.
mod id;
mod money;
mod place_on_earth;
mod text;
mod time;

pub use id::{BadSubject, CommandId, CustomerId, ItemId, OrderId, OwnerId, RiderId, StoreId, Subject};
pub use money::{Currency, MAX_AMOUNT, Money, MoneyError};
pub use place_on_earth::{Area, BadPlace, Place, Point};
pub use text::{BadText, Text};
pub use time::{Seconds, Timestamp};
