//! Events on their way out of the database.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::order::{CommandId, Timestamp};
use crate::store::{DbError, Position, Recorded, Shard, StreamId, StreamKind};

/// The columns of an event of the table `e`, as [`recorded`] reads them. More may follow.
macro_rules! select {
    () => {
        "select e.shard, e.position, e.kind, e.stream, e.version, e.at, e.by_whom, e.command, e.fingerprint, e.name, e.data"
    };
}
pub(super) use select;

/// The types are not checked again for each of some thousand rows: the columns are the ones above.
pub(super) fn recorded(row: &PgRow) -> Result<Recorded, DbError> {
    let unread = |error: sqlx::Error| DbError::Corrupt(format!("events: {error}"));
    let (shard, kind): (i16, i16) =
        (row.try_get_unchecked(0).map_err(unread)?, row.try_get_unchecked(2).map_err(unread)?);
    let (position, version): (i64, i64) =
        (row.try_get_unchecked(1).map_err(unread)?, row.try_get_unchecked(4).map_err(unread)?);
    let nonsense = || DbError::Corrupt("events: one is of no known shard or kind".into());
    let shard = u8::try_from(shard).ok().and_then(Shard::new).ok_or_else(nonsense)?;
    let kind = StreamKind::from_number(kind.into()).ok_or_else(nonsense)?;
    Ok(Recorded {
        stream: StreamId { kind, id: row.try_get_unchecked(3).map_err(unread)? },
        version: u32::try_from(version).map_err(|_| nonsense())?,
        position: Position { shard, position: position.unsigned_abs() },
        at: Timestamp::from_micros(row.try_get_unchecked(5).map_err(unread)?),
        by: row.try_get_unchecked(6).map_err(unread)?,
        command: CommandId::new(row.try_get_unchecked(7).map_err(unread)?),
        fingerprint: row.try_get_unchecked(8).map_err(unread)?,
        name: row.try_get_unchecked(9).map_err(unread)?,
        data: row.try_get_unchecked(10).map_err(unread)?,
    })
}
