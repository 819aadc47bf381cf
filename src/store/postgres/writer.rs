//! The one connection that writes the journal, and what it knows while the shards are its own.
//!
//! A statement that was sent is never given up: it runs in a task, and whoever asked may go. If it ends without an
//! answer, the connection is dropped and the session is in doubt. Then the epoch is moved before anything else is
//! written: nothing of this writer's that is still on its way can arrive after that.

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::classify::{Failure, get};
use super::io::Io;
use super::open::SERVER_LOCK;
use super::place::{Address, Patience, WRITER};
use super::statement::{Statement, connect};
use crate::crash;
#[cfg(test)]
use crate::store::CommitFault;
use crate::store::DbError;
use crate::store::chain::Tips;
use crate::store::engine::PROOF_BYTES;

/// Holds a row of the shards while it writes: whoever would take them over waits, or this writes nothing.
const PROVE: &str = "
  with fence as materialized (select shard from shards where shard = 0 and epoch = $1 for share)
update proof set bytes = $2 from fence returning id";

pub(crate) struct Writer {
    pub(super) io: Io,
    pub(super) session: Arc<Mutex<Session>>,
    pub(super) tips: Tips,
}

pub(super) struct Session {
    options: PgConnectOptions,
    patience: Patience,
    connection: Option<PgConnection>,
    /// The server's process for the last connection: when it began tells it from a later one of the same number.
    backend: Option<(i32, i64)>,
    /// Names this writer in the rows of the shards.
    pub(super) owner: Uuid,
    /// What the rows of the shards must say for a statement of this writer to go through.
    pub(super) epoch: i64,
    /// The number of the last event. Good as long as the epoch is: nobody else writes.
    pub(super) last_id: i64,
    /// Something that was sent had no answer, and may still be on its way.
    pub(super) in_doubt: bool,
    #[cfg(test)]
    faults: std::collections::VecDeque<CommitFault>,
}

impl Writer {
    /// Makes every shard this writer's own. From the moment that this commits, no older writer can write.
    pub(super) async fn take_over(address: &Address, connection: &mut PgConnection) -> Result<Self, Failure> {
        // Locked in the sequence of their numbers, like everywhere: two who lock in different ones wait for each other.
        let take = "with every as materialized (select shard, epoch from shards order by shard for update)
                    update shards set owner = $1, epoch = (select max(epoch) + 1 from every)
                      from every where every.shard = shards.shard returning shards.epoch";
        // The name only has to differ from the other writers' of this database.
        let owner = Uuid::from_u64_pair(fastrand::u64(..), fastrand::u64(..));
        let rows = Statement::new(take).bind(owner).run(connection, super::place::OPENING_STEP).await?;
        let epoch = rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| sqlx::Row::try_get(row, 0));
        let last_id = last_id(connection, super::place::OPENING_STEP).await?;
        let session = Session {
            options: address.options(WRITER),
            patience: address.patience,
            connection: None,
            backend: None,
            owner,
            epoch: epoch.map_err(Failure::Refused)?,
            last_id,
            in_doubt: false,
            #[cfg(test)]
            faults: Default::default(),
        };
        let io = Io::start("journal-io").map_err(|error| Failure::NotSent(error.into()))?;
        Ok(Self { io, session: Arc::new(Mutex::new(session)), tips: Tips::default() })
    }

    /// Does this on the session, to its end, one after the other.
    pub(super) async fn with<T, W, F>(&self, work: W) -> T
    where
        T: Send + 'static,
        W: FnOnce(tokio::sync::OwnedMutexGuard<Session>) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let session = self.session.clone();
        self.io.run(async move { work(session.lock_owned().await).await }).await
    }

    /// Connects, if there is no connection, so that the first append need not wait for it.
    pub(super) async fn connect(&self) -> Result<(), DbError> {
        self.with(async |mut session| session.ready().await.map(|_| ())).await
    }

    pub(crate) async fn prove_writable(&mut self) -> Result<(), DbError> {
        // By chance, so that the server cannot press it into less.
        let mut bytes = vec![0_u8; PROOF_BYTES];
        fastrand::fill(&mut bytes);
        self.with(async move |mut session| {
            session.ready().await?;
            let prove = Statement::new(PROVE).bind(session.epoch).bind(bytes);
            let rows = session.write(prove).await.map_err(Failure::of_write)?;
            if rows.is_empty() { Err(DbError::Fenced) } else { Ok(()) }
        })
        .await
    }

    pub(crate) async fn check_ownership(&mut self) -> Result<(), DbError> {
        self.with(async |mut session| {
            session.ready().await?;
            session.check_epoch().await
        })
        .await
    }

    #[cfg(test)]
    pub(in crate::store) fn fail_next_commit(&mut self, fault: CommitFault) {
        self.session.try_lock().expect("nothing is under way").faults.push_back(fault);
    }

    /// Nothing is put off to idle moments: the server does its own housekeeping.
    pub(crate) async fn checkpoint(&mut self) -> Result<u64, DbError> {
        Ok(0)
    }
}

