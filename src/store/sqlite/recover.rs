//! Telling after the fact whether a commit happened that nobody answered.
//!
//! The epoch moves on first: that transaction needs the write lock, so it waits until the lost one has
//! ended, and whatever of this writer could still arrive is fenced off. What the journal says then is final.

use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::Writer;
use super::classify::{Stop, is_full};
use super::read::{number, position, uuid};
use crate::store::batch::{Found, fate};
use crate::store::{Append, Committed, DbError, NotAppended, SHARDS};

impl Writer {
    pub(crate) async fn recover(&mut self, batch: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, DbError> {
        self.disconnect();
        let mut connection = self.begin().await?;
        let work = move_on(&mut connection, self.owner, batch).await;
        let read = work.as_ref().ok().map(|(_, found)| found.clone());
        let found = match (self.end(connection, work).await, read) {
            (Ok((epoch, found)), _) => {
                self.epoch = epoch;
                found
            }
            // The disk has no room for the new epoch either. What was read is final all the same: the write lock was
            // ours, so the lost transaction had ended, and no other process can open this file.
            (Err(Stop::Failed(DbError::Full(_))), Some(found)) => found,
            (Err(Stop::Failed(DbError::Unknown(error))), Some(found)) if is_full(&error) => found,
            (Err(stop), _) => return Err(stop.into_error()),
        };
        Ok(batch.iter().map(|append| fate(append, &found)).collect())
    }
}

/// The owner's name decides, not the epoch: if the commit of an earlier recovery was lost too, the rows
/// carry an epoch that this writer never heard of, and still its name.
async fn move_on(connection: &mut SqliteConnection, owner: Uuid, batch: &[Append]) -> Result<(i64, Found), Stop> {
    let epochs: Vec<i64> = sqlx::query_scalar("update shards set epoch = epoch + 1 where owner = $1 returning epoch")
        .bind(owner.as_bytes().to_vec())
        .fetch_all(&mut *connection)
        .await?;
    let epoch = epochs.first().copied().filter(|_| epochs.len() == SHARDS).ok_or(DbError::Fenced)?;
    Ok((epoch, first_events(connection, batch).await?))
}

/// The first event of each append, or of whoever else took its place.
async fn first_events(connection: &mut SqliteConnection, batch: &[Append]) -> Result<Found, Stop> {
    let firsts: Vec<(String, u32)> =
        batch.iter().map(|append| (append.stream.id.simple().to_string(), append.expected_version + 1)).collect();
    let rows = sqlx::query(
        "select e.stream, e.version, e.command, e.shard, e.position from json_each($1) j
          cross join events e on e.stream = unhex(j.value ->> 0) and e.version = (j.value ->> 1)",
    )
    .bind(serde_json::to_string(&firsts).expect("numbers and hex are JSON"))
    .fetch_all(connection)
    .await?;
    let mut found = Found::new();
    for row in rows {
        let (stream, command) = (uuid(&row, 0)?, uuid(&row, 2)?);
        found.insert((stream, number(&row, 1)?), (command, position(&row, 3)?));
    }
    Ok(found)
}
