//! The single writer: takes appends, commits them in groups, tells everyone who asked what became of theirs.
//!
//! No timer makes the groups: while one commits, the next gathers in the mailbox. An append has three outcomes, written, not
//! written and unknown, and unknown is settled here, by fencing off the lost connection and reading what stands in
//! the journal, before anyone is answered. Only when that fails too are the askers told that it is unknown.

mod queue;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use futures_util::future::LocalBoxFuture;

use self::queue::Queue;
use super::mailbox::{Admitted, Door, MailboxPolicy, Reply};
use super::pressure::Gauge;
use super::tail::{Entry, News, Tail};
#[cfg(test)]
use super::{pressure::Pressure, probe::POLICY};
use crate::config::Database;
use crate::store::{Append, Committed, DbError, NotAppended, Writer};

/// How soon after a failure the journal is tried without being asked: readiness must not wait for traffic that is kept
/// away because of it.
const TRY_AGAIN: Duration = Duration::from_secs(1);

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

/// Hears of every group whether it could be written. Readiness shows it.
pub type WriteReport = Box<dyn Fn(bool) + Send>;

/// Other work on the writer's connection, between two groups: the catalogue, old answers. It tells its asker
/// itself what came of it.
pub(super) type WriterTask = Box<dyn for<'a> FnOnce(&'a mut Writer) -> LocalBoxFuture<'a, ()> + Send>;

#[derive(Message)]
#[rtype(result = "()")]
pub struct Between(pub WriterTask);

/// Who waits for an append, and what its readers will be told.
struct Waiting {
    news: News,
    reply: Reply<Write>,
    /// When it was asked for.
    since: Instant,
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
    done: Option<Done>,
    /// The next group begins as soon as everything that waits in the mailbox has been looked at.
    going_on: bool,
    tail: Tail,
    report: WriteReport,
    /// The last group could not be written, and nothing was since.
    failing: bool,
    reply_timeout: Duration,
    commits: Commits,
    queue: Queue,
}

/// Appends in the order they came, and who waits for them. The two lists go together.
#[derive(Default)]
struct Group {
    appends: Vec<Append>,
    waiting: Vec<Waiting>,
}

/// A group, and what became of it.
struct Done {
    group: Group,
    outcome: Result<Vec<Result<Committed, NotAppended>>, WriteError>,
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
            going_on: false,
            tail,
            report,
            failing: false,
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
        let idle = self.gathered.appends.is_empty() && self.between.is_empty();
        let Some(mut writer) = self.writer.take_if(|_| !idle) else {
            return self.tell();
        };
        let group = self.gathered.take(self.commits.at_most);
        if let Some(oldest) = group.waiting.first() {
            self.queue.begins(oldest.since);
        }
        let between = std::mem::take(&mut self.between);
        let (done, tail) = (self.done.take(), self.tail.clone());
        let at_least = self.commits.take_at_least;
        let work = async move {
            let committing = async {
                if group.appends.is_empty() {
                    return Ok(Vec::new());
                }
                commit(&mut writer, &group.appends, at_least).await
            };
            // In this sequence: the group is on its way to the disk before the one before it is told.
            let telling = async { done.into_iter().for_each(|done| done.tell(&tail)) };
            let started = Instant::now();
            let (outcome, ()) = futures_util::future::join(committing, telling).await;
            let took = started.elapsed();
            for (task, reply) in between {
                task(&mut writer).await;
                reply.send(());
            }
            (writer, Done { group, outcome }, took)
        };
        ctx.wait(work.into_actor(self).map(|(writer, done, took), journal, ctx| {
            journal.writer = Some(writer);
            if !done.group.appends.is_empty() {
                journal.queue.ends(took, done.group.appends.len());
                journal.note(done.outcome.is_ok(), ctx);
            }
            journal.done = Some(done);
            journal.go_on_soon(ctx);
        }));
    }

    fn tell(&mut self) {
        if let Some(done) = self.done.take() {
            done.tell(&self.tail);
        }
    }

    fn note(&mut self, written: bool, ctx: &mut Context<Self>) {
        (self.report)(written);
        if !written && !self.failing {
            ctx.run_later(TRY_AGAIN, |journal, ctx| journal.try_again(ctx));
        }
        self.failing = !written;
    }

    /// Until something is written, by this or by anyone's append.
    fn try_again(&mut self, ctx: &mut Context<Self>) {
        if !self.failing {
            return;
        }
        let Some(mut writer) = self.writer.take() else {
            ctx.run_later(TRY_AGAIN, |journal, ctx| journal.try_again(ctx));
            return;
        };
        let proof = async move {
            let outcome = writer.prove_writable().await;
            (writer, outcome)
        };
        ctx.wait(proof.into_actor(self).map(|(writer, outcome), journal, ctx| {
            journal.writer = Some(writer);
            match outcome {
                Ok(()) => journal.note(true, ctx),
                Err(_) => drop(ctx.run_later(TRY_AGAIN, |journal, ctx| journal.try_again(ctx))),
            }
            journal.go_on_soon(ctx);
        }));
    }
}

