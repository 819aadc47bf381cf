//! Which members of a batch must be left out, and why.
//!
//! Called when the tables refused a batch and did not say because of whom. The write lock is held, so what is
//! read here is still true when the rest is written.

use std::collections::{HashMap, HashSet};

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::classify::Stop;
use super::read::answer_from;
use crate::store::batch::{self, Held, Verdicts};
use crate::store::{Answer, Append};

/// Adds the verdicts that the tables give to those that were known before.
pub(super) async fn judge(
    connection: &mut SqliteConnection,
    batch: &[Append],
    verdicts: &mut Verdicts,
) -> Result<(), Stop> {
    let held = Held { versions: versions(connection, batch).await?, answers: answers(connection, batch).await? };
    batch::judge(batch, verdicts, held);
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
