//! What was answered to whom: repeats get the same answer, and an answer waits for what its command set going.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{Execute, ExecuteError, OrderActor, Receipt};
use crate::actors::catalogue::Stores;
use crate::actors::mailbox::Reply;
use crate::order::{
    CommandId, CommandName, IllegalEvent, Order, OrderCommand, OrderEvent, OrderId, Rejection, Text, Timestamp,
    UnreadableEvent, replay,
};
use crate::store::{Readers, Recorded, StreamId};

/// A request with an idempotency key that was carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) command: CommandId,
    pub(super) fingerprint: i64,
    /// The version of its last event.
    pub(super) version: u32,
}

/// Someone whose command was carried out and whose answer is not known yet.
pub(super) struct Unanswered {
    command: CommandName,
    receipt: Receipt,
    reply: Reply<Execute>,
}

/// An order's history does not make an order.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadHistory {
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

/// The order that a history makes, and the requests that were answered in it.
type Remembered = (Option<Arc<Order>>, Box<[Answered]>);

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
        let this = Answered { command: recorded.command, fingerprint, version: recorded.version };
        match answered.last_mut() {
            Some(last) if last.command == this.command => *last = this,
            Some(_) | None => answered.push(this),
        }
    }
    Ok((order, answered.into()))
}

fn read_all(history: &[Recorded]) -> Result<Vec<(OrderEvent, Timestamp)>, UnreadableEvent> {
    history.iter().map(|recorded| Ok((super::read(recorded)?, recorded.at))).collect()
}

/// The order as it stood when a command, whose last event has `version`, could be answered; as it stands now if
/// that moment has not come. A function of the journal, so every repeat is told the same.
async fn answer_from_journal(
    readers: &Readers,
    id: OrderId,
    version: u32,
    command: CommandName,
) -> Result<Option<Arc<Order>>, ExecuteError> {
    let history = readers.stream(StreamId::order(id), 0).await.map_err(|_| ExecuteError::Unwritable)?;
    let broken = |error: BadHistory| {
        tracing::error!(order.id = %id, %error, "an order's history cannot be folded");
        ExecuteError::Broken
    };
    let events = read_all(&history).map_err(|error| broken(error.into()))?;
    let mut order: Option<Arc<Order>> = None;
    for (event, at) in &events {
        order = replay(id, order, [(event, *at)]).map_err(|error| broken(error.into()))?;
        // Between two events of one command nobody was answered: look only where a command ended.
        if let Some(order) = order.as_ref().filter(|order| order.version >= version) {
            let next = history.get(order.version as usize);
            let command_ended =
                history.get(order.version as usize - 1).map(|row| row.command) != next.map(|row| row.command);
            if command_ended && order.has_answer_for(command) {
                return Ok(Some(order.clone()));
            }
        }
    }
    Ok(order)
}

impl OrderActor {
    /// The same request again: the same answer, from the journal; or, if a restart came between the command and its
    /// answer, the answer when it is there.
    pub(super) fn answer_again(
        &mut self,
        answered: Answered,
        fingerprint: Option<i64>,
        command: CommandName,
        reply: Reply<Execute>,
        ctx: &mut Context<Self>,
    ) {
        if fingerprint.is_some_and(|fingerprint| fingerprint != answered.fingerprint) {
            return reply.send(Err(ExecuteError::KeyReused));
        }
        let (world, id) = (self.world.clone(), self.id());
        let looking = async move { answer_from_journal(&world.readers, id, answered.version, command).await };
        ctx.wait(looking.into_actor(self).map(move |found, actor, ctx| match found {
            Ok(Some(order)) => {
                let receipt = Receipt { order, position: None, replayed: true };
                actor.answer_when_ready(command, receipt, reply, ctx);
            }
            Ok(None) => reply.send(Err(ExecuteError::Unknown)),
            Err(error) => reply.send(Err(error)),
        }));
    }

