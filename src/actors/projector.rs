//! Folds the journal into the views: my page, the stores' boards, stock levels.
//!
//! It coalesces: of all that an order did since the last write only where it stands now is written, together with
//! the cursor. So a burst costs one row per order, and a crash in between is read again. What is in a row is decided
//! in `view_rows`. The views can be made anew from the journal beside it: see `rebuild`, which hands over here.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::follow::Follower;
use super::rebuild::HandOver;
use super::supervision::Part;
use super::tail::{Entry, News};
use super::view_rows::Rows;
use super::world::Pace;
use crate::store::{Cursor, Position, Views};

/// How many entries one write covers. More makes lists older, fewer makes each write dearer.
pub(super) const TOGETHER: usize = 4_000;

/// How far a view has come; whoever has seen a position can wait for it.
#[derive(Clone)]
pub struct ViewProgress(watch::Receiver<Cursor>);

/// How far everything has come that people look at.
#[derive(Clone)]
pub struct Shown {
    /// Lists of orders, and levels of stock.
    pub lists: ViewProgress,
    pub messages: ViewProgress,
    /// The dispatch board.
    pub deliveries: ViewProgress,
}

impl ViewProgress {
    pub(super) fn of(progress: &watch::Sender<Cursor>) -> Self {
        Self(progress.subscribe())
    }

    /// Waits until the views show `position`, at most for `patience`. Says whether they do.
    pub async fn reaches(&self, position: Position, patience: std::time::Duration) -> bool {
        let mut progress = self.0.clone();
        let there = progress.wait_for(|cursor| cursor.has_passed(position));
        tokio::time::timeout(patience, there).await.is_ok_and(|outcome| outcome.is_ok())
    }

    pub fn cursor(&self) -> Cursor {
        self.0.borrow().clone()
    }
}

pub struct Projector {
    follower: Follower,
    views: Views,
    progress: watch::Sender<Cursor>,
}

impl Projector {
    /// `progress` outlives it: whoever waits for a position need not know that another one works on it now.
    pub(super) fn new(follower: Follower, views: Views, progress: watch::Sender<Cursor>) -> Self {
        Self { follower, views, progress }
    }

    /// One that nobody waits for, while nothing else runs on this data.
    pub fn at_rest(follower: Follower, views: Views) -> Self {
        let progress = watch::Sender::new(follower.cursor().clone());
        Self::new(follower, views, progress)
    }

    /// Goes on for ever. What cannot be read or written is tried again: the views get older meanwhile, and say so.
    /// Between two writes it lets a rebuild finish.
    pub(super) async fn run(mut self, rebuilds: &mut mpsc::Receiver<HandOver>, part: Part) {
        let mut tries = 0;
        loop {
            let entries = tokio::select! {
                entries = self.follower.next(TOGETHER) => entries,
                Some(rebuild) = rebuilds.recv() => {
                    self.let_finish(rebuild).await;
                    continue;
                }
            };
            match entries {
                Ok(entries) => {
                    tries = 0;
                    count(&entries);
                    crate::crash::fail("projector.write");
                    self.write_at_last(&entries).await;
                    part.passed(self.follower.cursor());
                    gather(entries.len(), TOGETHER).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the views cannot be brought up to date; trying again");
                    tries += 1;
                    tokio::time::sleep(Pace::pause(PAUSE, LONGEST_PAUSE, tries)).await;
                }
            }
        }
    }

    /// Brings the views up to the end of the journal and returns. For checks.
    pub async fn catch_up(mut self) -> anyhow::Result<u64> {
        let mut rows = 0;
        loop {
            let entries = self.follower.now(TOGETHER).await?;
            if entries.is_empty() {
                return Ok(rows);
            }
            rows += self.write(&entries).await?;
        }
    }

    /// The lists stand still for as long as the rest of the journal takes that was written during the rebuild.
    async fn let_finish(&mut self, HandOver { from, told }: HandOver) {
        // The rebuild read the journal itself, which may be ahead of what came here.
        while !self.follower.cursor().includes(&from) {
            match self.follower.now(TOGETHER).await {
                Ok(entries) => self.write_at_last(&entries).await,
                Err(error) => {
                    tracing::error!(%error, "the views cannot be brought up to date; the rebuild is given up");
                    return;
                }
            }
        }
        let (done, finished) = oneshot::channel();
        if told.send((self.follower.cursor().clone(), done)).is_ok() {
            // Either it is done, or it was given up: the views are whole both ways.
            let _ = finished.await;
        }
    }

    /// Taken from the follower already: not to be lost when a write fails.
    async fn write_at_last(&mut self, entries: &[Arc<Entry>]) {
        let mut tries = 0;
        while let Err(error) = self.write(entries).await {
            tracing::error!(%error, "the views cannot be written; trying again");
            self.follower.health().stalls(&error);
            tokio::time::sleep(Pace::pause(PAUSE, LONGEST_PAUSE, tries)).await;
            tries = tries.saturating_add(1);
        }
    }

    async fn write(&mut self, entries: &[Arc<Entry>]) -> anyhow::Result<u64> {
        let rows = Rows::of(entries);
        let cursor = self.follower.cursor().clone();
        self.views.save_orders(&rows.orders, &rows.stock, &cursor).await?;
        self.progress.send_replace(cursor);
        Ok(rows.count())
    }
}

/// Gathered first: asking the recorder for a labelled counter costs more than counting.
fn count(entries: &[Arc<Entry>]) {
    let mut counts: HashMap<&'static str, u64> = HashMap::new();
    for entry in entries {
        let News::Order { events, .. } = &entry.news else { continue };
        for event in events.iter() {
            *counts.entry(event.name()).or_default() += 1;
        }
    }
    for (event, count) in counts {
        metrics::counter!("order_events_total", "event" => event).increment(count);
    }
}

/// From so many entries at a time on, the journal is busy.
const BUSY: usize = 64;

/// How much older the lists of a busy service are, so that several steps of an order cost one write.
const GATHER: std::time::Duration = std::time::Duration::from_millis(100);

/// Lets news gather before the next write, when there is much of it.
pub(super) async fn gather(entries: usize, most: usize) {
    let pause = pause_after(entries, most);
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

/// Readers of a quiet journal do not wait. One that has just taken as much as it takes at a time is behind already:
/// waiting would let it fall off the tail, and from disk it would come after even more slowly.
fn pause_after(entries: usize, most: usize) -> std::time::Duration {
    if (BUSY..most).contains(&entries) { GATHER } else { std::time::Duration::ZERO }
}

/// The first pause after a failure: most are of one connection, and the next one is good.
pub(super) const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// The longest: whoever waits half a second for a list to show what they did sees at least one more try.
pub(super) const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_behind_does_not_wait_for_more() {
        assert!(pause_after(1, TOGETHER).is_zero(), "a quiet journal");
        assert_eq!(pause_after(BUSY, TOGETHER), GATHER);
        assert_eq!(pause_after(TOGETHER - 1, TOGETHER), GATHER);
        assert!(pause_after(TOGETHER, TOGETHER).is_zero(), "there is more waiting");
    }
}