impl Session {
    /// A connection for the next statement, with nothing of before that could still arrive.
    ///
    /// # Errors
    /// Definite: nothing was sent that writes events.
    pub(super) async fn ready(&mut self) -> Result<&mut PgConnection, DbError> {
        if self.in_doubt {
            self.move_epoch().await.map_err(|error| match error {
                DbError::Unknown(error) => DbError::Unavailable(error),
                definite => definite,
            })?;
        }
        self.connected().await.map_err(Failure::of_read)
    }

    pub(super) async fn connected(&mut self) -> Result<&mut PgConnection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut fresh = connect(&self.options, self.patience.connecting).await.map_err(Failure::NotSent)?;
                self.backend = greet(&mut fresh, self.patience).await?;
                fresh
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Runs a statement that writes something. What it writes is durable when this returns rows.
    pub(super) async fn write(&mut self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        let within = self.patience.statement;
        #[cfg(test)]
        let fault = self.faults.pop_front();
        #[cfg(test)]
        if fault == Some(CommitFault::LostBefore) {
            return Err(self.lose(Failure::Lost(sqlx::Error::WorkerCrashed)));
        }
        crash::point("journal.before_commit");
        let connection = self.connected().await?;
        let outcome = statement.run(connection, within).await;
        crash::point("journal.after_commit");
        #[cfg(test)]
        if fault == Some(CommitFault::LostAfter) && outcome.is_ok() {
            return Err(self.lose(Failure::Lost(sqlx::Error::WorkerCrashed)));
        }
        outcome.map_err(|failure| self.lose(failure))
    }

    /// Runs a statement that only reads, on the writer's own connection.
    pub(super) async fn read(&mut self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        let within = self.patience.statement;
        let outcome = statement.run(self.connected().await?, within).await;
        outcome.inspect_err(|failure| {
            if !failure.leaves_connection() {
                self.connection = None;
            }
        })
    }

    fn lose(&mut self, failure: Failure) -> Failure {
        match &failure {
            Failure::Refused(_) | Failure::NotSent(_) => {}
            Failure::Lost(_) | Failure::Silent(_) => {
                self.connection = None;
                self.in_doubt = true;
            }
        }
        failure
    }

    /// Forgets the connection: what it still has under way, the server ends without us.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// The server's process for the connection before.
    pub(super) fn backend(&self) -> Option<(i32, i64)> {
        self.backend
    }

    pub(super) async fn read_last_id(&mut self) -> Result<i64, Failure> {
        let within = self.patience.statement;
        last_id(self.connected().await?, within).await
    }
}

/// Tells the server who this is, and learns which of its processes answers.
///
/// The lock is shared and only says that a server runs on this database; it decides nothing.
async fn greet(connection: &mut PgConnection, patience: Patience) -> Result<Option<(i32, i64)>, Failure> {
    let greeting = Statement::new(
        "select pid, (extract(epoch from backend_start) * 1000000)::bigint, pg_try_advisory_lock_shared($1)
           from pg_stat_get_activity(pg_backend_pid())",
    );
    let rows = greeting.bind(SERVER_LOCK).run(connection, patience.statement).await?;
    Ok(rows.first().and_then(|row| Some((get(row, 0).ok()?, get(row, 1).ok()?))))
}

async fn last_id(connection: &mut PgConnection, within: std::time::Duration) -> Result<i64, Failure> {
    let rows = Statement::new("select coalesce(max(id), 0) from events").run(connection, within).await?;
    let row = rows.first().ok_or(Failure::Refused(sqlx::Error::RowNotFound))?;
    sqlx::Row::try_get(row, 0).map_err(Failure::Refused)
}
