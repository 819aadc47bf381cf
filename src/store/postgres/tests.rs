//! What only a server can do wrong, and what both schemas have in common.

use std::collections::BTreeSet;

use sqlx::Connection as _;
use uuid::Uuid;

use super::classify::get;
use super::open::SERVER_LOCK;
use super::statement::Statement;
use crate::order::OrderId;
use crate::store::conformance::servers::{execute, try_execute};
use crate::store::conformance::{Place, append, append_one, whole_journal};
use crate::store::{
    Append, Cursor, DataPlace, DbError, Engine, LedgerRow, NotAppended, OpenError, PostgresPlace, Readers,
    SandboxLedger,
};

/// None: whoever runs the tests leaves these out.
macro_rules! place {
    () => {
        match Place::fresh_postgres() {
            Some(place) => place,
            None => return,
        }
    };
}

fn refused<T>(outcome: Result<T, OpenError>) -> OpenError {
    let Err(error) = outcome else { panic!("it was opened") };
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    error
}

async fn rows(engine: &Engine, sql: &'static str) -> Vec<sqlx::postgres::PgRow> {
    let Readers::Postgres(readers) = &engine.readers else { unreachable!() };
    readers.connections.read(Statement::new(sql)).await.unwrap()
}

/// Where the two schemas differ on purpose.
const DIFFERENT: [&str; 5] = [
    // Beside a journal in a directory it is a file of the provider's own.
    "sandbox_ledger.amount",
    "sandbox_ledger.key",
    "sandbox_ledger.of_key",
    "sandbox_ledger.operation",
    "sandbox_ledger.order_id",
];

#[tokio::test]
async fn the_sandbox_s_books_are_where_the_journal_is_and_take_each_key_once() {
    let place = place!();
    drop(place.open().await);
    let row = |order: u128, key: u128, operation: &str| LedgerRow {
        key: Uuid::from_u128(key),
        of: Uuid::from_u128(order),
        order: OrderId::new(Uuid::from_u128(order)),
        operation: operation.to_owned(),
        amount: 12_000,
    };
    let open = || SandboxLedger::open(&place.data()).unwrap().expect("the journal is in a database");
    let ledger = open();
    assert!(!ledger.enter(row(1, 1_011, "capture")).await.unwrap(), "nothing is on hold");
    let together = (1..=100).flat_map(|order| [row(order, order, "authorize"), row(order, order, "authorize")]);
    let entered = futures_util::future::join_all(together.map(|row| ledger.enter(row))).await;
    assert!(entered.into_iter().all(|stands| stands.unwrap()));
    assert!(ledger.enter(row(1, 1_011, "capture")).await.unwrap());
    assert!(ledger.enter(row(1, 1_011, "capture")).await.unwrap());

    // Another process, on another machine.
    let ledger = open();
    let order = |n: u128| OrderId::new(Uuid::from_u128(n));
    assert_eq!(ledger.of_order(order(1)).await.unwrap(), [row(1, 1, "authorize"), row(1, 1_011, "capture")]);
    assert!(ledger.holds(Uuid::from_u128(100)).await.unwrap() && !ledger.holds(Uuid::from_u128(101)).await.unwrap());
    assert_eq!(ledger.page(order(0), 2).await.unwrap().len(), 3, "whole orders");
    assert_eq!(ledger.page(order(98), 1_000).await.unwrap(), [row(99, 99, "authorize"), row(100, 100, "authorize")]);
}

#[tokio::test]
async fn both_engines_have_the_same_tables_and_columns() {
    let place = place!();
    let engine = place.open().await;
    let found = rows(
        &engine,
        "select table_name::text || '.' || column_name::text from information_schema.columns
          where table_schema = current_schema() and table_name <> '_sqlx_migrations'",
    )
    .await;
    let of_postgres: BTreeSet<String> = found.iter().map(|row| get(row, 0).unwrap()).collect();

    let files = Place::fresh();
    drop(files.open().await);
    let mut of_sqlite = BTreeSet::new();
    for file in ["journal.sqlite3", "views.sqlite3"] {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(files.path().join(file));
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let columns = "select t.name || '.' || c.name from sqlite_schema t, pragma_table_info(t.name) c
                        where t.type = 'table' and t.name <> '_sqlx_migrations'";
        of_sqlite.extend(sqlx::query_scalar::<_, String>(columns).fetch_all(&mut connection).await.unwrap());
    }
    let different: BTreeSet<&str> = of_postgres.symmetric_difference(&of_sqlite).map(String::as_str).collect();
    assert_eq!(different, DIFFERENT.into());
}

#[tokio::test]
async fn a_tool_leaves_a_running_server_alone() {
    let place = place!();
    let mut engine = place.open().await;
    assert!(matches!(Engine::attach(&place.data()).await, Err(OpenError::ServerRuns { .. })));
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    drop(engine);
    let tool = Engine::attach(&place.data()).await.unwrap();
    assert_eq!(whole_journal(&tool.readers).await.len(), 1);
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 1, 1)).await;
}

