//! Wakes open orders at start: what they still had to ask of the world when the process ended is asked again.
//!
//! A page of histories is read at once and each order is started with its own, a bounded number at a time.
//! Commands overtake: an order that someone asks for first reads itself.

use futures_util::StreamExt;
use futures_util::stream;

use super::mailbox::{Mailbox, Refusal};
use super::order::{OrderActor, Origin};
use super::registry::Wake;
use crate::order::OrderId;
use crate::store::Readers;

/// How many histories one statement reads.
const PAGE: usize = 500;

/// Starts every open order once and says how many there were.
pub(super) async fn wake_open_orders(readers: &Readers, registry: &Mailbox<Wake<OrderActor>>, at_once: usize) -> u64 {
    let mut woken = 0;
    let mut after = None;
    loop {
        let page = match readers.open_histories(after, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "open orders cannot be read; trying again");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        let Some((last, _)) = page.last() else { return woken };
        after = Some(last.stream.id);
        woken += page.len() as u64;
        stream::iter(page)
            .for_each_concurrent(at_once, |(open, history)| wake(registry, OrderId::new(open.stream.id), history))
            .await;
    }
}

async fn wake(registry: &Mailbox<Wake<OrderActor>>, id: OrderId, history: Vec<crate::store::Recorded>) {
    let mut origin = Some(Origin::History(history));
    loop {
        match registry.ask(Wake { id, origin: origin.take() }).await {
            Ok(()) | Err(Refusal::Quarantined) => return,
            // Full of what people ask: they go first.
            Err(Refusal::Full | Refusal::NoReply | Refusal::Stopped | Refusal::Paused) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
}
