//! The single writer: takes appends, commits them in groups, tells everyone who asked what became of theirs.
//!
//! No timer makes the groups: while one commits, the next gathers in the mailbox. An append has three outcomes, written, not
//! written and unknown, and unknown is settled here, by fencing off the lost connection and reading what stands in
//! the journal, before anyone is answered. If that fails too the askers are told that it is unknown, and the group is kept:
//! nothing else is written until it is settled, and then the tail hears what stands, as of any commit.

mod commit;
mod group;
mod health;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use futures_util::future::LocalBoxFuture;

use self::commit::commit;
use self::group::{Group, InDoubt, Results};
use self::health::LOOK_EVERY;
pub use self::health::{JournalHealth, WriteReport};
use self::queue::Queue;
use super::mailbox::{Admitted, Door, Mailbox, MailboxPolicy, Refusal, Reply};
use super::pressure::Gauge;
use super::tail::{News, Tail};
#[cfg(test)]
use super::{pressure::Pressure, probe::POLICY};
use crate::config::Database;
use crate::store::{Append, Committed, NotAppended, Writer};

/// Asks for an append, with what it says for those who read the tail.
#[derive(Message)]
#[rtype(result = "Result<Committed, WriteError>")]
pub struct Write {
    pub append: Append,
    pub news: News,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Definitely not written, for a reason of this append alone.
    #[error(transparent)]
    NotAppended(#[from] NotAppended),
    /// Definitely not written: the database takes nothing at the moment.
    #[error("the journal takes no writes: {0}")]
    Unwritable(Arc<str>),
    #[error("whether it was written is unknown")]
    Unknown,
}

/// Other work on the writer's connection, between two groups: the catalogue, old answers. It tells its asker
/// itself what came of it.
pub(super) type WriterTask = Box<dyn for<'a> FnOnce(&'a mut Writer) -> LocalBoxFuture<'a, ()> + Send>;

#[derive(Message)]
#[rtype(result = "()")]
pub struct Between(pub WriterTask);

/// Asks to be told when the outcome of everything that was asked for before this is known for good: whoever reads the
/// journal then reads what stands.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Settle;

