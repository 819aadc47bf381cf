//! Tells customers what happened to their orders, and keeps a record of having told them.
//!
//! For now the record is the message: channels to telephones come behind the same rows. A message is named by the
//! order and the version of its event, so telling again after a crash changes nothing, and nothing is told that
//! did not happen.

use std::sync::Arc;

use tokio::sync::watch;

use super::follow::Follower;
use super::projector::{LONGEST_PAUSE, PAUSE, gather};
use super::supervision::Part;
use super::tail::{Entry, News};
use super::world::Pace;
use crate::order::{EndReason, Order, OrderEvent, PartyRole};
use crate::store::{Cursor, MessageRow, MessageState, Views};

/// How many entries one write covers: as the projector's, which follows the same tail.
const TOGETHER: usize = 4_000;

pub(super) struct Notifier {
    follower: Follower,
    views: Views,
    progress: watch::Sender<Cursor>,
}

impl Notifier {
    /// `progress` outlives it, as the projector's does.
    pub(super) fn new(follower: Follower, views: Views, progress: watch::Sender<Cursor>) -> Self {
        Self { follower, views, progress }
    }

    pub(super) async fn run(mut self, part: Part) {
        let mut tries = 0;
        loop {
            let entries = match self.follower.next(TOGETHER).await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::error!(%error, "messages cannot follow the journal; trying again");
                    tries += 1;
                    tokio::time::sleep(Pace::pause(PAUSE, LONGEST_PAUSE, tries)).await;
                    continue;
                }
            };
            tries = 0;
            crate::crash::fail("notifier.write");
            let messages: Vec<MessageRow> = entries.iter().flat_map(messages).collect();
            while let Err(error) = self.views.save_messages(&messages, self.follower.cursor()).await {
                tracing::error!(%error, "messages cannot be written; trying again");
                tokio::time::sleep(Pace::pause(PAUSE, LONGEST_PAUSE, tries)).await;
                tries += 1;
            }
            part.passed(self.follower.cursor());
            self.progress.send_replace(self.follower.cursor().clone());
            gather(entries.len(), TOGETHER).await;
        }
    }
}

fn messages(entry: &Arc<Entry>) -> Vec<MessageRow> {
    let News::Order { events, after, .. } = &entry.news else { return Vec::new() };
    let versions = entry.version..;
    versions
        .zip(events.iter())
        .filter_map(|(version, event)| {
            Some(MessageRow {
                order: after.id,
                version,
                customer: after.placement.customer_id.clone(),
                event: event.name().to_owned(),
                text: text(event, after)?,
                channel: "log".to_owned(),
                at: entry.at,
                attempts: 1,
                state: MessageState::Sent,
            })
        })
        .collect()
}

/// What the customer reads; none for what does not concern them.
fn text(event: &OrderEvent, order: &Order) -> Option<String> {
    let store = &order.placement.store.name;
    Some(match event {
        OrderEvent::OrderPlaced(_) => format!("We have your order at {store}: {}.", order.placement.total),
        OrderEvent::PaymentDeferred(_) => {
            "Your payment could not be completed yet. We keep your order and try again; you can also pay now."
                .to_owned()
        }
        OrderEvent::PaymentAuthorized(_) => "Your card is authorized.".to_owned(),
        OrderEvent::PaymentCaptured(_) => format!("You paid {}.", order.placement.total),
        OrderEvent::PaymentDeclined(_) => "Your card was declined.".to_owned(),
        OrderEvent::PaymentVoided(_) => "The authorization on your card was released.".to_owned(),
        OrderEvent::PaymentRefunded(_) => format!("You get {} back.", order.placement.total),
        OrderEvent::OrderSubmitted(_) => format!("{store} has your order."),
        OrderEvent::OrderAccepted(_) => format!("{store} accepted your order."),
        OrderEvent::OrderRejected(_) => format!("{store} cannot take your order."),
        OrderEvent::PreparationStarted(_) => format!("{store} is preparing your order."),
        OrderEvent::PreparationFinished(_) => "Your order is ready.".to_owned(),
        OrderEvent::PreparationCancelled(_) => format!("{store} has stopped preparing your order."),
        OrderEvent::RiderAccepted(_) => "A rider is on the way to the store.".to_owned(),
        OrderEvent::PickedUp(_) => "Your order is on its way.".to_owned(),
        OrderEvent::Delivered(_) => "Your order has arrived. Please confirm that you have it.".to_owned(),
        OrderEvent::DeliveryCancelled(_) => "The delivery was cancelled.".to_owned(),
        OrderEvent::OrderCompleted(_) => "Thank you. Your order is complete.".to_owned(),
        OrderEvent::OrderCancelled(ended) => cancelled(ended.reason).to_owned(),
        OrderEvent::ReminderGiven(reminder) if reminder.to == PartyRole::Customer => {
            "Do you have your order? Please confirm.".to_owned()
        }
        OrderEvent::ReminderGiven(_)
        | OrderEvent::UnavailableArea(_)
        | OrderEvent::StockReserved(_)
        | OrderEvent::OutOfStock(_)
        | OrderEvent::PaymentRequested(_)
        | OrderEvent::PaymentUnresolved(_)
        | OrderEvent::DeliveryOffered(_)
        | OrderEvent::RiderAssigned(_)
        | OrderEvent::AssignmentConfirmed(_)
        | OrderEvent::RiderDeclined(_)
        | OrderEvent::RiderReleased(_)
        | OrderEvent::StockReturned(_)
        | OrderEvent::StockSold(_)
        | OrderEvent::OrderSettled(_) => return None,
    })
}

