//! What people look at, made from the journal: lists of orders, stock levels, messages, and how far each reader is.
//!
//! Owned here: the rows, and the pages of them, newest first. Not decided here: what stands in a row; the
//! projector and the notifier fold the events. A row is written together with the cursor that covers it, so a
//! crash between the two cannot be: after it the events are read again, and rows that are newer stay.

use crate::order::{CustomerId, ItemId, OrderId, RiderId, StoreId, Timestamp};

use super::{Cursor, DbError, postgres, sqlite};

/// Who reads the journal and keeps a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    OrderView,
    Messages,
    KafkaBridge,
}

impl Reader {
    pub const ALL: [Reader; 3] = [Reader::OrderView, Reader::Messages, Reader::KafkaBridge];

    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Reader::OrderView => "order_view",
            Reader::Messages => "messages",
            Reader::KafkaBridge => "kafka_bridge",
        }
    }
}

/// An order as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub order: OrderId,
    /// The order's version; a row never gives way to an older one.
    pub version: u32,
    /// Like `store` and `placed_at`, fixed when the order is placed.
    pub customer: CustomerId,
    pub store: StoreId,
    pub rider: Option<RiderId>,
    pub status: String,
    /// The store may know of it: it is on the board.
    pub submitted: bool,
    /// On my page under "live" rather than "past".
    pub live: bool,
    /// `offered` puts it among the open deliveries.
    pub delivery_status: String,
    /// Why an operator should look at it, if so.
    pub attention: Option<String>,
    pub placed_at: Timestamp,
    /// The order as JSON.
    pub document: String,
}

impl OrderRow {
    /// Where the page after this row begins.
    pub fn mark(&self) -> PageMark {
        PageMark { placed_at: self.placed_at, order: self.order }
    }
}

/// A place in a list of orders that is read newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageMark {
    pub placed_at: Timestamp,
    pub order: OrderId,
}

/// How much of an item a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockRow {
    pub store: StoreId,
    pub item: ItemId,
    /// None: the item is not counted any more.
    pub available: Option<u32>,
    /// The version of the store's stock; a row never gives way to an older one.
    pub version: u32,
}

/// What a customer was told about one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    pub order: OrderId,
    /// Of the event.
    pub version: u32,
    pub customer: CustomerId,
    pub event: String,
    pub text: String,
    pub channel: String,
    pub at: Timestamp,
    /// A row never gives way to one with fewer.
    pub attempts: u32,
    pub state: MessageState,
}

impl MessageRow {
    pub fn mark(&self) -> MessageMark {
        MessageMark { order: self.order, version: self.version }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    Waiting,
    Sent,
    /// Given up; only an operator tries it again.
    Dead,
}

impl MessageState {
    pub const ALL: [MessageState; 3] = [MessageState::Waiting, MessageState::Sent, MessageState::Dead];

    pub const fn as_str(self) -> &'static str {
        match self {
            MessageState::Waiting => "waiting",
            MessageState::Sent => "sent",
            MessageState::Dead => "dead",
        }
    }
}

/// A place in a list of messages: the newest order first, and of each the newest message first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageMark {
    pub order: OrderId,
    pub version: u32,
}

/// Which messages; nothing set means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    pub order: Option<OrderId>,
    pub customer: Option<CustomerId>,
    pub state: Option<MessageState>,
}

/// Views that have just been swapped. Holds the old ones, and how the new ones stood at that moment.
pub enum Swapped {
    Sqlite(sqlite::Swapped),
    Postgres(postgres::Swapped),
}

impl Swapped {
    /// Reads both, whatever is being written meanwhile, and throws the old ones away.
    pub async fn checksums(self) -> Result<Checksums, DbError> {
        match self {
            Swapped::Sqlite(swapped) => swapped.checksums().await,
            Swapped::Postgres(swapped) => swapped.checksums().await,
        }
    }
}

/// SHA-256 over all rows of orders and stock in the sequence of their keys, as hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksums {
    pub old: String,
    pub new: String,
}

impl Checksums {
    pub fn agree(&self) -> bool {
        self.old == self.new
    }
}

/// The views. Clones share one connection that writes and a few that read.
#[derive(Clone)]
pub enum Views {
    Sqlite(sqlite::Views),
    Postgres(postgres::Views),
}

impl Views {
    /// Writes rows of orders and stock, and the cursor of [`Reader::OrderView`], in one transaction.
    pub async fn save_orders(&self, orders: &[OrderRow], stock: &[StockRow], cursor: &Cursor) -> Result<(), DbError> {
        match self {
            Views::Sqlite(views) => views.save_orders(orders, stock, cursor).await,
            Views::Postgres(views) => views.save_orders(orders, stock, cursor).await,
        }
    }

    /// Writes messages and the cursor of [`Reader::Messages`] in one transaction.
    pub async fn save_messages(&self, messages: &[MessageRow], cursor: &Cursor) -> Result<(), DbError> {
        match self {
            Views::Sqlite(views) => views.save_messages(messages, cursor).await,
            Views::Postgres(views) => views.save_messages(messages, cursor).await,
        }
    }

