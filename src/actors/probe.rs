//! Stands in for an actor in tests: answers as it is told to, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Context, Handler, Message};

use super::mailbox::{Admitted, Door, Mailbox, MailboxPolicy, Reply};

/// What a probe does with each message: answer, keep the reply for later, or drop it.
pub(super) type Script<M> = Box<dyn FnMut(M, Reply<M>) + Send>;

pub(super) struct Probe<M: Message> {
    script: Script<M>,
}

pub(super) const POLICY: MailboxPolicy =
    MailboxPolicy { name: "probe", capacity: 1_000, reply_timeout: Duration::from_secs(5) };

impl<M> Probe<M>
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
{
    pub(super) fn scripted(script: impl FnMut(M, Reply<M>) + Send + 'static) -> Mailbox<M> {
        Self::with_policy(POLICY, script)
    }

    pub(super) fn with_policy(policy: MailboxPolicy, script: impl FnMut(M, Reply<M>) + Send + 'static) -> Mailbox<M> {
        let probe = Self { script: Box::new(script) };
        Door::new(probe.start(), policy).mailbox()
    }

    /// Answers everything the same way.
    pub(super) fn answering(answer: impl Fn(&M) -> M::Result + Send + 'static) -> Mailbox<M> {
        Self::scripted(move |message, reply| {
            let answer = answer(&message);
            reply.send(answer);
        })
    }
}

impl<M: Message + 'static> Actor for Probe<M>
where
    Self: Unpin,
{
    type Context = Context<Self>;
}

impl<M> Handler<Admitted<M>> for Probe<M>
where
    M: Message + Send + 'static,
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, asked: Admitted<M>, _: &mut Context<Self>) {
        if let Some((message, reply)) = asked.start() {
            (self.script)(message, reply);
        }
    }
}

/// A list that a probe writes and a test reads.
pub(super) struct Record<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Record<T> {
    pub(super) fn note(&self, item: T) {
        self.0.lock().unwrap().push(item);
    }

    pub(super) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Waits until something holds, by looking again whenever the runtime has done something else. For what happens
/// in other actors without anyone being told. Panics after ten seconds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < patience, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
