//! Mirrors every order's events to Kafka: at least once, in sequence for each order.
//!
//! An actor on a thread of its own: encoding a backlog takes all of one, and the views shall not wait for it. Its
//! messages are answered while its future mirrors, see `mirroring`. That one reads the journal, not the tail, whose watch
//! only says that there is news; so what it sends depends on the rows alone. The cursor moves over contiguous
//! acknowledgements and is saved now and then; after any failure, and in another actor after a panic, the producer is
//! thrown away and everything from the cursor on is sent again. Orders never wait for this and never notice it. What
//! a row looks like outside is decided in `order::public_event`, not here.

mod mirror;
mod mirroring;
mod sender;
mod shared;
mod signals;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod topic;
mod turn;
mod window;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, Arbiter, AsyncContext, Context, Handler, Message, WrapFuture};
use anyhow::Context as _;
use tokio::sync::{mpsc, watch};

pub use self::mirror::{Mirror, MirrorError, MirrorReport, MirrorState, RewindError, rewound};
use self::mirror::{Report, Rewind};
use self::mirroring::{Asked, Mirroring};
use self::shared::Shared;
use super::clock::Clock;
use super::mailbox::{Admitted, Mailbox, MailboxPolicy, Reply};
use super::supervision::{Guarded, LEAVE_WITHIN, Life, Supervised, Supervision, on};
use super::tail::Tail;
use crate::config::Kafka;
use crate::store::{Reader, Readers, Views};

/// Operators alone ask this actor, and its loop looks up at least once a second.
const MAILBOX: MailboxPolicy =
    MailboxPolicy { name: "kafka_bridge", capacity: 16, reply_timeout: Duration::from_secs(5) };

/// What outlives the actor, should it have to be made anew.
#[derive(Clone)]
pub(super) struct BridgeOrigin {
    settings: Kafka,
    news: watch::Receiver<u64>,
    readers: Readers,
    views: Views,
    shared: Arc<Shared>,
    clock: Clock,
}

impl BridgeOrigin {
    pub(super) async fn new(
        settings: Kafka,
        tail: &Tail,
        readers: Readers,
        views: Views,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let cursor =
            views.cursor(Reader::KafkaBridge).await.context("the cursor of the Kafka mirror cannot be read")?;
        let shared = Shared::new(settings.topic.clone(), clock.clone(), cursor);
        Ok(Self { settings, news: tail.news(), readers, views, shared, clock })
    }
}

/// See the module.
pub(super) struct KafkaBridgeActor {
    life: Life,
    origin: BridgeOrigin,
    /// The way to the loop, which takes one at a time between two of its turns.
    rewinds: mpsc::Sender<Asked>,
    /// The loop's end of it, until it starts.
    asked: Option<mpsc::Receiver<Asked>>,
    stop: watch::Sender<bool>,
    /// Who told it to stop, and waits until it has.
    leaving: Vec<Reply<Stop>>,
}

/// Tells the actor to end: it waits a moment for what is on its way, and saves the cursor. Answered when that is done.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stop;

impl Supervised for KafkaBridgeActor {
    type Origin = BridgeOrigin;

    const NAME: &'static str = "kafka_bridge";

    fn begin(origin: &mut BridgeOrigin, life: Life) -> Self {
        let (rewinds, asked) = mpsc::channel(1);
        let (origin, stop, leaving) = (origin.clone(), watch::Sender::new(false), Vec::new());
        Self { life, origin, rewinds, asked: Some(asked), stop, leaving }
    }
}

impl Actor for KafkaBridgeActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let Some(asked) = self.asked.take() else { return };
        let (origin, part, mut stop) = (self.origin.clone(), self.life.part().clone(), self.stop.subscribe());
        let mirroring = async move {
            if let Some(mirroring) = Mirroring::begin(origin, part, asked, &mut stop).await {
                mirroring.run(stop).await;
            }
        };
        // It ends when it was told to.
        ctx.spawn(mirroring.into_actor(self).map(|(), actor, ctx| {
            actor.life.is_over();
            actor.leaving.drain(..).for_each(|reply| reply.send(()));
            ctx.stop();
        }));
    }
}

impl Handler<Admitted<Rewind>> for KafkaBridgeActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Rewind>, ctx: &mut Context<Self>) {
        let Some(asked) = asked.start() else { return };
        let rewinds = self.rewinds.clone();
        // Should the loop be gone, so is the way back, and whoever asked is told that nobody knows.
        let handing_over = async move { drop(rewinds.send(asked).await) };
        ctx.spawn(handing_over.into_actor(self));
    }
}

impl Handler<Admitted<Report>> for KafkaBridgeActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Report>, _: &mut Context<Self>) {
        let Some((Report, reply)) = asked.start() else { return };
        reply.send(self.origin.shared.report(self.origin.clock.now()));
    }
}

impl Handler<Admitted<Stop>> for KafkaBridgeActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Stop>, _: &mut Context<Self>) {
        let Some((Stop, reply)) = asked.start() else { return };
        self.leaving.push(reply);
        self.stop.send_replace(true);
    }
}

/// The bridge's thread.
pub(super) struct BridgeThread {
    thread: Arbiter,
    stop: Mailbox<Stop>,
    /// How long it may take to end: what is on its way is waited for.
    patience: Duration,
}

impl BridgeThread {
    /// Starts the mirror. It finds its broker later, or never: nothing here waits for one.
    pub(super) async fn start(origin: BridgeOrigin, supervision: Supervision) -> anyhow::Result<(Self, Mirror)> {
        let thread = Arbiter::new();
        let patience = origin.settings.flush_within_ms.duration() + LEAVE_WITHIN;
        let (shared, readers, clock) = (origin.shared.clone(), origin.readers.clone(), origin.clock.clone());
        let opening = move || Guarded::<KafkaBridgeActor>::open(origin, MAILBOX, &supervision);
        let door = on(&thread, opening).await?;
        let mirror = Mirror::new(shared, door.mailbox(), door.mailbox(), readers, clock);
        Ok((Self { thread, stop: door.mailbox(), patience }, mirror))
    }

    /// Tells the bridge to end, without waiting for it.
    pub(super) fn tell_to_end(&self) -> std::sync::mpsc::Receiver<()> {
        let (tell, ended) = std::sync::mpsc::channel();
        let (stop, patience) = (self.stop.clone(), self.patience);
        self.thread.spawn(async move {
            // No answer, no bridge: what it had not saved is sent again by the next one.
            let _ = stop.ask_within(Stop, patience).await;
            drop(tell);
        });
        ended
    }

    pub(super) fn stop(self) -> Arbiter {
        let ended = self.tell_to_end();
        let _ = ended.recv_timeout(self.patience);
        self.thread
    }
}
