//! Cursor-based subscription to the journal: from where a reader left off, without gap or repeat, for ever.
//!
//! News comes from the tail while the reader keeps up, and from the journal itself after a start, when it fell behind, or
//! when something may stand there that nobody told of. The cursor decides what is new, so passing from one to the other
//! can neither skip nor repeat.

mod states;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use self::states::States;
use super::health::Health;
use super::tail::{Entry, FellBehind, Tail};
use crate::store::{Cursor, DbError, Position, Readers, StreamId, StreamKind};

/// How many streams that cannot be read are named; the others are counted.
const NAMED: usize = 100;

/// A reader's place in the journal.
pub struct Follower {
    tail: Tail,
    news: watch::Receiver<u64>,
    readers: Readers,
    cursor: Cursor,
    /// The number of the next entry of the tail; none while reading from disk.
    next: Option<u64>,
    /// Which of the times that readers were sent to disk was the last one heeded.
    sent_to_disk: u64,
    states: States,
    health: Health,
}

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// An event that this program cannot read, or that does not fit the ones before it. What follows it in its stream means
/// nothing without it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the {} {} cannot be read at {position}: {what}", .stream.kind.name(), .stream.id)]
pub struct Unreadable {
    pub stream: StreamId,
    pub position: Position,
    pub what: String,
}

/// What a reader had to leave out: a stream that cannot be read concerns nobody else.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    pub events: u64,
    /// The first event of each stream that could not be read, of the first hundred streams.
    pub named: Vec<Unreadable>,
}

impl LeftOut {
    /// What was left out of a later stretch of the journal.
    pub(super) fn add(&mut self, later: &LeftOut) {
        self.events += later.events;
        for unreadable in &later.named {
            let known = self.named.iter().any(|named| named.stream == unreadable.stream);
            if !known && self.named.len() < NAMED {
                self.named.push(unreadable.clone());
            }
        }
    }
}

impl Follower {
    pub fn new(tail: Tail, readers: Readers, cursor: Cursor) -> Self {
        let news = tail.news();
        let (states, health) = (States::default(), Health::default());
        Self { tail, news, readers, cursor, next: None, sent_to_disk: 0, states, health }
    }

