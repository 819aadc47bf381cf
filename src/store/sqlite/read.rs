//! Reading the journal: one stream, everything after a cursor, the answer to a key.
//!
//! Each call is one or two statements on a connection that cannot write. What wakes the open orders is
//! in `open_streams.rs`.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use uuid::Uuid;

use super::Files;
use super::classify::{Stop, definite};
use super::recorded::{Fields, line, lines, page};
use crate::order::Timestamp;
use crate::store::chain::{self, Hash};
use crate::store::{Answer, Cursor, DbError, Linked, Position, Recorded, Shard, StreamId, StreamKind, whole};

#[derive(Clone)]
pub struct Readers {
    pub(super) pool: SqlitePool,
    _files: Files,
}

/// In commit order from the last milestone on that the cursor `$1` has passed in every shard. For a reader that takes
/// the events as they come, that is the last milestone before them.
const AFTER: &str = concat!(
    "select ",
    lines!(),
    " from (select ",
    line!(),
    " as line from events e
      where e.id > coalesce(
            (select m.id from milestones m
              where m.id <= $2 and not exists (select 1 from json_each(m.marks) j where j.value > ($1 ->> j.key))
              order by m.id desc limit 1), 0)
        and e.position > ($1 ->> e.shard)
      order by e.id limit $3)"
);

/// How many events lie behind the milestone from which [`AFTER`] reads; none if they are more than `$3`.
const SPAN: &str = "
    select coalesce(
        (select head - m.id from milestones m
          where m.id <= $2 and m.id >= head - $3
            and not exists (select 1 from json_each(m.marks) j where j.value > ($1 ->> j.key))
          order by m.id desc limit 1),
        case when head <= $3 then head end)
      from (select coalesce(max(id), 0) as head from events)";

pub(super) const STREAM: &str = concat!(
    "select ",
    lines!(),
    " from (select ",
    line!(),
    " as line from events e where e.stream = $1 and e.version > $2 order by e.version limit $3)"
);

/// Each event with its place in commit order and its hash. The index gives the sequence, and where to begin in it.
pub(super) const STREAM_BY_STREAM: &str = concat!(
    "select ",
    lines!(),
    " from (select concat_ws(char(31), e.id, coalesce(hex(e.hash), ''), ",
    line!(),
    ") as line from events e where (e.stream, e.version) > ($1, $2) order by e.stream, e.version limit $3)"
);

impl Readers {
    pub(super) fn new(pool: SqlitePool, files: Files) -> Self {
        Self { pool, _files: files }
    }

    pub(crate) async fn stream(
        &self,
        stream: StreamId,
        after_version: u32,
        limit: i64,
    ) -> Result<Vec<Recorded>, DbError> {
        let row = sqlx::query(STREAM)
            .bind(stream.id.as_bytes().to_vec())
            .bind(i64::from(after_version))
            .bind(limit)
            .fetch_one(&self.pool)
            .await
            .map_err(definite)?;
        whole::history(after_version, page(&row)?.map(Fields::recorded))
    }

    pub(crate) async fn stream_by_stream(
        &self,
        after: Option<(Uuid, u32)>,
        limit: i64,
    ) -> Result<Vec<Linked>, DbError> {
        // The empty blob sorts before every stream.
        let (stream, version) = after.map_or((Vec::new(), 0), |(stream, v)| (stream.as_bytes().to_vec(), v));
        let query = sqlx::query(STREAM_BY_STREAM).bind(stream).bind(i64::from(version)).bind(limit);
        let row = query.fetch_one(&self.pool).await.map_err(definite)?;
        page(&row)?.map(Fields::linked).collect()
    }

    pub(crate) async fn head(&self) -> Result<Cursor, DbError> {
        let rows =
            sqlx::query("select shard, next_position from shards").fetch_all(&self.pool).await.map_err(definite)?;
        let mut head = Cursor::start();
        for row in &rows {
            let shard = shard(row, 0)?;
            let next: i64 = row.try_get_unchecked(1).map_err(definite)?;
            head.advance(Position { shard, position: next.unsigned_abs().saturating_sub(1) });
        }
        Ok(head)
    }

    pub(crate) async fn span(&self, cursor: &Cursor, at_most: i64) -> Result<Option<i64>, DbError> {
        let query = sqlx::query(SPAN).bind(as_json(cursor)).bind(cursor.latest_milestone()).bind(at_most);
        let row = query.fetch_one(&self.pool).await.map_err(definite)?;
        row.try_get(0).map_err(definite)
    }

