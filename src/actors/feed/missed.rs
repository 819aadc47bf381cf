//! Replay of what a watcher missed, from the journal: a page at a time, in turn with the others who come back.
//!
//! A crowd that comes back at once must not take every connection from those who read one order, so only some read at
//! a time; and a page is handed out before the next is read, so that none of it is gathered.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::{Delivery, Hub, Subscription, Topic, feed_events};
use crate::actors::follow::{FollowError, Replay};
use crate::actors::tail::Entry;
use crate::order::OrderId;
use crate::store::{Cursor, DbError, Readers, StreamId};

/// Someone who was away longer than this many events reads everything again instead.
const LONGEST_REPLAY: u64 = 50_000;

/// A token whose shards are far apart makes the journal look at what lies between: at four times what may be replayed,
/// about a tenth of a second. Beyond that, likewise.
const LONGEST_SCAN: u64 = 4 * LONGEST_REPLAY;

/// Events that are read for one watcher before another has a turn: some ten milliseconds.
const REPLAY_PAGE: usize = 500;

/// How long a watcher waits for a turn, and how long one reading may take. Who waited in vain comes back later.
const REPLAY_PATIENCE: Duration = Duration::from_secs(5);

/// What a watcher missed and has not been given yet.
pub struct Missed {
    replay: Replay,
    seen: Cursor,
    /// Where every topic is one order: the streams that are still to be read, in place of the journal.
    orders: Option<Vec<StreamId>>,
}

/// Why what a watcher missed cannot be read now.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("too many others are reading what they missed")]
    Busy,
    #[error(transparent)]
    Follow(#[from] FollowError),
}

impl From<DbError> for ReplayError {
    fn from(error: DbError) -> Self {
        Self::Follow(error.into())
    }
}

async fn within<T>(reading: impl Future<Output = T>) -> Result<T, ReplayError> {
    tokio::time::timeout(REPLAY_PATIENCE, reading).await.map_err(|_| ReplayError::Busy)
}

impl Subscription {
    /// What this watcher missed since `from`, to be read page by page; none if that is too long ago, or not behind
    /// the place where they joined.
    pub async fn missed(&self, readers: &Readers, from: Cursor) -> Result<Option<Missed>, ReplayError> {
        if !self.joined.includes(&from) {
            // The journal has gone back behind it: it was restored from an older copy.
            return Ok(None);
        }
        let orders: Option<BTreeSet<_>> =
            self.topics.iter().map(|topic| topic.one_order().map(|order| order.uuid())).collect();
        let orders =
            orders.map(|orders| orders.into_iter().map(|order| StreamId::order(OrderId::new(order))).collect());
        let replay = Replay::of_orders(readers.clone(), from.clone(), self.joined.clone());
        if orders.is_none() {
            if replay.distance() > LONGEST_REPLAY {
                return Ok(None);
            }
            let _turn = self.hub.turn().await?;
            if within(readers.span(&from, LONGEST_SCAN)).await??.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Missed { replay, seen: from, orders }))
    }

    /// The next page of it, empty perhaps; none when all has been read.
    pub async fn next(&self, missed: &mut Missed) -> Result<Option<Vec<Delivery>>, ReplayError> {
        let _turn = self.hub.turn().await?;
        let entries = match &mut missed.orders {
            None => within(missed.replay.next(REPLAY_PAGE)).await??,
            Some(orders) if orders.is_empty() => None,
            Some(orders) => {
                let mut entries = Vec::new();
                for order in std::mem::take(orders) {
                    entries.extend(within(missed.replay.stream(order)).await??);
                }
                // As in the journal: whoever hangs up between two of them comes back by a token that covers no later one.
                entries.sort_by_key(|entry| (entry.first.shard, entry.first.position));
                Some(entries)
            }
        };
        let Some(entries) = entries else { return Ok(None) };
        let mut deliveries = Vec::new();
        for entry in &entries {
            self.take(entry, &mut missed.seen, &mut deliveries);
        }
        Ok(Some(deliveries))
    }

    fn take(&self, entry: &Entry, seen: &mut Cursor, missed: &mut Vec<Delivery>) {
        for event in feed_events(entry, seen) {
            missed.extend(event.deliveries(&self.topics));
        }
    }
}

impl Topic {
    fn one_order(&self) -> Option<OrderId> {
        match self {
            Topic::Order(order) => Some(*order),
            Topic::MyOrders(_) | Topic::Store(_) | Topic::Deliveries { .. } | Topic::Operations => None,
        }
    }
}

impl Hub {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, ReplayError> {
        // Never closed: an error is one of waiting.
        within(self.turns.acquire()).await?.map_err(|_| ReplayError::Busy)
    }
}
