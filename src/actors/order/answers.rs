//! What was answered to whom: repeats get the same answer, and an answer waits for what its command set going.

use std::sync::Arc;

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::future::join_all;

use super::history::{answer_from_journal, order_at};
use super::{Execute, ExecuteError, OrderActor, Receipt};
use crate::actors::catalogue::CatalogueError;
use crate::actors::mailbox::Reply;
use crate::order::{CommandId, CommandName, Order, OrderCommand, Rejection, Text};
use crate::store::{Answer, AnswerKey, Position, StreamAnswer};

/// A request with an idempotency key that was carried out, or found to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) command: CommandId,
    pub(super) fingerprint: i64,
    /// The version of its last event; or, if that is no guide to it, the very version that was told.
    pub(super) version: u32,
    pub(super) exact: bool,
    /// It is the placement, and was carried out here: what was answered since is all in memory.
    pub(super) placed_here: bool,
}

/// What an order's actor knows of its past, beside the order itself. Boxed, it leaves the actor as small as it is.
#[derive(Default)]
pub(super) struct Past {
    pub(super) answered: Box<[Answered]>,
    /// Of the last event.
    pub(super) position: Option<Position>,
}

impl Answered {
    /// Its answer follows from the events up to this version.
    pub(super) fn following(key: AnswerKey, version: u32) -> Self {
        let command = CommandId::new(key.key);
        Self { command, fingerprint: key.fingerprint, version, exact: false, placed_here: false }
    }

    fn exactly(key: AnswerKey, version: u32) -> Self {
        Self { exact: true, ..Self::following(key, version) }
    }
}

/// The key that an answer belongs to.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) key: AnswerKey,
    /// Events carry the key, and the answer follows from them once the order has one.
    pub(super) follows: bool,
}

/// Someone whose command holds, and who is not answered yet.
pub(super) struct Unanswered {
    pub(super) command: CommandName,
    pub(super) key: Option<Kept>,
    pub(super) receipt: Receipt,
    pub(super) reply: Reply<Execute>,
}

impl Unanswered {
    /// To be answered with this state of the order.
    fn with(self, order: &Arc<Order>, position: Option<Position>) -> Self {
        Self { receipt: Receipt { order: order.clone(), position, ..self.receipt }, ..self }
    }
}

/// Whether an answer came when the order had one to give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnTime {
    Yes,
    No,
}

