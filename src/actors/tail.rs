//! The end of the journal, kept in memory so that its readers need not ask the disk for what was just written.
//!
//! It is a cache and nothing more: whoever fell behind it reads the journal itself, see `follow`. The watch that
//! tells of news carries no data, so that missing one loses nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use crate::order::{ItemId, Level, Order, OrderEvent, RiderEvent, StockEvent, StoreId, Timestamp};
use crate::store::{Cursor, Position, StreamId};

/// How many appends are kept. At 40,000 a second the slowest reader may be 0.4 s behind before it must read from disk:
/// four times as long as it lets news gather. At about 1 KiB each this is 16 MiB.
const KEPT: usize = 16_384;

/// What an append says, already read.
#[derive(Clone, Debug)]
pub enum News {
    Order {
        before: Option<Arc<Order>>,
        events: Arc<[OrderEvent]>,
        after: Arc<Order>,
    },
    /// With the levels of the items it touched, none for one that is not counted any more.
    Stock {
        store: StoreId,
        event: StockEvent,
        levels: Vec<(ItemId, Option<Level>)>,
    },
    /// The rider by the key of their stream, and how many deliveries they hold now.
    Rider {
        rider: Uuid,
        event: RiderEvent,
        held: usize,
    },
}

/// One append as its readers see it. Its events have consecutive positions and versions.
#[derive(Clone, Debug)]
pub struct Entry {
    pub stream: StreamId,
    pub first: Position,
    pub last: Position,
    /// The version of the first event.
    pub version: u32,
    pub at: Timestamp,
    pub by: Arc<str>,
    pub news: News,
}

struct Kept {
    entries: VecDeque<Arc<Entry>>,
    /// The number of the first kept entry: entries are numbered from 0 since the process began.
    first: u64,
    /// The last position of each shard that readers were told of, or that was there when they began.
    told: Cursor,
}

#[derive(Clone)]
pub struct Tail {
    kept: Arc<Mutex<Kept>>,
    end: watch::Sender<u64>,
    /// How often readers were sent to the journal itself.
    sent_to_disk: Arc<AtomicU64>,
}

/// The reader is behind what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBehind;

impl Default for Tail {
    fn default() -> Self {
        let kept = Kept { entries: VecDeque::with_capacity(KEPT), first: 0, told: Cursor::start() };
        Self { kept: Arc::new(Mutex::new(kept)), end: watch::Sender::new(0), sent_to_disk: Arc::default() }
    }
}

impl Tail {
    /// In commit order. Called by the journal actor alone.
    pub fn push(&self, entries: impl IntoIterator<Item = Arc<Entry>>) {
        let end = {
            let mut kept = self.lock();
            for entry in entries {
                if kept.entries.len() == KEPT {
                    kept.entries.pop_front();
                    kept.first += 1;
                }
                kept.told.advance(entry.last);
                kept.entries.push_back(entry);
            }
            kept.first + kept.entries.len() as u64
        };
        self.end.send_replace(end);
    }

    /// Sends every reader to the journal itself, once: something may stand there that does not come through here.
    pub fn send_to_disk(&self) {
        self.sent_to_disk.fetch_add(1, Ordering::Release);
        // Awake, they look at the number.
        self.end.send_modify(|_| {});
    }

    /// Changes whenever readers are sent to the journal itself.
    pub fn times_sent_to_disk(&self) -> u64 {
        self.sent_to_disk.load(Ordering::Acquire)
    }

    /// Takes it that all up to `head` is known to readers, and says whether that was so: they have been told of it.
    pub fn counts_as_told(&self, head: &Cursor) -> bool {
        let mut kept = self.lock();
        let told = kept.told.includes(head);
        head.marks().for_each(|mark| kept.told.advance(mark));
        told
    }

    /// The number that the next entry will get.
    pub fn end(&self) -> u64 {
        *self.end.borrow()
    }

    pub fn news(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// At most `limit` entries from number `from` on.
    pub fn from(&self, from: u64, limit: usize) -> Result<Vec<Arc<Entry>>, FellBehind> {
        let kept = self.lock();
        let skip = usize::try_from(from.checked_sub(kept.first).ok_or(FellBehind)?).map_err(|_| FellBehind)?;
        Ok(kept.entries.iter().skip(skip).take(limit).cloned().collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing can panic while it is held, so poisoned or not, what is inside is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
