//! A book with a stream of its own: a store's stock, a rider's deliveries. Many orders write in one book.
//!
//! A popular store would be slow if each entry waited for the commit of the one before it. So entries gather while
//! a commit is under way, and are then decided one after the other against the state that the earlier ones
//! will leave behind. If any of them is not written for certain, all of that state is thrown away and read again.

use std::sync::Arc;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use futures_util::future::join_all;

use super::clock::Clock;
use super::journal::{Write, WriteError};
use super::mailbox::{Admitted, Mailbox, Refusal, Reply};
use super::registry::{Lifeline, Resident};
use super::tail::News;
use crate::order::{CommandId, IllegalEvent, Timestamp, UnreadableEvent};
use crate::store::{AnswerKey, Append, Committed, Due, NewEvent, Readers, Recorded, Shard, StreamId};

/// How many entries are decided and appended together: with the journal's group this bounds what one store can
/// take of a commit.
const TOGETHER: usize = 128;

/// How many rows of a long book are read at a time.
const PAGE: usize = 2_000;

/// What is kept in a book, and its rules.
pub trait Book: Clone + Default + Send + Sync + Unpin + 'static {
    type Id: Clone + Eq + std::hash::Hash + std::fmt::Debug + std::fmt::Display + Send + Unpin + 'static;
    type Command: Send + Unpin + 'static;
    type Event: Send + 'static;
    type Refusal: Send + 'static;

    const NAME: &'static str;

    fn stream(id: &Self::Id) -> StreamId;
    fn shard(id: &Self::Id) -> Shard;
    fn version(&self) -> u32;
    fn decide(&self, command: &Self::Command, rules: &LedgerWorld) -> Result<Option<Self::Event>, Self::Refusal>;
    fn after(self, event: &Self::Event) -> Result<Self, IllegalEvent>;
    fn read(row: &Recorded) -> Result<Self::Event, UnreadableEvent>;
    fn written(event: &Self::Event) -> NewEvent;
    fn news(id: &Self::Id, event: Self::Event, after: &Self) -> News;
}

/// What all books share.
#[derive(Clone)]
pub struct LedgerWorld {
    pub clock: Clock,
    pub journal: Mailbox<Write>,
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
    pub committed: Option<Committed>,
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
}

pub struct LedgerActor<B: Book> {
    pub(super) id: B::Id,
    pub(super) world: LedgerWorld,
    pub(super) lifeline: Lifeline<B::Id>,
    pub(super) book: Arc<B>,
    waiting: Vec<Waiting<B>>,
    writing: bool,
}

impl<B: Book> Resident for LedgerActor<B> {
    type Id = B::Id;
    type Origin = ();
    type World = LedgerWorld;

    const NAME: &'static str = B::NAME;

    fn settle_in(id: B::Id, _: Option<()>, world: &LedgerWorld, lifeline: Lifeline<B::Id>) -> Self {
        Self { id, world: world.clone(), lifeline, book: Arc::default(), waiting: Vec::new(), writing: false }
    }
}

impl<B: Book> Actor for LedgerActor<B> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (readers, stream) = (self.world.readers.clone(), B::stream(&self.id));
        ctx.wait(async move { read_book::<B>(&readers, stream).await }.into_actor(self).map(|book, actor, ctx| {
            match book {
                Ok(book) => actor.book = Arc::new(book),
                Err(BookError::Unreachable) => ctx.stop(), // The registry starts another one after a pause.
                Err(BookError::Bad(what)) => panic!("the book of {} {} cannot be read: {what}", B::NAME, actor.id),
            }
        }));
    }
}

enum BookError {
    Unreachable,
    Bad(String),
}

async fn read_book<B: Book>(readers: &Readers, stream: StreamId) -> Result<B, BookError> {
    let mut book = B::default();
    loop {
        let page = readers.stream_page(stream, book.version(), PAGE).await.map_err(|error| {
            tracing::warn!(kind = B::NAME, %error, "cannot read a book; trying again");
            BookError::Unreachable
        })?;
        for row in &page {
            let event = B::read(row).map_err(|error| BookError::Bad(error.to_string()))?;
            book = book.after(&event).map_err(|error| BookError::Bad(error.to_string()))?;
        }
        if page.len() < PAGE {
            return Ok(book);
        }
    }
}

