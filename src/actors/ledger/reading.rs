//! A book as the journal has it: from its newest good snapshot on, in pages.
//!
//! So the time it takes is that of the entries since, not of all, and they are never all in memory. A snapshot that is
//! spoilt, or that the entries after it do not fit, is passed over for an older one, and in the end for the first entry.

use std::sync::Arc;

use actix::{Context, Handler, Message};

use super::{Book, LedgerActor};
use crate::actors::mailbox::Admitted;
use crate::store::{DbError, Position, Readers, SNAPSHOT_EVERY, Snapshot, StreamId};

/// Entries read by one statement: milliseconds, however long the book.
const PAGE: usize = 2_000;

/// Whoever finds so many of no use in a row need not look at the others.
const SNAPSHOTS_TRIED: usize = 3;

/// Why a book was not read.
#[derive(Debug)]
pub(in crate::actors) enum BookError {
    Db(DbError),
    /// The journal holds an entry that this program cannot read, or one that does not fit on those before it.
    Unreadable {
        position: Position,
        what: String,
        misfit: bool,
    },
}

impl From<DbError> for BookError {
    fn from(error: DbError) -> Self {
        BookError::Db(error)
    }
}

/// A book, and from which version on its entries were read: 0 if no snapshot was of use.
pub(in crate::actors) struct Read<B> {
    pub(in crate::actors) book: B,
    pub(in crate::actors) since: u32,
}

/// The book as it stood at a version, or as it stands.
pub(in crate::actors) async fn read_book<B: Book>(
    readers: &Readers,
    stream: StreamId,
    at: Option<u32>,
) -> Result<Read<B>, BookError> {
    go_on(B::default(), readers, stream, at).await
}

/// The same for someone who has the book as it stood at an earlier version.
pub(in crate::actors) async fn go_on<B: Book>(
    from: B,
    readers: &Readers,
    stream: StreamId,
    at: Option<u32>,
) -> Result<Read<B>, BookError> {
    let at = at.unwrap_or(u32::MAX);
    let mut newest = at;
    for _ in 0..SNAPSHOTS_TRIED {
        if newest.saturating_sub(from.version()) < SNAPSHOT_EVERY {
            break;
        }
        let Some(snapshot) = readers.snapshot(stream, newest).await? else { break };
        if snapshot.version <= from.version() {
            break;
        }
        newest = snapshot.version - 1;
        let why = match restored::<B>(&snapshot, readers).await? {
            Ok(book) => match turn_pages(book, readers, stream, at).await {
                Err(BookError::Unreadable { what, misfit: true, .. }) => {
                    format!("what comes after does not fit: {what}")
                }
                read => return read,
            },
            Err(why) => why,
        };
        tracing::warn!(kind = B::NAME, stream = %stream.id, version = snapshot.version, why, "a snapshot is of no use");
        metrics::counter!("book_snapshots_refused_total").increment(1);
    }
    turn_pages(from, readers, stream, at).await
}

async fn turn_pages<B: Book>(mut book: B, readers: &Readers, stream: StreamId, at: u32) -> Result<Read<B>, BookError> {
    let since = book.version();
    while book.version() < at {
        let wanted = PAGE.min((at - book.version()) as usize);
        let page = readers.stream_page(stream, book.version(), wanted).await?;
        for row in &page {
            let unreadable = |what, misfit| BookError::Unreadable { position: row.position, what, misfit };
            let event = B::read(row).map_err(|error| unreadable(error.to_string(), false))?;
            book = book.after(&event).map_err(|error| unreadable(error.to_string(), true))?;
        }
        if page.len() < wanted {
            break;
        }
    }
    Ok(Read { book, since })
}

