//! Wakes open orders at start: what they still had to ask of the world when the process ended is asked again.
//!
//! A page of histories is read at once, and each order is started with its own, a bounded number at a time.
//! Commands overtake: an order that someone asks for first reads itself.

use std::time::Duration;

use super::mailbox::Mailbox;
use super::order::{OrderActor, Origin};
use super::registry::Wake;
use crate::order::OrderId;
use crate::store::{OpenStream, Readers, Recorded};

/// How many histories one statement reads.
const PAGE: usize = 500;

type Histories = Vec<(OpenStream, Vec<Recorded>)>;

/// Starts every open order once and says how many there were. `at_once` is what commands may have to wait behind.
pub(super) async fn wake_open_orders(readers: &Readers, registry: &Mailbox<Wake<OrderActor>>, at_once: usize) -> u64 {
    let mut woken = 0;
    let mut page = read(readers, None).await;
    while let Some((last, _)) = page.last() {
        let after = OrderId::new(last.stream.id);
        woken += page.len() as u64;
        // Those who read and those who start them are different threads.
        (page, ()) = tokio::join!(read(readers, Some(after)), start(registry, page, at_once));
    }
    woken
}

async fn read(readers: &Readers, after: Option<OrderId>) -> Histories {
    loop {
        match readers.open_histories(after.map(OrderId::uuid), PAGE).await {
            Ok(page) => return page,
            Err(error) => {
                tracing::error!(%error, "open orders cannot be read; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
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
