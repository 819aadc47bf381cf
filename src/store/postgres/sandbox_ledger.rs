//! The sandbox payment provider's books as a table.
//!
//! Entries gather while a commit is under way, and the next one takes them all, as the journal's do. A connection that
//! is lost half-way leaves entries of which nobody knows; entering them again is what the caller does anyway.

use sqlx::postgres::PgRow;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::PostgresPlace;
use super::classify::get;
use super::connections::Connections;
use super::io::Io;
use super::place::SANDBOX;
use super::statement::Statement;
use crate::order::OrderId;
use crate::store::sandbox::LedgerRow;
use crate::store::{DbError, OpenError};

/// How many entries a commit takes at most: each is a hundred bytes and two index entries.
const MAX_BATCH: usize = 256;

/// How many may wait. The gate lets fewer calls run than this, so nobody ever waits to wait.
const MAX_WAITING: usize = 4_096;

/// One that writes and one that looks.
const CONNECTIONS: usize = 2;

#[derive(Clone)]
pub(in crate::store) struct SandboxLedger {
    connections: Connections,
    entries: mpsc::Sender<Entry>,
}

struct Entry {
    row: LedgerRow,
    told: oneshot::Sender<Result<bool, DbError>>,
}

impl SandboxLedger {
    /// Connects when first used.
    pub(in crate::store) fn open(place: &PostgresPlace) -> Result<Self, OpenError> {
        let address = place.address()?;
        let io = Io::start("sandbox-io").map_err(|source| OpenError::NoThread { source })?;
        let connections = Connections::new(io.clone(), address.options(SANDBOX), address.patience, CONNECTIONS);
        let (entries, waiting) = mpsc::channel(MAX_WAITING);
        io.begin(commit_groups(connections.clone(), waiting));
        Ok(Self { connections, entries })
    }

    pub(in crate::store) async fn enter(&self, row: LedgerRow) -> Result<bool, DbError> {
        let (told, outcome) = oneshot::channel();
        let gone = || DbError::Unknown(sqlx::Error::WorkerCrashed);
        self.entries.send(Entry { row, told }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }

    pub(in crate::store) async fn holds(&self, key: Uuid) -> Result<bool, DbError> {
        let look = Statement::new("select 1 from sandbox_ledger where key = $1").bind(key);
        Ok(!self.connections.read(look).await?.is_empty())
    }

    pub(in crate::store) async fn of_order(&self, order: OrderId) -> Result<Vec<LedgerRow>, DbError> {
        let look = Statement::new(
            "select key, of_key, order_id, operation, amount from sandbox_ledger where order_id = $1 order by key",
        );
        rows(&self.connections.read(look.bind(order.uuid())).await?)
    }

    pub(in crate::store) async fn page(&self, after: OrderId, orders: usize) -> Result<Vec<LedgerRow>, DbError> {
        let look = Statement::new(
            "select key, of_key, order_id, operation, amount from sandbox_ledger
              where order_id = any (array(select distinct order_id from sandbox_ledger where order_id > $1
                                           order by order_id limit $2))
              order by order_id, key",
        );
        let look = look.bind(after.uuid()).bind(i64::try_from(orders).unwrap_or(i64::MAX));
        rows(&self.connections.read(look).await?)
    }
}

/// Ends when nobody can ask any more.
async fn commit_groups(connections: Connections, mut waiting: mpsc::Receiver<Entry>) {
    let mut group = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut group, MAX_BATCH).await > 0 {
        let refused = connections.write(enter(&group)).await.and_then(|rows| keys(&rows));
        if let Err(error) = &refused {
            tracing::warn!(%error, entries = group.len(), "the sandbox's ledger was not written for certain");
        }
        for Entry { row, told } in group.drain(..) {
            let outcome = match &refused {
                Ok(refused) => Ok(!refused.contains(&row.key)),
                Err(_) => Err(DbError::Unknown(sqlx::Error::WorkerCrashed)),
            };
            // Whoever has given up asks again.
            drop(told.send(outcome));
        }
    }
}

/// Enters those that may be, and gives the keys of the others. Being refused is a matter of what stood before: an entry and
/// what it is about are never asked for together, because the second is asked for when the first is answered.
fn enter(group: &[Entry]) -> Statement {
    let of = |field: fn(&LedgerRow) -> Uuid| group.iter().map(|entry| field(&entry.row)).collect::<Vec<_>>();
    Statement::new(
        "with asked as materialized (
              select a.*, a.key = a.of_key or exists (select from sandbox_ledger l where l.key = a.of_key) as may
                from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[])
                  as a (key, of_key, order_id, operation, amount)),
              entered as (
              insert into sandbox_ledger (key, of_key, order_id, operation, amount)
              select key, of_key, order_id, operation, amount from asked where may
              on conflict (key) do nothing)
         select key from asked where not may",
    )
    .bind(of(|row| row.key))
    .bind(of(|row| row.of))
    .bind(of(|row| row.order.uuid()))
    .bind(group.iter().map(|entry| entry.row.operation.clone()).collect::<Vec<_>>())
    .bind(group.iter().map(|entry| entry.row.amount).collect::<Vec<_>>())
}

fn keys(rows: &[PgRow]) -> Result<Vec<Uuid>, DbError> {
    rows.iter().map(|row| get(row, 0)).collect()
}

fn rows(rows: &[PgRow]) -> Result<Vec<LedgerRow>, DbError> {
    let read = |row: &PgRow| {
        Ok(LedgerRow {
            key: get(row, 0)?,
            of: get(row, 1)?,
            order: OrderId::new(get(row, 2)?),
            operation: get(row, 3)?,
            amount: get(row, 4)?,
        })
    };
    rows.iter().map(read).collect()
}