/// An entry as it was decided, waiting for its commit.
enum Decided<R> {
    Append(Box<Write>),
    Holds,
    Refused(R),
}

impl<B: Book> LedgerActor<B> {
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.writing || self.waiting.is_empty() {
            return;
        }
        self.writing = true;
        let group: Vec<Waiting<B>> = self.waiting.drain(..self.waiting.len().min(TOGETHER)).collect();
        let now = self.world.clock.now();
        let mut book = B::clone(&self.book);
        let mut decided = Vec::with_capacity(group.len());
        for Waiting { enter, reply } in group {
            self.lifeline.working_on(enter.id);
            let decision = match book.decide(&enter.command, &self.world) {
                Ok(Some(event)) => {
                    let (write, after) = self.entry(book, event, &enter, now);
                    book = after;
                    Decided::Append(Box::new(write))
                }
                Ok(None) => Decided::Holds,
                Err(refusal) => Decided::Refused(refusal),
            };
            decided.push((decision, reply));
        }
        let (journal, book) = (self.world.journal.clone(), Arc::new(book));
        let busy = self.lifeline.busy();
        let committing = commit(journal, decided, book.clone());
        ctx.spawn(committing.into_actor(self).map(move |all_stand, actor, ctx| {
            drop(busy);
            actor.writing = false;
            if all_stand {
                actor.book = book;
                actor.go_on(ctx);
            } else {
                ctx.stop(); // What we hold in memory may be wrong: be read again.
            }
        }));
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

/// A decision, and who waits to hear of it.
type Pending<B> = (Decided<<B as Book>::Refusal>, Reply<Enter<B>>);

/// Asks the journal for all of them at once, in sequence, and answers when all are answered: an entry that was
/// refused because of an earlier one must not be told before that one stands. Says whether all stand.
async fn commit<B: Book>(journal: Mailbox<Write>, decided: Vec<Pending<B>>, book: Arc<B>) -> bool {
    let mut replies = Vec::with_capacity(decided.len());
    let mut writes = Vec::new();
    for (decision, reply) in decided {
        match decision {
            Decided::Append(write) => {
                replies.push((reply, Some(writes.len()), None));
                writes.push(journal.ask(*write));
            }
            Decided::Holds => replies.push((reply, None, None)),
            Decided::Refused(refusal) => replies.push((reply, None, Some(refusal))),
        }
    }
    let written = join_all(writes).await;
    let all_stand = written.iter().all(|outcome| matches!(outcome, Ok(Ok(_))));
    for (reply, write, refusal) in replies {
        reply.send(match (write.and_then(|index| written.get(index)), refusal) {
            (Some(outcome), _) => answer(outcome, book.clone()),
            (None, _) if !all_stand => Err(EnterError::Unknown),
            (None, Some(refusal)) => Err(EnterError::Refused(refusal)),
            (None, None) => Ok(Entered { book: book.clone(), committed: None }),
        });
    }
    all_stand
}

fn answer<B, R>(
    outcome: &Result<Result<Committed, WriteError>, Refusal>,
    book: Arc<B>,
) -> Result<Entered<B>, EnterError<R>> {
    use crate::store::NotAppended;
    match outcome {
        Ok(Ok(committed)) => Ok(Entered { book, committed: Some(*committed) }),
        Ok(Err(WriteError::NotAppended(NotAppended::AnsweredBefore(answer)))) => {
            Err(EnterError::AnsweredBefore(answer.clone()))
        }
        Ok(Err(WriteError::NotAppended(_) | WriteError::Unwritable(_))) => Err(EnterError::Unwritable),
        Err(refusal) if refusal.is_definite() => Err(EnterError::Unwritable),
        Ok(Err(WriteError::Unknown)) | Err(_) => Err(EnterError::Unknown),
    }
}

impl<B: Book> Handler<Admitted<Enter<B>>> for LedgerActor<B> {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Enter<B>>, ctx: &mut Context<Self>) {
        let Some((enter, reply)) = asked.start() else { return };
        self.waiting.push(Waiting { enter, reply });
        self.go_on(ctx);
    }
}

/// Asks for the book as it stands in the journal.
#[derive(Message)]
#[rtype(result = "Arc<B>")]
pub struct ReadBook<B: Book>(std::marker::PhantomData<B>);