#[tokio::test]
async fn a_tool_does_not_change_the_schema() {
    let place = place!();
    assert!(matches!(Engine::attach(&place.data()).await, Err(OpenError::SchemaTooOld { .. })));
    Engine::migrate(&place.data()).await.unwrap();
    Engine::migrate(&place.data()).await.unwrap();
    assert_eq!(Engine::attach(&place.data()).await.unwrap().readers.head().await.unwrap(), Cursor::start());
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_refused_without_its_password() {
    let place = place!();
    let refusal = async |url: String| {
        let error = refused(Engine::open(&DataPlace::Postgres(PostgresPlace::new(url))).await);
        let said = format!("{:#}", anyhow::Error::new(error));
        assert!(!said.contains("s3cret"), "{said}");
        said
    };
    let (_, host) = place.url().split_once('@').unwrap();
    let (server, _) = host.split_once('/').unwrap();
    assert!(refusal(format!("postgres://baedal:s3cret@{server}/none_such")).await.contains("no database none_such"));
    assert!(refusal(format!("postgres://stranger:s3cret@{host}")).await.contains("does not let stranger in"));
    assert!(refusal("postgres://baedal:s3cret@127.0.0.1:1/x".into()).await.contains("cannot be reached"));
    for nonsense in ["mysql://a:s3cret@b/c", "postgres://a:s3cret@b:port/c", "s3cret"] {
        assert!(refusal(nonsense.into()).await.contains("postgres://USER:PASSWORD@HOST:PORT/DATABASE"));
    }
}

#[tokio::test]
async fn a_database_that_may_lose_commits_is_refused() {
    let place = place!();
    let name = place.url().rsplit('/').next().unwrap();
    execute(place.url(), format!("alter database {name} set synchronous_commit = off"));
    let error = refused(place.try_open().await);
    assert!(matches!(error, OpenError::LosesData { setting: "synchronous_commit", .. }), "{error:?}");
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused() {
    let place = place!();
    drop(place.open().await);
    let tomorrow = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                    values (9999, 'tomorrow', true, '\\x00', 1)";
    execute(place.url(), tomorrow.into());
    assert!(matches!(refused(place.try_open().await), OpenError::SchemaTooNew { .. }));
    assert!(matches!(refused(Engine::attach(&place.data()).await.map(drop)), OpenError::SchemaTooNew { .. }));
}

#[tokio::test]
async fn a_journal_that_lost_its_last_events_is_refused() {
    let place = place!();
    with_events(&mut place.open().await, 6).await;
    execute(
        place.url(),
        "alter table events disable trigger all; delete from events where id = (select max(id) from events)".into(),
    );
    assert!(matches!(refused(place.try_open().await), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn events_are_neither_changed_nor_deleted() {
    let place = place!();
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    for change in ["update events set name = 'x'", "delete from events", "truncate events"] {
        let refused = try_execute(place.url(), change.into());
        assert!(refused.is_err(), "{change}");
    }
    assert_eq!(whole_journal(&engine.readers).await.len(), 1);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let place = place!();
    let engine = place.open().await;
    let Readers::Postgres(readers) = &engine.readers else { unreachable!() };
    let written = readers.connections.write(Statement::new("update shards set epoch = 9")).await;
    assert!(matches!(written, Err(DbError::ReadOnly(_))), "{written:?}");
}

async fn with_events(engine: &mut Engine, count: u32) {
    for version in 0..count {
        let batch: Vec<Append> = (0..50).map(|n| append(n, version, 1)).collect();
        assert!(engine.writer.append(&batch).await.unwrap().iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn milestones_say_where_the_shards_stood() {
    let place = place!();
    let mut engine = place.open().await;
    with_events(&mut engine, 20).await;
    let milestones = rows(&engine, "select id, marks from milestones order by id").await;
    let ids: Vec<i64> = milestones.iter().map(|row| get(row, 0).unwrap()).collect();
    assert_eq!(ids, [300, 550, 800], "batches of 50 past 256s");

    let mut stood = Cursor::start();
    let mut milestones = milestones.iter().peekable();
    for (event, count) in whole_journal(&engine.readers).await.into_iter().zip(1_i64..) {
        stood.advance(event.position);
        if let Some(row) = milestones.next_if(|row| get::<i64>(row, 0).unwrap() == count) {
            assert_eq!(super::read::cursor_from(&get::<Vec<i64>>(row, 1).unwrap()).unwrap(), stood);
        }
    }
    assert!(milestones.next().is_none());
}

#[tokio::test]
async fn an_append_goes_on_when_the_one_who_asked_is_gone() {
    let place = place!();
    let mut engine = place.open().await;
    let batch = [append(1, 0, 1)];
    {
        let mut asked = Box::pin(engine.writer.append(&batch));
        // Asked for, and given up at once.
        assert!(futures_util::poll!(&mut asked).is_pending());
    }
    let outcomes = engine.writer.append(&[append(1, 0, 1), append(1, 1, 1)]).await.unwrap();
    assert_eq!(outcomes[0], Err(NotAppended::VersionConflict), "the first one was written");
    append_one(&mut engine.writer, append(1, 1, 1)).await;
    assert_eq!(whole_journal(&engine.readers).await.len(), 2);
}

#[tokio::test]
async fn what_the_server_gives_up_definitely_did_not_happen() {
    let place = place!();
    let mut engine = place.open().await;
    // For longer than the server works on a statement, which is shorter than it takes the connection to give up.
    let mut other = sqlx::PgConnection::connect(place.url()).await.unwrap();
    sqlx::raw_sql("begin; lock table shards").execute(&mut other).await.unwrap();
    let outcome = engine.writer.append(&[append(1, 0, 1)]).await;
    assert!(matches!(outcome, Err(DbError::Unavailable(_))), "{outcome:?}");
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    append_one(&mut engine.writer, append(1, 0, 1)).await;
}

fn end_backends(place: &Place, application: &str) {
    let all = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()";
    execute(place.url(), format!("{all} and application_name = '{application}'"));
}

#[tokio::test]
async fn a_connection_that_an_administrator_ends_is_replaced() {
    let place = place!();
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    assert_eq!(whole_journal(&engine.readers).await.len(), 1);
    for application in [super::place::WRITER, super::place::READER] {
        end_backends(&place, application);
    }
    assert_eq!(whole_journal(&engine.readers).await.len(), 1, "readers ask again");
    let batch = [append(1, 1, 1)];
    assert!(matches!(engine.writer.append(&batch).await, Err(DbError::Unknown(_))));
    assert_eq!(engine.writer.recover(&batch).await.unwrap(), [Err(NotAppended::DidNotHappen)]);
    append_one(&mut engine.writer, append(1, 1, 1)).await;
}

#[tokio::test]
async fn a_writer_in_doubt_fences_itself_off_before_it_writes_again() {
    let place = place!();
    let mut engine = place.open().await;
    engine.writer.fail_next_commit(crate::store::CommitFault::LostBefore);
    assert!(matches!(engine.writer.append(&[append(1, 0, 1)]).await, Err(DbError::Unknown(_))));
    let epoch = async |engine: &Engine| get::<i64>(&rows(engine, "select max(epoch) from shards").await[0], 0).unwrap();
    let before = epoch(&engine).await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    assert_eq!(epoch(&engine).await, before + 1);
}

#[tokio::test]
async fn a_writer_holds_the_lock_that_tools_look_for() {
    let place = place!();
    let engine = place.open().await;
    let held =
        rows(&engine, "select (classid::bigint << 32) | objid::bigint from pg_locks where locktype = 'advisory'");
    assert!(held.await.iter().any(|row| get::<i64>(row, 0).unwrap() == SERVER_LOCK));
    assert!(!engine.writer.is_fenced());
}

/// Each step of the plan that reads events, with what it reads them by.
async fn steps_on_events(engine: &Engine, statement: Statement) -> Vec<String> {
    let Readers::Postgres(readers) = &engine.readers else { unreachable!() };
    let plan = readers.connections.read(statement).await.unwrap();
    let lines: Vec<String> = plan.iter().map(|row| get(row, 0).unwrap()).collect();
    let steps = lines.iter().enumerate().filter(|(_, line)| line.contains(" on events"));
    steps.map(|(n, _)| lines[n..].iter().take(3).map(|line| line.trim()).collect::<Vec<_>>().join(" ")).collect()
}

/// A filter is read past; what it leaves out is read all the same, for as long as the journal grows.
#[tokio::test]
async fn what_is_read_of_streams_is_found_by_an_index_without_a_filter() {
    let place = place!();
    let mut engine = place.open().await;
    with_events(&mut engine, 6).await;
    execute(place.url(), "analyze".into());
    let stream = append(1, 0, 1).stream.id;
    let explain = |text: &str| Statement::new(sqlx::AssertSqlSafe(format!("explain (costs off) {text}")));
    for statement in [
        explain(super::read::STREAM).bind(stream).bind(1_i64).bind(10_i64),
        explain(super::read::STREAM_BY_STREAM).bind(stream).bind(1_i64).bind(10_i64),
        explain(super::open_streams::HISTORIES).bind(uuid::Uuid::nil()).bind(10_i64),
    ] {
        let steps = steps_on_events(&engine, statement).await;
        assert!(!steps.is_empty());
        for step in steps {
            assert!(step.contains("events_by_stream") && step.contains("Index Cond"), "{step}");
            assert!(!step.contains("Filter") && !step.contains("Seq Scan"), "{step}");
        }
    }
    let kept = explain(super::snapshots::NEWEST).bind(stream).bind(7_i64);
    assert!(steps_on_events(&engine, kept).await.is_empty());
}
