//! The streams that are not finished, page by page, and their histories for waking them in bulk.

use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Readers;
use super::classify::get;
use super::history::{recorded, select};
use super::statement::Statement;
use crate::order::Timestamp;
use crate::store::{DbError, OpenStream, Recorded, StreamId, StreamKind, whole};

/// A page of open orders with all their events: a query for each order would take a minute for 100,000 of them. Each history
/// is found by itself: joined as the server likes, all events may be gone through in step with the few streams.
pub(super) const HISTORIES: &str = concat!(
    select!(),
    ", d.due_at
       from (select stream, due_at from deadlines where stream > $1 and kind = 1
              order by stream limit $2) d
      cross join lateral (select * from events where stream = d.stream order by version) e
      order by e.stream, e.version"
);

impl Readers {
    pub(crate) async fn open_streams(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<OpenStream>, DbError> {
        let page =
            Statement::new("select stream, kind, due_at from deadlines where stream > $1 order by stream limit $2");
        self.connections.read(page.bind(from(after)).bind(limit)).await?.iter().map(open_stream).collect()
    }

    pub(crate) async fn open_histories(
        &self,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<(OpenStream, Vec<Recorded>)>, DbError> {
        let rows = self.connections.read(Statement::new(HISTORIES).bind(from(after)).bind(limit)).await?;
        whole::histories(rows.iter().map(|row| Ok((due(row, 11)?, recorded(row)?))))
    }
}

/// No stream has the id of all zeros, so every id is after it.
fn from(after: Option<Uuid>) -> Uuid {
    after.unwrap_or_default()
}

fn open_stream(row: &PgRow) -> Result<OpenStream, DbError> {
    let kind = StreamKind::from_number(get::<i16>(row, 1)?.into());
    let kind = kind.ok_or_else(|| DbError::Corrupt("deadlines: a stream of no known kind".into()))?;
    Ok(OpenStream { stream: StreamId { kind, id: get(row, 0)? }, due: due(row, 2)? })
}

fn due(row: &PgRow, column: usize) -> Result<Option<Timestamp>, DbError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}
