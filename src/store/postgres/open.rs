//! Opens the database and refuses whatever could not keep the journal's promises.
//!
//! Decided here: what is asked of the server, and who may open what. Whoever opens as the writer takes the journal
//! over, from a server that still runs too: the last one wins, and the other is fenced off. Whoever only looks
//! ([`attach`]) takes nothing over, and is refused while a server runs.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

use super::classify::{Failure, code, get};
use super::connections::Connections;
use super::io::Io;
use super::place::{Address, OPENING_STEP, READER, VIEWS};
use super::statement::{Statement, connect};
use super::{PostgresPlace, Readers, Views, Writer};
use crate::store::{DbError, OpenError, Reader};

static SCHEMA: Migrator = sqlx::migrate!("migrations/postgres");

/// The oldest server that has what is used here, as `server_version_num` says it.
const OLDEST_SERVER: (i32, i32) = (130_000, 13);

/// Held by the writer of every running server, shared: the letters of "baedal" as a number.
pub(super) const SERVER_LOCK: i64 = 0x0062_6165_6461_6c00;

/// A migration of a large table may take long; the whole of them is given up after this.
const MIGRATING: Duration = Duration::from_secs(3_600);

/// How long a tool waits for a statement, at least. Each is a page like everyone's, but nobody waits for its answer, and what
/// it reads has not been asked for in years: it comes from the disk.
const TOOL_STATEMENT: Duration = Duration::from_secs(30);

/// How long a server that has just ended may be seen to run: its connections are noticed to be gone one by one.
const LEAVING: Duration = Duration::from_secs(3);

/// Connections that write views: the projector, the notifier and a mirror take turns.
const VIEW_WRITERS: usize = 2;

pub(crate) async fn open(place: &PostgresPlace) -> Result<(Writer, Readers, Views), OpenError> {
    let address = place.address()?;
    let mut connection = connected(&address).await?;
    check_durable(&address, &mut connection).await?;
    bring_up_to_date(&address, &mut connection).await?;
    check_last_events(&address, &mut connection).await?;
    let writer = Writer::take_over(&address, &mut connection).await.map_err(|failure| address.failed(failure))?;
    let (readers, views) = parts(&address)?;
    // After the take-over: while another process writes, its cursors may be ahead of what was read before.
    check_cursors(&views, &readers, &address).await?;
    // A tool that is rebuilding them now must not put its tables, which know nothing of what comes next, in their place.
    views.drop_leftovers().await.map_err(|error| address.unread(error))?;
    writer.connect().await.map_err(|error| address.unread(error))?;
    Ok((writer, readers, views))
}

/// Brings the schema up to date and takes nothing over: what runs goes on.
pub(crate) async fn migrate(place: &PostgresPlace) -> Result<(), OpenError> {
    let address = place.address()?;
    bring_up_to_date(&address, &mut connected(&address).await?).await
}

/// For those who only look, and make views anew.
pub(crate) async fn attach(place: &PostgresPlace) -> Result<(Readers, Views, Attached), OpenError> {
    let place = PostgresPlace { statement_timeout: place.statement_timeout.max(TOOL_STATEMENT), ..place.clone() };
    let address = place.address()?;
    let mut connection = connected(&address).await?;
    check_schema(&address, &mut connection).await?;
    wait_for_servers(&address, &mut connection).await?;
    let (readers, views) = parts(&address)?;
    check_cursors(&views, &readers, &address).await?;
    Ok((readers, views, Attached { _connection: connection }))
}

/// Keeps the claim of [`attach`]: as long as it lives, the next tool is refused. A server that starts is not: it does
/// not wait for anyone.
pub(crate) struct Attached {
    _connection: PgConnection,
}

fn parts(address: &Address) -> Result<(Readers, Views), OpenError> {
    let io = Io::start("database-io").map_err(|source| OpenError::NoThread { source })?;
    let few =
        |application, at_most| Connections::new(io.clone(), address.options(application), address.patience, at_most);
    let readers = Readers { connections: few(READER, address.readers) };
    Ok((readers, Views::new(few(VIEWS, VIEW_WRITERS), few(READER, address.readers))))
}