impl From<&Database> for Commits {
    fn from(database: &Database) -> Self {
        Self { at_most: database.group, take_at_least: database.commit_at_least_ms.duration() }
    }
}

impl Group {
    /// The first so many; the others stay.
    fn take(&mut self, most: usize) -> Self {
        let size = self.appends.len().min(most);
        let later = Self { appends: self.appends.split_off(size), waiting: self.waiting.split_off(size) };
        std::mem::replace(self, later)
    }
}

impl Done {
    /// The tail first: whoever is answered finds their own news there.
    fn tell(self, tail: &Tail) {
        let Group { appends, waiting } = self.group;
        let results = match self.outcome {
            Ok(results) => results,
            Err(refused) => return waiting.into_iter().for_each(|asker| asker.reply.send(Err(refused.clone()))),
        };
        let mut entries = Vec::with_capacity(appends.len());
        let mut replies = Vec::with_capacity(appends.len());
        for ((append, Waiting { news, reply, .. }), result) in appends.into_iter().zip(waiting).zip(results) {
            if let Ok(committed) = result {
                entries.push(Arc::new(entry(append, news, committed)));
            }
            replies.push((reply, result));
        }
        tail.push(entries);
        crate::crash::point("journal.before_reply");
        for (reply, result) in replies {
            reply.send(result.map_err(WriteError::from));
        }
    }
}

fn entry(append: Append, news: News, committed: Committed) -> Entry {
    Entry {
        stream: append.stream,
        first: committed.first,
        last: committed.last,
        version: append.expected_version + 1,
        at: append.at,
        by: append.by,
        news,
    }
}

async fn commit(
    writer: &mut Writer,
    appends: &[Append],
    at_least: Duration,
) -> Result<Vec<Result<Committed, NotAppended>>, WriteError> {
    let started = Instant::now();
    let outcome = match writer.append(appends).await {
        Err(DbError::Unknown(error)) => {
            tracing::warn!(%error, appends = appends.len(), "a commit was not answered: reading what stands in the journal");
            match writer.recover(appends).await {
                Ok(results) => {
                    let written = results.iter().filter(|result| result.is_ok()).count();
                    let lost = results.len() - written;
                    tracing::info!(written, lost, "what became of the commit is known");
                    Ok(results)
                }
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read back: the outcome stays unknown");
                    Err(WriteError::Unknown)
                }
            }
        }
        Err(error) => {
            tracing::error!(%error, "the journal refused a group of appends");
            Err(WriteError::Unwritable(error.to_string().into()))
        }
        Ok(results) => Ok(results),
    };
    let missing = at_least.saturating_sub(started.elapsed());
    if !missing.is_zero() {
        tokio::time::sleep(missing).await;
    }
    metrics::histogram!("journal_commit_seconds").record(started.elapsed().as_secs_f64());
    metrics::histogram!("journal_group_size").record(appends.len() as f64);
    outcome
}

impl Actor for JournalActor {
    type Context = Context<Self>;
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
        self.gathered.appends.push(write.append);
        self.gathered.waiting.push(Waiting { news: write.news, reply, since });
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
