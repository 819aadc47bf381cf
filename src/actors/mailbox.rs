//! The only place that sends and waits.
//!
//! actix's mailbox capacity is no bound: every clone of an address has a slot of its own, `send` on a full mailbox
//! gets in through a clone, and `do_send` never looks (actix issues 329 and 515). So the bound is ours: a permit
//! travels inside each message and comes home when the message has been answered or thrown away, also when its
//! asker has long gone.
//!
//! A refusal at the door ([`Refusal::Full`], [`Refusal::Paused`]) means that nothing happened. [`Refusal::NoReply`]
//! and [`Refusal::Stopped`] mean that nobody knows: ask again with the same command id. A message that waited past
//! its deadline is dropped unapplied.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message, Recipient, WeakRecipient};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::slots::{Slot, Slots};

/// How many may be inside, and how long an asker waits. Each actor's numbers stand in `config` with their reasons.
#[derive(Clone, Copy, Debug)]
pub(super) struct MailboxPolicy {
    /// For metrics and operations.
    pub name: &'static str,
    /// How many messages may be waiting or in work. The next one is refused.
    pub capacity: usize,
    /// How long an asker waits. Work that has begun is never interrupted.
    pub reply_timeout: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the mailbox is full: nothing happened")]
    Full,
    #[error("this part is paused by the operator: nothing happened")]
    Paused,
    #[error("this part failed and is being made anew: nothing happened")]
    Restarting,
    #[error("no reply in time: the outcome is unknown")]
    NoReply,
    #[error("the actor stopped before it answered: the outcome is unknown")]
    Stopped,
    #[error("the actor failed three times on one command and is quarantined: nothing happened")]
    Quarantined,
}

impl Refusal {
    /// Nothing happened, for certain.
    pub const fn is_definite(self) -> bool {
        matches!(self, Refusal::Full | Refusal::Paused | Refusal::Restarting | Refusal::Quarantined)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Full => "full",
            Refusal::Paused => "paused",
            Refusal::Restarting => "restarting",
            Refusal::NoReply => "no_reply",
            Refusal::Stopped => "stopped",
            Refusal::Quarantined => "quarantined",
        }
    }
}

/// A message that was let in: with the permit that counts it, its deadline, and the way back to its asker.
pub struct Admitted<M: Message> {
    message: M,
    expires: Instant,
    reply: Reply<M>,
}

impl<M: Message> Message for Admitted<M> {
    type Result = ();
}

/// The way back to the asker. Dropped unanswered, it tells them [`Refusal::Stopped`].
pub struct Reply<M: Message> {
    asker: oneshot::Sender<Result<M::Result, Refusal>>,
    /// Comes home when the answer is given, not when it is read.
    slot: Option<Slot>,
}

impl<M: Message> Admitted<M> {
    /// The message and the way back, unless nobody waits for the answer any more.
    pub fn start(self) -> Option<(M, Reply<M>)> {
        if Instant::now() < self.expires {
            Some((self.message, self.reply))
        } else {
            metrics::counter!("mailbox_expired_total").increment(1);
            self.reply.refuse(Refusal::NoReply);
            None
        }
    }

    pub(super) fn expires(&self) -> Instant {
        self.expires
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        self.reply.refuse(refusal);
    }
}

impl<M: Message> Reply<M> {
    pub fn send(self, answer: M::Result) {
        let Reply { asker, slot } = self;
        drop(slot);
        drop(asker.send(Ok(answer)));
    }

    /// The asker has not given up.
    pub(super) fn is_awaited(&self) -> bool {
        !self.asker.is_closed()
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        let Reply { asker, slot } = self;
        drop(slot);
        drop(asker.send(Err(refusal)));
    }

    /// Hands the way back to someone who answers in our stead.
    pub(super) fn hand_on<N>(self) -> Reply<N>
    where
        N: Message<Result = M::Result>,
    {
        Reply { asker: self.asker, slot: None }
    }
}

/// The entrance of one actor: its address and its permits. Whoever holds the door may let messages in.
pub(super) struct Door<A: Actor> {
    addr: Addr<A>,
    slots: Slots,
}

impl<A: Actor<Context = Context<A>>> Door<A> {
    pub(super) fn new(addr: Addr<A>, policy: MailboxPolicy) -> Self {
        Self::with_slots(addr, Slots::new(Arc::new(policy)))
    }

    /// With slots that the actor itself holds too.
    pub(super) fn with_slots(addr: Addr<A>, slots: Slots) -> Self {
        Self { addr, slots }
    }