/// The book of a snapshot, or why it is none.
async fn restored<B: Book>(snapshot: &Snapshot, readers: &Readers) -> Result<Result<B, String>, DbError> {
    let book = match B::of_snapshot(&snapshot.state) {
        Ok(book) => book,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if book.version() != snapshot.version {
        return Ok(Err(format!("it says that it is of version {}", book.version())));
    }
    // Of a journal that was put together by hand, it may be ahead.
    let its_entry = readers.stream_page(snapshot.stream, snapshot.version - 1, 1).await?;
    Ok(if its_entry.is_empty() { Err("the journal ends before it".to_owned()) } else { Ok(book) })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::order::{CommandId, ItemId, Stock, StockEvent, StoreId, Timestamp};
    use crate::store::{Append, DataPlace, Due, Engine, NewEvent, Shard};

    const STORE: StoreId = StoreId::new(Uuid::from_u128(1));
    const SOUP: ItemId = ItemId::new(Uuid::from_u128(2));
    const ENTRIES: u32 = 3_000;

    /// A book in which soup comes in piece by piece, and what reading it came to at each version.
    struct Shelf {
        engine: Engine,
        _data: tempfile::TempDir,
    }

    impl Shelf {
        async fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let mut engine = Engine::open(&DataPlace::Directory(data.path().to_owned())).await.unwrap();
            let set = StockEvent::LevelSet { item: SOUP, available: Some(0) };
            let more = StockEvent::Restocked { item: SOUP, quantity: 1 };
            let events = std::iter::once(&set).chain(std::iter::repeat_n(&more, ENTRIES as usize - 1));
            let append = Append {
                stream: StreamId::stock(STORE),
                shard: Shard::of_store(STORE),
                expected_version: 0,
                at: Timestamp::from_micros(1),
                by: "test".into(),
                command: CommandId::new(Uuid::now_v7()),
                fingerprint: None,
                answer: None,
                events: events.map(|event| NewEvent { name: event.name(), data: event.data().into() }).collect(),
                due: Due::Unchanged,
            };
            engine.writer.append(&[append]).await.unwrap().remove(0).unwrap();
            Self { engine, _data: data }
        }

        /// As it is, whatever was kept.
        async fn at(&self, version: u32) -> Stock {
            let read = turn_pages(Stock::default(), &self.engine.readers, StreamId::stock(STORE), version).await;
            read.unwrap_or_else(|_| panic!("it folds")).book
        }

        async fn keep(&mut self, version: u32, state: String) {
            let (stream, at) = (StreamId::stock(STORE), Timestamp::from_micros(1));
            let snapshot = Snapshot { stream, version, at, state: state.into() };
            self.engine.writer.save_snapshot(&snapshot).await.unwrap();
        }

        /// From which version on it was read; that it is what it should be is checked.
        async fn read_since(&self, from: u32, at: Option<u32>) -> u32 {
            let from = self.at(from).await;
            let read = go_on(from, &self.engine.readers, StreamId::stock(STORE), at).await;
            let Read { book, since } = read.unwrap_or_else(|_| panic!("it folds"));
            assert_eq!(book, self.at(at.unwrap_or(ENTRIES)).await);
            since
        }
    }

    #[tokio::test]
    async fn a_book_is_read_from_its_newest_snapshot_that_is_old_enough() {
        let mut shelf = Shelf::new().await;
        assert_eq!(shelf.read_since(0, None).await, 0, "without one");
        for version in [1_000, 2_500] {
            let state = shelf.at(version).await.snapshot();
            shelf.keep(version, state).await;
        }
        assert_eq!(shelf.read_since(0, None).await, 2_500);
        assert_eq!(shelf.read_since(0, Some(2_499)).await, 1_000);
        assert_eq!(shelf.read_since(0, Some(999)).await, 0);
        assert_eq!(shelf.read_since(1_200, None).await, 2_500, "further than where it stands");
        assert_eq!(shelf.read_since(2_600, None).await, 2_600, "not back");
    }

    #[tokio::test]
    async fn a_spoilt_snapshot_is_passed_over_for_an_older_one() {
        let mut shelf = Shelf::new().await;
        let good = shelf.at(2_000).await.snapshot();
        shelf.keep(2_000, good.clone()).await;
        shelf.keep(2_600, "{".into()).await;
        assert_eq!(shelf.read_since(0, None).await, 2_000, "no JSON");
        shelf.keep(2_600, good.clone()).await;
        assert_eq!(shelf.read_since(0, None).await, 2_000, "of another version");
        // Reads like one, and the next entry does not fit: what it restocks is not counted.
        let uncounted = Stock::default().snapshot().replace(r#""version":0"#, r#""version":2600"#);
        shelf.keep(2_600, uncounted).await;
        assert_eq!(shelf.read_since(0, None).await, 2_000);
        let ahead = good.replace(r#""version":2000"#, r#""version":9000"#);
        shelf.keep(9_000, ahead).await;
        assert_eq!(shelf.read_since(0, None).await, 2_000, "the journal does not go so far");
    }

    #[tokio::test]
    async fn with_nothing_but_spoilt_snapshots_all_is_folded() {
        let mut shelf = Shelf::new().await;
        for version in [1_000, 1_500, 2_000, 2_500] {
            shelf.keep(version, "spoilt".into()).await;
        }
        assert_eq!(shelf.read_since(0, None).await, 0);
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
            self.leave_if_empty();
        }
    }
}
