//! Reading the journal: one stream, everything after a cursor, the answer to a key.
//!
//! Each call is one statement on a connection that cannot write. What wakes the open orders is in `open_streams.rs`.

use sqlx::Row;
use sqlx::postgres::{PgBindIterExt as _, PgRow};
use uuid::Uuid;

use super::answers::answer_to;
use super::classify::{get, number};
use super::connections::Connections;
use super::history::{recorded, select};
use super::statement::Statement;
use crate::order::Timestamp;
use crate::store::{Answer, Cursor, DbError, Linked, Position, Recorded, SHARDS, Shard, StreamId, chain, whole};

#[derive(Clone)]
pub struct Readers {
    pub(super) connections: Connections,
}

/// In commit order from the last milestone on that the cursor `$1` has passed in every shard. For a reader that takes
/// the events as they come, that is the last milestone before them.
const AFTER: &str = concat!(
    select!(),
    " from events e
      where e.id > coalesce(
            (select m.id from milestones m
              where m.id <= $2
                and not exists (select from unnest(m.marks, $1::bigint[]) as shard (stood, read) where stood > read)
              order by m.id desc limit 1), 0)
        and e.position > ($1::bigint[])[e.shard + 1]
      order by e.id limit $3"
);

/// How many events lie behind the milestone from which [`AFTER`] reads; none if they are more than `$3`.
const SPAN: &str = "
    select coalesce(
        (select head - m.id from milestones m
          where m.id <= $2 and m.id >= head - $3
            and not exists (select from unnest(m.marks, $1::bigint[]) as shard (stood, read) where stood > read)
          order by m.id desc limit 1),
        case when head <= $3 then head end)
      from (select coalesce(max(id), 0) as head from events) as events";

pub(super) const STREAM: &str =
    concat!(select!(), " from events e where e.stream = $1 and e.version > $2 order by e.version limit $3");

/// Each event with its place in commit order and its hash. The index gives the sequence, and where to begin in it.
pub(super) const STREAM_BY_STREAM: &str = concat!(
    select!(),
    ", e.id, e.hash from events e where (e.stream, e.version) > ($1, $2) order by e.stream, e.version limit $3"
);

impl Readers {
    pub(crate) async fn stream(
        &self,
        stream: StreamId,
        after_version: u32,
        limit: i64,
    ) -> Result<Vec<Recorded>, DbError> {
        let wanted = Statement::new(STREAM).bind(stream.id).bind(i64::from(after_version)).bind(limit);
        whole::history(after_version, self.connections.read(wanted).await?.iter().map(recorded))
    }

    pub(crate) async fn stream_by_stream(
        &self,
        after: Option<(Uuid, u32)>,
        limit: i64,
    ) -> Result<Vec<Linked>, DbError> {
        // No stream has the id of all zeros, so every id is after it.
        let (stream, version) = after.unwrap_or_default();
        let wanted = Statement::new(STREAM_BY_STREAM).bind(stream).bind(i64::from(version)).bind(limit);
        let linked = |row: &PgRow| {
            let hash = get::<Option<&[u8]>>(row, 12)?;
            // A hash of another length was not written here; it is none that anything follows on.
            let hash = hash.map(|bytes| chain::read(Some(bytes)).unwrap_or_default());
            Ok(Linked { event: recorded(row)?, id: number(row, 11)?, hash })
        };
        self.connections.read(wanted).await?.iter().map(linked).collect()
    }

    pub(crate) async fn head(&self) -> Result<Cursor, DbError> {
        let rows = self.connections.read(Statement::new("select shard, next_position - 1 from shards")).await?;
        let mut head = Cursor::start();
        for row in &rows {
            head.advance(Position { shard: shard(row, 0)?, position: number(row, 1)? });
        }
        Ok(head)
    }

    pub(crate) async fn span(&self, cursor: &Cursor, at_most: i64) -> Result<Option<i64>, DbError> {
        let wanted = Statement::new(SPAN)
            .bind(cursor.marks().map(|mark| mark.position.cast_signed()).bind_iter())
            .bind(cursor.latest_milestone())
            .bind(at_most);
        let rows = self.connections.read(wanted).await?;
        rows.first().map_or(Ok(None), |row| get(row, 0))
    }

    pub(crate) async fn after(&self, cursor: &Cursor, limit: i64) -> Result<Vec<Recorded>, DbError> {
        let wanted = Statement::new(AFTER)
            .bind(cursor.marks().map(|mark| mark.position.cast_signed()).bind_iter())
            .bind(cursor.latest_milestone())
            .bind(limit);
        whole::following(cursor, self.connections.read(wanted).await?.iter().map(recorded))
    }

    pub(crate) async fn time_of_day(&self) -> Result<Timestamp, DbError> {
        let asked = Statement::new("select (extract(epoch from clock_timestamp()) * 1000000)::bigint");
        let rows = self.connections.read(asked).await?;
        let row = rows.first().ok_or_else(|| DbError::Corrupt("the database does not know what time it is".into()))?;
        Ok(Timestamp::from_micros(get(row, 0)?))
    }

    pub(crate) async fn last_event_at(&self) -> Result<Option<Timestamp>, DbError> {
        let last = Statement::new("select at from events order by id desc limit 1");
        let rows = self.connections.read(last).await?;
        rows.first().map(|row| Ok(Timestamp::from_micros(get(row, 0)?))).transpose()
    }

    pub(crate) async fn answer(&self, key: Uuid) -> Result<Option<Answer>, DbError> {
        let rows = self.connections.read(answer_to(key)).await?;
        rows.first().map(|row| Ok(answer_from(row)?.1)).transpose()
    }
}

/// A row of `answers`: key, fingerprint, stream, version, status, body.
pub(super) fn answer_from(row: &PgRow) -> Result<(Uuid, Answer), DbError> {
    let fingerprint = get(row, 1)?;
    let answer = match get::<Option<String>>(row, 5)? {
        Some(body) => Answer::Body { fingerprint, status: get::<i16>(row, 4)?.cast_unsigned(), body },
        None => Answer::Stream { fingerprint, id: get(row, 2)?, version: number(row, 3)? },
    };
    Ok((get(row, 0)?, answer))
}

pub(super) fn shard(row: &PgRow, column: usize) -> Result<Shard, DbError> {
    let number: i16 = row.try_get(column).map_err(|error| DbError::Corrupt(error.to_string()))?;
    u8::try_from(number)
        .ok()
        .and_then(Shard::new)
        .ok_or_else(|| DbError::Corrupt(format!("there is no shard {number} of {SHARDS}")))
}

/// 64 positions as the database keeps them.
pub(super) fn cursor_from(marks: &[i64]) -> Result<Cursor, DbError> {
    let nonsense = || DbError::Corrupt("marks that are not 64 positions".into());
    if marks.len() != SHARDS {
        return Err(nonsense());
    }
    let mut cursor = Cursor::start();
    for (shard, position) in marks.iter().enumerate() {
        let shard = Shard::new(shard as u8).ok_or_else(nonsense)?;
        cursor.advance(Position { shard, position: u64::try_from(*position).map_err(|_| nonsense())? });
    }
    Ok(cursor)
}
