//! A batch of appends as one transaction of few statements.
//!
//! The first attempt believes the callers and lets the tables object. Only if they do, the batch is rolled
//! back and tried once more after a look at what is there (`judge.rs`), so that a bad member costs the others
//! time but never their outcome. Losers are known before positions are taken: positions have no gaps.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::Writer;
use super::classify::Stop;
use super::judge::judge;
use super::rows::RowsInsert;
use crate::crash;
use crate::order::Timestamp;
use crate::store::batch::{MILESTONE, Verdicts, good, last_words, malformed, places};
use crate::store::{AnswerKey, Append, Committed, DbError, Due, NotAppended, SHARDS};

impl Writer {
    pub(crate) async fn append(&mut self, batch: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, DbError> {
        crash::point("journal.before_append");
        let verdicts: Verdicts = batch.iter().map(malformed).collect();
        match self.attempt(batch, verdicts.clone(), Look::Away).await {
            Err(Stop::Conflict) => self.attempt(batch, verdicts, Look::First).await.map_err(Stop::into_error),
            outcomes => outcomes.map_err(Stop::into_error),
        }
    }

    async fn attempt(
        &mut self,
        batch: &[Append],
        mut verdicts: Verdicts,
        look: Look,
    ) -> Result<Vec<Result<Committed, NotAppended>>, Stop> {
        // The first statement of the hopeful attempt begins the transaction itself.
        let mut connection = match look {
            Look::Away => self.connected().await?,
            Look::First => self.begin().await?,
        };
        let written = write(&mut connection, self.epoch, batch, &mut verdicts, look).await;
        let places = self.end(connection, written).await?;
        Ok(verdicts.into_iter().zip(places).map(|(verdict, place)| verdict.map_or(Ok(place), Err)).collect())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Away,
}

/// Everything up to the commit. A place for each member, meaningless for those with a verdict.
async fn write(
    connection: &mut SqliteConnection,
    epoch: i64,
    batch: &[Append],
    verdicts: &mut Verdicts,
    look: Look,
) -> Result<Vec<Committed>, Stop> {
    if look == Look::First {
        judge(connection, batch, verdicts).await?;
    }
    let places = places(batch, verdicts, take_positions(connection, epoch, batch, verdicts, look).await?);
    let last = insert_events(connection, epoch, batch, verdicts, &places).await?;
    let count: usize = good(batch, verdicts).map(|append| append.events.len()).sum();
    if last / MILESTONE > (last - count as i64) / MILESTONE {
        insert_milestone(connection, last).await?;
    }
    move_deadlines(connection, batch, verdicts).await?;
    Ok(places)
}

/// The statements that open a batch, in one text because each text sent costs about as much as 10 rows.
///
/// The first takes as many positions of each shard as are needed, and demands that the shards are still ours: in one
/// statement, so that no position is ever given under another epoch.
macro_rules! take {
    ($begin:literal) => {
        concat!(
            $begin,
            "update shards set next_position = next_position + (j.value ->> 1) from json_each($1) j
              where shard = (j.value ->> 0) and epoch = $2
          returning shard, next_position;
             insert into answers (key, fingerprint, at, stream, version)
             select unhex(value ->> 0), value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4 from json_each($3)"
        )
    };
}

/// Returns the first position that was taken of each shard.
async fn take_positions(
    connection: &mut SqliteConnection,
    epoch: i64,
    batch: &[Append],
    verdicts: &Verdicts,
    look: Look,
) -> Result<[u64; SHARDS], Stop> {
    let mut counts = [None::<u64>; SHARDS];
    let mut answers = Vec::new();
    for (append, verdict) in batch.iter().zip(verdicts) {
        let count = counts[usize::from(append.shard.number())].get_or_insert(0);
        if verdict.is_some() {
            continue;
        }
        *count += append.events.len() as u64;
        if let Some(AnswerKey { key, fingerprint }) = append.answer {
            let version = i64::from(append.expected_version) + append.events.len() as i64;
            answers.push((key.simple(), fingerprint, append.at.as_micros(), append.stream.id.simple(), version));
        }
    }
    let wanted: Vec<(usize, u64)> =
        counts.iter().enumerate().filter_map(|(shard, count)| Some((shard, (*count)?))).collect();
    let sql = match look {
        Look::Away => take!("begin immediate; "),
        Look::First => take!(""),
    };
    let rows = sqlx::query(sql)
        .bind(serde_json::to_string(&wanted).expect("pairs of numbers are JSON"))
        .bind(epoch)
        .bind(serde_json::to_string(&answers).expect("numbers and hex are JSON"))
        .fetch_all(connection)
        .await?;
    if rows.len() != wanted.len() {
        return Err(Stop::Failed(DbError::Fenced));
    }
    let mut next = [0; SHARDS];
    for row in rows {
        let (shard, after): (i64, i64) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
        let shard = shard as usize;
        next[shard] = after.unsigned_abs() - counts[shard].unwrap_or(0);
    }
    Ok(next)
}

static INSERT_EVENTS: RowsInsert = RowsInsert::new(
    // `or fail`: a refused row ends in a rollback of it all, so SQLite need not keep what it takes to undo one statement.
    "insert or fail into events
     (shard, position, stream, version, kind, at, by_whom, command, fingerprint, epoch, name, data)",
    12,
    "",
);

/// Returns the key of the last event.
async fn insert_events(
    connection: &mut SqliteConnection,
    epoch: i64,
    batch: &[Append],
    verdicts: &Verdicts,
    places: &[Committed],
) -> Result<i64, Stop> {
    let mut rows = Vec::with_capacity(batch.len() * 2);
    for ((append, _), place) in batch.iter().zip(verdicts).zip(places).filter(|((_, verdict), _)| verdict.is_none()) {
        for (n, event) in append.events.iter().enumerate() {
            let version = i64::from(append.expected_version) + n as i64 + 1;
            rows.push((place.first.position + n as u64, version, append, event));
        }
    }
    let mut last = 0;
    for (mut insert, part) in INSERT_EVENTS.parts(&rows) {
        for &(position, version, append, event) in part {
            insert = insert
                .bind(i64::from(append.shard.number()))
                .bind(position.cast_signed())
                .bind(append.stream.id.as_bytes().to_vec())
                .bind(version)
                .bind(append.stream.kind as i64)
                .bind(append.at.as_micros())
                .bind(append.by.clone())
                .bind(append.command.uuid().as_bytes().to_vec())
                .bind(append.fingerprint)
                .bind(epoch)
                .bind(event.name)
                .bind(event.data.clone());
        }
        last = insert.execute(&mut *connection).await?.last_insert_rowid();
    }
    Ok(last)
}

async fn insert_milestone(connection: &mut SqliteConnection, last: i64) -> Result<(), Stop> {
    sqlx::query(
        "insert into milestones (id, marks)
         select $1, json_group_array(next_position - 1) from (select next_position from shards order by shard)",
    )
    .bind(last)
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps `deadlines` equal to the open streams.
async fn move_deadlines(
    connection: &mut SqliteConnection,
    batch: &[Append],
    verdicts: &Verdicts,
) -> Result<(), Stop> {
    let (open, closed) = last_words(good(batch, verdicts));
    if open.is_empty() && closed.is_empty() {
        return Ok(());
    }
    let row = |append: &&Append| {
        let due = if let Due::Open(due) = append.due { due.map(Timestamp::as_micros) } else { None };
        (append.stream.id.simple(), append.stream.kind as u8, append.shard.number(), due)
    };
    let open: Vec<_> = open.iter().map(row).collect();
    let closed: Vec<_> = closed.iter().map(|stream| stream.simple()).collect();
    sqlx::query(
        "insert into deadlines (stream, kind, shard, due_at)
         select unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3 from json_each($1) where true
             on conflict (stream) do update set due_at = excluded.due_at;
         delete from deadlines where stream in (select unhex(value) from json_each($2))",
    )
    .bind(serde_json::to_string(&open).expect("numbers and hex are JSON"))
    .bind(serde_json::to_string(&closed).expect("hex is JSON"))
    .execute(connection)
    .await?;
    Ok(())
}
