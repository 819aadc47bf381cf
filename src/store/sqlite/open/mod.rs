//! Opening the two files, and refusing whatever could not keep the journal's promises.
//!
//! Decided here: the settings of every connection, and the checks at start. They cost the same for a journal of
//! a day and of ten years; reading every page (`PRAGMA quick_check`) takes minutes at 100 GB and is left
//! to `baedal verify`. A journal that fails them is refused, views that fail them are made again (`views_file.rs`).

mod views_file;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::batch_texts::TEXTS;
use super::classify::is_damage;
use super::{Readers, Views, Writer};
use crate::store::{DbError, OpenError};
use views_file::open_views;

static JOURNAL_SCHEMA: Migrator = sqlx::migrate!("migrations/sqlite/journal");
static VIEWS_SCHEMA: Migrator = sqlx::migrate!("migrations/sqlite/views");

/// The first SQLite without the WAL-reset bug (<https://www.sqlite.org/wal.html#walresetbug>), by which a
/// commit beside a checkpoint could be lost.
pub(super) const OLDEST_SQLITE: (&str, [u32; 3]) = ("3.51.3", [3, 51, 3]);

/// Nobody but our own connections locks the files, and those hold the lock for milliseconds: whoever waits
/// longer stands behind a stuck disk.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes. A log that grew behind a long read is cut back to this when it is written from the start again.
const LOG_LEFT_BEHIND: &str = "67108864";

/// Negative means KiB: 16 MiB hold the index pages of some 30,000 orders that are under way, and the system's own cache is
/// behind them. More is slower: SQLite goes through the whole hash table of this cache at the end of each transaction in
/// which a b-tree has put its pages into sequence, which is nearly every one here. With 64 MiB that was 9 % of the
/// writer's time.
const WRITER_CACHE: &str = "-16384";

/// Statements of the writer that are no batches: recovery, catalogue, answers.
const OTHER_TEXTS: usize = 30;

/// How many reads of the journal run side by side: each is milliseconds of one core, and a handful of
/// readers (feeds, views, bridge, requests) take turns.
const READERS: u32 = 4;

/// A read takes milliseconds. Who got no connection for a second, as on PostgreSQL, is behind a stuck disk and should
/// hear so before their own deadline of seconds passes; a busy machine holds up nobody for as long.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a start waits for the first connection of a pool. On a machine where everything starts at once its thread gets
/// its turn late: that is no reason to give up, and none to call a file damaged.
const FIRST_CONNECTION_WITHIN: Duration = Duration::from_secs(30);

/// The files of a data directory. The directory is locked as long as any clone of this lives.
#[derive(Clone)]
pub(crate) struct Files {
    journal: PathBuf,
    views: PathBuf,
    _lock: Arc<File>,
}

