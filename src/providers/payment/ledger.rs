//! The sandbox's books: what it has done, once under each key.
//!
//! They outlive a killed process as a real provider's would. Where there is nothing else they are a file; where the
//! journal is in a server's database they are there too, so that whoever moves the one does not lose the other.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::order::OrderId;

/// Something that was done, once, under this key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxEntry {
    pub key: Uuid,
    /// The key of the authorization or purchase that this is about; its own for those two.
    pub of: Uuid,
    pub order_id: OrderId,
    pub operation: String,
    pub amount: i64,
}

/// The books cannot be read or written now; what was to be entered may stand or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox cannot use its ledger")]
pub struct LedgerFailed;

/// Boxed so that the place can be chosen at start.
pub type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerFailed>> + Send + 'a>>;

pub trait Ledger: Send + Sync + 'static {
    /// Enters it, unless it stands already, and says whether it stands now: not if what it is about does not. Safe from
    /// a crash before this is answered.
    fn enter(&self, entry: SandboxEntry) -> Kept<'_, bool>;

    fn holds(&self, key: Uuid) -> Kept<'_, bool>;

    fn of_order(&self, order: OrderId) -> Kept<'_, Vec<SandboxEntry>>;

    /// All entries of the first `orders` orders after this one, by order.
    fn page(&self, after: OrderId, orders: usize) -> Kept<'_, Vec<SandboxEntry>>;
}

/// In memory, and in a file if there is one.
#[derive(Default)]
pub struct FileLedger(Mutex<Books>);

#[derive(Default)]
struct Books {
    done: HashMap<Uuid, SandboxEntry>,
    file: Option<File>,
}

impl FileLedger {
    /// Reads the file back and goes on writing it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut books = Books::default();
        for line in BufReader::new(file.try_clone()?).lines() {
            // The last line may be cut short by a killed process: that entry was not answered either.
            if let Ok(entry) = serde_json::from_str::<SandboxEntry>(&line?) {
                books.done.insert(entry.key, entry);
            }
        }
        books.file = Some(file);
        Ok(Self(Mutex::new(books)))
    }

    fn with<T: Send + 'static>(&self, look: impl FnOnce(&mut Books) -> Result<T, LedgerFailed>) -> Kept<'_, T> {
        let outcome = look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(std::future::ready(outcome))
    }
}

impl Books {
    fn enter(&mut self, entry: SandboxEntry) -> Result<bool, LedgerFailed> {
        if self.done.contains_key(&entry.key) {
            return Ok(true);
        }
        if entry.of != entry.key && !self.done.contains_key(&entry.of) {
            return Ok(false);
        }
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_string(&entry).unwrap_or_default();
            line.push('\n');
            file.write_all(line.as_bytes()).map_err(|error| {
                tracing::error!(%error, "the sandbox cannot write its ledger");
                LedgerFailed
            })?;
        }
        self.done.insert(entry.key, entry);
        Ok(true)
    }

    fn page(&self, after: OrderId, orders: usize) -> Vec<SandboxEntry> {
        let mut entries: Vec<_> = self.done.values().filter(|entry| entry.order_id > after).collect();
        entries.sort_unstable_by_key(|entry| (entry.order_id, entry.key));
        let mut pages = entries.chunk_by(|one, next| one.order_id == next.order_id).take(orders);
        pages.by_ref().flatten().map(|entry| SandboxEntry::clone(entry)).collect()
    }
}

impl Ledger for FileLedger {
    fn enter(&self, entry: SandboxEntry) -> Kept<'_, bool> {
        self.with(|books| books.enter(entry))
    }

    fn holds(&self, key: Uuid) -> Kept<'_, bool> {
        self.with(|books| Ok(books.done.contains_key(&key)))
    }

    fn of_order(&self, order: OrderId) -> Kept<'_, Vec<SandboxEntry>> {
        self.with(|books| Ok(books.done.values().filter(|entry| entry.order_id == order).cloned().collect()))
    }

    fn page(&self, after: OrderId, orders: usize) -> Kept<'_, Vec<SandboxEntry>> {
        self.with(|books| Ok(books.page(after, orders)))
    }
}
