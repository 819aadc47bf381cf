//! What ties a resident to its registry: how its end is noticed, and what keeps it from being retired.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::{Message, WeakRecipient};

use crate::actors::mailbox::nudge;
use crate::order::CommandId;

/// Held by every resident; its end is how the registry learns that the resident is gone.
pub struct Lifeline<Id: Clone + Send + 'static> {
    pub(super) id: Id,
    pub(super) incarnation: u64,
    pub(super) registry: WeakRecipient<Down<Id>>,
    /// What the resident works on, so that a panic can be laid at its door.
    pub(super) command: Option<CommandId>,
    /// How much it waits for from others. Not retired while there is any.
    pub(super) asked: Arc<AtomicU32>,
}

impl<Id: Clone + Send + 'static> Lifeline<Id> {
    pub fn working_on(&mut self, command: CommandId) {
        self.command = Some(command);
    }

    /// Keeps the resident from being retired for as long as the guard lives.
    pub fn busy(&self) -> Busy {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Busy(self.asked.clone())
    }
}

impl<Id: Clone + Send + 'static> Drop for Lifeline<Id> {
    /// Runs while the actor's task unwinds, where a panic would abort the process: nothing here can panic.
    fn drop(&mut self) {
        let crashed = std::thread::panicking();
        let down = Down { id: self.id.clone(), incarnation: self.incarnation, crashed, command: self.command };
        nudge(&self.registry, down);
    }
}

/// Keeps a resident from being retired.
pub struct Busy(Arc<AtomicU32>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A resident is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Down<Id: Send + 'static> {
    pub(super) id: Id,
    pub(super) incarnation: u64,
    pub(super) crashed: bool,
    pub(super) command: Option<CommandId>,
}
