//! Tells customers what happened to their orders, and keeps a record of having told them.
//!
//! For now the record is the message: channels to telephones come behind the same rows. A message is named by the
//! order and the version of its event, so telling again after a crash changes nothing, and nothing is told that
//! did not happen.

use std::sync::Arc;

use super::follow::Follower;
use super::projector::gather;
use super::supervision::Part;
use super::tail::{Entry, News};
use super::world::Pace;
use crate::order::{EndReason, Order, OrderEvent, PartyRole};
use crate::store::{MessageRow, MessageState, Views};

/// How many entries one write covers: as the projector's, which follows the same tail.
const TOGETHER: usize = 4_000;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) struct Notifier {
    follower: Follower,
    views: Views,
}

impl Notifier {
    pub(super) fn new(follower: Follower, views: Views) -> Self {
        Self { follower, views }
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
                tries += 1;
                tokio::time::sleep(Pace::pause(PAUSE, LONGEST_PAUSE, tries)).await;
            }
            part.passed(self.follower.cursor());
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
