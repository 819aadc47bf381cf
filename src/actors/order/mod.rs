//! One order, alive: decides, writes, swaps, answers, and asks the world for what is outstanding.
//!
//! The state in memory is never ahead of the journal: a decision is folded into the next state, appended, and only
//! then adopted. If it is not known whether the append stands, this actor stops and is rebuilt from the journal.
//! What may happen is decided in `crate::order`; who is asked for what, in `asks`; repeats, in `answers`.

mod answers;
mod asks;
mod history;
mod messages;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};

use self::answers::{Answered, Kept, Past, Unanswered};
use self::asks::Asks;
pub(super) use self::history::read;
pub use self::messages::{Execute, ExecuteError, Receipt};
pub(super) use self::messages::{Inspect, Repeat};
use super::journal::{Write, WriteError, settled};
use super::mailbox::Reply;
use super::registry::{Lifeline, Resident};
use super::tail::News;
use super::world::World;
use crate::order::{
    self, CommandId, CommandName, NoStep, Order, OrderCommand, OrderId, Party, Rejection, Step, Timestamp,
};
use crate::store::{Append, Committed, DbError, Due, NewEvent, NotAppended, Recorded, Shard, StreamId};

/// How an order's actor begins.
pub enum Origin {
    /// The order is being placed: there is nothing to read.
    Unplaced,
    /// Its history was read already.
    History(Vec<Recorded>),
}

/// A million of them may live, most of them idle: what only matters while something is in work is not in here. At
/// 72 bytes the task that actix makes of it takes 512; one byte more, and it is 640.
pub struct OrderActor {
    world: World,
    lifeline: Lifeline<OrderId>,
    order: Option<Arc<Order>>,
    past: Box<Past>,
    in_work: Option<Box<InWork>>,
}

/// What an order has begun and not finished.
#[derive(Default)]
struct InWork {
    origin: Option<Origin>,
    unanswered: Vec<Unanswered>,
    /// What a rider may only do once their book has spoken. Bounded by the mailbox: each holds its permit.
    waiting_for_book: Vec<(Execute, Reply<Execute>)>,
    asks: Asks,
}

impl Resident for OrderActor {
    type Id = OrderId;
    type Origin = Origin;
    type World = World;

    const NAME: &'static str = "order";

    fn settle_in(_: OrderId, origin: Option<Origin>, world: &World, lifeline: Lifeline<OrderId>) -> Self {
        let in_work = origin.map(|origin| Box::new(InWork { origin: Some(origin), ..InWork::default() }));
        Self { world: world.clone(), lifeline, order: None, past: Box::default(), in_work }
    }
}

impl Actor for OrderActor {
    type Context = Context<Self>;

    /// Commands queue behind the reading.
    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.in_work().origin.take() {
            Some(Origin::Unplaced) => {}
            Some(Origin::History(history)) => self.remember(&history, ctx),
            None => self.read_history(0, ctx),
        }
    }
}

impl OrderActor {
    fn id(&self) -> OrderId {
        *self.lifeline.id()
    }

    fn in_work(&mut self) -> &mut InWork {
        self.in_work.get_or_insert_default()
    }

    /// Keeps nothing of what is finished.
    fn put_away(&mut self) {
        let nothing_waits = |work: &InWork| work.unanswered.is_empty() && work.waiting_for_book.is_empty();
        self.in_work.take_if(|work| nothing_waits(work) && work.asks.are_settled());
    }

    /// Reads until it succeeds: an order that cannot be read waits, and its askers are told so by their timeouts.
    fn read_history(&mut self, tries: u32, ctx: &mut Context<Self>) {
        let (world, stream) = (self.world.clone(), StreamId::order(self.id()));
        let pause = super::world::Pace::pause(world.pace.first_pause, world.pace.longest_pause, tries);
        let reading = async move {
            let history = world.readers.stream(stream, 0).await;
            if history.is_err() {
                tokio::time::sleep(pause).await;
            }
            history
        };
        ctx.wait(reading.into_actor(self).map(move |history, actor, ctx| match history {
            Ok(history) => actor.remember(&history, ctx),
            Err(DbError::Corrupt(why)) => {
                actor.lifeline.unreadable(None, why);
                ctx.stop();
            }
            Err(error) => {
                tracing::warn!(order.id = %actor.id(), %error, "cannot read an order's history; trying again");
                actor.read_history(tries.saturating_add(1), ctx);
            }
        }));
    }

    fn remember(&mut self, history: &[Recorded], ctx: &mut Context<Self>) {
        match history::fold(self.id(), history, &self.world.stores) {
            Ok((order, past)) => {
                self.order = order;
                self.past = past;
                self.follow_through(ctx);
                self.leave_if_nobody();
            }
            Err(_) => {
                let (at, why) = history::first_bad(self.id(), history)
                    .expect("what cannot be folded has an event that does not fit");
                self.lifeline.unreadable(Some(at), why.to_string());
                ctx.stop();
            }
        }
    }

