//! The way to the orders for everyone outside this folder: HTTP, the command line, the demonstration.

use std::sync::Arc;

use uuid::Uuid;

use super::clock::Clock;
use super::mailbox::{Mailbox, Refusal};
use super::order::{Execute, ExecuteError, Inspect, OrderActor, Origin, Receipt, Repeat};
use super::registry::To;
use super::store::{AttendDesk, StoreActor};
use crate::order::{CommandId, CommandName, Order, OrderCommand, OrderId, Party, Rejection, SharedPlacement};
use crate::store::{Answer, AnswerKey, DbError, Readers, Recorded, StreamId};

/// How often a command is sent again when its actor died before it answered. The registry quarantines an order on
/// its third panic over one command, so one more would only be told that.
const SENT_AT_MOST: usize = 3;

#[derive(Clone)]
pub struct Orders {
    pub(super) execute: Mailbox<To<OrderActor, Execute>>,
    pub(super) repeat: Mailbox<To<OrderActor, Repeat>>,
    pub(super) inspect: Mailbox<To<OrderActor, Inspect>>,
    pub(super) desk: Mailbox<To<StoreActor, AttendDesk>>,
    pub(super) readers: Readers,
    pub(super) clock: Clock,
}

impl Orders {
    /// Places an order. The same key again gives the same answer, also after a restart; it is then the earlier
    /// order that comes back.
    pub async fn place(&self, placement: SharedPlacement, by: Party, key: AnswerKey) -> Result<Receipt, ExecuteError> {
        let id = OrderId::new(Uuid::now_v7());
        let command = OrderCommand::Place(placement);
        let execute = Execute { id: CommandId::new(key.key), by, command, key: Some(key), if_version: None };
        match self.send(id, execute, true).await {
            Err(ExecuteError::AnsweredBefore(answer)) => self.placed_before(&answer, key).await,
            outcome => outcome,
        }
    }

    /// What was answered to a placement with this key, if there was one.
    pub async fn placed_already(&self, key: AnswerKey) -> Result<Option<Receipt>, ExecuteError> {
        match self.readers.answer(key.key).await.map_err(|_| ExecuteError::Unwritable)? {
            Some(answer) => self.placed_before(&answer, key).await.map(Some),
            None => Ok(None),
        }
    }

    async fn placed_before(&self, answer: &Answer, key: AnswerKey) -> Result<Receipt, ExecuteError> {
        let id = match answer {
            Answer::Stream { fingerprint, id, .. } if *fingerprint == key.fingerprint => OrderId::new(*id),
            Answer::Stream { .. } | Answer::Body { .. } => return Err(ExecuteError::KeyReused),
        };
        // The journal says that it was.
        self.answered(id, CommandName::Place, key).await?.ok_or(ExecuteError::Unknown)
    }

    /// What was answered to a command with this key, if it was: for whoever has something to object to the command.
    pub async fn answered(
        &self,
        order: OrderId,
        command: CommandName,
        key: AnswerKey,
    ) -> Result<Option<Receipt>, ExecuteError> {
        match self.repeat.ask(To { id: order, origin: None, message: Repeat { command, key } }).await? {
            Ok(receipt) => Ok(Some(receipt)),
            Err(ExecuteError::NotAnswered) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Carries out a command of someone who is not the store's owner.
    pub async fn execute(&self, order: OrderId, execute: Execute) -> Result<Receipt, ExecuteError> {
        self.send(order, execute, false).await
    }

    /// Carries out a command of the store, whose management has to be there for it.
    pub async fn manage(&self, order: OrderId, execute: Execute) -> Result<Receipt, ExecuteError> {
        let found = self.order(order).await?;
        let Some(order) = found.filter(|order| order.is_visible_to(&execute.by)) else {
            return Err(ExecuteError::Rejected { rejection: Rejection::NotFound, order: None });
        };
        let store = order.placement.store.id;
        let attended = self.desk.ask(To { id: store, origin: None, message: AttendDesk }).await;
        if let Err(refusal) = attended {
            // A repeat needs nobody at the desk.
            let before = match execute.key {
                Some(key) => self.answered(order.id, execute.command.name(), key).await?,
                None => None,
            };
            return before.ok_or_else(|| ExecuteError::Refused(before_the_order(refusal)));
        }
        self.send(order.id, execute, false).await
    }

    async fn send(&self, order: OrderId, execute: Execute, unplaced: bool) -> Result<Receipt, ExecuteError> {
        let mut sent = 1;
        loop {
            // Only the first can find nothing in the journal for certain.
            let origin = (unplaced && sent == 1).then_some(Origin::Unplaced);
            let message = To { id: order, origin, message: execute.clone() };
            match self.execute.ask(message).await {
                Ok(outcome) => return outcome,
                // It may have been carried out: the order recognises the command by its id.
                Err(Refusal::Stopped) if sent < SENT_AT_MOST => sent += 1,
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// The order as it stands, whoever asks; none if there is none.
    pub async fn order(&self, order: OrderId) -> Result<Option<Arc<Order>>, ExecuteError> {
        let mut asked = 1;
        loop {
            match self.inspect.ask(To { id: order, origin: None, message: Inspect }).await {
                Ok(order) => return Ok(order),
                Err(Refusal::Stopped) if asked < SENT_AT_MOST => asked += 1,
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// The order's history, from the journal.
    pub async fn history(&self, order: OrderId) -> Result<Vec<Recorded>, DbError> {
        self.readers.stream(StreamId::order(order), 0).await
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// Nothing of the command has left for the order: whatever became of whom was asked first, it did not happen.
fn before_the_order(refusal: Refusal) -> Refusal {
    if refusal.is_definite() { refusal } else { Refusal::Paused }
}