impl Files {
    /// Creates the directory if need be and takes its lock: migrations have none of their own in SQLite, and
    /// two processes would each believe to be the only writer.
    fn lock(directory: &Path) -> Result<Self, OpenError> {
        let not_writable = |source| OpenError::NotWritable { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(not_writable)?;
        // SQLite syncs the directory of its files, but a new directory's own name stands in the one above. Where that may
        // not be opened, it was not made just now.
        let whole = directory.canonicalize().map_err(not_writable)?;
        if let Some(Ok(above)) = whole.parent().map(File::open) {
            above.sync_all().map_err(not_writable)?;
        }
        let lock = private_file(&directory.join("lock")).map_err(not_writable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: directory.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(not_writable(source)),
        }
        let (journal, views) = (directory.join("journal.sqlite3"), directory.join("views.sqlite3"));
        private_file(&journal).map_err(not_writable)?;
        Ok(Self { journal, views, _lock: Arc::new(lock) })
    }

    /// For the one connection that writes the journal, and checkpoints it.
    pub(super) fn journal_writer(&self) -> SqliteConnectOptions {
        connection(&self.journal)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would lose acknowledged commits at a power loss, and wins 5 to 18 % at usual batch sizes.
            .synchronous(SqliteSynchronous::Full)
            // 16 MiB. Pages that every commit touches reach the file once for four times as many commits as with SQLite's own
            // 1,000: a tenth more commits, and the 99th percentile falls too. 10,000 tripled the 99th percentile.
            .pragma("wal_autocheckpoint", "2000")
            .pragma("journal_size_limit", LOG_LEFT_BEHIND)
            .pragma("cache_size", WRITER_CACHE)
            .statement_cache_capacity(TEXTS + OTHER_TEXTS)
    }

    /// For the one connection that writes the views.
    fn views_writer(&self) -> SqliteConnectOptions {
        connection(&self.views)
            .journal_mode(SqliteJournalMode::Wal)
            // What is lost with the last transactions is made again: see the schema.
            .synchronous(SqliteSynchronous::Normal)
            // 32 MiB: the orders that are under way are written again and again, and so reach the file once instead of
            // at each turn. 12 to 20 % less work per row than with 1,000; nobody waits for these commits.
            .pragma("wal_autocheckpoint", "8000")
            .pragma("journal_size_limit", LOG_LEFT_BEHIND)
            .pragma("cache_size", WRITER_CACHE)
    }
}

/// Opens the file, and makes it if need be. Orders carry names and addresses: no one but the user of the process may
/// look. SQLite takes an empty file for a new database, and gives its log the rights of the file.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Readers cannot write, and never checkpoint: two who checkpoint were what the WAL-reset bug needed.
fn reader(file: &Path) -> SqliteConnectOptions {
    connection(file).pragma("query_only", "on").pragma("wal_autocheckpoint", "0").row_buffer_size(512)
}

fn connection(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("temp_store", "memory")
        // Outcomes are logged where they are handled, once.
        .disable_statement_logging()
}

pub(crate) async fn open(directory: &Path) -> Result<(Writer, Readers, Views), OpenError> {
    let files = Files::lock(directory)?;
    let (writer, readers) = open_journal(&files).await?;
    let head = readers.head().await.map_err(|error| unread(&files.journal, error))?;
    let views = open_views(&files, &head).await?;
    Ok((writer, readers, views))
}

async fn open_journal(files: &Files) -> Result<(Writer, Readers), OpenError> {
    let file = &files.journal;
    let mut connection = connect(file, files.journal_writer()).await?;
    check_version(&mut connection, file).await?;
    check_pragma(&mut connection, file, "pragma journal_mode", ("journal_mode", "wal")).await?;
    check_pragma(&mut connection, file, "pragma synchronous", ("synchronous", "2")).await?;
    migrate(&JOURNAL_SCHEMA, &mut connection, file).await?;
    check_structure(&mut connection, file, "pragma quick_check(shards)").await?;
    check_structure(&mut connection, file, "pragma quick_check(deadlines)").await?;
    check_last_events(&mut connection, file).await?;
    let writer = Writer::take_over(files.clone(), connection).await.map_err(|error| refusal(file, error))?;
    let readers = pool(READERS, reader(file));
    first_connection(&readers, file, FIRST_CONNECTION_WITHIN).await?;
    Ok((writer, Readers::new(readers, files.clone())))
}

/// A pool that connects when used: opening must not wait for connections nobody needs yet. The first one is opened by
/// [`first_connection`].
fn pool(size: u32, options: SqliteConnectOptions) -> SqlitePool {
    PoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file does not go away like a server does; the ping would double the cost of a small read.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options)
}

/// Opens the first connection of a pool, so that whoever reads at start finds one and need not be lucky.
async fn first_connection(pool: &SqlitePool, file: &Path, within: Duration) -> Result<(), OpenError> {
    let give_up = Instant::now() + within;
    loop {
        match pool.acquire().await {
            Ok(_) => return Ok(()),
            Err(sqlx::Error::PoolTimedOut) if Instant::now() < give_up => {}
            Err(error) => return Err(refusal(file, error)),
        }
    }
}

async fn connect(file: &Path, options: SqliteConnectOptions) -> Result<SqliteConnection, OpenError> {
    SqliteConnection::connect_with(&options).await.map_err(|error| refusal(file, error))
}

fn refusal(file: &Path, source: sqlx::Error) -> OpenError {
    let file = file.to_owned();
    if is_damage(&source) {
        OpenError::Damaged { file, what: source.to_string() }
    } else {
        OpenError::Failed { file, source }
    }
}

/// Damage is what SQLite calls so, or what cannot be read as anything that was ever written. Everything else passes.
fn unread(file: &Path, error: DbError) -> OpenError {
    let file = file.to_owned();
    match error {
        DbError::Unavailable(source) | DbError::Unknown(source) | DbError::Full(source) | DbError::ReadOnly(source) => {
            OpenError::Failed { file, source }
        }
        DbError::Fenced | DbError::Corrupt(_) => OpenError::Damaged { file, what: error.to_string() },
    }
}

