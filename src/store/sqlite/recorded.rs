//! Events on their way out of the database: a page of them as one JSON text.
//!
//! Row by row, sqlx copies each column and wakes the reader each time: 4 us an event. SQLite writing, and
//! serde reading, one text for a whole page take half of that, and every reader of the journal pays it.

use serde::Deserialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::classify::definite;
use crate::order::{CommandId, Timestamp};
use crate::store::{DbError, Position, Recorded, Shard, StreamId, StreamKind};

/// An event of the table `e` as [`Line`] reads it.
macro_rules! line {
    () => {
        "json_array(e.shard, e.position, e.kind, hex(e.stream), e.version, e.at, e.by_whom, hex(e.command),
                    e.fingerprint, e.name, e.data)"
    };
}
pub(super) use line;

#[derive(Deserialize)]
pub(super) struct Line(u8, u64, i64, Uuid, u32, i64, String, Uuid, Option<i64>, String, String);

impl Line {
    pub(super) fn recorded(self) -> Result<Recorded, DbError> {
        let Line(shard, position, kind, stream, version, at, by, command, fingerprint, name, data) = self;
        let nonsense = || DbError::Corrupt(format!("events: {stream} version {version} is of no known shard or kind"));
        Ok(Recorded {
            stream: StreamId { kind: StreamKind::from_number(kind).ok_or_else(nonsense)?, id: stream },
            version,
            position: Position { shard: Shard::new(shard).ok_or_else(nonsense)?, position },
            at: Timestamp::from_micros(at),
            by,
            command: CommandId::new(command),
            fingerprint,
            name,
            data,
        })
    }
}

/// The one text of a page, which is null if there are no rows.
pub(super) fn page<'r, T: Deserialize<'r>>(row: &'r SqliteRow) -> Result<Vec<T>, DbError> {
    let text: Option<&str> = row.try_get_unchecked(0).map_err(definite)?;
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(|error| DbError::Corrupt(format!("events: {error}")))
}

/// A history with a hole must not be folded.
pub(super) fn check_next(event: &Recorded, version_before: u32) -> Result<(), DbError> {
    if event.version == version_before + 1 {
        return Ok(());
    }
    let stream = event.stream.id;
    Err(DbError::Corrupt(format!("events: {stream} has version {} after version {version_before}", event.version)))
}
