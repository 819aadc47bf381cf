//! A few connections that take turns.
//!
//! Nobody waits long for one, and a statement that ends without an answer costs its connection. A connection that lay
//! idle while the server was restarted is only noticed when it is used: then the statement is sent once more on a new
//! one. So what is sent here must bear being done twice; all reads do, and the writes of the views.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use tokio::sync::Semaphore;

use super::classify::Failure;
use super::io::Io;
use super::place::Patience;
use super::statement::{Statement, connect};
use crate::store::DbError;

#[derive(Clone)]
pub(super) struct Connections {
    io: Io,
    group: Arc<Group>,
}

struct Group {
    options: PgConnectOptions,
    patience: Patience,
    free: Semaphore,
    idle: Mutex<Vec<PgConnection>>,
}

impl Connections {
    /// Connects when first used: opening must not wait for connections nobody needs yet.
    pub(super) fn new(io: Io, options: PgConnectOptions, patience: Patience, at_most: usize) -> Self {
        let group = Group { options, patience, free: Semaphore::new(at_most), idle: Mutex::default() };
        Self { io, group: Arc::new(group) }
    }

    pub(super) async fn read(&self, statement: Statement) -> Result<Vec<PgRow>, DbError> {
        self.run(statement).await.map_err(Failure::of_read)
    }

    pub(super) async fn write(&self, statement: Statement) -> Result<Vec<PgRow>, DbError> {
        self.run(statement).await.map_err(Failure::of_write)
    }

    async fn run(&self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        let group = self.group.clone();
        self.io.run(async move { group.run(statement).await }).await
    }

    /// A connection of the caller's own, for work of that length, begun with this statement. Use it in [`Self::aside`].
    pub(super) async fn apart(&self, length: Duration, begin: Statement) -> Result<PgConnection, DbError> {
        let group = self.group.clone();
        let limit = length.as_millis();
        let settings = [("statement_timeout", limit), ("idle_in_transaction_session_timeout", limit)];
        let connecting = async move {
            let options = group.options.clone().options(settings);
            let mut connection = connect(&options, group.patience.connecting).await.map_err(Failure::NotSent)?;
            begin.run(&mut connection, group.patience.statement).await?;
            Ok(connection)
        };
        self.io.run(connecting).await.map_err(Failure::of_read)
    }

    /// Does this where the connections live.
    pub(super) async fn aside<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.io.run(work).await
    }
}

impl Group {
    async fn run(&self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        let waiting = tokio::time::timeout(self.patience.connecting, self.free.acquire());
        let Ok(_turn) = waiting.await else { return Err(Failure::NotSent(sqlx::Error::PoolTimedOut)) };
        if let Some(idle) = self.take_idle() {
            match self.run_on(idle, statement.clone()).await {
                // A server that does not answer at all would not answer a second time.
                Err(Failure::Lost(_)) => self.forget_idle(),
                outcome => return outcome,
            }
        }
        let connection = connect(&self.options, self.patience.connecting).await.map_err(Failure::NotSent)?;
        self.run_on(connection, statement).await
    }

    async fn run_on(&self, mut connection: PgConnection, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        let outcome = statement.run(&mut connection, self.patience.statement).await;
        if outcome.as_ref().err().is_none_or(Failure::leaves_connection) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        outcome
    }

    fn take_idle(&self) -> Option<PgConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// When one is broken, the others most likely are.
    fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