    /// Answers now, or when the order has come to a point that can be told; never later than the pace allows.
    pub(super) fn answer_when_ready(
        &mut self,
        command: CommandName,
        receipt: Receipt,
        reply: Reply<Execute>,
        ctx: &mut Context<Self>,
    ) {
        if receipt.order.has_answer_for(command) {
            return reply.send(Ok(receipt));
        }
        self.in_work().unanswered.push(Unanswered { command, receipt, reply });
        let busy = self.lifeline.busy();
        ctx.run_later(self.world.pace.answer_within, move |actor, ctx| {
            drop(busy);
            actor.answer_late(ctx);
        });
    }

    pub(super) fn answer_who_waits(&mut self) {
        let (Some(order), Some(work)) = (&self.order, &mut self.in_work) else { return };
        for waiting in work.unanswered.extract_if(.., |waiting| order.has_answer_for(waiting.command)) {
            waiting.reply.send(Ok(Receipt { order: order.clone(), ..waiting.receipt }));
        }
    }

    /// Holds the command back until the rider's book has spoken; but no longer than anyone waits for an answer, and then
    /// nothing has happened.
    pub(super) fn wait_for_book(&mut self, execute: Execute, reply: Reply<Execute>, ctx: &mut Context<Self>) {
        let id = execute.id;
        self.in_work().waiting_for_book.push((execute, reply));
        let busy = self.lifeline.busy();
        ctx.run_later(self.world.pace.answer_within, move |actor, _| {
            drop(busy);
            let Some(work) = &mut actor.in_work else { return };
            let refused =
                Err(ExecuteError::Rejected { rejection: Rejection::AssignmentPending, order: actor.order.clone() });
            for (_, reply) in work.waiting_for_book.extract_if(.., |(waiting, _)| waiting.id == id) {
                reply.send(refused.clone());
            }
            actor.put_away();
        });
    }

    /// Each in a turn of its own: the first that writes shuts the door on the next.
    pub(super) fn carry_out_what_waited(&mut self, ctx: &mut Context<Self>) {
        let pending = self.order.as_ref().is_some_and(|order| order.awaits_riders_book());
        let Some(work) = self.in_work.as_mut().filter(|_| !pending) else { return };
        for (execute, reply) in std::mem::take(&mut work.waiting_for_book) {
            self.when_the_door_is_open(execute, reply, ctx);
        }
    }

    fn when_the_door_is_open(&mut self, execute: Execute, reply: Reply<Execute>, ctx: &mut Context<Self>) {
        let later = std::future::ready((execute, reply)).into_actor(self);
        ctx.spawn(later.map(|(execute, reply), actor, ctx| {
            if ctx.waiting() {
                actor.when_the_door_is_open(execute, reply, ctx);
            } else {
                actor.execute(execute, reply, ctx);
            }
        }));
    }

    /// Nobody waits any longer. A placement that is not settled by now is taken and paid later; of everything else the
    /// answer says how far it has come.
    fn answer_late(&mut self, ctx: &mut Context<Self>) {
        let Some(order) = self.order.clone() else { return };
        let patience = self.world.pace.answer_within;
        let waits_for_payment = |waiting: &Unanswered| matches!(waiting.command, CommandName::Place | CommandName::Pay);
        if self.in_work().unanswered.iter().any(waits_for_payment) {
            let why = Text::literal("no_answer_in_time");
            let attempt = order.payment.attempt;
            return self.note(OrderCommand::NoteNotPaidYet { attempt, sent: true, why }, ctx);
        }
        tracing::debug!(order.id = %self.id(), waited_ms = patience.as_millis() as u64, "answering before all is done");
        for waiting in self.in_work().unanswered.drain(..) {
            waiting.reply.send(Ok(Receipt { order: order.clone(), ..waiting.receipt }));
        }
        self.put_away();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actor_of_an_idle_order_fits_the_smaller_task() {
        assert!(size_of::<OrderActor>() <= 72, "{} bytes", size_of::<OrderActor>());
    }
}
