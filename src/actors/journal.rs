//! The single writer: takes appends, commits them in groups, tells everyone who asked what became of theirs.
//!
//! No timer makes the groups: while one commits, the next gathers. An append has three outcomes, written, not
//! written and unknown, and unknown is settled here, by fencing off the lost connection and reading what stands in
//! the journal, before anyone is answered. Only when that fails too are the askers told that it is unknown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use futures_util::future::LocalBoxFuture;

use super::mailbox::{Admitted, Door, MailboxPolicy, Reply};
use super::pressure::Gauge;
use super::tail::{Entry, News, Tail};
use crate::store::{Append, Committed, DbError, NotAppended, Writer};

/// How many appends one commit takes. More adds waiting, not throughput.
const GROUP: usize = 512;

/// How soon after a failure the journal is tried without being asked: readiness must not wait for traffic that is kept
/// away because of it.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Disks and databases pause this long now and then. Whoever waits for a group longer than this waits too long even
/// before it has begun.
const ORDINARY_PAUSE: Duration = Duration::from_millis(250);

/// A group of so few takes as long as the database does, not as long as its appends do.
const FEW: usize = 8;

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
    since: Instant,
}

pub(super) struct JournalActor {
    /// Away while a group commits.
    writer: Option<Writer>,
    /// Gathered for the next group, in the order they came. The two lists go together.
    appends: Vec<Append>,
    waiting: Vec<Waiting>,
    between: Vec<(WriterTask, Reply<Between>)>,
    tail: Tail,
    report: WriteReport,
    /// The last group could not be written, and nothing was since.
    failing: bool,
    queue: Queue,
}

/// How long appends wait for their group, beyond what the database takes for any.
struct Queue {
    gauge: Gauge,
    /// What a commit takes that has next to nothing to write. A slow database is no queue: refusing orders would not make it
    /// any faster.
    bare_commit: Duration,
}

impl JournalActor {
    pub(super) fn open(
        writer: Writer,
        tail: Tail,
        policy: MailboxPolicy,
        report: WriteReport,
        queue: Gauge,
    ) -> Door<Self> {
        let journal = Self {
            writer: Some(writer),
            appends: Vec::new(),
            waiting: Vec::new(),
            between: Vec::new(),
            tail,
            report,
            failing: false,
            queue: Queue { gauge: queue, bare_commit: Duration::MAX },
        };
        Door::new(journal.start(), policy)
    }

    /// Commits what gathered, unless a commit is under way: then its end calls this again.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.appends.is_empty() && self.between.is_empty() {
            return;
        }
        let Some(mut writer) = self.writer.take() else { return };
        let (appends, waiting) = self.next_group();
        self.queue.begins(&waiting, &self.waiting);
        let between = std::mem::take(&mut self.between);
        let work = async move {
            let started = Instant::now();
            let outcome = if appends.is_empty() { Ok(Vec::new()) } else { commit(&mut writer, &appends).await };
            let took = started.elapsed();
            for (task, reply) in between {
                task(&mut writer).await;
                reply.send(());
            }
            (writer, appends, waiting, outcome, took)
        };
        ctx.spawn(work.into_actor(self).map(|(writer, appends, waiting, outcome, took), journal, ctx| {
            journal.writer = Some(writer);
            if !appends.is_empty() {
                journal.queue.took(took, appends.len());
                journal.note(outcome.is_ok(), ctx);
            }
            match outcome {
                Ok(results) => journal.publish(appends, waiting, results),
                Err(refused) => waiting.into_iter().for_each(|asker| asker.reply.send(Err(refused.clone()))),
            }
            journal.go_on(ctx);
        }));
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
        ctx.spawn(proof.into_actor(self).map(|(writer, outcome), journal, ctx| {
            journal.writer = Some(writer);
            match outcome {
                Ok(()) => journal.note(true, ctx),
                Err(_) => drop(ctx.run_later(TRY_AGAIN, |journal, ctx| journal.try_again(ctx))),
            }
            journal.go_on(ctx);
        }));
    }

    fn next_group(&mut self) -> (Vec<Append>, Vec<Waiting>) {
        let size = self.appends.len().min(GROUP);
        let later = (self.appends.split_off(size), self.waiting.split_off(size));
        (std::mem::replace(&mut self.appends, later.0), std::mem::replace(&mut self.waiting, later.1))
    }

    /// The tail first: whoever is answered finds their own news there.
    fn publish(&self, appends: Vec<Append>, waiting: Vec<Waiting>, results: Vec<Result<Committed, NotAppended>>) {
        let mut entries = Vec::with_capacity(appends.len());
        let mut replies = Vec::with_capacity(appends.len());
        for ((append, Waiting { news, reply, .. }), result) in appends.into_iter().zip(waiting).zip(results) {
            if let Ok(committed) = result {
                entries.push(Arc::new(entry(append, news, committed)));
            }
            replies.push((reply, result));
        }
        self.tail.push(entries);
        crate::crash::point("journal.before_reply");
        for (reply, result) in replies {
            reply.send(result.map_err(WriteError::from));
        }
    }
}

impl Queue {
    fn begins(&self, group: &[Waiting], left: &[Waiting]) {
        if let Some(oldest) = group.first() {
            self.gauge.note(oldest.since.elapsed().saturating_sub(self.bare_commit));
        }
        self.expect(left);
    }

    /// From when on the oldest of these waits too long, whatever comes of it.
    fn expect(&self, waiting: &[Waiting]) {
        match waiting.first() {
            Some(oldest) => self.gauge.expect(oldest.since + ORDINARY_PAUSE + self.bare_commit.min(ORDINARY_PAUSE)),
            None => self.gauge.expect_nothing(),
        }
    }

    fn took(&mut self, took: Duration, appends: usize) {
        if took < self.bare_commit {
            self.bare_commit = took;
        } else if appends <= FEW {
            self.bare_commit += (took - self.bare_commit) / 8;
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
        by: append.by.into(),
        news,
    }
}

async fn commit(writer: &mut Writer, appends: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, WriteError> {
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
        let Some((write, reply)) = asked.start() else { return };
        self.appends.push(write.append);
        self.waiting.push(Waiting { news: write.news, reply, since: Instant::now() });
        self.queue.expect(&self.waiting);
        self.go_on(ctx);
    }
}

impl Handler<Admitted<Between>> for JournalActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Between>, ctx: &mut Context<Self>) {
        let Some((Between(task), reply)) = asked.start() else { return };
        self.between.push((task, reply));
        self.go_on(ctx);
    }
}