    /// The way in for one kind of message. All of them share the actor's permits.
    pub(super) fn mailbox<M>(&self) -> Mailbox<M>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Admitted<M>>,
    {
        Mailbox { recipient: self.addr.clone().recipient(), slots: self.slots.clone() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.addr.connected()
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(super) fn load(&self) -> MailboxLoad {
        MailboxLoad { slots: self.slots.clone() }
    }

    /// Lets a message in that was admitted elsewhere, with the deadline it came with, or refuses it in its place.
    pub(super) fn pass_on<M>(&self, message: M, reply: Reply<M>, expires: Instant)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<Admitted<M>>,
    {
        match self.slots.take() {
            Some(slot) => {
                let reply = Reply { asker: reply.asker, slot: Some(slot) };
                let admitted = Admitted { message, expires, reply };
                #[expect(clippy::disallowed_methods, reason = "the permit inside is the bound")]
                self.addr.do_send(admitted);
            }
            None => {
                count_refusal(self.slots.policy().name, Refusal::Full);
                reply.refuse(Refusal::Full);
            }
        }
    }
}

/// What is inside a mailbox right now, for operations.
#[derive(Clone)]
pub struct MailboxLoad {
    slots: Slots,
}

impl MailboxLoad {
    pub fn name(&self) -> &'static str {
        self.slots.policy().name
    }

    pub fn capacity(&self) -> usize {
        self.slots.policy().capacity
    }

    pub fn in_use(&self) -> usize {
        self.slots.taken()
    }
}

/// The way in for one kind of message, as others hold it.
pub struct Mailbox<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    recipient: Recipient<Admitted<M>>,
    slots: Slots,
}

impl<M> Clone for Mailbox<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn clone(&self) -> Self {
        Self { recipient: self.recipient.clone(), slots: self.slots.clone() }
    }
}

impl<M> Mailbox<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    /// Asks and waits for the answer, at most the policy's reply timeout.
    pub async fn ask(&self, message: M) -> Result<M::Result, Refusal> {
        self.ask_within(message, self.slots.policy().reply_timeout).await
    }

    /// [`ask`](Self::ask) with another patience.
    pub async fn ask_within(&self, message: M, patience: Duration) -> Result<M::Result, Refusal> {
        let (asker, answer) = oneshot::channel();
        let expires = Instant::now() + patience;
        self.admit(message, asker, expires)?;
        match tokio::time::timeout_at(expires, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(self.counted(Refusal::Stopped)),
            Err(_) => Err(self.counted(Refusal::NoReply)),
        }
    }

    fn admit(
        &self,
        message: M,
        asker: oneshot::Sender<Result<M::Result, Refusal>>,
        expires: Instant,
    ) -> Result<(), Refusal> {
        let slot = self.slots.take().ok_or_else(|| self.counted(Refusal::Full))?;
        self.put(Admitted { message, expires, reply: Reply { asker, slot: Some(slot) } });
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "the permit inside is the bound")]
    fn put(&self, admitted: Admitted<M>) {
        self.recipient.do_send(admitted);
    }

    fn counted(&self, refusal: Refusal) -> Refusal {
        count_refusal(self.slots.policy().name, refusal);
        refusal
    }

    pub fn load(&self) -> MailboxLoad {
        MailboxLoad { slots: self.slots.clone() }
    }
}

pub(super) fn count_refusal(mailbox: &'static str, refusal: Refusal) {
    metrics::counter!("mailbox_refused_total", "mailbox" => mailbox, "reason" => refusal.as_str()).increment(1);
}

/// Hands a message on to the actor that is to answer it, with its permit and its deadline.
pub(super) fn forward<A, M>(to: &Addr<A>, admitted: Admitted<M>)
where
    A: Actor<Context = Context<A>> + Handler<Admitted<M>>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    #[expect(clippy::disallowed_methods, reason = "the permit inside is the bound")]
    to.do_send(admitted);
}

/// Tells an actor something it could also find out by itself: that is why it may be lost.
pub(super) fn nudge<M>(recipient: &WeakRecipient<M>, message: M)
where
    M: Message<Result = ()> + Send + 'static,
{
    if let Some(recipient) = recipient.upgrade() {
        #[expect(clippy::disallowed_methods, reason = "one per dead actor or timer: bounded by their number")]
        recipient.do_send(message);
    }
}

#[cfg(test)]
#[path = "mailbox/tests.rs"]
mod tests;
