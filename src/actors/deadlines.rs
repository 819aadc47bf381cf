//! Wakes orders when something is due. What is due is decided by the order; this only watches the clock.
//!
//! The times stand in the journal's own transaction, so they outlive any restart. They are read once at start and
//! then followed through the journal's news; losing a timer is impossible because there is none to lose.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::clock::Clock;
use super::follow::Follower;
use super::mailbox::{Mailbox, Refusal};
use super::order::{Execute, OrderActor};
use super::registry::To;
use super::supervision::Part;
use super::tail::News;
use crate::order::{CommandId, OrderCommand, OrderId, Party, Timestamp};
use crate::store::{DbError, Readers, StreamKind};

/// How many orders are told the time at once. After a long stop thousands are due together.
const AT_ONCE: usize = 64;

/// The longest this sleeps without looking at the clock: it may have been set.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// An order that could not be told the time is told again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One that is quarantined, until an operator releases it: its own trouble, and no news twice a second.
const AGAIN_WHEN_RELEASED: Duration = Duration::from_secs(30);

/// How many rows are read at a time at start.
const PAGE: usize = 10_000;

/// When each open order is due.
///
/// Where an order stood before is told with each news, so there is no second list by order. A time that is not in force
/// any more may be left over where news repeats what was read at the start: the order is told the time once more
/// then, and finds nothing to do.
#[derive(Default)]
struct Due(BTreeSet<(Timestamp, OrderId)>);

impl Due {
    fn moves(&mut self, order: OrderId, before: Option<Timestamp>, after: Option<Timestamp>) {
        if let Some(before) = before {
            self.0.remove(&(before, order));
        }
        self.0.extend(after.map(|after| (after, order)));
    }

    fn take_until(&mut self, now: Timestamp, most: usize) -> Vec<OrderId> {
        let taken = self.0.iter().take_while(|(at, _)| *at <= now).take(most).copied().collect::<Vec<_>>();
        for due in &taken {
            self.0.remove(due);
        }
        taken.into_iter().map(|(_, order)| order).collect()
    }

    fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }
}

pub(super) struct Deadlines {
    due: Due,
    follower: Follower,
    clock: Clock,
    orders: Mailbox<To<OrderActor, Execute>>,
}

impl Deadlines {
    /// Reads what is due. `follower` begins at a cursor taken before this.
    pub(super) async fn load(
        readers: &Readers,
        follower: Follower,
        clock: Clock,
        orders: Mailbox<To<OrderActor, Execute>>,
    ) -> Result<Self, DbError> {
        let mut due = Vec::new();
        let mut after = None;
        loop {
            let page = readers.open_streams(after, PAGE).await?;
            after = page.last().map(|open| open.stream.id);
            for open in page.iter().filter(|open| open.stream.kind == StreamKind::Order) {
                due.extend(open.due.map(|at| (at, OrderId::new(open.stream.id))));
            }
            if page.len() < PAGE {
                break;
            }
        }
        // Made of all at once its nodes are full, one by one they would be half empty.
        Ok(Self { due: Due(BTreeSet::from_iter(due)), follower, clock, orders })
    }

    pub(super) async fn run(mut self, part: Part) {
        let mut moves = self.clock.moves();
        loop {
            self.tell_the_time().await;
            let sleep = self.due.next().map_or(LONGEST_SLEEP, |at| self.clock.now().until(at)).min(LONGEST_SLEEP);
            tokio::select! {
                news = self.follower.next(2_000) => match news {
                    Ok(entries) => {
                        crate::crash::fail("deadlines.fold");
                        for entry in entries {
                            if let News::Order { before, after, .. } = &entry.news {
                                let before = before.as_ref().and_then(|order| order.next_due());
                                self.due.moves(after.id, before, after.next_due());
                            }
                        }
                        part.passed(self.follower.cursor());
                    }
                    Err(error) => {
                        tracing::error!(%error, "deadlines cannot follow the journal; trying again");
                        tokio::time::sleep(AGAIN_AFTER).await;
                    }
                },
                () = tokio::time::sleep(sleep) => {}
                moved = moves.changed() => drop(moved),
            }
        }
    }

    async fn tell_the_time(&mut self) {
        let now = self.clock.now();
        let due = self.due.take_until(now, AT_ONCE * 16);
        if due.is_empty() {
            return;
        }
        let orders = &self.orders;
        let untold: Vec<(Duration, OrderId)> = stream::iter(due)
            .map(|order| async move {
                match orders.ask(To { id: order, origin: None, message: note_time(order, now) }).await {
                    Ok(Ok(_)) => None,
                    Err(Refusal::Quarantined) => Some((AGAIN_WHEN_RELEASED, order)),
                    Ok(Err(_)) | Err(_) => Some((AGAIN_AFTER, order)),
                }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(|untold| async move { untold })
            .collect()
            .await;
        let missed = untold.iter().filter(|(pause, _)| *pause == AGAIN_AFTER).count();
        if missed > 0 {
            tracing::warn!(orders = missed, "orders could not be told that something is due; trying again");
        }
        let now = self.clock.now().as_micros();
        let again = |pause: Duration| Timestamp::from_micros(now + pause.as_micros() as i64);
        self.due.0.extend(untold.into_iter().map(|(pause, order)| (again(pause), order)));
    }
}

/// One id for one moment, however often it is told.
fn note_time(order: OrderId, now: Timestamp) -> Execute {
    let name = format!("time:{}", now.as_micros());
    let id = CommandId::new(uuid::Uuid::new_v5(&order.uuid(), name.as_bytes()));
    Execute { id, by: Party::System, command: OrderCommand::NoteTime, key: None, if_version: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_moved_on_is_due_at_its_new_time_alone() {
        let at = Timestamp::from_micros;
        let order = |number| OrderId::new(uuid::Uuid::from_u128(number));
        let mut due = Due::default();
        due.moves(order(1), None, Some(at(10)));
        due.moves(order(2), None, Some(at(20)));
        due.moves(order(1), Some(at(10)), Some(at(30)));
        assert_eq!(due.take_until(at(25), 10), [order(2)]);
        assert_eq!(due.next(), Some(at(30)));

        due.moves(order(1), Some(at(30)), None);

        assert_eq!(due.next(), None);
    }
}
