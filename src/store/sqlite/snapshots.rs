//! Snapshots of books: taking one, and finding the one to begin at.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::classify::{Stop, definite};
use super::read::number;
use super::{Readers, Writer};
use crate::order::Timestamp;
use crate::store::snapshot::outdated_snapshots;
use crate::store::{DbError, Snapshot, StreamId};

pub(super) const NEWEST: &str =
    "select version, at, state from snapshots where stream = $1 and version <= $2 order by version desc limit 1";

const NEXT: &str =
    "select version, at, state from snapshots where stream = $1 and version > $2 order by version limit 1";

impl Writer {
    pub(crate) async fn save_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), DbError> {
        let mut connection = self.begin().await?;
        let work = save(&mut connection, snapshot).await;
        self.end(connection, work).await.map_err(Stop::into_error)
    }
}

async fn save(connection: &mut SqliteConnection, snapshot: &Snapshot) -> Result<(), Stop> {
    let stream = snapshot.stream.id.as_bytes().to_vec();
    sqlx::query(concat!("delete from snapshots where ", outdated_snapshots!()))
        .bind(stream.clone())
        .bind(i64::from(snapshot.version))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "insert into snapshots (stream, version, at, state) values ($1, $2, $3, $4)
             on conflict (stream, version) do update set at = excluded.at, state = excluded.state",
    )
    .bind(stream)
    .bind(i64::from(snapshot.version))
    .bind(snapshot.at.as_micros())
    .bind(snapshot.state.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

impl Readers {
    pub(crate) async fn snapshot(&self, stream: StreamId, at: u32) -> Result<Option<Snapshot>, DbError> {
        self.one_snapshot(NEWEST, stream, at).await
    }

    pub(crate) async fn snapshot_after(&self, stream: StreamId, version: u32) -> Result<Option<Snapshot>, DbError> {
        self.one_snapshot(NEXT, stream, version).await
    }

    async fn one_snapshot(
        &self,
        query: &'static str,
        stream: StreamId,
        version: u32,
    ) -> Result<Option<Snapshot>, DbError> {
        let row = sqlx::query(query)
            .bind(stream.id.as_bytes().to_vec())
            .bind(i64::from(version))
            .fetch_optional(&self.pool)
            .await
            .map_err(definite)?;
        row.map(|row| snapshot(stream, &row)).transpose()
    }
}

fn snapshot(stream: StreamId, row: &SqliteRow) -> Result<Snapshot, DbError> {
    let state: String = row.try_get(2).map_err(definite)?;
    Ok(Snapshot { stream, version: number(row, 0)?, at: Timestamp::from_micros(number(row, 1)?), state: state.into() })
}
