//! A book with a stream of its own: a store's stock, a rider's deliveries. Many orders write in one book.
//!
//! A popular store would be slow if each entry waited for the commit of the one before it. So entries gather while
//! a commit is under way, and are then decided one after the other against the state that the earlier ones
//! will leave behind. If the journal leaves one out for certain (its key was answered before, say), the book is read on
//! to what stands, and those that were decided on the state that did not come about are decided again. Only if the
//! outcome of one is unknown, all of the state is thrown away and read again.

mod reading;
mod snapshots;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use futures_util::future::join_all;

use crate::actors::clock::Clock;
use crate::actors::journal::{self, Between, Settle, Write, WriteError};
use crate::actors::mailbox::{Admitted, Mailbox, Refusal, Reply};
use crate::actors::registry::{Lifeline, Resident};
use crate::actors::tail::News;
use crate::order::{BadSnapshot, CommandId, IllegalEvent, Timestamp, UnreadableEvent};
use crate::store::{
    AnswerKey, Append, Committed, Due, NewEvent, NotAppended, Position, Readers, Recorded, Shard, StreamId,
};

pub use self::reading::ReadBook;
pub(super) use self::reading::{BookError, Read, go_on, read_book};

/// How many entries are decided and appended together: with the journal's group this bounds what one store can
/// take of a commit.
const TOGETHER: usize = 128;

/// How often an entry is decided at most. Each time someone else's append to the stream came first, and nobody else
/// writes in a book but a writer that was replaced.
const MAX_TRIES: u32 = 3;

/// What is kept in a book, and its rules.
pub trait Book: Clone + Default + Send + Sync + Unpin + 'static {
    type Id: Clone + Eq + std::hash::Hash + std::fmt::Debug + std::fmt::Display + Send + Unpin + 'static;
    type Command: Send + Unpin + 'static;
    type Event: Send + 'static;
    type Refusal: Send + 'static;

    const NAME: &'static str;
    /// Whether the actor of an empty book is kept: where nobody but the catalogue decides whose books there are.
    const KEPT_EMPTY: bool;

    fn stream(id: &Self::Id) -> StreamId;
    fn shard(id: &Self::Id) -> Shard;
    fn version(&self) -> u32;
    fn decide(&self, command: &Self::Command, rules: &LedgerWorld) -> Result<Option<Self::Event>, Self::Refusal>;
    fn after(self, event: &Self::Event) -> Result<Self, IllegalEvent>;
    fn read(row: &Recorded) -> Result<Self::Event, UnreadableEvent>;
    fn written(event: &Self::Event) -> NewEvent;
    fn news(id: &Self::Id, event: Self::Event, after: &Self) -> News;
    /// As JSON.
    fn snapshot(&self) -> String;
    fn of_snapshot(text: &str) -> Result<Self, BadSnapshot>;
    /// How many things a snapshot lists.
    fn parts(&self) -> usize;
}

/// What all books share.
#[derive(Clone)]
pub struct LedgerWorld {
    pub clock: Clock,
    pub journal: Mailbox<Write>,
    pub settle: Mailbox<Settle>,
    /// For snapshots.
    pub between: Mailbox<Between>,
    pub readers: Readers,
    /// How many deliveries a rider holds at most.
    pub rider_capacity: usize,
}

/// Asks for an entry. The answer is the book after it and those committed with it, also when the entry stood there
/// already.
#[derive(Message)]
#[rtype(result = "Result<Entered<B>, EnterError<B::Refusal>>")]
pub struct Enter<B: Book> {
    pub id: CommandId,
    pub by: Arc<str>,
    pub command: B::Command,
    /// The idempotency key that the request came with.
    pub key: Option<AnswerKey>,
}

#[derive(Clone, Debug)]
pub struct Entered<B> {
    pub book: Arc<B>,
    /// Where the last event of the book stands, if this or an entry with it was written just now.
    pub position: Option<Position>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum EnterError<R> {
    #[error("refused by the rules of the book")]
    Refused(R),
    /// Definitely not written.
    #[error("the journal takes no writes at the moment")]
    Unwritable,
    #[error("this request was answered before")]
    AnsweredBefore(crate::store::Answer),
    #[error("whether the entry stands is unknown")]
    Unknown,
}

struct Waiting<B: Book> {
    enter: Enter<B>,
    reply: Reply<Enter<B>>,
    /// How often it was decided.
    tries: u32,
}

pub struct LedgerActor<B: Book> {
    pub(super) id: B::Id,
    pub(super) world: LedgerWorld,
    pub(super) lifeline: Lifeline<B::Id>,
    pub(super) book: Arc<B>,
    waiting: Vec<Waiting<B>>,
    writing: bool,
    /// The version of the last snapshot that was taken, or tried to be. None while one is being written.
    snapshot: Option<u32>,
}

impl<B: Book> Resident for LedgerActor<B> {
    type Id = B::Id;
    type Origin = ();
    type World = LedgerWorld;

    const NAME: &'static str = B::NAME;