impl OrderActor {
    /// Goes on with what was answered to this key, if anything was. An actor that was woken does not remember what no event
    /// carries, and looks it up: one read for a command with a key, none as long as the order stays in memory.
    pub(super) fn find_answer(
        &mut self,
        command: CommandName,
        key: AnswerKey,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Result<Option<Answered>, ExecuteError>, &mut Context<Self>) + 'static,
    ) {
        let known = self.past.answered.iter().find(|answered| answered.command == CommandId::new(key.key)).copied();
        let remembers_all = self.past.answered.first().is_some_and(|first| first.placed_here);
        // The key of a placement is looked at by the journal itself.
        let nothing_to_find = self.order.is_none() || command == CommandName::Place;
        if nothing_to_find || remembers_all || known.is_some_and(|answered| answered.exact) {
            return then(self, Ok(known), ctx);
        }
        let readers = self.world.readers.clone();
        let looking = async move { readers.answer(key.key).await };
        ctx.wait(looking.into_actor(self).map(move |found, actor, ctx| {
            let found = match found {
                Ok(None) => Ok(known),
                Ok(Some(Answer::Stream { fingerprint, id, version })) if id == actor.id().uuid() => {
                    Ok(Some(Answered::exactly(AnswerKey { fingerprint, ..key }, version)))
                }
                Ok(Some(Answer::Stream { .. } | Answer::Body { .. })) => Err(ExecuteError::KeyReused),
                Err(error) => {
                    tracing::warn!(order.id = %actor.id(), %error, "cannot look up what was answered to a key");
                    Err(ExecuteError::Unwritable)
                }
            };
            then(actor, found, ctx);
        }));
    }

    /// The same request again while the first waits for its answer: they are answered together. Gives the reply back if
    /// there is no such.
    pub(super) fn wait_with_the_first(&mut self, key: AnswerKey, reply: Reply<Execute>) -> Option<Reply<Execute>> {
        let Some(work) = &mut self.in_work else { return Some(reply) };
        let same = |waiting: &&Unanswered| waiting.key.is_some_and(|kept| kept.key.key == key.key);
        let Some(first) = work.unanswered.iter().find(same) else { return Some(reply) };
        if first.key.is_some_and(|kept| kept.key != key) {
            reply.send(Err(ExecuteError::KeyReused));
        } else {
            let receipt = Receipt { replayed: true, ..first.receipt.clone() };
            let this = Unanswered { command: first.command, key: first.key, receipt, reply };
            work.unanswered.push(this);
        }
        None
    }

    pub(super) fn now_answered(&mut self, this: Answered) {
        let others = self.past.answered.iter().copied().filter(|answered| answered.command != this.command);
        self.past.answered = others.chain([this]).collect();
    }

    /// The same request again: the same answer, from the journal; or, if a restart came between the command and its
    /// answer, the answer when it is there.
    pub(super) fn answer_again(
        &mut self,
        answered: Answered,
        command: CommandName,
        key: AnswerKey,
        reply: Reply<Execute>,
        ctx: &mut Context<Self>,
    ) {
        let Answered { fingerprint, version, exact, .. } = answered;
        if key.fingerprint != fingerprint {
            return reply.send(Err(ExecuteError::KeyReused));
        }
        let (world, id) = (self.world.clone(), self.id());
        let looking = async move {
            match exact {
                true => order_at(&world.readers, id, version).await,
                false => answer_from_journal(&world.readers, id, version, command).await,
            }
        };
        ctx.wait(looking.into_actor(self).map(move |found, actor, ctx| match found {
            Ok(Some((order, position))) => {
                let receipt = Receipt { order, position, replayed: true };
                if exact {
                    return reply.send(Ok(receipt));
                }
                let key = Some(Kept { key, follows: true });
                actor.answer_when_ready(Unanswered { command, key, receipt, reply }, ctx);
            }
            Ok(None) => reply.send(Err(ExecuteError::Unknown)),
            Err(error) => reply.send(Err(error)),
        }));
    }

    /// Answers now, or when the order has come to a point that can be told; never later than the pace allows.
    pub(super) fn answer_when_ready(&mut self, waiting: Unanswered, ctx: &mut Context<Self>) {
        if waiting.receipt.order.has_answer_for(waiting.command) {
            return self.tell(vec![waiting], OnTime::Yes, ctx);
        }
        self.in_work().unanswered.push(waiting);
        let busy = self.lifeline.busy();
        ctx.run_later(self.world.pace.answer_within, move |actor, ctx| {
            drop(busy);
            actor.answer_late(ctx);
        });
    }

    pub(super) fn answer_who_waits(&mut self, ctx: &mut Context<Self>) {
        let (Some(order), Some(work)) = (self.order.clone(), &mut self.in_work) else { return };
        let ready = work.unanswered.extract_if(.., |waiting| order.has_answer_for(waiting.command));
        let position = self.past.position;
        let ready = ready.map(|waiting| waiting.with(&order, position)).collect();
        self.tell(ready, OnTime::Yes, ctx);
    }

    /// Answers them. What no event would tell a repeat is written down first: a command that changed nothing, and an answer
    /// that did not wait for the end.
    fn tell(&mut self, all: Vec<Unanswered>, on_time: OnTime, ctx: &mut Context<Self>) {
        let to_keep = |waiting: &Unanswered| waiting.key.is_some_and(|kept| on_time == OnTime::No || !kept.follows);
        let (to_keep, others): (Vec<_>, Vec<_>) = all.into_iter().partition(to_keep);
        others.into_iter().for_each(|waiting| waiting.reply.send(Ok(waiting.receipt)));
        if to_keep.is_empty() {
            return;
        }
        let (at, stream, stores) = (self.world.clock.now(), self.id().uuid(), self.world.stores.clone());
        let mut answers: Vec<StreamAnswer> = Vec::new();
        for Unanswered { key, receipt, .. } in &to_keep {
            if let Some(Kept { key, .. }) = *key
                && !answers.iter().any(|answer| answer.key == key)
            {
                answers.push(StreamAnswer { key, at, stream, version: receipt.order.version });
            }
        }
        let busy = self.lifeline.busy();
        let keeping = async move {
            let keeping = answers.into_iter().map(|answer| {
                let stores = &stores;
                async move { (answer.key, stores.remember(answer).await) }
            });
            join_all(keeping).await
        };
        ctx.wait(keeping.into_actor(self).map(move |kept, actor, ctx| {
            drop(busy);
            actor.tell_kept(to_keep, &kept, ctx);
        }));
    }

    fn tell_kept(
        &mut self,
        waiting: Vec<Unanswered>,
        kept: &[(AnswerKey, Result<(), CatalogueError>)],
        ctx: &mut Context<Self>,
    ) {
        for Unanswered { command, key, receipt, reply } in waiting {
            let Some(Kept { key, follows }) = key else { continue };
            let outcome = kept.iter().find(|(of, _)| *of == key).map(|(_, outcome)| outcome);
            match outcome {
                Some(Ok(())) => {
                    self.now_answered(Answered::exactly(key, receipt.order.version));
                    reply.send(Ok(receipt));
                }
                Some(Err(CatalogueError::AnsweredBefore(Answer::Stream { fingerprint, version, .. }))) => {
                    let before = Answered::exactly(AnswerKey { fingerprint: *fingerprint, ..key }, *version);
                    self.now_answered(before);
                    self.answer_again(before, command, key, reply, ctx);
                }
                // Nothing was changed, so that is what is said; the repeat of a command that stands finds it again.
                Some(Err(CatalogueError::Unwritable)) if !follows => reply.send(Err(ExecuteError::Unwritable)),
                Some(Err(CatalogueError::Unwritable)) => reply.send(Err(ExecuteError::Unknown)),
                Some(Err(CatalogueError::AnsweredBefore(Answer::Body { .. }) | CatalogueError::Conflict)) => {
                    reply.send(Err(ExecuteError::Broken));
                }
                // It may be kept. Be rebuilt, and look it up.
                Some(Err(CatalogueError::Unknown)) | None => {
                    reply.send(Err(ExecuteError::Unknown));
                    ctx.stop();
                }
            }
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
        let waiting = std::mem::take(&mut self.in_work().unanswered);
        let position = self.past.position;
        let waiting = waiting.into_iter().map(|waiting| waiting.with(&order, position)).collect();
        self.tell(waiting, OnTime::No, ctx);
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
