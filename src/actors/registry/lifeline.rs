//! What ties a resident to its registry: how its end is noticed, and what keeps it from being retired.

use std::sync::Arc;

use actix::{Message, WeakRecipient};

use crate::actors::mailbox::nudge;
use crate::actors::slots::{Busy, Slots};
use crate::order::CommandId;
use crate::store::Position;

/// Held by every resident; its end is how the registry learns that the resident is gone.
pub struct Lifeline<Id: Clone + Send + 'static> {
    pub(super) id: Id,
    /// One for all residents.
    pub(super) registry: Arc<WeakRecipient<Down<Id>>>,
    /// Where it counts what it waits for from others: it is not retired while there is any.
    pub(super) slots: Slots,
}

impl<Id: Clone + Send + 'static> Lifeline<Id> {
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// So that a panic can be laid at its door.
    pub fn working_on(&self, command: CommandId) {
        self.slots.working_on(command);
    }

    /// The resident has nothing more to do: it may go long before others that nobody asks.
    pub fn finished(&self) {
        self.slots.finish();
    }

    /// There is nothing in the journal that the resident stands for, and it has answered who asked: it goes as soon as no
    /// other message is inside. Said again after each answer, for as long as it is so.
    pub fn vacant(&self) {
        self.slots.set_vacant(true);
        nudge(&self.registry, Down { id: self.id.clone(), slots: self.slots.clone(), cause: Cause::Vacant });
    }

    /// There is something now: it stays.
    pub fn occupied(&self) {
        self.slots.set_vacant(false);
    }

    /// Its history cannot be read, from this event on if that is known: the resident stops now, and is not replaced until an
    /// operator says so.
    pub fn unreadable(&self, at: Option<Position>, why: String) {
        let cause = Cause::Unreadable { at, why };
        nudge(&self.registry, Down { id: self.id.clone(), slots: self.slots.clone(), cause });
    }

    /// Keeps the resident from being retired for as long as the guard lives.
    pub fn busy(&self) -> Busy {
        self.slots.busy()
    }
}

impl<Id: Clone + Send + 'static> Drop for Lifeline<Id> {
    /// Runs while the actor's task unwinds, where a panic would abort the process: nothing here can panic.
    fn drop(&mut self) {
        let cause = if std::thread::panicking() { Cause::Panic } else { Cause::Stopped };
        let down = Down { id: self.id.clone(), slots: self.slots.clone(), cause };
        nudge(&self.registry, down);
    }
}

/// A resident is gone, or has nothing to stay for.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Down<Id: Send + 'static> {
    pub(super) id: Id,
    /// Its own, which tell it from another of that name.
    pub(super) slots: Slots,
    pub(super) cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Panic,
    Stopped,
    /// It lives on until it is let go.
    Vacant,
    /// Comes before the end itself.
    Unreadable {
        at: Option<Position>,
        why: String,
    },
}
