//! The journal and everything else on disk. The only folder that knows sqlx.
//!
//! Owned here: how appends become durable and numbered, how streams are read back, the views and their
//! cursors, the catalogue. Not decided here: what an event means; `type` and `data` pass through as text.
//! Callers are `actors` (writes) and read queries of `http`.

mod engine;
mod error;
mod journal;
mod sqlite;

pub use engine::{Engine, Readers, Writer};
pub use error::DbError;
pub use journal::{
    Answer, AnswerKey, Append, Committed, Cursor, Due, NewEvent, NotAppended, OpenStream, Position, Recorded, SHARDS,
    Shard, StreamId, StreamKind,
};