    pub(crate) async fn last_event_at(&self) -> Result<Option<Timestamp>, DbError> {
        let last = sqlx::query_scalar("select at from events order by id desc limit 1");
        let at: Option<i64> = last.fetch_optional(&self.pool).await.map_err(definite)?;
        Ok(at.map(Timestamp::from_micros))
    }

    pub(crate) async fn after(&self, cursor: &Cursor, limit: i64) -> Result<Vec<Recorded>, DbError> {
        let row = sqlx::query(AFTER)
            .bind(as_json(cursor))
            .bind(cursor.latest_milestone())
            .bind(limit)
            .fetch_one(&self.pool)
            .await
            .map_err(definite)?;
        whole::following(cursor, page(&row)?.map(Fields::recorded))
    }

    pub(crate) async fn answer(&self, key: Uuid) -> Result<Option<Answer>, DbError> {
        let row = sqlx::query("select key, fingerprint, stream, version, status, body from answers where key = $1")
            .bind(key.as_bytes().to_vec())
            .fetch_optional(&self.pool)
            .await
            .map_err(definite)?;
        row.map(|row| Ok(answer_from(&row)?.1)).transpose()
    }
}

fn as_json(cursor: &Cursor) -> String {
    let marks: Vec<u64> = cursor.marks().map(|mark| mark.position).collect();
    serde_json::to_string(&marks).expect("numbers are JSON")
}

/// The hashes of events, by stream and version; nothing for those that do not exist.
pub(super) async fn read_tips(
    connection: &mut SqliteConnection,
    wanted: &[(Uuid, u32)],
) -> Result<Vec<(Uuid, u32, Option<Hash>)>, Stop> {
    let wanted: Vec<(uuid::fmt::Simple, u32)> =
        wanted.iter().map(|(stream, version)| (stream.simple(), *version)).collect();
    let rows = sqlx::query(
        "select e.stream, e.version, e.hash from json_each($1) j
          cross join events e on e.stream = unhex(j.value ->> 0) and e.version = (j.value ->> 1)",
    )
    .bind(serde_json::to_string(&wanted).expect("numbers and hex are JSON"))
    .fetch_all(connection)
    .await?;
    let tip = |row: &SqliteRow| {
        Ok((uuid(row, 0)?, number(row, 1)?, chain::read(row.try_get_unchecked(2).map_err(definite)?)))
    };
    rows.iter().map(tip).collect::<Result<_, DbError>>().map_err(Stop::Failed)
}

/// A row of `answers`: key, fingerprint, stream, version, status, body.
pub(super) fn answer_from(row: &SqliteRow) -> Result<(Uuid, Answer), DbError> {
    let fingerprint = row.try_get_unchecked(1).map_err(definite)?;
    let body: Option<String> = row.try_get_unchecked(5).map_err(definite)?;
    let answer = match body {
        Some(body) => Answer::Body { fingerprint, status: number(row, 4)?, body },
        None => Answer::Stream { fingerprint, id: uuid(row, 2)?, version: number(row, 3)? },
    };
    Ok((uuid(row, 0)?, answer))
}

fn nonsense(column: usize) -> DbError {
    DbError::Corrupt(format!("a row holds in column {column} what was never written"))
}

pub(super) fn uuid(row: &SqliteRow, column: usize) -> Result<Uuid, DbError> {
    let bytes: &[u8] = row.try_get_unchecked(column).map_err(definite)?;
    Uuid::from_slice(bytes).map_err(|_| nonsense(column))
}

pub(super) fn number<N: TryFrom<i64>>(row: &SqliteRow, column: usize) -> Result<N, DbError> {
    let number: i64 = row.try_get_unchecked(column).map_err(definite)?;
    N::try_from(number).map_err(|_| nonsense(column))
}

/// From two columns, the shard and the position.
pub(super) fn position(row: &SqliteRow, column: usize) -> Result<Position, DbError> {
    Ok(Position { shard: shard(row, column)?, position: number(row, column + 1)? })
}

pub(super) fn kind(row: &SqliteRow, column: usize) -> Result<StreamKind, DbError> {
    StreamKind::from_number(number(row, column)?).ok_or_else(|| nonsense(column))
}

fn shard(row: &SqliteRow, column: usize) -> Result<Shard, DbError> {
    Shard::new(number(row, column)?).ok_or_else(|| nonsense(column))
}