impl<B: Book> Default for ReadBook<B> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<B: Book> Handler<Admitted<ReadBook<B>>> for LedgerActor<B> {
    type Result = ();

    fn handle(&mut self, asked: Admitted<ReadBook<B>>, _: &mut Context<Self>) {
        if let Some((_, reply)) = asked.start() {
            reply.send(self.book.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::actors::journal::JournalActor;
    use crate::actors::probe::POLICY;
    use crate::actors::registry::{Registry, Residency, To};
    use crate::actors::store::{KeepStock, StoreActor};
    use crate::order::{ItemId, OrderId, Pieces, Stock, StockCommand, StockRefusal, StoreId};
    use crate::store::{CommitFault, DataPlace, Engine};

    const STORE: StoreId = StoreId::new(Uuid::from_u128(1));
    const SOUP: ItemId = ItemId::new(Uuid::from_u128(2));

    struct Shop {
        stock: Mailbox<To<StoreActor, KeepStock>>,
        book: Mailbox<To<StoreActor, ReadBook<Stock>>>,
        faults: Mailbox<crate::actors::journal::Between>,
        _data: tempfile::TempDir,
    }

    impl Shop {
        async fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let place = DataPlace::Directory(data.path().to_owned());
            let Engine { writer, readers, .. } = Engine::open(&place).await.unwrap();
            let journal = JournalActor::of_test(writer);
            let world = LedgerWorld { clock: Clock::default(), journal: journal.mailbox(), readers, rider_capacity: 3 };
            let after = Duration::from_millis(1);
            let residency =
                Residency { door: POLICY, resident: POLICY, idle_after: after, finished_after: after, most: 100 };
            let registry = Registry::<StoreActor>::open(world, residency);
            Self { stock: registry.mailbox(), book: registry.mailbox(), faults: journal.mailbox(), _data: data }
        }

        async fn enter(&self, command: StockCommand) -> Result<Entered<Stock>, EnterError<StockRefusal>> {
            let message = Enter { id: CommandId::new(Uuid::now_v7()), by: "test".into(), command, key: None };
            self.stock.ask(To { id: STORE, origin: None, message }).await.unwrap()
        }

        async fn level(&self) -> (u32, u32) {
            let ask = To { id: STORE, origin: None, message: ReadBook::default() };
            let level = self.book.ask(ask).await.unwrap().level(SOUP).unwrap();
            (level.available, level.reserved)
        }
    }

    fn reserve(order: u128) -> StockCommand {
        let lines = vec![Pieces { item_id: SOUP, quantity: 1 }];
        StockCommand::Reserve { order: OrderId::new(Uuid::from_u128(order)), lines }
    }

    #[actix::test]
    async fn of_two_hundred_buyers_of_ten_bowls_ten_get_one() {
        let shop = Shop::new().await;
        shop.enter(StockCommand::SetLevel { item: SOUP, available: Some(10) }).await.unwrap();
        let outcomes = futures_util::future::join_all((0..200).map(|order| shop.enter(reserve(order)))).await;
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 10);
        let short = |outcome: &Result<_, _>| matches!(outcome, Err(EnterError::Refused(StockRefusal::OutOfStock(_))));
        assert!(lost.iter().all(short));
        assert_eq!(shop.level().await, (0, 10));
    }

    #[actix::test]
    async fn a_lost_commit_leaves_the_book_as_the_journal_has_it() {
        let shop = Shop::new().await;
        shop.enter(StockCommand::SetLevel { item: SOUP, available: Some(10) }).await.unwrap();
        let fault: crate::actors::journal::WriterTask =
            Box::new(|writer| Box::pin(async { writer.fail_next_commit(CommitFault::LostBefore) }));
        shop.faults.ask(crate::actors::journal::Between(fault)).await.unwrap();

        let lost = shop.enter(reserve(1)).await;

        assert!(matches!(lost, Err(EnterError::Unwritable | EnterError::Unknown)), "{lost:?}");
        assert_eq!(shop.level().await, (10, 0), "read again, not half changed");
        shop.enter(reserve(1)).await.unwrap();
        shop.enter(reserve(1)).await.unwrap();
        assert_eq!(shop.level().await, (9, 1), "one order, one reservation");
    }
}