    fn settle_in(id: B::Id, _: Option<()>, world: &LedgerWorld, lifeline: Lifeline<B::Id>) -> Self {
        let (world, waiting) = (world.clone(), Vec::new());
        Self { id, world, lifeline, book: Arc::default(), waiting, writing: false, snapshot: Some(0) }
    }
}

impl<B: Book> Actor for LedgerActor<B> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (readers, stream) = (self.world.readers.clone(), B::stream(&self.id));
        ctx.wait(async move { read_book::<B>(&readers, stream, None).await }.into_actor(self).map(
            |book, actor, ctx| {
                if let Some(Read { book, since }) = actor.readable(book, ctx) {
                    (actor.book, actor.snapshot) = (Arc::new(book), Some(since));
                    actor.take_snapshot(ctx);
                    actor.leave_if_empty();
                }
            },
        ));
    }
}

/// An entry as it was decided, waiting for its commit.
enum Decided<R> {
    Append(Box<Write>),
    Holds,
    Refused(R),
}

/// What became of an entry.
enum Fate<R> {
    Stands(Committed),
    Holds,
    Refused(R),
    /// Left out by the journal for a reason of its own.
    NotWritten(EnterError<R>),
    /// Left out because it was decided on a state that did not come about.
    TooLate,
    Unknown,
}

impl<R> Fate<R> {
    fn of(outcome: Result<Result<Committed, WriteError>, Refusal>) -> Self {
        match outcome {
            Ok(Ok(committed)) => Fate::Stands(committed),
            Ok(Err(WriteError::NotAppended(NotAppended::AnsweredBefore(answer)))) => {
                Fate::NotWritten(EnterError::AnsweredBefore(answer))
            }
            Ok(Err(WriteError::NotAppended(NotAppended::VersionConflict))) => Fate::TooLate,
            Ok(Err(WriteError::NotAppended(
                NotAppended::TooLarge { .. } | NotAppended::Empty | NotAppended::DidNotHappen,
            )))
            | Ok(Err(WriteError::Unwritable(_))) => Fate::NotWritten(EnterError::Unwritable),
            Err(refusal) if refusal.is_definite() => Fate::NotWritten(EnterError::Unwritable),
            Ok(Err(WriteError::Unknown)) | Err(_) => Fate::Unknown,
        }
    }

    fn position(&self) -> Option<Position> {
        match self {
            Fate::Stands(committed) => Some(committed.last),
            Fate::Holds | Fate::Refused(_) | Fate::NotWritten(_) | Fate::TooLate | Fate::Unknown => None,
        }
    }

    /// The book is not what the group was to make of it.
    fn is_missing(&self) -> bool {
        matches!(self, Fate::NotWritten(_) | Fate::TooLate | Fate::Unknown)
    }

    /// Means nothing if another of the group is missing.
    fn is_provisional(&self) -> bool {
        matches!(self, Fate::Holds | Fate::Refused(_) | Fate::TooLate)
    }
}

/// An entry and what became of it.
type Settled<B> = (Waiting<B>, Fate<<B as Book>::Refusal>);

