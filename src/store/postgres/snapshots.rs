//! Snapshots of books: taking one, and finding the one to begin at.

use super::classify::{Failure, get, number};
use super::statement::Statement;
use super::{Readers, Writer};
use crate::order::Timestamp;
use crate::store::snapshot::outdated_snapshots;
use crate::store::{DbError, Snapshot, StreamId};

/// A writer that was replaced may still write one: it says what the events say, whoever wrote it.
const SAVE: &str = concat!(
    "with outdated as (delete from snapshots where ",
    outdated_snapshots!(),
    ")
     insert into snapshots (stream, version, at, state) values ($1, $2, $3, $4)
         on conflict (stream, version) do update set at = excluded.at, state = excluded.state
     returning version"
);

pub(super) const NEWEST: &str =
    "select version, at, state from snapshots where stream = $1 and version <= $2 order by version desc limit 1";

const NEXT: &str =
    "select version, at, state from snapshots where stream = $1 and version > $2 order by version limit 1";

impl Writer {
    pub(crate) async fn save_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), DbError> {
        let save = Statement::new(SAVE)
            .bind(snapshot.stream.id)
            .bind(i64::from(snapshot.version))
            .bind(snapshot.at.as_micros())
            .bind(snapshot.state.to_string());
        self.with(async move |mut session| {
            session.ready().await?;
            session.write(save).await.map(|_| ()).map_err(Failure::of_write)
        })
        .await
    }
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
        let wanted = Statement::new(query).bind(stream.id).bind(i64::from(version));
        let rows = self.connections.read(wanted).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let state: String = get(row, 2)?;
        Ok(Some(Snapshot {
            stream,
            version: number(row, 0)?,
            at: Timestamp::from_micros(get(row, 1)?),
            state: state.into(),
        }))
    }
}