    /// Lets others see whether it goes on.
    pub(super) fn seen_by(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// Of whoever does something with what is handed out here, and cannot.
    pub(super) fn health(&mut self) -> &mut Health {
        &mut self.health
    }

    /// What has been handed out so far.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Waits for news and hands it out, at least one entry, at most about `limit`. May be given up while it waits:
    /// nothing is lost.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Arc<Entry>>, FollowError> {
        loop {
            let entries = self.now(limit).await?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            // The journal's actor holds the sender as long as anyone can write.
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is there already; nothing if the reader is at the end.
    pub async fn now(&mut self, limit: usize) -> Result<Vec<Arc<Entry>>, FollowError> {
        let outcome = self.read(limit).await;
        match &outcome {
            Ok(_) => self.health.goes_on(),
            Err(error) => drop(self.health.stalls(error)),
        }
        outcome
    }

    async fn read(&mut self, limit: usize) -> Result<Vec<Arc<Entry>>, FollowError> {
        loop {
            let sent = self.tail.times_sent_to_disk();
            if sent != self.sent_to_disk {
                (self.sent_to_disk, self.next) = (sent, None);
            }
            let Some(next) = self.next else {
                let entries = self.read_disk(limit).await?;
                if !entries.is_empty() {
                    return Ok(entries);
                }
                continue; // At the end: the tail takes over.
            };
            self.news.mark_unchanged();
            match self.tail.from(next, limit) {
                Ok(entries) => {
                    self.next = Some(next + entries.len() as u64);
                    let fresh = self.take_fresh(entries);
                    if fresh.is_empty() && self.next.is_none_or(|next| next < self.tail.end()) {
                        continue;
                    }
                    return Ok(fresh);
                }
                Err(FellBehind) => self.next = None,
            }
        }
    }

    /// Those that the cursor has not passed, up to the first that does not follow on it. An append whose outcome nobody
    /// could find out may stand in the journal all the same, and is then missing here: from there on the journal itself
    /// is read.
    fn take_fresh(&mut self, entries: Vec<Arc<Entry>>) -> Vec<Arc<Entry>> {
        let mut fresh = Vec::with_capacity(entries.len());
        for entry in entries.into_iter() {
            if self.cursor.has_passed(entry.last) {
                continue;
            }
            if entry.first.position > self.cursor.at(entry.first.shard) + 1 {
                self.next = None;
                break;
            }
            self.cursor.advance(entry.last);
            fresh.push(entry);
        }
        fresh
    }

    async fn read_disk(&mut self, limit: usize) -> Result<Vec<Arc<Entry>>, FollowError> {
        // Noted before reading: whatever is committed later is in the tail from here on.
        let end = self.tail.end();
        let rows = self.readers.after(&self.cursor, limit).await?;
        if rows.is_empty() {
            self.next = Some(end);
            self.states = States::default();
            return Ok(Vec::new());
        }
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            entries.extend(self.states.readable(row, &self.readers).await?.map(Arc::new));
        }
        // After the last wait: given up half-way, the same rows are read again.
        for row in &rows {
            self.cursor.advance(row.position);
        }
        Ok(entries)
    }
}

/// How often the journal's head is compared with what its readers were told: one row for each shard, and how late they
/// hear of an event that nobody told them of.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Sends readers to the journal itself whenever something stands there that they were not told of. Its writer tells of
/// all that it finds out to have been written; this is for whatever else there may be, such as another writer.
pub(super) async fn compare_with_journal(tail: Tail, readers: Readers) {
    let mut ticks = interval(COMPARE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        ticks.tick().await;
        // What was committed at the last look has been told by now, if it ever is.
        if let Some(head) = before.take()
            && !tail.counts_as_told(&head)
        {
            tracing::warn!("the journal holds events that its readers were not told of: they read it themselves");
            metrics::counter!("journal_untold_total").increment(1);
            tail.send_to_disk();
        }
        // While it cannot be read, no reader could hear of anything either.
        before = readers.head().await.ok();
    }
}

/// Reads what lies between two cursors, once, for someone who was away.
pub(super) struct Replay {
    readers: Readers,
    from: Cursor,
    until: Cursor,
    books_too: bool,
    states: States,
}

impl Replay {
    pub(super) fn new(readers: Readers, from: Cursor, until: Cursor) -> Self {
        Self { readers, from, until, books_too: true, states: States::default() }
    }

    /// For whoever shows books to nobody: they may be long.
    pub(super) fn of_orders(readers: Readers, from: Cursor, until: Cursor) -> Self {
        Self { books_too: false, ..Self::new(readers, from, until) }
    }

    /// How many events lie between.
    pub(super) fn distance(&self) -> u64 {
        self.until.marks().map(|mark| mark.position.saturating_sub(self.from.at(mark.shard))).sum()
    }

    /// What could not be handed out so far.
    pub(super) fn left_out(&self) -> &LeftOut {
        &self.states.left_out
    }

    /// The next of them, in sequence within each shard; none when all have been handed out. Nothing in them if none can be
    /// read.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Option<Vec<Entry>>, FollowError> {
        if self.distance() == 0 {
            return Ok(None);
        }
        let rows = self.readers.after(&self.from, limit).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let wanted = self.books_too || row.stream.kind == StreamKind::Order;
            if wanted && self.until.has_passed(row.position) {
                entries.extend(self.states.readable(row, &self.readers).await?);
            }
            self.from.advance(row.position);
        }
        Ok(Some(entries))
    }

    /// The same for one stream alone.
    pub(super) async fn stream(&mut self, stream: StreamId) -> Result<Vec<Entry>, FollowError> {
        let mut entries = Vec::new();
        for row in self.readers.stream(stream, 0).await? {
            let wanted = !self.from.has_passed(row.position) && self.until.has_passed(row.position);
            if wanted {
                entries.extend(self.states.readable(&row, &self.readers).await?);
            }
        }
        Ok(entries)
    }
}
