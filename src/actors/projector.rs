//! Folds the journal into the views: my page, the stores' boards, stock levels.
//!
//! It coalesces: of all that an order did since the last write only where it stands now is written, together with
//! the cursor. So a burst costs one row per order, and a crash in between is read again. The views can be
//! thrown away and made anew from the journal.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::clock::Clock;
use super::follow::Follower;
use super::tail::{Entry, News};
use super::world::Pace;
use crate::order::{ItemId, Order, OrderDocument, OrderId, Party, StoreId};
use crate::store::{Cursor, OrderRow, Position, StockRow, Views};

/// How many entries one write covers. More makes lists older, fewer makes each write dearer.
const TOGETHER: usize = 2_000;

/// How far the views have come; whoever has seen a position can wait for it.
#[derive(Clone)]
pub struct ViewProgress(watch::Receiver<Cursor>);

impl ViewProgress {
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
    clock: Clock,
    progress: watch::Sender<Cursor>,
}

impl Projector {
    pub fn new(follower: Follower, views: Views, clock: Clock) -> (Self, ViewProgress) {
        let progress = watch::Sender::new(follower.cursor().clone());
        let seen = ViewProgress(progress.subscribe());
        (Self { follower, views, clock, progress }, seen)
    }

    /// Goes on for ever. What cannot be read or written is tried again: the views get older meanwhile, and say so.
    pub async fn run(mut self) {
        let mut tries = 0;
        loop {
            match self.turn().await {
                Ok(_) => tries = 0,
                Err(error) => {
                    tracing::error!(%error, "the views cannot be brought up to date; trying again");
                    tries += 1;
                    tokio::time::sleep(Pace::pause(PAUSE, LONGEST_PAUSE, tries)).await;
                }
            }
        }
    }

    /// Brings the views up to the end of the journal and returns. For rebuilding and for checks.
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

    async fn turn(&mut self) -> anyhow::Result<u64> {
        let entries = self.follower.next(TOGETHER).await?;
        loop {
            // Taken from the follower already: not to be lost when the write fails.
            match self.write(&entries).await {
                Ok(rows) => {
                    gather(entries.len()).await;
                    return Ok(rows);
                }
                Err(error) => {
                    tracing::error!(%error, "the views cannot be written; trying again");
                    tokio::time::sleep(LONGEST_PAUSE).await;
                }
            }
        }
    }

    async fn write(&mut self, entries: &[Arc<Entry>]) -> anyhow::Result<u64> {
        let mut orders: HashMap<OrderId, &Arc<Order>> = HashMap::new();
        let mut stock: HashMap<(StoreId, ItemId), StockRow> = HashMap::new();
        for entry in entries {
            match &entry.news {
                News::Order { after, events, .. } => {
                    for event in events.iter() {
                        metrics::counter!("order_events_total", "event" => event.name()).increment(1);
                    }
                    orders.insert(after.id, after);
                }
                News::Stock { store, levels, .. } => {
                    for (item, level) in levels {
                        let available = level.map(|level| level.available);
                        let row = StockRow { store: *store, item: *item, available, version: entry.version };
                        stock.insert((*store, *item), row);
                    }
                }
                News::Rider { .. } => {}
            }
        }
        let orders: Vec<OrderRow> = orders.values().map(|order| row(order, &self.clock)).collect();
        let stock: Vec<StockRow> = stock.into_values().collect();
        let cursor = self.follower.cursor().clone();
        self.views.save_orders(&orders, &stock, &cursor).await?;
        self.progress.send_replace(cursor);
        Ok((orders.len() + stock.len()) as u64)
    }
}

/// From so many entries at a time on, the journal is busy.
const BUSY: usize = 64;

/// How much older the lists of a busy service are, so that several steps of an order cost one write.
const GATHER: std::time::Duration = std::time::Duration::from_millis(100);

/// Lets news gather before the next write, when there is much of it. Readers of a quiet journal do not wait.
pub(super) async fn gather(entries: usize) {
    if entries >= BUSY {
        tokio::time::sleep(GATHER).await;
    }
}

/// The first pause after a failure, and the longest.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// A row of the list views.
pub fn row(order: &Order, clock: &Clock) -> OrderRow {
    OrderRow {
        order: order.id,
        version: order.version,
        customer: order.placement.customer_id.clone(),
        store: order.placement.store.id,
        rider: order.rider().cloned(),
        status: order.status().as_str().to_owned(),
        submitted: order.is_shown_to_store(),
        live: !order.is_closed(),
        delivery_status: order.delivery.status().as_str().to_owned(),
        attention: order.attention().map(str::to_owned),
        placed_at: order.placed_at,
        document: ListedOrder::of(order, clock),
    }
}

/// An order in a list: the document, and what each side may do with it.
#[derive(serde::Serialize)]
struct ListedOrder<'a> {
    #[serde(flatten)]
    order: OrderDocument<'a>,
    allowed_to: AllowedTo,
}

#[derive(serde::Serialize)]
struct AllowedTo {
    customer: Vec<crate::order::CommandName>,
    store: Vec<crate::order::CommandName>,
}

impl ListedOrder<'_> {
    fn of(order: &Order, clock: &Clock) -> String {
        let now = clock.now();
        let allowed_to = AllowedTo {
            customer: order.allowed(&Party::Customer(order.placement.customer_id.clone()), now),
            store: order.allowed(&Party::Store(order.placement.store.owner.clone()), now),
        };
        let listed = ListedOrder { order: order.document(Vec::new()), allowed_to };
        serde_json::to_string(&listed).expect("an order's document has string keys and finite numbers")
    }
}