async fn connected(address: &Address) -> Result<PgConnection, OpenError> {
    connect(&address.opening(), address.patience.connecting).await.map_err(|error| address.refusal(error))
}

async fn one_row(
    address: &Address,
    connection: &mut PgConnection,
    statement: Statement,
) -> Result<sqlx::postgres::PgRow, OpenError> {
    let rows = statement.run(connection, OPENING_STEP).await.map_err(|failure| address.failed(failure))?;
    rows.into_iter().next().ok_or_else(|| address.refusal(sqlx::Error::RowNotFound))
}

/// Checked on a connection of ours, because a user and a database can have settings of their own.
async fn check_durable(address: &Address, connection: &mut PgConnection) -> Result<(), OpenError> {
    let settings = Statement::new(
        "select current_setting('server_version_num')::integer, current_setting('server_version'),
                pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes'),
                current_setting('synchronous_commit')",
    );
    let row = one_row(address, connection, settings).await?;
    let unread = |error| address.unread(error);
    let (oldest, wanted) = OLDEST_SERVER;
    if get::<i32>(&row, 0).map_err(unread)? < oldest {
        return Err(OpenError::ServerTooOld { found: get(&row, 1).map_err(unread)?, wanted });
    }
    if get(&row, 2).map_err(unread)? {
        return Err(OpenError::Standby { database: address.name.clone() });
    }
    for (column, setting) in [(3, "fsync"), (4, "full_page_writes"), (5, "synchronous_commit")] {
        let found: String = get(&row, column).map_err(unread)?;
        if found == "off" {
            return Err(OpenError::LosesData { database: address.name.clone(), setting, found });
        }
    }
    Ok(())
}

async fn bring_up_to_date(address: &Address, connection: &mut PgConnection) -> Result<(), OpenError> {
    let (name, unmigrated) =
        (&address.name, |source| OpenError::NotMigrated { file: address.name.clone().into(), source });
    // Each migration may take as long as all of them together.
    let patience = Statement::new("select set_config('statement_timeout', $1, false)");
    let unlimited = patience.bind(MIGRATING.as_millis().to_string());
    one_row(address, connection, unlimited).await?;
    let outcome = match tokio::time::timeout(MIGRATING, SCHEMA.run(&mut *connection)).await {
        Ok(outcome) => outcome,
        Err(_) => return Err(OpenError::Unreachable { database: name.clone(), source: sqlx::Error::PoolTimedOut }),
    };
    outcome.map_err(|error| match error {
        MigrateError::VersionMissing(_) => OpenError::SchemaTooNew { file: name.into() },
        MigrateError::Execute(source) => address.refusal(source),
        source => unmigrated(source),
    })?;
    let usual = Statement::new("select set_config('statement_timeout', $1, false)");
    one_row(address, connection, usual.bind(OPENING_STEP.as_millis().to_string())).await.map(drop)
}

/// Whether the schema is exactly this program's.
async fn check_schema(address: &Address, connection: &mut PgConnection) -> Result<(), OpenError> {
    let known = SCHEMA.iter().map(|migration| migration.version).max().unwrap_or_default();
    let there = Statement::new("select to_regclass('_sqlx_migrations') is not null");
    let row = one_row(address, connection, there).await?;
    if !get(&row, 0).map_err(|error| address.unread(error))? {
        return Err(OpenError::SchemaTooOld { database: address.name.clone() });
    }
    let newest = Statement::new("select coalesce(max(version), 0) from _sqlx_migrations where success");
    let found: i64 = get(&one_row(address, connection, newest).await?, 0).map_err(|error| address.unread(error))?;
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(OpenError::SchemaTooOld { database: address.name.clone() }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(OpenError::SchemaTooNew { file: address.name.clone().into() }),
    }
}

async fn wait_for_servers(address: &Address, connection: &mut PgConnection) -> Result<(), OpenError> {
    let patience = Statement::new("select set_config('lock_timeout', $1, false)");
    one_row(address, connection, patience.bind(LEAVING.as_millis().to_string())).await?;
    let claim = Statement::new("select pg_advisory_lock($1)").bind(SERVER_LOCK);
    match claim.run(connection, OPENING_STEP).await {
        Ok(_) => Ok(()),
        Err(Failure::Refused(error)) if code(&error) == Some(super::classify::LOCK_NOT_AVAILABLE) => {
            Err(OpenError::ServerRuns { database: address.name.clone() })
        }
        Err(failure) => Err(address.failed(failure)),
    }
}