fn cancelled(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Customer => "You cancelled your order.",
        EndReason::UnavailableArea => "The store does not deliver to your address.",
        EndReason::OutOfStock => "The store does not have enough of what you ordered.",
        EndReason::PaymentDeclined => "Your order ended because the card was declined.",
        EndReason::PaymentNotCompleted => "Your order ended because it was not paid in time.",
        EndReason::StoreRejected => "The store cannot take your order.",
        EndReason::StoreDidNotAnswer => "Your order ended because the store did not answer in time.",
        EndReason::NoRider => "Your order ended because no rider could be found.",
        EndReason::Operator => "Your order was cancelled by our service desk.",
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::actors::probe::until;
    use crate::actors::tail::Tail;
    use crate::order::testing::{NOON, ORDER, happy};
    use crate::order::{CommandId, Preset};
    use crate::store::{Append, Cursor, DataPlace, Due, Engine, MessageFilter, NewEvent, Reader, Shard, StreamId};

    struct Town {
        engine: Engine,
        _data: tempfile::TempDir,
    }

    impl Town {
        /// One whole life of an order is in its journal.
        async fn with_one_order() -> Self {
            let data = tempfile::tempdir().unwrap();
            let mut engine = Engine::open(&DataPlace::Directory(data.path().to_owned())).await.unwrap();
            let events = happy(Preset::FoodDelivery);
            let append = Append {
                stream: StreamId::order(ORDER),
                shard: Shard::new(7).unwrap(),
                expected_version: 0,
                at: NOON,
                by: "customer:alice".into(),
                command: CommandId::new(Uuid::from_u128(1)),
                fingerprint: None,
                answer: None,
                events: events.iter().map(|event| NewEvent { name: event.name(), data: event.data().into() }).collect(),
                due: Due::Closed,
            };
            assert!(engine.writer.append(&[append]).await.unwrap().iter().all(Result::is_ok));
            Self { engine, _data: data }
        }

        fn notifier(&self, from: Cursor) -> Notifier {
            let follower = Follower::new(Tail::default(), self.engine.readers.clone(), from);
            Notifier::new(follower, self.engine.views.clone(), watch::Sender::new(Cursor::start()))
        }

        /// Runs one from there until it has told everything.
        async fn tell_from(&self, from: Cursor) {
            let telling = actix::spawn(self.notifier(from).run(Part::new("notifier")));
            let head = self.engine.readers.head().await.unwrap();
            let cursor = async || self.engine.views.cursor(Reader::Messages).await.unwrap();
            until("everything is told", async || cursor().await.includes(&head)).await;
            telling.abort();
            assert!(telling.await.unwrap_err().is_cancelled());
        }

        async fn told(&self) -> Vec<(u32, String)> {
            let messages = self.engine.views.messages(&MessageFilter::default(), None, 100).await.unwrap();
            let mut told: Vec<_> = messages.into_iter().map(|message| (message.version, message.event)).collect();
            told.sort();
            told
        }
    }

    #[actix::test]
    async fn a_customer_is_told_what_concerns_them_and_nothing_else() {
        let town = Town::with_one_order().await;
        town.tell_from(Cursor::start()).await;
        let told = town.told().await;
        let told: Vec<&str> = told.iter().map(|(_, event)| event.as_str()).collect();
        for concerns in ["order_placed", "order_accepted", "payment_captured", "picked_up", "order_completed"] {
            assert!(told.contains(&concerns), "{concerns}: {told:?}");
        }
        for inside in ["payment_requested", "delivery_offered", "rider_released", "order_settled"] {
            assert!(!told.contains(&inside), "{inside}: {told:?}");
        }
    }

    #[actix::test]
    async fn told_again_after_a_crash_nothing_is_told_twice() {
        let town = Town::with_one_order().await;
        town.tell_from(Cursor::start()).await;
        let told = town.told().await;

        // As if the cursor had not been saved with them.
        town.tell_from(Cursor::start()).await;

        assert_eq!(town.told().await, told);
    }
}
