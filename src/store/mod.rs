//! The journal and everything else on disk. The only folder that knows sqlx.
//!
//! Owned here: how appends become durable and numbered, how streams are read back, the views and their
//! cursors, the catalogue. Not decided here: what an event means; `type` and `data` pass through as text.
//! Callers are `actors` (writes) and read queries of `http`.

mod batch;
mod catalogue;
mod chain;
#[cfg(test)]
mod conformance;
mod engine;
mod error;
mod journal;
mod postgres;
mod readers;
mod sandbox;
mod snapshot;
mod sqlite;
mod views;
mod whole;

pub use catalogue::{Catalogue, CatalogueChange, MenuItem, Shop, StoreRider};
pub use chain::{BadTips, ChainCheck, Chains, Linked, TipsDigest};
pub use engine::{DataPlace, Engine, Onlooker, Writer};
pub use error::{DbError, OpenError};
pub use journal::{
    Answer, AnswerKey, Append, BadPosition, Committed, Cursor, Due, NewAnswer, NewEvent, NotAppended, OpenStream,
    Position, Recorded, SHARDS, Shard, StreamAnswer, StreamId, StreamKind,
};
pub use postgres::PostgresPlace;
pub use readers::Readers;
pub use sandbox::{LedgerRow, SandboxLedger};
pub use snapshot::{SNAPSHOT_EVERY, Snapshot};
#[cfg(test)]
pub(crate) use sqlite::CommitFault;
pub use views::{
    Checksums, MessageFilter, MessageMark, MessageRow, MessageState, OrderRow, PageMark, Reader, StockRow, Swapped,
    Views,
};