/// The shards' positions must be those of the last milestone and of the events since, which are at most as many as one
/// milestone and one batch, however long the journal; and the last event's number is how many there are. A database
/// that was put together from two backups fails here.
async fn check_last_events(address: &Address, connection: &mut PgConnection) -> Result<(), OpenError> {
    let torn = Statement::new(
        "with milestone as materialized (select id, marks from milestones order by id desc limit 1),
              since as materialized (
              select shard, count(*) as count from events where id > coalesce((select id from milestone), 0) group by shard)
         select coalesce(array_agg(s.shard) filter (where s.next_position - 1 <>
                coalesce((select marks[s.shard + 1] from milestone), 0) + coalesce(since.count, 0)), '{}'),
                sum(s.next_position - 1)::bigint, (select coalesce(max(id), 0) from events)
           from shards s left join since on since.shard = s.shard",
    );
    let row = one_row(address, connection, torn).await?;
    let unread = |error| address.unread(error);
    let shards: Vec<i16> = get(&row, 0).map_err(unread)?;
    let (positions, last): (i64, i64) = (get(&row, 1).map_err(unread)?, get(&row, 2).map_err(unread)?);
    if shards.is_empty() && positions == last {
        return Ok(());
    }
    let what = format!("the last events of shards {shards:?} are missing: {positions} were counted, {last} are there");
    Err(OpenError::Damaged { file: address.name.clone().into(), what })
}

/// A cursor ahead of the journal belongs to another one: tables were restored from different backups, and what is appended
/// next would never be looked at. That reader begins anew. It can only be seen once nobody else writes.
async fn check_cursors(views: &Views, readers: &Readers, address: &Address) -> Result<(), OpenError> {
    let unread = |error| address.unread(error);
    let head = readers.head().await.map_err(unread)?;
    for reader in Reader::ALL {
        match views.saved_cursor(reader).await.map_err(unread)? {
            Some(cursor) if !head.includes(&cursor) => {
                let (database, reader_name) = (&address.name, reader.name());
                tracing::warn!(
                    %database, reader = reader_name,
                    "a reader has dealt with events that the journal does not have, and begins anew: lists are made \
                     again from the journal, messages begin at its end, a Kafka mirror sends everything again, with \
                     the same ids and bytes"
                );
                views.begin_anew(reader, &head).await.map_err(unread)?;
            }
            // New beside a journal that is not: who was told what is not known any more.
            None if reader == Reader::Messages => views.begin_anew(reader, &head).await.map_err(unread)?,
            Some(_) | None => {}
        }
    }
    Ok(())
}

impl Address {
    fn failed(&self, failure: Failure) -> OpenError {
        match failure {
            Failure::Refused(error) | Failure::Lost(error) | Failure::Silent(error) | Failure::NotSent(error) => {
                self.refusal(error)
            }
        }
    }

    fn unread(&self, error: DbError) -> OpenError {
        match error {
            DbError::Unavailable(error) | DbError::Unknown(error) | DbError::Full(error) | DbError::ReadOnly(error) => {
                self.refusal(error)
            }
            DbError::Fenced | DbError::Corrupt(_) => {
                OpenError::Damaged { file: self.name.clone().into(), what: error.to_string() }
            }
        }
    }

    /// Why the server did not let us in, by the SQLSTATE that it gave.
    fn refusal(&self, source: sqlx::Error) -> OpenError {
        let (database, user) = (self.name.clone(), self.user.clone());
        match code(&source) {
            Some("28P01" | "28000") => OpenError::NotLetIn { database, user, source },
            Some("3D000") => OpenError::NoDatabase { name: self.database.clone(), database, source },
            Some("42501") => OpenError::NotAllowed { database, user, source },
            Some(_) => OpenError::Failed { file: database.into(), source },
            None if matches!(source, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut) => {
                OpenError::Unreachable { database, source }
            }
            None => OpenError::Failed { file: database.into(), source },
        }
    }
}
