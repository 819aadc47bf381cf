//! Reading the journal, on whichever engine: what each method promises is written here once.

use uuid::Uuid;

use super::{Answer, Catalogue, Cursor, DbError, Linked, OpenStream, Recorded, Snapshot, StreamId, postgres, sqlite};
use crate::order::Timestamp;

/// Events that one statement reads of a history: a hundred times as many as most orders have, and milliseconds.
const HISTORY_PAGE: usize = 2_000;

/// Reads the journal. Clones share a few connections; none of them can write.
#[derive(Clone)]
pub enum Readers {
    Sqlite(sqlite::Readers),
    Postgres(postgres::Readers),
}

impl Readers {
    /// The history of one stream after a version (0: all of it), in sequence.
    ///
    /// For streams that end, such as orders: all of it comes to be in memory. A store's stock goes on for years: read it
    /// with [`Readers::stream_page`].
    pub async fn stream(&self, stream: StreamId, after_version: u32) -> Result<Vec<Recorded>, DbError> {
        let mut history = Vec::new();
        loop {
            let page = self.stream_page(stream, after_version + history.len() as u32, HISTORY_PAGE).await?;
            let ends = page.len() < HISTORY_PAGE;
            history.extend(page);
            if ends {
                return Ok(history);
            }
        }
    }

    /// At most `limit` events of one stream after a version, in sequence.
    pub async fn stream_page(
        &self,
        stream: StreamId,
        after_version: u32,
        limit: usize,
    ) -> Result<Vec<Recorded>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.stream(stream, after_version, limit as i64).await,
            Readers::Postgres(readers) => readers.stream(stream, after_version, limit as i64).await,
        }
    }

    /// The newest snapshot of a book that is not newer than a version.
    pub async fn snapshot(&self, stream: StreamId, at: u32) -> Result<Option<Snapshot>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.snapshot(stream, at).await,
            Readers::Postgres(readers) => readers.snapshot(stream, at).await,
        }
    }

    /// The oldest snapshot of a book that is newer than a version.
    pub async fn snapshot_after(&self, stream: StreamId, version: u32) -> Result<Option<Snapshot>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.snapshot_after(stream, version).await,
            Readers::Postgres(readers) => readers.snapshot_after(stream, version).await,
        }
    }

    /// At most `limit` of the events that the cursor has not passed, the oldest first: no shard waits for another for
    /// ever. Within a shard they are in sequence and without a gap. Empty: the cursor has passed everything that
    /// was committed when this was called.
    ///
    /// Cheapest for a reader that moves on in all shards alike; who leaves one shard behind makes every call look
    /// at what lies since.
    pub async fn after(&self, cursor: &Cursor, limit: usize) -> Result<Vec<Recorded>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.after(cursor, limit as i64).await,
            Readers::Postgres(readers) => readers.after(cursor, limit as i64).await,
        }
    }

    /// How many events [`Self::after`] would look at on the way from this cursor to the end, those included that the
    /// cursor has passed already; none if they are more than `at_most`. Looks at `at_most` / 256 rows itself.
    pub async fn span(&self, cursor: &Cursor, at_most: u64) -> Result<Option<u64>, DbError> {
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        let span = match self {
            Readers::Sqlite(readers) => readers.span(cursor, at_most).await,
            Readers::Postgres(readers) => readers.span(cursor, at_most).await,
        };
        Ok(span?.map(i64::unsigned_abs))
    }

    /// The position of the last event of every shard.
    pub async fn head(&self) -> Result<Cursor, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.head().await,
            Readers::Postgres(readers) => readers.head().await,
        }
    }

    /// A page of the streams that are not finished, by id. The last one's id is the next page's `after`.
    pub async fn open_streams(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<OpenStream>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.open_streams(after, limit as i64).await,
            Readers::Postgres(readers) => readers.open_streams(after, limit as i64).await,
        }
    }

    /// A page of the orders that are not finished, each with its whole history, for waking them.
    pub async fn open_histories(
        &self,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<(OpenStream, Vec<Recorded>)>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.open_histories(after, limit as i64).await,
            Readers::Postgres(readers) => readers.open_histories(after, limit as i64).await,
        }
    }

    /// At most `limit` events of all streams with their hashes, one stream after the other by id, each in sequence: those after an event of a
    /// stream and version. For a look at everything; what is missing is for the caller to find.
    pub async fn stream_by_stream(&self, after: Option<(Uuid, u32)>, limit: usize) -> Result<Vec<Linked>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.stream_by_stream(after, limit as i64).await,
            Readers::Postgres(readers) => readers.stream_by_stream(after, limit as i64).await,
        }
    }

    /// What the database's own clock says. None: it has none but this machine's.
    pub async fn time_of_day(&self) -> Result<Option<Timestamp>, DbError> {
        match self {
            Readers::Sqlite(_) => Ok(None),
            Readers::Postgres(readers) => readers.time_of_day().await.map(Some),
        }
    }

    /// When the last event of the journal happened, by the clock of whoever wrote it.
    pub async fn last_event_at(&self) -> Result<Option<Timestamp>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.last_event_at().await,
            Readers::Postgres(readers) => readers.last_event_at().await,
        }
    }

    /// All stores, menus and stores' own riders as of one moment.
    pub async fn catalogue(&self) -> Result<Catalogue, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.catalogue().await,
            Readers::Postgres(readers) => readers.catalogue().await,
        }
    }

    /// What was answered to the request with this key, unless it was too long ago.
    pub async fn answer(&self, key: Uuid) -> Result<Option<Answer>, DbError> {
        match self {
            Readers::Sqlite(readers) => readers.answer(key).await,
            Readers::Postgres(readers) => readers.answer(key).await,
        }
    }
}
