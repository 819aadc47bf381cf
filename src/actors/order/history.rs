//! States from an order's history: the order now, as it stood at a version, or as a command was answered.

use std::sync::Arc;

use super::ExecuteError;
use super::answers::{Answered, Past};
use crate::actors::catalogue::Stores;
use crate::order::{self, CommandName, IllegalEvent, Order, OrderEvent, OrderId, Timestamp, UnreadableEvent, replay};
use crate::store::{AnswerKey, Position, Readers, Recorded, StreamId};

/// An order's history does not make an order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadHistory {
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

/// The order that a history makes, and what else is remembered of it.
type Remembered = (Option<Arc<Order>>, Box<Past>);

/// An order as it stood once, and where its last event stands.
type Then = (Arc<Order>, Option<Position>);

/// What it holds in common with its store's listing, it shares with it.
pub(super) fn fold(id: OrderId, history: &[Recorded], stores: &Stores) -> Result<Remembered, BadHistory> {
    let mut events = read_all(history)?;
    if let Some((OrderEvent::OrderPlaced(placement), _)) = events.first_mut()
        && let Some(listing) = stores.listing(placement.store.id)
        && let Some(placement) = Arc::get_mut(placement)
    {
        listing.share_with(placement);
    }
    let order = replay(id, None, events.iter().map(|(event, at)| (event, *at)))?;
    let mut answered: Vec<Answered> = Vec::new();
    for recorded in history {
        let Some(fingerprint) = recorded.fingerprint else { continue };
        let key = AnswerKey { key: recorded.command.uuid(), fingerprint };
        let this = Answered::following(key, recorded.version);
        match answered.last_mut() {
            Some(last) if last.command == this.command => *last = this,
            Some(_) | None => answered.push(this),
        }
    }
    let position = history.last().map(|last| last.position);
    Ok((order, Box::new(Past { answered: answered.into(), position })))
}

/// The first event of a history that cannot be read or does not fit, and why; none if all of it folds.
pub(super) fn first_bad(id: OrderId, history: &[Recorded]) -> Option<(Position, BadHistory)> {
    let mut order = None;
    for row in history {
        let event = read(row).map_err(BadHistory::from);
        match event.and_then(|event| Ok(replay(id, order.take(), [(&event, row.at)])?)) {
            Ok(after) => order = after,
            Err(why) => return Some((row.position, why)),
        }
    }
    None
}

fn read_all(history: &[Recorded]) -> Result<Vec<(OrderEvent, Timestamp)>, UnreadableEvent> {
    history.iter().map(|recorded| Ok((read(recorded)?, recorded.at))).collect()
}

/// The order as it stood when a command, whose last event has `version`, could be answered; as it stands now if
/// that moment has not come. A function of the journal, so every repeat is told the same.
pub(super) async fn answer_from_journal(
    readers: &Readers,
    id: OrderId,
    version: u32,
    command: CommandName,
) -> Result<Option<Then>, ExecuteError> {
    let history = readers.stream(StreamId::order(id), 0).await.map_err(|_| ExecuteError::Unwritable)?;
    let broken = |error: BadHistory| {
        tracing::error!(order.id = %id, %error, "an order's history cannot be folded");
        ExecuteError::Broken
    };
    let events = read_all(&history).map_err(|error| broken(error.into()))?;
    let then = |order: Arc<Order>| {
        let position = history.get(order.version as usize - 1).map(|row| row.position);
        (order, position)
    };
    let mut order: Option<Arc<Order>> = None;
    for (event, at) in &events {
        order = replay(id, order, [(event, *at)]).map_err(|error| broken(error.into()))?;
        // Between two events of one command nobody was answered: look only where a command ended.
        if let Some(order) = order.as_ref().filter(|order| order.version >= version) {
            let next = history.get(order.version as usize);
            let command_ended =
                history.get(order.version as usize - 1).map(|row| row.command) != next.map(|row| row.command);
            if command_ended && order.has_answer_for(command) {
                return Ok(Some(then(order.clone())));
            }
        }
    }
    Ok(order.map(then))
}

/// The order as it stood at exactly this version.
pub(super) async fn order_at(readers: &Readers, id: OrderId, version: u32) -> Result<Option<Then>, ExecuteError> {
    let history = readers.stream_page(StreamId::order(id), 0, version as usize).await;
    let history = history.map_err(|_| ExecuteError::Unwritable)?;
    let folded = read_all(&history)
        .map_err(BadHistory::from)
        .and_then(|events| Ok(replay(id, None, events.iter().map(|(event, at)| (event, *at)))?));
    let order = folded.map_err(|error| {
        tracing::error!(order.id = %id, %error, "an order's history cannot be folded");
        ExecuteError::Broken
    })?;
    Ok(order.map(|order| (order, history.last().map(|row| row.position))))
}

/// Reads the journal's rows of one order into its events.
pub(in crate::actors) fn read(recorded: &Recorded) -> Result<OrderEvent, order::UnreadableEvent> {
    OrderEvent::read(&recorded.name, &recorded.data)
}
