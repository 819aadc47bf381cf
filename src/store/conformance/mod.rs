//! The promises of [`super::Engine`], one function each, to be kept by every engine.
//!
//! A promise is an async function of a [`Place`]; [`on_every_engine`] makes a test of it for each engine.

mod appending;
mod catalogue;
mod doubt;
mod opening;
mod reading;
mod snapshots;
mod viewing;

#[path = "../../../tests/servers/postgres.rs"]
#[allow(dead_code, unreachable_pub)]
pub(super) mod servers;

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use self::servers::Database;
use super::{
    AnswerKey, Append, ChainCheck, Chains, DataPlace, Due, Engine, NewEvent, OpenError, PostgresPlace, Readers,
    Recorded, Shard, StreamId, StreamKind, Writer,
};
use crate::order::{CommandId, StoreId, Timestamp};

/// A database of one test's own, gone with it.
pub(super) enum Place {
    Directory(tempfile::TempDir),
    Database(Database),
}

impl Place {
    pub(super) fn fresh() -> Self {
        Place::Directory(tempfile::tempdir().unwrap())
    }

    /// None: whoever runs the tests leaves these out.
    pub(super) fn fresh_postgres() -> Option<Self> {
        Some(Place::Database(Database::create()?))
    }

    pub(super) fn data(&self) -> DataPlace {
        match self {
            Place::Directory(directory) => DataPlace::Directory(directory.path().to_owned()),
            Place::Database(database) => DataPlace::Postgres(PostgresPlace {
                // A machine that is busy with other tests as well must not make an outcome unknown.
                statement_timeout: Duration::from_secs(8),
                acquire_timeout: Duration::from_secs(8),
                ..PostgresPlace::new(&database.url)
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Place::Directory(directory) => directory.path(),
            Place::Database(_) => unreachable!("a test of files"),
        }
    }

    pub(super) fn url(&self) -> &str {
        match self {
            Place::Directory(_) => unreachable!("a test of a server"),
            Place::Database(database) => &database.url,
        }
    }

    pub(super) async fn open(&self) -> Engine {
        self.try_open().await.unwrap()
    }

    pub(super) async fn try_open(&self) -> Result<Engine, OpenError> {
        Engine::open(&self.data()).await
    }

    pub(super) async fn at(directory: &Path) -> Result<Engine, OpenError> {
        Engine::open(&DataPlace::Directory(directory.to_owned())).await
    }

    /// A second process that writes: with files, one that somehow got past the lock.
    pub(super) async fn break_in(&self) -> Engine {
        if let Place::Directory(directory) = self {
            std::fs::remove_file(directory.path().join("lock")).unwrap();
        }
        self.open().await
    }
}

/// `promise_one, promise_two` become tests on each engine.
macro_rules! on_every_engine {
    ($($promise:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(super::Place::fresh()).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $promise() {
                    let Some(place) = super::Place::fresh_postgres() else { return };
                    super::$promise(place).await;
                }
            )*
        }
    };
}
use on_every_engine;

pub(super) const fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// An append of `count` events to the order `n`, which belongs to the store `n % 7`.
pub(super) fn append(n: u128, expected_version: u32, count: usize) -> Append {
    Append {
        stream: StreamId { kind: StreamKind::Order, id: id(n) },
        shard: Shard::of_store(StoreId::new(id(n % 7))),
        expected_version,
        at: Timestamp::from_micros(1_000_000),
        by: "customer:alice".into(),
        command: CommandId::new(Uuid::from_u64_pair(fastrand::u64(..), fastrand::u64(..))),
        fingerprint: None,
        answer: None,
        events: vec![NewEvent { name: "order_placed", data: r#"{"n":1}"#.into() }; count],
        due: Due::Open(None),
    }
}

pub(super) fn with_key(append: Append, key: u128) -> Append {
    Append { answer: Some(AnswerKey { key: id(key), fingerprint: 7 }), ..append }
}

pub(super) async fn append_one(writer: &mut Writer, append: Append) -> super::Committed {
    writer.append(&[append]).await.unwrap().remove(0).unwrap()
}

/// The whole journal, and that it has no gap: not in any shard's positions, not in any stream's versions or chain.
pub(super) async fn whole_journal(readers: &Readers) -> Vec<Recorded> {
    let mut cursor = super::Cursor::start();
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let page = readers.after(&cursor, 100).await.unwrap();
        if page.is_empty() {
            break;
        }
        for event in page {
            assert_eq!(event.position.position, cursor.at(event.position.shard) + 1, "{event:?}");
            cursor.advance(event.position);
            events.push(event);
        }
    }
    let mut versions = std::collections::HashMap::new();
    for event in &events {
        let version = versions.entry(event.stream).or_insert(0);
        assert_eq!(event.version, *version + 1, "{event:?}");
        *version += 1;
    }
    assert_eq!(readers.head().await.unwrap(), cursor);
    let chains = chains(readers).await;
    assert_eq!((chains.chained, chains.unchained, chains.broken), (events.len() as u64, 0, Vec::new()));
    events
}

/// The chains of all streams, in which nothing is wrong. Read in small pages.
pub(super) async fn chains(readers: &Readers) -> Chains {
    let mut check = ChainCheck::new(None);
    let mut after = None;
    loop {
        let page = readers.stream_by_stream(after, 7).await.unwrap();
        let Some(last) = page.last() else { return check.end() };
        after = Some((last.event.stream.id, last.event.version));
        for linked in &page {
            assert_eq!(check.next(linked), None);
        }
    }
}