async fn check_version(connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("select sqlite_version()")
        .fetch_one(connection)
        .await
        .map_err(|error| refusal(file, error))?;
    let (wanted, oldest) = OLDEST_SQLITE;
    let mut numbers = found.split('.').map(|part| part.parse().unwrap_or(0));
    let version: [u32; 3] = std::array::from_fn(|_| numbers.next().unwrap_or(0));
    if version >= oldest { Ok(()) } else { Err(OpenError::SqliteTooOld { found, wanted }) }
}

/// Reads a setting back: SQLite answers a pragma that it cannot follow with silence.
pub(super) async fn check_pragma(
    connection: &mut SqliteConnection,
    file: &Path,
    query: &'static str,
    (pragma, wanted): (&'static str, &'static str),
) -> Result<(), OpenError> {
    let row = sqlx::query(query).fetch_one(connection).await.map_err(|error| refusal(file, error))?;
    let found = sqlx::Row::try_get_unchecked::<String, _>(&row, 0).map_err(|error| refusal(file, error))?;
    if found == wanted { Ok(()) } else { Err(OpenError::NotDurable { file: file.to_owned(), pragma, wanted, found }) }
}

async fn migrate(schema: &Migrator, connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    schema.run(connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(_) => OpenError::SchemaTooNew { file: file.to_owned() },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => refusal(file, source),
        source => OpenError::NotMigrated { file: file.to_owned(), source },
    })
}

/// Checks one table and its indexes page by page, and so only small ones: `shards` has 64 rows, `cursors` a
/// handful, and the rows of `deadlines` are the open streams, which are all read at start anyway.
async fn check_structure(connection: &mut SqliteConnection, file: &Path, query: &'static str) -> Result<(), OpenError> {
    let what: String = sqlx::query_scalar(query).fetch_one(connection).await.map_err(|error| refusal(file, error))?;
    if what == "ok" { Ok(()) } else { Err(OpenError::Damaged { file: file.to_owned(), what }) }
}

/// The shards' positions must be those of the last milestone and of the events since, which are at most as many as one
/// milestone and one batch, however long the journal. A file that was cut off, or put together from two
/// backups, fails here; a flipped bit in an old page is found when that page is read.
async fn check_last_events(connection: &mut SqliteConnection, file: &Path) -> Result<(), OpenError> {
    let torn: Vec<i64> = sqlx::query_scalar(
        "with milestone (id, marks) as materialized (select id, marks from milestones order by id desc limit 1),
              since (shard, count) as materialized (
              select shard, count(*) from events where id > coalesce((select id from milestone), 0) group by shard)
         select s.shard from shards s left join since on since.shard = s.shard
          where s.next_position - 1
             <> coalesce((select marks ->> s.shard from milestone), 0) + coalesce(since.count, 0)",
    )
    .fetch_all(connection)
    .await
    .map_err(|error| refusal(file, error))?;
    if torn.is_empty() {
        return Ok(());
    }
    let what = format!("the last events of shards {torn:?} are missing");
    Err(OpenError::Damaged { file: file.to_owned(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    fn busy_pool(file: &Path) -> SqlitePool {
        PoolOptions::new()
            .max_connections(1)
            .acquire_timeout(MOMENT)
            .connect_lazy_with(connection(file).create_if_missing(true))
    }

    #[tokio::test]
    async fn who_opens_waits_for_a_connection_that_comes_late() {
        let directory = tempfile::tempdir().unwrap();
        let pool = busy_pool(&directory.path().join("file"));
        let taken = pool.acquire().await.unwrap();
        let late = async {
            tokio::time::sleep(5 * MOMENT).await;
            drop(taken);
        };
        let (opened, ()) = tokio::join!(first_connection(&pool, directory.path(), FIRST_CONNECTION_WITHIN), late);
        opened.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_does_not_come_is_no_damage() {
        let directory = tempfile::tempdir().unwrap();
        let pool = busy_pool(&directory.path().join("file"));
        let _taken = pool.acquire().await.unwrap();
        let refused = first_connection(&pool, directory.path(), 2 * MOMENT).await;
        assert!(matches!(refused, Err(OpenError::Failed { source: sqlx::Error::PoolTimedOut, .. })), "{refused:?}");
        let waiting = unread(directory.path(), DbError::Unavailable(sqlx::Error::PoolTimedOut));
        assert!(matches!(waiting, OpenError::Failed { .. }), "{waiting:?}");
    }
}
