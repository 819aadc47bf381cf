//! Which members of a batch must be left out, and why.
//!
//! Called when the tables refused a batch and did not say because of whom. The write lock is held, so what is
//! read here is still true when the rest is written.

use std::collections::{HashMap, HashSet};

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::append::Verdicts;
use super::classify::Stop;
use super::read::answer_from;
use crate::store::{Answer, Append, NotAppended};

/// The largest event, in bytes: a Kafka broker takes 1 MiB by default, and the mirror must never be stuck on one.
const MAX_EVENT: usize = 64 * 1024;

/// What is wrong with an append whatever the journal holds.
pub(super) fn malformed(append: &Append) -> Option<NotAppended> {
    if append.events.is_empty() {
        return Some(NotAppended::Empty);
    }
    let large = append.events.iter().find(|event| event.data.len() > MAX_EVENT)?;
    Some(NotAppended::TooLarge { name: large.name, bytes: large.data.len() })
}

/// Walks the batch in order and gives each member the answer it would have got if it had come alone, with one
/// exception: a member that was decided on the events of a refused one is refused too, even if someone else's
/// event has taken that version. Its decision was made on a history that does not exist.
pub(super) async fn judge(
    connection: &mut SqliteConnection,
    batch: &[Append],
    verdicts: &mut Verdicts,
) -> Result<(), Stop> {
    let mut versions = versions(connection, batch).await?;
    let mut answers = answers(connection, batch).await?;
    let mut never_made: HashSet<(Uuid, u32)> = HashSet::new();
    for (append, verdict) in batch.iter().zip(verdicts) {
        let stream = append.stream.id;
        let version = versions.entry(stream).or_insert(0);
        let makes = append.expected_version + append.events.len() as u32;
        if verdict.is_none() {
            *verdict = if let Some(answer) = append.answer.and_then(|answer| answers.get(&answer.key)) {
                Some(NotAppended::AnsweredBefore(answer.clone()))
            } else if append.expected_version != *version || never_made.contains(&(stream, *version)) {
                Some(NotAppended::VersionConflict)
            } else {
                None
            };
        }
        if verdict.is_some() {
            never_made.insert((stream, makes));
            continue;
        }
        *version = makes;
        never_made.remove(&(stream, makes));
        if let Some(answer) = append.answer {
            let made = Answer::Stream { fingerprint: answer.fingerprint, id: stream, version: makes };
            answers.insert(answer.key, made);
        }
    }
    Ok(())
}

async fn versions(connection: &mut SqliteConnection, batch: &[Append]) -> Result<HashMap<Uuid, u32>, Stop> {
    let streams: HashSet<Uuid> = batch.iter().map(|append| append.stream.id).collect();
    let streams: Vec<Uuid> = streams.into_iter().collect();
    let hex: Vec<String> = streams.iter().map(|stream| stream.simple().to_string()).collect();
    let rows = sqlx::query(
        "select key, coalesce((select max(version) from events where stream = unhex(value)), 0) from json_each($1)",
    )
    .bind(serde_json::to_string(&hex).expect("hex is JSON"))
    .fetch_all(connection)
    .await?;
    let mut versions = HashMap::with_capacity(rows.len());
    for row in rows {
        let (n, version): (i64, i64) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
        versions.insert(streams[n as usize], version as u32);
    }
    Ok(versions)
}

async fn answers(connection: &mut SqliteConnection, batch: &[Append]) -> Result<HashMap<Uuid, Answer>, Stop> {
    let keys: Vec<String> = batch.iter().filter_map(|append| Some(append.answer?.key.simple().to_string())).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "select key, fingerprint, stream, version, status, body from answers
          where key in (select unhex(value) from json_each($1))",
    )
    .bind(serde_json::to_string(&keys).expect("hex is JSON"))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| answer_from(row).map_err(Stop::Failed)).collect()
}
