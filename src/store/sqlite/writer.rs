//! The one connection that writes the journal, and the frame of every transaction on it.
//!
//! The connection is taken out while a transaction runs and put back only when that has ended cleanly. A call
//! that is dropped half-way, or ends in doubt, so leaves nothing behind: SQLite rolls back what its closed
//! connection had begun, and the next call opens another one and waits for the lock that the old one held.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Connection, Sqlite};
use uuid::Uuid;

use super::Files;
use super::append::NextPositions;
use super::classify::{Stop, at_commit, definite};
use crate::crash;
use crate::store::chain::Tips;
use crate::store::engine::PROOF_BYTES;
use crate::store::{DbError, SHARDS};

pub(crate) struct Writer {
    files: Files,
    connection: Option<SqliteConnection>,
    /// What the rows of all shards must say for a transaction of this writer to go through.
    pub(super) epoch: i64,
    /// Names this writer in the rows of the shards.
    pub(super) owner: Uuid,
    /// As the rows of the shards have them, while no transaction is under way. None: to be read.
    pub(super) next_positions: Option<NextPositions>,
    pub(super) tips: Tips,
    #[cfg(test)]
    pub(in crate::store) faults: std::collections::VecDeque<CommitFault>,
}

/// What a test lets a commit do instead of answering.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitFault {
    /// The transaction is committed and the answer lost.
    LostAfter,
    /// The transaction is lost.
    LostBefore,
}

impl Writer {
    /// Makes every shard this writer's own. From the moment that this commits, no older writer can write.
    pub(super) async fn take_over(files: Files, mut connection: SqliteConnection) -> Result<Self, sqlx::Error> {
        // The name only has to differ from the other writers' of this file.
        let owner = Uuid::from_u64_pair(fastrand::u64(..), fastrand::u64(..));
        let epoch = sqlx::query_scalar(
            "update shards set owner = $1, epoch = (select max(epoch) from shards) + 1 returning epoch",
        )
        .bind(owner.as_bytes().to_vec())
        .fetch_all(&mut connection)
        .await?
        .pop()
        .ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self {
            files,
            connection: Some(connection),
            epoch,
            owner,
            next_positions: None,
            tips: Tips::default(),
            #[cfg(test)]
            faults: Default::default(),
        })
    }

    /// Takes the connection out, for a transaction that is still to be begun.
    pub(super) async fn connected(&mut self) -> Result<SqliteConnection, DbError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => SqliteConnection::connect_with(&self.files.journal_writer()).await.map_err(definite),
        }
    }

    /// Begins a transaction that may write; it holds the file's write lock from here on.
    pub(super) async fn begin(&mut self) -> Result<SqliteConnection, DbError> {
        let mut connection = self.connected().await?;
        sqlx::query("begin immediate").execute(&mut connection).await.map_err(definite)?;
        Ok(connection)
    }

    /// Commits what `work` came to, or rolls it back.
    pub(super) async fn end<T>(&mut self, connection: SqliteConnection, work: Result<T, Stop>) -> Result<T, Stop> {
        match work {
            Ok(value) => self.end_with(connection, sqlx::query("commit")).await.map(|()| value),
            Err(stop) => {
                // If this fails the connection is dropped, and closing it rolls back too.
                self.give_back(connection, true).await;
                Err(stop)
            }
        }
    }

    /// Sends the text that ends in the commit.
    pub(super) async fn end_with(
        &mut self,
        mut connection: SqliteConnection,
        last: Query<'static, Sqlite, SqliteArguments>,
    ) -> Result<(), Stop> {
        crash::point("journal.before_commit");
        #[cfg(test)]
        match self.faults.pop_front() {
            Some(CommitFault::LostBefore) => {
                rollback(&mut connection).await;
                return Err(DbError::Unknown(sqlx::Error::WorkerCrashed).into());
            }
            Some(CommitFault::LostAfter) => {
                last.execute(&mut connection).await?;
                return Err(DbError::Unknown(sqlx::Error::WorkerCrashed).into());
            }
            None => {}
        }
        match last.execute(&mut connection).await {
            Ok(_) => {
                crash::point("journal.after_commit");
                self.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                let rolled_back = rollback(&mut connection).await;
                let stop = at_commit(error, rolled_back);
                if !matches!(stop, Stop::Failed(_)) {
                    self.connection = Some(connection);
                }
                Err(stop)
            }
        }
    }

    /// Puts the connection back, after a rollback if a transaction was begun on it.
    pub(super) async fn give_back(&mut self, mut connection: SqliteConnection, begun: bool) {
        if !begun || rollback(&mut connection).await {
            self.connection = Some(connection);
        }
    }

    /// Where the shards stand. Only this writer moves them on; if not, the next batch is refused by its epoch.
    pub(super) async fn read_positions(&mut self) -> Result<NextPositions, DbError> {
        let mut connection = self.connected().await?;
        let next: Vec<i64> = sqlx::query_scalar("select next_position from shards order by shard")
            .fetch_all(&mut connection)
            .await
            .map_err(definite)?;
        self.connection = Some(connection);
        let next: Vec<u64> = next.into_iter().map(i64::unsigned_abs).collect();
        next.try_into().map_err(|_| DbError::Corrupt("shards: there are not as many rows as shards".into()))
    }

    /// Forgets the connection: what it still has under way, it ends without us.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
        self.next_positions = None;
    }

    /// By chance, so that no page is as it was: SQLite writes none that is, and a commit of nothing succeeds on a full disk.
    pub(crate) async fn prove_writable(&mut self) -> Result<(), DbError> {
        let mut connection = self.begin().await?;
        let work = prove(&mut connection, self.epoch).await;
        self.end(connection, work).await.map_err(Stop::into_error)
    }

    pub(crate) async fn check_ownership(&mut self) -> Result<(), DbError> {
        let mut connection = self.connected().await?;
        let ours = check_epoch(&mut connection, self.epoch).await;
        self.connection = Some(connection);
        ours.map_err(Stop::into_error)
    }

    /// Moves a part of the write-ahead log into the file, without waiting for readers, and says how many
    /// pages are left in the log. For idle moments: a busy writer checkpoints by itself.
    pub(crate) async fn checkpoint(&mut self) -> Result<u64, DbError> {
        let mut connection = self.connected().await?;
        let (_busy, in_log, moved): (i64, i64, i64) =
            sqlx::query_as("pragma wal_checkpoint(passive)").fetch_one(&mut connection).await.map_err(definite)?;
        self.connection = Some(connection);
        Ok(in_log.saturating_sub(moved).max(0).unsigned_abs())
    }
}

/// Whether the shards are still this epoch's. True until the end of the transaction, whose write lock is held.
pub(super) async fn check_epoch(connection: &mut SqliteConnection, epoch: i64) -> Result<(), Stop> {
    let ours: i64 =
        sqlx::query_scalar("select count(*) from shards where epoch = $1").bind(epoch).fetch_one(connection).await?;
    if ours == SHARDS as i64 { Ok(()) } else { Err(DbError::Fenced.into()) }
}

async fn prove(connection: &mut SqliteConnection, epoch: i64) -> Result<(), Stop> {
    check_epoch(connection, epoch).await?;
    sqlx::query("update proof set bytes = randomblob($1)").bind(PROOF_BYTES as i64).execute(connection).await?;
    Ok(())
}

async fn rollback(connection: &mut SqliteConnection) -> bool {
    sqlx::query("rollback").execute(connection).await.is_ok()
}
