//! Open orders with their histories, page by page; and waking them at start: what they still had to ask of the world when
//! the process ended is asked again.
//!
//! A page of histories is read at once, and each order is started with its own, a bounded number at a time.
//! Commands overtake: an order that someone asks for first reads itself.

use std::time::Duration;

use uuid::Uuid;

use super::health::Health;
use super::mailbox::Mailbox;
use super::order::{OrderActor, Origin};
use super::registry::Wake;
use crate::order::OrderId;
use crate::store::{DbError, OpenStream, Readers, Recorded};

/// How many histories one statement reads.
const PAGE: usize = 500;

pub(super) type Histories = Vec<(OpenStream, Vec<Recorded>)>;

/// Reads the orders that are not finished: as many as are live, however many have ended.
pub(super) struct OpenOrders {
    readers: Readers,
    health: Health,
    after: Option<Uuid>,
    page: usize,
}

impl OpenOrders {
    pub(super) fn new(readers: Readers, health: Health) -> Self {
        Self { readers, health, after: None, page: PAGE }
    }

    /// The next page, empty at the end. What cannot be read is tried again from where it stands, in smaller pages: a
    /// statement has a time limit, which a page may be too much for.
    pub(super) async fn next(&mut self) -> Histories {
        loop {
            let error = match self.readers.open_histories(self.after, self.page).await {
                Ok(page) => {
                    self.health.goes_on();
                    self.after = page.last().map_or(self.after, |(last, _)| Some(last.stream.id));
                    return page;
                }
                Err(error) => error,
            };
            if self.page == 1 && matches!(error, DbError::Corrupt(_)) && self.leaves_one_out(&error).await {
                continue;
            }
            tracing::error!(%error, orders = self.page, "open orders cannot be read; trying again");
            self.page = (self.page / 2).max(1);
            tokio::time::sleep(self.health.stalls(&error)).await;
        }
    }

    /// A damaged history is its own order's trouble.
    async fn leaves_one_out(&mut self, error: &DbError) -> bool {
        let Ok(next) = self.readers.open_streams(self.after, 1).await else { return false };
        let Some(open) = next.first() else { return false };
        tracing::error!(order.id = %open.stream.id, %error, "an open order cannot be read: it is left out");
        (self.after, self.page) = (Some(open.stream.id), PAGE);
        true
    }
}

/// Starts every open order once and says how many there were. `at_once` is what commands may have to wait behind.
pub(super) async fn wake_open_orders(
    mut open: OpenOrders,
    registry: &Mailbox<Wake<OrderActor>>,
    at_once: usize,
) -> u64 {
    let mut woken = 0;
    let mut page = open.next().await;
    while !page.is_empty() {
        woken += page.len() as u64;
        // Those who read and those who start them are different threads.
        (page, ()) = tokio::join!(open.next(), start(registry, page, at_once));
    }
    woken
}

async fn start(registry: &Mailbox<Wake<OrderActor>>, page: Histories, at_once: usize) {
    let mut orders =
        page.into_iter().map(|(open, history)| (OrderId::new(open.stream.id), Some(Origin::History(history))));
    loop {
        let mut group: Vec<_> = orders.by_ref().take(at_once).collect();
        if group.is_empty() {
            return;
        }
        while !group.is_empty() {
            let ids: Vec<OrderId> = group.iter().map(|(id, _)| *id).collect();
            // No answer, or as many as may live: what people ask goes first. They read themselves then.
            let left = registry.ask(Wake(group)).await.unwrap_or(ids);
            if !left.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            group = left.into_iter().map(|id| (id, None)).collect();
        }
    }
}
