//! Reading the journal: one stream, everything after a cursor, the answer to a key.
//!
//! Each call is one or two statements on a connection that cannot write. What wakes the open orders is
//! in `open_streams.rs`.

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use uuid::Uuid;

use super::Files;
use super::append::{event_key, position_of};
use super::classify::definite;
use crate::order::{CommandId, Timestamp};
use crate::store::{Answer, Cursor, DbError, Position, Recorded, Shard, StreamId, StreamKind};

#[derive(Clone)]
pub struct Readers {
    pub(super) pool: SqlitePool,
    _files: Files,
}

/// The columns that [`recorded`] reads, in its sequence.
macro_rules! recorded_columns {
    () => {
        "e.id, e.kind, e.stream, e.version, e.at, e.by_whom, e.command, e.fingerprint, e.name, e.data"
    };
}
pub(super) use recorded_columns;

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
        let rows = sqlx::query(concat!(
            "select ",
            recorded_columns!(),
            " from events e where e.stream = $1 and e.version > $2 order by e.version limit $3"
        ))
        .bind(stream.id.as_bytes().to_vec())
        .bind(i64::from(after_version))
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(definite)?;
        rows.iter().map(|row| recorded(row, 0)).collect()
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

    pub(crate) async fn after(&self, cursor: &Cursor, limit: usize) -> Result<Vec<Recorded>, DbError> {
        let shares = shares(cursor, &self.head().await?, limit);
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let ranges: Vec<(i64, i64)> = shares
            .iter()
            .map(|share| (event_key(share.shard, share.first), event_key(share.shard, share.last)))
            .collect();
        let rows = sqlx::query(concat!(
            "select ",
            recorded_columns!(),
            " from json_each($1) j cross join events e on e.id between (j.value ->> 0) and (j.value ->> 1)"
        ))
        .bind(serde_json::to_string(&ranges).expect("pairs of numbers are JSON"))
        .fetch_all(&self.pool)
        .await
        .map_err(definite)?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            events.push(recorded(row, 0)?);
        }
        check_complete(&shares, &events)?;
        Ok(events)
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

/// A run of positions to read from one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    shard: Shard,
    first: u64,
    last: u64,
}

/// Shares `limit` out among the shards with something new, evenly, so that a busy one cannot starve the others.
/// Every such shard gets at least one, whatever the limit.
fn shares(cursor: &Cursor, head: &Cursor, limit: usize) -> Vec<Share> {
    let mut shares: Vec<Share> = head
        .marks()
        .filter(|mark| mark.position > cursor.at(mark.shard))
        .map(|mark| Share { shard: mark.shard, first: cursor.at(mark.shard) + 1, last: mark.position })
        .collect();
    // The shortest first: what they leave of their part is shared among the rest.
    shares.sort_by_key(|share| share.last - share.first);
    let mut left = limit as u64;
    let count = shares.len();
    for (done, share) in shares.iter_mut().enumerate() {
        let part = (left / (count - done) as u64).max(1);
        share.last = share.last.min(share.first + part - 1);
        left = left.saturating_sub(share.last - share.first + 1);
    }
    shares
}

/// The head said that these events are there, and positions have no gaps: a reader that was handed fewer would
/// move its cursor past what it never saw.
fn check_complete(shares: &[Share], events: &[Recorded]) -> Result<(), DbError> {
    let wanted: u64 = shares.iter().map(|share| share.last - share.first + 1).sum();
    if wanted == events.len() as u64 {
        return Ok(());
    }
    Err(DbError::Corrupt(format!("events: {wanted} positions were given and {} are there", events.len())))
}

/// The event in the columns from `from` on, as [`recorded_columns`] names them.
pub(super) fn recorded(row: &SqliteRow, from: usize) -> Result<Recorded, DbError> {
    Ok(Recorded {
        position: position(row, from)?,
        stream: StreamId { kind: kind(row, from + 1)?, id: uuid(row, from + 2)? },
        version: number(row, from + 3)?,
        at: Timestamp::from_micros(row.try_get_unchecked(from + 4).map_err(definite)?),
        by: row.try_get_unchecked(from + 5).map_err(definite)?,
        command: CommandId::new(uuid(row, from + 6)?),
        fingerprint: row.try_get_unchecked(from + 7).map_err(definite)?,
        name: row.try_get_unchecked(from + 8).map_err(definite)?,
        data: row.try_get_unchecked(from + 9).map_err(definite)?,
    })
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

pub(super) fn position(row: &SqliteRow, column: usize) -> Result<Position, DbError> {
    position_of(number(row, column)?).ok_or_else(|| nonsense(column))
}

pub(super) fn kind(row: &SqliteRow, column: usize) -> Result<StreamKind, DbError> {
    StreamKind::from_number(number(row, column)?).ok_or_else(|| nonsense(column))
}

fn shard(row: &SqliteRow, column: usize) -> Result<Shard, DbError> {
    Shard::new(number(row, column)?).ok_or_else(|| nonsense(column))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::store::SHARDS;

    fn cursor(marks: &[(u8, u64)]) -> Cursor {
        let mut cursor = Cursor::start();
        for &(shard, position) in marks {
            cursor.advance(Position { shard: Shard::new(shard).unwrap(), position });
        }
        cursor
    }

    #[test]
    fn a_busy_shard_leaves_the_others_their_part() {
        let shares = shares(&cursor(&[(3, 5)]), &cursor(&[(0, 1_000_000), (3, 6), (9, 40)]), 100);
        let counts: HashMap<u8, u64> =
            shares.iter().map(|share| (share.shard.number(), share.last - share.first + 1)).collect();
        assert_eq!(counts, HashMap::from([(3, 1), (9, 40), (0, 59)]));
    }

    #[test]
    fn every_shard_with_news_is_read_however_small_the_limit() {
        let news: Vec<(u8, u64)> = (0..SHARDS as u8).map(|shard| (shard, 10)).collect();
        assert_eq!(shares(&Cursor::start(), &cursor(&news), 1).len(), SHARDS);
    }
}