    fn execute(&mut self, execute: Execute, reply: Reply<Execute>, ctx: &mut Context<Self>) {
        crate::crash::fail("order.execute");
        self.lifeline.working_on(execute.id);
        let Some(key) = execute.key else { return self.decide(execute, reply, ctx) };
        let command = execute.command.name();
        let Some(reply) = self.wait_with_the_first(key, reply) else { return };
        self.find_answer(command, key, ctx, move |actor, found, ctx| match found {
            Ok(Some(answered)) => actor.answer_again(answered, command, key, reply, ctx),
            Ok(None) => actor.decide(execute, reply, ctx),
            Err(error) => reply.send(Err(error)),
        });
    }

    /// A command that was not answered before.
    fn decide(&mut self, execute: Execute, reply: Reply<Execute>, ctx: &mut Context<Self>) {
        if let (Some(order), Some(seen)) = (&self.order, execute.if_version)
            && order.version != seen
        {
            return reply.send(Err(ExecuteError::Stale(order.clone())));
        }
        #[cfg(test)]
        tests::sabotage(&execute.command);
        let now = self.world.clock.now();
        match order::step(self.order.as_ref(), self.id(), &execute.by, &execute.command, now) {
            Ok(Step { events, next }) if events.is_empty() => self.already_holds(&execute, next, reply, ctx),
            Ok(step) => self.write(execute, step, now, Some(reply), ctx),
            Err(NoStep::Rejected(Rejection::AssignmentPending)) => self.wait_for_book(execute, reply, ctx),
            Err(NoStep::Rejected(rejection)) => {
                reply.send(Err(ExecuteError::Rejected { rejection, order: self.order.clone() }));
                self.leave_if_nobody();
            }
            Err(NoStep::Illegal(error)) => {
                tracing::error!(order.id = %self.id(), command = execute.command.name().as_str(), %error, "a rule made an event that does not fit");
                reply.send(Err(ExecuteError::Broken));
                self.leave_if_nobody();
            }
        }
    }

    fn already_holds(&mut self, execute: &Execute, order: Arc<Order>, reply: Reply<Execute>, ctx: &mut Context<Self>) {
        if matches!(execute.command, OrderCommand::Pay { .. }) {
            self.in_work().asks.hurry(); // The customer asks to try again now.
            self.follow_through(ctx);
        }
        let receipt = Receipt { order, position: self.past.position, replayed: false };
        let key = execute.key.map(|key| Kept { key, follows: false });
        self.answer_when_ready(Unanswered { command: execute.command.name(), key, receipt, reply }, ctx);
    }

    /// A command of our own: an answer of the world, or a deadline. Nobody waits for what comes of it.
    fn note(&mut self, command: OrderCommand, ctx: &mut Context<Self>) {
        // In the turn in which a message has begun to write, actix still runs what else is ready, once. Decided now, this
        // would be decided on a state that is about to be left behind.
        if ctx.waiting() {
            let later =
                std::future::ready(command).into_actor(self).map(|command, actor, ctx| actor.note(command, ctx));
            ctx.spawn(later);
            return;
        }
        let Some(order) = &self.order else { return };
        let name = command.name();
        let id = note_id(order, name);
        self.lifeline.working_on(id);
        #[cfg(test)]
        tests::sabotage(&command);
        let now = self.world.clock.now();
        match order::step(Some(order), self.id(), &Party::System, &command, now) {
            Ok(step) if step.events.is_empty() => {
                self.ask_again_if_unsettled(ctx);
                self.follow_through(ctx);
            }
            Ok(step) => {
                let execute = Execute { id, by: Party::System, command, key: None, if_version: None };
                self.write(execute, step, now, None, ctx);
            }
            Err(error) => {
                tracing::error!(order.id = %self.id(), command = name.as_str(), %error, "an answer of the world does not fit");
            }
        }
    }

    /// Atomic: the next command must see the state that this one leaves behind.
    fn write(
        &mut self,
        execute: Execute,
        step: Step,
        now: Timestamp,
        reply: Option<Reply<Execute>>,
        ctx: &mut Context<Self>,
    ) {
        let append = self.append(&execute, &step, now);
        let news = News::Order { before: self.order.clone(), events: step.events.into(), after: step.next.clone() };
        let journal = self.world.journal.clone();
        crate::crash::point("order.before_write");
        let written = async move { journal.ask(Write { append, news }).await };
        ctx.wait(written.into_actor(self).map(move |outcome, actor, ctx| {
            let committed = match outcome {
                Ok(Ok(committed)) => committed,
                Ok(Err(error)) => return actor.not_written(error, reply, ctx),
                Err(refusal) if refusal.is_definite() => {
                    return actor.refused(ExecuteError::Refused(refusal), reply, ctx);
                }
                Err(refusal) => return actor.lost(&refusal, reply, ctx),
            };
            crate::crash::point("order.after_write");
            actor.adopt(&execute, step.next, committed, reply, ctx);
        }));
    }

