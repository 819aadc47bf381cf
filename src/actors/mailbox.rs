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
        matches!(self, Refusal::Full | Refusal::Paused | Refusal::Quarantined)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Full => "full",
            Refusal::Paused => "paused",
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
}

impl<M: Message> Reply<M> {
    pub fn send(self, answer: M::Result) {
        let Reply { asker, slot } = self;
        drop(slot);
        drop(asker.send(Ok(answer)));
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
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::actors::probe::{Probe, Record, until};

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Double(u32);

    fn policy(capacity: usize, reply_timeout: Duration) -> MailboxPolicy {
        MailboxPolicy { name: "test", capacity, reply_timeout }
    }

    const LONG: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_millis(20);

    /// The replies that a test holds back.
    type Kept = Arc<std::sync::Mutex<Vec<Reply<Double>>>>;

    /// Keeps every reply, so that nothing is ever answered until the test says so.
    fn stuck(capacity: usize, patience: Duration) -> (Mailbox<Double>, Kept) {
        let kept = Kept::default();
        let keeping = kept.clone();
        let mailbox =
            Probe::with_policy(policy(capacity, patience), move |_, reply| keeping.lock().unwrap().push(reply));
        (mailbox, kept)
    }

    #[actix::test]
    async fn a_stuck_actor_refuses_the_ninth_ask() {
        let (mailbox, kept) = stuck(8, LONG);
        let asks: Vec<_> = (0..8)
            .map(|n| {
                actix::spawn({
                    let mailbox = mailbox.clone();
                    async move { mailbox.ask(Double(n)).await }
                })
            })
            .collect();
        until("all eight are inside", async || kept.lock().unwrap().len() == 8).await;

        assert_eq!(mailbox.clone().ask(Double(9)).await, Err(Refusal::Full));

        kept.lock().unwrap().drain(..).for_each(|reply| reply.send(7));
        for ask in asks {
            assert_eq!(ask.await.unwrap(), Ok(7));
        }
        assert_eq!(mailbox.load().in_use(), 0);
    }

    #[actix::test]
    async fn ten_thousand_asks_through_clones_let_in_only_as_many_as_the_bound() {
        let (mailbox, kept) = stuck(16, LONG);
        let mut asks: futures_util::stream::FuturesUnordered<_> = (0..10_000)
            .map(|n| {
                let mailbox = mailbox.clone();
                async move { mailbox.ask(Double(n)).await }
            })
            .collect();
        for _ in 0..10_000 - 16 {
            assert_eq!(asks.next().await, Some(Err(Refusal::Full)));
        }
        until("the sixteen are inside", async || kept.lock().unwrap().len() == 16).await;
    }

    #[actix::test]
    async fn a_timed_out_ask_keeps_its_slot_until_it_is_handled() {
        let (mailbox, kept) = stuck(1, SHORT);
        assert_eq!(mailbox.ask(Double(1)).await, Err(Refusal::NoReply));
        assert_eq!(mailbox.ask(Double(2)).await, Err(Refusal::Full), "the first is still in work");
        kept.lock().unwrap().clear();
        assert_eq!(mailbox.load().in_use(), 0);
    }

    #[actix::test]
    async fn an_expired_message_is_dropped_unapplied() {
        let done = Record::default();
        let doing = done.clone();
        let mailbox: Mailbox<Double> = Probe::scripted(move |Double(n), reply| {
            doing.note(n);
            reply.send(n * 2);
        });
        // Expired before the actor can look: the ask's own deadline is the message's.
        assert_eq!(mailbox.ask_within(Double(1), Duration::ZERO).await, Err(Refusal::NoReply));
        assert_eq!(mailbox.ask(Double(2)).await, Ok(4));
        assert_eq!(done.all(), [2]);
        assert_eq!(mailbox.load().in_use(), 0, "the slot of the dropped one came home");
    }

    #[actix::test]
    async fn an_actor_that_panics_answers_stopped_and_gives_back_every_slot() {
        let mailbox: Mailbox<Double> = Probe::scripted(|Double(n), reply| {
            assert_ne!(n, 13, "the test wants a panic");
            reply.send(n * 2);
        });
        assert_eq!(mailbox.ask(Double(2)).await, Ok(4));
        assert_eq!(mailbox.ask(Double(13)).await, Err(Refusal::Stopped));
        assert_eq!(mailbox.ask(Double(2)).await, Err(Refusal::Stopped), "actix does not bring it back");
        until("the slots come home", async || mailbox.load().in_use() == 0).await;
    }
}
