//! Telling after the fact whether a statement was carried out that nobody answered.
//!
//! The epoch moves on first. That update waits for the rows that the lost statement holds, so when it has committed the
//! lost one has ended, and whatever of this writer could still arrive is fenced off. Only then, in a statement of its
//! own with a view of its own, the journal is read; what it says is final.

use super::classify::{Failure, LOCK_NOT_AVAILABLE, code, get, number};
use super::statement::Statement;
use super::writer::{Session, Writer};
use crate::store::batch::{Found, fate};
use crate::store::{Append, Committed, DbError, NotAppended, Position, SHARDS, Shard};

impl Writer {
    pub(crate) async fn recover(&mut self, batch: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, DbError> {
        let firsts = first_events(batch);
        let rows = self
            .with(async |mut session| {
                session.disconnect();
                session.move_epoch().await?;
                session.read(firsts).await.map_err(Failure::of_read)
            })
            .await?;
        let mut found = Found::new();
        for row in rows {
            let nonsense = || DbError::Corrupt("events: a shard that does not exist".into());
            let shard = u8::try_from(get::<i16>(&row, 3)?).ok().and_then(Shard::new).ok_or_else(nonsense)?;
            let position = Position { shard, position: number(&row, 4)? };
            found.insert((get(&row, 0)?, number(&row, 1)?), (get(&row, 2)?, position));
        }
        Ok(batch.iter().map(|append| fate(append, &found)).collect())
    }
}

/// The owner's name decides, not the epoch: if the answer to an earlier move was lost too, the rows carry an epoch that
/// this writer never heard of, and still its name.
const MOVE_ON: &str = "with ours as materialized (select shard from shards where owner = $1 order by shard for update)
     update shards set epoch = shards.epoch + 1 from ours where ours.shard = shards.shard returning shards.epoch";

impl Session {
    /// Fences off everything that this writer has sent before.
    pub(super) async fn move_epoch(&mut self) -> Result<(), DbError> {
        self.in_doubt = true;
        let before = self.backend();
        let moved = match self.write(Statement::new(MOVE_ON).bind(self.owner)).await {
            // The lost statement still runs, or hangs. It has had its time.
            Err(Failure::Refused(error)) if code(&error) == Some(LOCK_NOT_AVAILABLE) => {
                self.end_backend(before).await?;
                self.write(Statement::new(MOVE_ON).bind(self.owner)).await
            }
            moved => moved,
        };
        let rows = moved.map_err(Failure::of_write)?;
        let epoch = rows.first().filter(|_| rows.len() == SHARDS).ok_or(DbError::Fenced)?;
        self.epoch = get(epoch, 0)?;
        self.last_id = self.read_last_id().await.map_err(Failure::of_read)?;
        self.in_doubt = false;
        // Its client is gone, and it may not notice that for hours.
        self.end_backend(before.filter(|before| self.backend() != Some(*before))).await
    }

    async fn end_backend(&mut self, backend: Option<(i32, i64)>) -> Result<(), DbError> {
        let Some((pid, began)) = backend else { return Ok(()) };
        let end = Statement::new(
            "select pg_terminate_backend(pid) from pg_stat_get_activity($1)
              where (extract(epoch from backend_start) * 1000000)::bigint = $2",
        );
        self.read(end.bind(pid).bind(began)).await.map(drop).map_err(Failure::of_read)
    }
}

/// The first event of each append, or of whoever else took its place.
fn first_events(batch: &[Append]) -> Statement {
    let streams: Vec<_> = batch.iter().map(|append| append.stream.id).collect();
    let versions: Vec<_> = batch.iter().map(|append| i64::from(append.expected_version) + 1).collect();
    Statement::new(
        "select e.stream, e.version, e.command, e.shard, e.position
           from unnest($1::uuid[], $2::bigint[]) as wanted (stream, version)
           join events e on e.stream = wanted.stream and e.version = wanted.version",
    )
    .bind(streams)
    .bind(versions)
}
