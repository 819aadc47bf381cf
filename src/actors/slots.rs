//! The slots of one mailbox: how many messages may be inside it, how many are, and which command is in work.
//!
//! No semaphore, because nobody ever waits for a slot: who finds none free is refused. Each live order has a set of
//! its own, so it is one allocation of 64 bytes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::mailbox::MailboxPolicy;
use crate::order::CommandId;

/// Shared by all who let messages into one mailbox.
#[derive(Clone)]
pub(super) struct Slots(Arc<Counts>);

struct Counts {
    /// One for all actors of a kind.
    policy: Arc<MailboxPolicy>,
    /// Messages waiting or in work, never more than the policy's capacity.
    inside: AtomicU32,
    /// What the actor waits for from others, and does not count as a message. Bounded by what one actor asks.
    asked: AtomicU32,
    command: Mutex<Option<CommandId>>,
    /// The actor has nothing more to do, and is only kept for those who look at what they have just done.
    finished: AtomicBool,
    /// There is nothing in the journal that the actor would stand for.
    vacant: AtomicBool,
}

/// One message may be inside for as long as this lives.
pub(super) struct Slot(Slots);

/// The actor waits for something from others for as long as this lives.
pub struct Busy(Slots);

impl Slots {
    pub(super) fn new(policy: Arc<MailboxPolicy>) -> Self {
        Self(Arc::new(Counts {
            policy,
            inside: 0.into(),
            asked: 0.into(),
            command: Mutex::default(),
            finished: false.into(),
            vacant: false.into(),
        }))
    }

    /// These very slots, so those of the same actor: another one in its place has others.
    pub(super) fn are(&self, others: &Slots) -> bool {
        Arc::ptr_eq(&self.0, &others.0)
    }

    pub(super) fn working_on(&self, command: CommandId) {
        *self.0.command.lock().unwrap_or_else(PoisonError::into_inner) = Some(command);
    }

    /// What the actor worked on last.
    pub(super) fn command(&self) -> Option<CommandId> {
        *self.0.command.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn finish(&self) {
        self.0.finished.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::Relaxed)
    }

    pub(super) fn set_vacant(&self, vacant: bool) {
        self.0.vacant.store(vacant, Ordering::Relaxed);
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.0.vacant.load(Ordering::Relaxed)
    }

    /// None if all are taken.
    pub(super) fn take(&self) -> Option<Slot> {
        let Counts { policy, inside, .. } = &*self.0;
        let one_more = |taken: u32| ((taken as usize) < policy.capacity).then_some(taken + 1);
        inside.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more).ok().map(|_| Slot(self.clone()))
    }

    pub(super) fn busy(&self) -> Busy {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    pub(super) fn policy(&self) -> &MailboxPolicy {
        &self.0.policy
    }

    pub(super) fn taken(&self) -> usize {
        self.0.inside.load(Ordering::Acquire) as usize
    }

    /// No message is inside, and nothing is waited for from others: the actor may be let go without losing any.
    pub(super) fn is_idle(&self) -> bool {
        self.taken() == 0 && self.0.asked.load(Ordering::Acquire) == 0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.inside.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.asked.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_slot_comes_home_when_its_message_is_done() {
        let policy = MailboxPolicy { name: "test", capacity: 2, reply_timeout: Duration::from_secs(1) };
        let slots = Slots::new(Arc::new(policy));
        let (first, second) = (slots.take(), slots.take());
        assert!(first.is_some() && second.is_some() && slots.take().is_none());
        drop(first);
        assert!(slots.take().is_some(), "taken and given back at once");
        assert_eq!(slots.taken(), 1);
    }

    #[test]
    fn whoever_waits_for_others_is_not_idle() {
        let policy = MailboxPolicy { name: "test", capacity: 0, reply_timeout: Duration::from_secs(1) };
        let slots = Slots::new(Arc::new(policy));
        let busy = slots.busy();
        assert!(!slots.is_idle());
        drop(busy);
        assert!(slots.is_idle());
    }
}
