//! The sandbox payment provider's books, where the journal is a server's database: see `migrations/postgres`.
//!
//! The provider is on the other side of a border, and so are its books: nothing of the journal's goes into them, and
//! they have connections of their own, so that a payment and an append never wait for each other. Beside a journal in a
//! directory the provider keeps a file itself.

use uuid::Uuid;

use super::postgres;
use super::{DataPlace, DbError, OpenError};
use crate::order::OrderId;

/// Something that was done, once, under this key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    pub key: Uuid,
    /// The key of the authorization or purchase that this is about; its own for those two.
    pub of: Uuid,
    pub order: OrderId,
    pub operation: String,
    pub amount: i64,
}

#[derive(Clone)]
pub struct SandboxLedger(postgres::SandboxLedger);

impl SandboxLedger {
    /// None where the journal is in a directory. The schema must be up to date.
    pub fn open(place: &DataPlace) -> Result<Option<Self>, OpenError> {
        match place {
            DataPlace::Directory(_) => Ok(None),
            DataPlace::Postgres(place) => postgres::SandboxLedger::open(place).map(|ledger| Some(Self(ledger))),
        }
    }

    /// Enters it, unless it stands already, and says whether it stands now: not if what it is about does not. On disk
    /// before this returns. Entries that come together share a commit.
    ///
    /// After an error it may stand or not; entering it again is safe.
    pub async fn enter(&self, row: LedgerRow) -> Result<bool, DbError> {
        self.0.enter(row).await
    }

    pub async fn holds(&self, key: Uuid) -> Result<bool, DbError> {
        self.0.holds(key).await
    }

    pub async fn of_order(&self, order: OrderId) -> Result<Vec<LedgerRow>, DbError> {
        self.0.of_order(order).await
    }

    /// All rows of the first `orders` orders after this one, by order.
    pub async fn page(&self, after: OrderId, orders: usize) -> Result<Vec<LedgerRow>, DbError> {
        self.0.page(after, orders).await
    }
}
