//! The streams that are not finished, page by page, and their histories for waking them in bulk.

use sqlx::Row;
use uuid::Uuid;

use super::Readers;
use super::classify::definite;
use super::read::{kind, uuid};
use super::recorded::{line, lines, page};
use crate::order::Timestamp;
use crate::store::{DbError, OpenStream, Recorded, StreamId, whole};

/// A page of open orders with all their events: a query for each order would take a minute for 100,000 of them.
/// Both indexes give the sequence; an `order by` would sort once more, so it is checked on arrival instead.
pub(super) const HISTORIES: &str = concat!(
    "select ",
    lines!(),
    " from (select concat_ws(char(31), coalesce(d.due_at, ''), ",
    line!(),
    ") as line
       from (select stream, due_at from deadlines where stream > $1 and kind = 1 order by stream limit $2) d
      cross join events e on e.stream = d.stream)"
);

impl Readers {
    pub(crate) async fn open_streams(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<OpenStream>, DbError> {
        let rows = sqlx::query("select stream, kind, due_at from deadlines where stream > $1 order by stream limit $2")
            .bind(from(after))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(definite)?;
        rows.iter().map(open_stream).collect()
    }

    pub(crate) async fn open_histories(
        &self,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<(OpenStream, Vec<Recorded>)>, DbError> {
        let row = sqlx::query(HISTORIES).bind(from(after)).bind(limit).fetch_one(&self.pool).await.map_err(definite)?;
        whole::histories(page(&row)?.map(|mut record| {
            let due = record.number()?.map(Timestamp::from_micros);
            Ok((due, record.recorded()?))
        }))
    }
}

/// The empty blob sorts before every stream.
fn from(after: Option<Uuid>) -> Vec<u8> {
    after.map_or_else(Vec::new, |stream| stream.as_bytes().to_vec())
}

fn open_stream(row: &sqlx::sqlite::SqliteRow) -> Result<OpenStream, DbError> {
    let due: Option<i64> = row.try_get_unchecked(2).map_err(definite)?;
    Ok(OpenStream { stream: StreamId { kind: kind(row, 1)?, id: uuid(row, 0)? }, due: due.map(Timestamp::from_micros) })
}