impl<B: Book> LedgerActor<B> {
    /// Whoever asks for books that nobody has ever written in would else fill the memory with their actors.
    fn leave_if_empty(&self) {
        if self.book.version() == 0 && !B::KEPT_EMPTY {
            self.lifeline.vacant();
        } else {
            self.lifeline.occupied();
        }
    }

    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.writing {
            return;
        }
        if self.waiting.is_empty() {
            return self.leave_if_empty();
        }
        self.writing = true;
        let group: Vec<Waiting<B>> = self.waiting.drain(..self.waiting.len().min(TOGETHER)).collect();
        let now = self.world.clock.now();
        let mut book = B::clone(&self.book);
        let mut decided = Vec::with_capacity(group.len());
        for mut waiting in group {
            waiting.tries += 1;
            let enter = &waiting.enter;
            self.lifeline.working_on(enter.id);
            let decision = match book.decide(&enter.command, &self.world) {
                Ok(Some(event)) => {
                    let (write, after) = self.entry(book, event, enter, now);
                    book = after;
                    Decided::Append(Box::new(write))
                }
                Ok(None) => Decided::Holds,
                Err(refusal) => Decided::Refused(refusal),
            };
            decided.push((waiting, decision));
        }
        let journal = self.world.journal.clone();
        let busy = self.lifeline.busy();
        ctx.spawn(commit(journal, decided).into_actor(self).map(move |settled, actor, ctx| {
            drop(busy);
            if settled.iter().any(|(_, fate)| fate.is_missing()) {
                return actor.read_on(settled, ctx);
            }
            actor.book = Arc::new(book);
            actor.tell(settled);
            actor.writing = false;
            actor.go_on(ctx);
            actor.take_snapshot(ctx);
        }));
    }

    /// A book that was read. Without one this actor ends, and the registry starts another one after a pause; none for a book
    /// that cannot be read at all.
    fn readable(&self, read: Result<Read<B>, BookError>, ctx: &mut Context<Self>) -> Option<Read<B>> {
        match read {
            Ok(read) => Some(read),
            Err(BookError::Db(error)) => {
                tracing::warn!(kind = B::NAME, %error, "cannot read a book; trying again");
                ctx.stop();
                None
            }
            Err(BookError::Unreadable { position, what, .. }) => {
                self.lifeline.unreadable(Some(position), what);
                ctx.stop();
                None
            }
        }
    }

    /// Not all of a group stand: the book is what the journal has, and nobody is told before it was read.
    fn read_on(&mut self, settled: Vec<Settled<B>>, ctx: &mut Context<Self>) {
        let (readers, stream, book) = (self.world.readers.clone(), B::stream(&self.id), B::clone(&self.book));
        let reading = async move { go_on(book, &readers, stream, None).await };
        ctx.wait(reading.into_actor(self).map(|book, actor, ctx| {
            // Whoever is not told here is told so by the end of this actor, and asks again.
            let Some(Read { book, .. }) = actor.readable(book, ctx) else { return };
            actor.book = Arc::new(book);
            let unknown = settled.iter().any(|(_, fate)| matches!(fate, Fate::Unknown));
            let (again, settled): (Vec<_>, Vec<_>) = settled.into_iter().partition(|(_, fate)| fate.is_provisional());
            actor.tell(settled);
            if unknown {
                // It may still arrive: what is decided next must be decided on a book that is read after it.
                let (world, busy) = (actor.world.clone(), actor.lifeline.busy());
                let settling = async move { journal::settled(&world.settle).await };
                return ctx.wait(settling.into_actor(actor).map(move |(), _, ctx| {
                    drop(busy);
                    ctx.stop();
                }));
            }
            let later = std::mem::take(&mut actor.waiting);
            let (again, given_up): (Vec<_>, Vec<_>) =
                again.into_iter().map(|(waiting, _)| waiting).partition(|waiting| waiting.tries < MAX_TRIES);
            given_up.into_iter().for_each(|waiting| waiting.reply.send(Err(EnterError::Unwritable)));
            actor.waiting = again.into_iter().chain(later).collect();
            actor.writing = false;
            actor.go_on(ctx);
        }));
    }

    fn tell(&self, settled: Vec<Settled<B>>) {
        // All are told of the book after the last of them.
        let last = settled.iter().filter_map(|(_, fate)| fate.position()).max_by_key(|last| last.position);
        for (Waiting { reply, .. }, fate) in settled {
            reply.send(match fate {
                Fate::Stands(_) | Fate::Holds => Ok(Entered { book: self.book.clone(), position: last }),
                Fate::Refused(refusal) => Err(EnterError::Refused(refusal)),
                Fate::NotWritten(error) => Err(error),
                Fate::TooLate => Err(EnterError::Unwritable),
                Fate::Unknown => Err(EnterError::Unknown),
            });
        }
    }

    fn entry(&self, book: B, event: B::Event, enter: &Enter<B>, now: Timestamp) -> (Write, B) {
        let expected_version = book.version();
        let written = B::written(&event);
        let after = book.after(&event).expect("a book's rules make events that fit");
        let append = Append {
            stream: B::stream(&self.id),
            shard: B::shard(&self.id),
            expected_version,
            at: now,
            by: enter.by.clone(),
            command: enter.id,
            fingerprint: enter.key.map(|key| key.fingerprint),
            answer: enter.key,
            events: vec![written],
            due: Due::Unchanged,
        };
        (Write { append, news: B::news(&self.id, event, &after) }, after)
    }
}

/// Asks the journal for all of them at once, in sequence, and comes back when all are answered: an entry that was
/// refused because of an earlier one must not be told before that one stands.
async fn commit<B: Book>(journal: Mailbox<Write>, decided: Vec<(Waiting<B>, Decided<B::Refusal>)>) -> Vec<Settled<B>> {
    let mut fates = Vec::with_capacity(decided.len());
    let mut writes = Vec::new();
    for (waiting, decision) in decided {
        let fate = match decision {
            Decided::Append(write) => {
                writes.push(journal.ask(*write));
                None
            }
            Decided::Holds => Some(Fate::Holds),
            Decided::Refused(refusal) => Some(Fate::Refused(refusal)),
        };
        fates.push((waiting, fate));
    }
    let mut written = join_all(writes).await.into_iter().map(Fate::of);
    let settle = |(waiting, fate): (_, Option<_>)| {
        let fate = fate.or_else(|| written.next()).unwrap_or(Fate::Unknown);
        (waiting, fate)
    };
    fates.into_iter().map(settle).collect()
}

impl<B: Book> Handler<Admitted<Enter<B>>> for LedgerActor<B> {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Enter<B>>, ctx: &mut Context<Self>) {
        let Some((enter, reply)) = asked.start() else { return };
        self.waiting.push(Waiting { enter, reply, tries: 0 });
        self.go_on(ctx);
    }
}