    /// Writes a cursor that covers nothing here, such as the Kafka bridge's.
    pub async fn save_cursor(&self, reader: Reader, cursor: &Cursor) -> Result<(), DbError> {
        match self {
            Views::Sqlite(views) => views.save_cursor(reader, cursor).await,
            Views::Postgres(views) => views.save_cursor(reader, cursor).await,
        }
    }

    /// How far a reader has come; the start if it never saved a cursor.
    pub async fn cursor(&self, reader: Reader) -> Result<Cursor, DbError> {
        match self {
            Views::Sqlite(views) => views.cursor(reader).await,
            Views::Postgres(views) => views.cursor(reader).await,
        }
    }

    /// Throws away what a rebuild left behind that was interrupted, wherever that was.
    pub async fn drop_leftovers(&self) -> Result<(), DbError> {
        match self {
            Views::Sqlite(views) => views.drop_leftovers().await,
            Views::Postgres(views) => views.drop_leftovers().await,
        }
    }

    /// Makes empty tables for orders and stock beside those that are read, with the same indexes. What an earlier
    /// rebuild left behind is thrown away.
    pub async fn begin_rebuild(&self) -> Result<(), DbError> {
        match self {
            Views::Sqlite(views) => views.begin_rebuild().await,
            Views::Postgres(views) => views.begin_rebuild().await,
        }
    }

    /// Writes rows into the tables that are being rebuilt. No cursor goes with them: an interrupted rebuild begins anew.
    pub async fn save_rebuilt(&self, orders: &[OrderRow], stock: &[StockRow]) -> Result<(), DbError> {
        match self {
            Views::Sqlite(views) => views.save_rebuilt(orders, stock).await,
            Views::Postgres(views) => views.save_rebuilt(orders, stock).await,
        }
    }

    /// Puts the rebuilt tables in the place of the others, in one transaction. Cursor and messages stay: the caller
    /// has made sure that the rebuilt rows stand where the cursor of [`Reader::OrderView`] does.
    pub async fn swap_in_rebuilt(&self) -> Result<Swapped, DbError> {
        match self {
            Views::Sqlite(views) => views.swap_in_rebuilt().await.map(Swapped::Sqlite),
            Views::Postgres(views) => views.swap_in_rebuilt().await.map(Swapped::Postgres),
        }
    }

    /// One order's row.
    pub async fn order(&self, order: OrderId) -> Result<Option<OrderRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.order(order).await,
            Views::Postgres(views) => views.order(order).await,
        }
    }

    /// A page of all orders, by id: those after this one.
    pub async fn orders_by_id(&self, after: Option<OrderId>, limit: usize) -> Result<Vec<OrderRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.orders_by_id(after, limit as i64).await,
            Views::Postgres(views) => views.orders_by_id(after, limit as i64).await,
        }
    }

    /// A customer's orders.
    pub async fn my_page(
        &self,
        customer: &CustomerId,
        live: bool,
        after: Option<PageMark>,
        limit: usize,
    ) -> Result<Vec<OrderRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.my_page(customer, live, after, limit as i64).await,
            Views::Postgres(views) => views.my_page(customer, live, after, limit as i64).await,
        }
    }

    /// A store's orders, all of them or those of one status.
    pub async fn store_board(
        &self,
        store: StoreId,
        status: Option<&str>,
        after: Option<PageMark>,
        limit: usize,
    ) -> Result<Vec<OrderRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.store_board(store, status, after, limit as i64).await,
            Views::Postgres(views) => views.store_board(store, status, after, limit as i64).await,
        }
    }

    /// The orders whose delivery is offered to any rider.
    pub async fn offered(&self, after: Option<PageMark>, limit: usize) -> Result<Vec<OrderRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.offered(after, limit as i64).await,
            Views::Postgres(views) => views.offered(after, limit as i64).await,
        }
    }

    /// The orders that an operator should look at.
    pub async fn attention(&self, after: Option<PageMark>, limit: usize) -> Result<Vec<OrderRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.attention(after, limit as i64).await,
            Views::Postgres(views) => views.attention(after, limit as i64).await,
        }
    }

    /// Messages about the newest order first, and of each the newest message first.
    pub async fn messages(
        &self,
        filter: &MessageFilter,
        after: Option<MessageMark>,
        limit: usize,
    ) -> Result<Vec<MessageRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.messages(filter, after, limit as i64).await,
            Views::Postgres(views) => views.messages(filter, after, limit as i64).await,
        }
    }

    /// The counted items of a store.
    pub async fn stock_levels(&self, store: StoreId) -> Result<Vec<StockRow>, DbError> {
        match self {
            Views::Sqlite(views) => views.stock_levels(store).await,
            Views::Postgres(views) => views.stock_levels(store).await,
        }
    }
}