    fn append(&self, execute: &Execute, step: &Step, now: Timestamp) -> Append {
        let next = &step.next;
        let placing = self.order.is_none();
        Append {
            stream: StreamId::order(self.id()),
            shard: Shard::of_store(next.placement.store.id),
            expected_version: self.order.as_ref().map_or(0, |order| order.version),
            at: now,
            by: execute.by.to_string().into(),
            command: execute.id,
            fingerprint: execute.key.map(|key| key.fingerprint),
            answer: execute.key.filter(|_| placing),
            events: step
                .events
                .iter()
                .map(|event| NewEvent { name: event.name(), data: event.data().into() })
                .collect(),
            due: self.due(next),
        }
    }

    /// Left as it is where it did not move: that spares the journal a write for most commands.
    fn due(&self, next: &Order) -> Due {
        if next.settled {
            return Due::Closed;
        }
        match &self.order {
            Some(order) if order.next_due() == next.next_due() => Due::Unchanged,
            Some(_) | None => Due::Open(next.next_due()),
        }
    }

    fn adopt(
        &mut self,
        execute: &Execute,
        next: Arc<Order>,
        committed: Committed,
        reply: Option<Reply<Execute>>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(key) = execute.key {
            let this = Answered { placed_here: self.order.is_none(), ..Answered::following(key, next.version) };
            self.now_answered(this);
        }
        self.past.position = Some(committed.last);
        let before = self.order.replace(next.clone());
        self.lifeline.occupied();
        self.in_work().asks.intent_is_fresh(before.as_deref(), &next);
        if let Some(reply) = reply {
            let receipt = Receipt { order: next, position: Some(committed.last), replayed: false };
            let key = execute.key.map(|key| Kept { key, follows: true });
            self.answer_when_ready(Unanswered { command: execute.command.name(), key, receipt, reply }, ctx);
        }
        self.answer_who_waits(ctx);
        self.follow_through(ctx);
        self.carry_out_what_waited(ctx);
    }

    /// The journal says no to this append for certain.
    fn not_written(&mut self, error: WriteError, reply: Option<Reply<Execute>>, ctx: &mut Context<Self>) {
        match error {
            WriteError::NotAppended(NotAppended::AnsweredBefore(answer)) => {
                self.refused(ExecuteError::AnsweredBefore(answer), reply, ctx);
            }
            WriteError::NotAppended(error @ (NotAppended::TooLarge { .. } | NotAppended::Empty)) => {
                tracing::error!(order.id = %self.id(), %error, "what a rule decided cannot be written");
                self.refused(ExecuteError::Broken, reply, ctx);
            }
            // It was lost on the way, and the journal has been read since: it does not stand and never will.
            WriteError::Unwritable(_) | WriteError::NotAppended(NotAppended::DidNotHappen) => {
                self.refused(ExecuteError::Unwritable, reply, ctx);
            }
            // Someone else has written to this stream, or nobody knows: what we hold in memory may be wrong.
            error @ (WriteError::NotAppended(NotAppended::VersionConflict) | WriteError::Unknown) => {
                self.lost(&error, reply, ctx);
            }
        }
    }

    /// Nothing was written, and what we hold is still true. What we wanted to note ourselves is noted again later.
    fn refused(&mut self, error: ExecuteError, reply: Option<Reply<Execute>>, ctx: &mut Context<Self>) {
        match reply {
            Some(reply) => reply.send(Err(error)),
            None => self.again_later(ctx),
        }
        self.leave_if_nobody();
    }

    /// We no longer know what the journal holds. Stop, and be rebuilt from it, once what it holds will not change any more:
    /// an event that came to stand after that would be asked nothing for.
    fn lost(&mut self, error: &impl std::error::Error, reply: Option<Reply<Execute>>, ctx: &mut Context<Self>) {
        tracing::warn!(order.id = %self.id(), %error, "an append was not answered for certain; reading the order back");
        if let Some(reply) = reply {
            reply.send(Err(ExecuteError::Unknown));
        }
        let (world, busy) = (self.world.clone(), self.lifeline.busy());
        let settling = async move { settled(&world.settle).await };
        ctx.wait(settling.into_actor(self).map(move |(), _, ctx| {
            drop(busy);
            ctx.stop();
        }));
    }

    /// An actor for an order that does not exist is not kept, unless it is about to.
    fn leave_if_nobody(&self) {
        if self.order.is_none() {
            self.lifeline.vacant();
        }
    }
}

/// The same for the same answer to the same state, so that a panic over it is counted as one command's.
fn note_id(order: &Order, name: CommandName) -> CommandId {
    let name = format!("{}:{}", name.as_str(), order.version);
    CommandId::new(uuid::Uuid::new_v5(&order.id.uuid(), name.as_bytes()))
}