/// How long someone who could not be told that all is settled waits before asking again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Waits until the outcome of everything that the caller has asked the journal for is known for good, however long that
/// takes: an event that comes to stand later would be in no state that is read before.
pub(super) async fn settled(journal: &Mailbox<Settle>) {
    loop {
        match journal.ask(Settle).await {
            Ok(()) | Err(Refusal::Stopped) => return,
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

/// How groups are committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commits {
    /// Appends in one commit.
    pub(super) at_most: usize,
    /// A disk may be made slower than it is.
    pub(super) take_at_least: Duration,
}

pub(super) struct JournalActor {
    /// Away while a group commits.
    writer: Option<Writer>,
    /// Gathered for the next group.
    gathered: Group,
    between: Vec<(WriterTask, Reply<Between>)>,
    /// Committed, and to be told. The next group is sent off first: the disk is what everyone waits for.
    done: Option<(Group, Results)>,
    /// Settled before anything else is written.
    doubt: Option<InDoubt>,
    /// How many appends have come to be gathered so far.
    received: u64,
    /// Who waits until so many of them are settled.
    settling: Vec<(u64, Reply<Settle>)>,
    /// The next group begins as soon as everything that waits in the mailbox has been looked at.
    going_on: bool,
    tail: Tail,
    report: WriteReport,
    /// What was reported last.
    health: JournalHealth,
    /// No group was sent since the last look.
    idle: bool,
    /// Failures since the journal was last known to take writes.
    failures: u32,
    /// The next try after a failure has its time.
    trying_again: bool,
    reply_timeout: Duration,
    commits: Commits,
    queue: Queue,
}

impl JournalActor {
    pub(super) fn open(
        writer: Writer,
        tail: Tail,
        policy: MailboxPolicy,
        commits: Commits,
        report: WriteReport,
        queue: Gauge,
    ) -> Door<Self> {
        let journal = Self {
            writer: Some(writer),
            gathered: Group::default(),
            between: Vec::new(),
            done: None,
            doubt: None,
            received: 0,
            settling: Vec::new(),
            going_on: false,
            tail,
            report,
            health: JournalHealth::Writable,
            idle: true,
            failures: 0,
            trying_again: false,
            reply_timeout: policy.reply_timeout,
            commits,
            queue: Queue::new(queue),
        };
        Door::new(journal.start(), policy)
    }

    /// As any other, for tests of those who write to it.
    #[cfg(test)]
    pub(super) fn of_test(writer: Writer) -> Door<Self> {
        let (commits, queue) = (Commits::from(&Database::default()), Pressure::default().gauge("appends"));
        Self::open(writer, Tail::default(), POLICY, commits, Box::new(|_| {}), queue)
    }

    /// Once for all that waits in the mailbox: what is spawned runs after it.
    fn go_on_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.going_on && self.writer.is_some() {
            self.going_on = true;
            ctx.spawn(std::future::ready(()).into_actor(self).map(|(), journal, ctx| {
                journal.going_on = false;
                journal.go_on(ctx);
            }));
        }
    }

    /// Commits what gathered. The mailbox is left alone meanwhile: to be woken by each append that comes would cost more
    /// than the append.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.doubt.is_some() {
            return self.refuse_in_doubt();
        }
        let idle = self.gathered.is_empty() && self.between.is_empty();
        let Some(mut writer) = self.writer.take_if(|_| !idle) else {
            return self.tell();
        };
        let group = self.gathered.take(self.commits.at_most);
        if let Some(oldest) = group.oldest() {
            self.queue.begins(oldest);
        }
        let between = std::mem::take(&mut self.between);
        let (done, tail) = (self.done.take(), self.tail.clone());
        let at_least = self.commits.take_at_least;
        let work = async move {
            let committing = async {
                if group.is_empty() {
                    return Ok(Vec::new());
                }
                commit(&mut writer, group.appends(), at_least).await
            };
            // In this sequence: the group is on its way to the disk before the one before it is told.
            let telling = async { done.into_iter().for_each(|(group, results)| group.tell(results, &tail)) };
            let started = Instant::now();
            let (outcome, ()) = futures_util::future::join(committing, telling).await;
            let took = started.elapsed();
            for (task, reply) in between {
                task(&mut writer).await;
                reply.send(());
            }
            (writer, group, outcome, took)
        };
        ctx.wait(work.into_actor(self).map(|(writer, group, outcome, took), journal, ctx| {
            journal.writer = Some(writer);
            // Before anyone is answered.
            journal.note_if_replaced();
            if !group.is_empty() {
                journal.idle = false;
                journal.queue.ends(took, group.len());
                journal.hear(group, outcome, ctx);
            }
            journal.answer_settled();
            journal.go_on_soon(ctx);
        }));
    }

    fn hear(&mut self, group: Group, outcome: Result<Results, WriteError>, ctx: &mut Context<Self>) {
        let written = health::shows_writable(&outcome);
        match outcome {
            Ok(results) => self.done = Some((group, results)),
            Err(WriteError::Unknown) => {
                self.doubt = Some(group.in_doubt());
                self.tail.send_to_disk();
            }
            Err(refused) => group.refuse(&refused),
        }
        self.note(written, ctx);
    }

    fn tell(&mut self) {
        if let Some((group, results)) = self.done.take() {
            group.tell(results, &self.tail);
        }
    }

    /// Nothing of it was sent: better told at once than kept waiting for a database that does not answer.
    fn refuse_in_doubt(&mut self) {
        let refused = WriteError::Unwritable("an earlier commit is in doubt".into());
        std::mem::take(&mut self.gathered).refuse(&refused);
        self.between.drain(..).for_each(|(_, reply)| reply.refuse(Refusal::Full));
    }

    fn answer_settled(&mut self) {
        if self.doubt.is_none() && self.writer.is_some() {
            let settled = self.received - self.gathered.len() as u64;
            self.settling.extract_if(.., |(upto, _)| *upto <= settled).for_each(|(_, reply)| reply.send(()));
        }
    }
}

impl From<&Database> for Commits {
    fn from(database: &Database) -> Self {
        Self { at_most: database.group, take_at_least: database.commit_at_least_ms.duration() }
    }
}

impl Actor for JournalActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(LOOK_EVERY, Self::look);
    }
}

impl Drop for JournalActor {
    /// Without the writer nothing can be promised any more: better no process than one that cannot keep its word.
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

impl Handler<Admitted<Write>> for JournalActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Write>, ctx: &mut Context<Self>) {
        // An append that waited while a group was written waited in the mailbox.
        let patience = asked.expires().saturating_duration_since(tokio::time::Instant::now());
        let since = Instant::now() - self.reply_timeout.saturating_sub(patience);
        let Some((write, reply)) = asked.start() else { return };
        self.gathered.add(write, reply, since);
        self.received += 1;
        self.go_on_soon(ctx);
    }
}

impl Handler<Admitted<Between>> for JournalActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Between>, ctx: &mut Context<Self>) {
        let Some((Between(task), reply)) = asked.start() else { return };
        self.between.push((task, reply));
        self.go_on_soon(ctx);
    }
}

impl Handler<Admitted<Settle>> for JournalActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Settle>, _: &mut Context<Self>) {
        let Some((Settle, reply)) = asked.start() else { return };
        self.settling.retain(|(_, reply)| reply.is_awaited());
        self.settling.push((self.received, reply));
        self.answer_settled();
    }
}
