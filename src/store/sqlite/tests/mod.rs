//! What only files can do wrong: damage, a full disk, a directory that is not ours.

mod full_disk;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::classify::{Stop, at_commit};
use super::open::OLDEST_SQLITE;
use crate::store::conformance::{Place, append, append_one, chains, whole_journal};
use crate::store::engine::PROOF_BYTES;
use crate::store::{Append, Cursor, DbError, OpenError, Reader, Writer};

fn refused(outcome: Result<crate::store::Engine, OpenError>) -> OpenError {
    let Err(error) = outcome else { panic!("it was opened") };
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    error
}

/// Puts nonsense over a part of the file, once everything has been moved out of the write-ahead log.
async fn overwrite(place: &Place, file: &str, from: usize, length: usize) {
    let path = place.path().join(file);
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let end = (from + length).min(bytes.len());
    bytes[from..end].fill(0xa5);
    fs::write(&path, bytes).unwrap();
}

async fn with_events(place: &Place, count: u32) {
    let mut engine = place.open().await;
    for version in 0..count {
        let batch: Vec<Append> = (0..50).map(|n| append(n, version, 1)).collect();
        engine.writer.append(&batch).await.unwrap();
    }
}

#[tokio::test]
async fn the_sqlite_in_this_program_does_not_lose_commits() {
    let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
    let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(&mut connection).await.unwrap();
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(numbers.as_slice() >= OLDEST_SQLITE.1.as_slice(), "{version}");
}

#[tokio::test]
async fn the_files_are_written_as_the_journal_demands() {
    let place = Place::fresh();
    let mut engine = place.open().await;
    let mut connection = engine.writer.sqlite().begin().await.unwrap();
    for (pragma, wanted) in [("pragma synchronous", 2), ("pragma wal_autocheckpoint", 2000), ("pragma query_only", 0)] {
        let found: i64 = sqlx::query_scalar(pragma).fetch_one(&mut connection).await.unwrap();
        assert_eq!(found, wanted, "{pragma}");
    }
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut connection).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn nobody_else_may_look_at_the_files() {
    let place = Place::fresh();
    let inner = place.path().join("made/here");
    let mut engine = Place::at(&inner).await.unwrap();
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for file in fs::read_dir(&inner).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let place = Place::fresh();
    let engine = place.open().await;
    let crate::store::Readers::Sqlite(readers) = &engine.readers else { unreachable!() };
    let written = sqlx::query("update shards set epoch = 9").execute(&readers.pool).await;
    assert!(matches!(super::classify::definite(written.unwrap_err()), DbError::ReadOnly(_)));
}

#[tokio::test]
async fn a_setting_that_did_not_take_is_refused() {
    let place = Place::fresh();
    let path = place.path().join("journal.sqlite3");
    let mut connection = SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
    let check = super::open::check_pragma(&mut connection, &path, "pragma journal_mode", ("journal_mode", "wal"));
    assert!(matches!(check.await, Err(OpenError::NotDurable { found, .. }) if found == "delete"));
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let place = Place::fresh();
    let engine = place.open().await;
    assert!(matches!(place.try_open().await, Err(OpenError::InUse { .. })));
    let views = engine.views.clone();
    drop(engine);
    assert!(matches!(place.try_open().await, Err(OpenError::InUse { .. })), "someone still looks at the views");
    drop(views);
    place.open().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_refused() {
    let place = Place::fresh();
    let file = place.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let error = refused(Place::at(&file.join("data")).await);
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    let error = refused(Place::at(&file).await);
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_directory_that_may_only_be_read_is_refused() {
    let place = Place::fresh();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write anywhere but where the kernel itself says no.
    let bound_by_permissions = fs::write(place.path().join("probe"), "").is_err();
    let outcome =
        if bound_by_permissions { place.try_open().await } else { Place::at(Path::new("/proc/baedal")).await };
    assert!(matches!(refused(outcome), OpenError::NotWritable { .. }));
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

const NO_DATABASE: [u8; 5_000] = [b'x'; 5_000];

#[tokio::test]
async fn a_journal_that_is_no_database_is_refused() {
    let place = Place::fresh();
    fs::write(place.path().join("journal.sqlite3"), NO_DATABASE).unwrap();
    let error = refused(place.try_open().await);
    assert!(matches!(&error, OpenError::Damaged { file, .. } if file.ends_with("journal.sqlite3")), "{error:?}");
}

#[tokio::test]
async fn a_journal_with_a_damaged_head_is_refused() {
    let place = Place::fresh();
    drop(place.open().await);
    overwrite(&place, "journal.sqlite3", 100, 4_000).await;
    let error = refused(place.try_open().await);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

/// The files of the directory whose names begin like that.
fn files_like(place: &Place, start: &str) -> BTreeSet<String> {
    let names = fs::read_dir(place.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}

#[tokio::test]
async fn damaged_views_are_set_aside_and_nobody_is_told_twice() {
    let place = Place::fresh();
    let mut engine = place.open().await;
    let committed = append_one(&mut engine.writer, append(1, 0, 2)).await;
    let mut head = Cursor::start();
    head.advance(committed.last);
    for reader in Reader::ALL {
        engine.views.save_cursor(reader, &head).await.unwrap();
    }
    drop(engine);
    overwrite(&place, "views.sqlite3", 100, 4_000).await;

    let engine = place.open().await;

    assert_eq!(engine.views.cursor(Reader::OrderView).await.unwrap(), Cursor::start(), "made again");
    assert_eq!(engine.views.cursor(Reader::KafkaBridge).await.unwrap(), Cursor::start(), "sent again");
    assert_eq!(engine.views.cursor(Reader::Messages).await.unwrap(), head);
    assert_eq!(files_like(&place, "views.sqlite3.aside"), ["views.sqlite3.aside-1".to_owned()].into());
}

#[tokio::test]
async fn views_that_were_taken_away_do_not_tell_anyone_twice() {
    let place = Place::fresh();
    let committed = append_one(&mut place.open().await.writer, append(1, 0, 2)).await;
    for file in files_like(&place, "views.sqlite3") {
        fs::remove_file(place.path().join(file)).unwrap();
    }
    let told = place.open().await.views.cursor(Reader::Messages).await.unwrap();
    assert!(told.has_passed(committed.last), "{told:?}");
}

#[tokio::test]
async fn views_that_are_damaged_again_and_again_leave_two_behind() {
    let place = Place::fresh();
    for start in ["a", "b", "c", "d"] {
        for part in ["", "-wal", "-shm"] {
            fs::write(place.path().join(format!("views.sqlite3{part}")), start.repeat(5_000)).unwrap();
        }
        drop(place.open().await);
    }
    let aside = |number| fs::read(place.path().join(format!("views.sqlite3.aside-{number}"))).unwrap()[0];
    assert_eq!([aside(1), aside(2)], [b'd', b'c']);
    let left: Vec<String> = files_like(&place, "views.sqlite3.aside").into_iter().collect();
    assert!(left.iter().all(|name| name.contains("aside-1") || name.contains("aside-2")), "{left:?}");
}

#[tokio::test]
async fn a_journal_that_lost_its_last_events_is_refused() {
    let place = Place::fresh();
    with_events(&place, 1).await;
    let path = place.path().join("journal.sqlite3");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query("drop trigger events_are_never_deleted").execute(&mut connection).await.unwrap();
    sqlx::query("delete from events where id = (select max(id) from events)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(matches!(refused(place.try_open().await), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn damage_in_old_events_is_told_when_they_are_read() {
    let place = Place::fresh();
    with_events(&place, 20).await;
    // All but the first pages, which hold the schema and the small tables.
    let size = fs::metadata(place.path().join("journal.sqlite3")).unwrap().len() as usize;
    overwrite(&place, "journal.sqlite3", size / 2, 40_000).await;
    let outcome = match place.try_open().await {
        Err(OpenError::Damaged { .. }) => return,
        Err(error) => panic!("{error:?}"),
        Ok(engine) => engine.readers.after(&Cursor::start(), 10_000).await,
    };
    assert!(matches!(outcome, Err(DbError::Corrupt(_))), "{outcome:?}");
}

#[tokio::test]
async fn events_from_before_there_were_hashes_are_told_apart() {
    let place = Place::fresh();
    with_events(&place, 2).await;
    let path = place.path().join("journal.sqlite3");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let before = "drop trigger events_never_change; update events set hash = null";
    sqlx::raw_sql(before).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut engine = place.open().await;
    for version in 2..5 {
        append_one(&mut engine.writer, append(1, version, 1)).await;
    }
    let chains = chains(&engine.readers).await;
    assert_eq!((chains.chained, chains.unchained, chains.broken), (3, 100, Vec::new()));
}

#[tokio::test]
async fn a_text_that_was_spoilt_keeps_nobody_else_from_being_read() {
    let place = Place::fresh();
    with_events(&place, 1).await;
    let path = place.path().join("journal.sqlite3");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let spoil = "drop trigger events_never_change; update events set data = cast(x'7bff7d' as text) where id = 20";
    sqlx::raw_sql(spoil).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let events = place.open().await.readers.after(&Cursor::start(), 100).await.unwrap();
    assert_eq!(events.len(), 50);
    let spoilt: Vec<usize> = (0..50).filter(|n| events[*n].data.starts_with('\u{fffd}')).collect();
    assert_eq!(spoilt, [19]);
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused() {
    for file in ["journal.sqlite3", "views.sqlite3"] {
        let place = Place::fresh();
        drop(place.open().await);
        let mut connection = SqliteConnectOptions::new().filename(place.path().join(file)).connect().await.unwrap();
        sqlx::query(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'tomorrow', true, x'00', 1)",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        assert!(matches!(refused(place.try_open().await), OpenError::SchemaTooNew { .. }));
    }
}

#[tokio::test]
async fn an_error_at_commit_is_definite_only_after_a_rollback() {
    let place = Place::fresh();
    let mut engine = place.open().await;
    limit_pages(&mut engine.writer, 1).await;
    let full = async |writer: &mut Writer| {
        let mut connection = writer.sqlite().begin().await.unwrap();
        let blow_up = "insert into milestones (id, marks) values (1, hex(zeroblob(100000)))";
        sqlx::query(blow_up).execute(&mut connection).await.unwrap_err()
    };
    assert!(matches!(at_commit(full(&mut engine.writer).await, false), Stop::Failed(DbError::Unknown(_))));
    limit_pages(&mut engine.writer, 1).await;
    assert!(matches!(at_commit(full(&mut engine.writer).await, true), Stop::Failed(DbError::Full(_))));
    assert!(matches!(at_commit(sqlx::Error::WorkerCrashed, true), Stop::Failed(DbError::Unknown(_))));
}

#[tokio::test]
async fn milestones_say_where_the_shards_stood() {
    let place = Place::fresh();
    with_events(&place, 20).await;
    let engine = place.open().await;
    let crate::store::Readers::Sqlite(readers) = &engine.readers else { unreachable!() };
    let milestones: Vec<(i64, String)> =
        sqlx::query_as("select id, marks from milestones order by id").fetch_all(&readers.pool).await.unwrap();
    assert_eq!(milestones.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [300, 550, 800], "batches of 50 past 256s");

    let mut stood = Cursor::start();
    let mut milestones = milestones.into_iter().peekable();
    for (count, event) in whole_journal(&engine.readers).await.into_iter().enumerate() {
        stood.advance(event.position);
        if let Some((_, marks)) = milestones.next_if(|(id, _)| *id == count as i64 + 1) {
            assert_eq!(super::views::cursor_from(&marks).unwrap(), stood);
        }
    }
    assert_eq!(milestones.next(), None);
}

#[tokio::test]
async fn a_call_that_was_given_up_half_way_leaves_nothing_behind() {
    let place = Place::fresh();
    let mut engine = place.open().await;
    {
        let mut connection = engine.writer.sqlite().begin().await.unwrap();
        sqlx::query("update shards set next_position = 100").execute(&mut connection).await.unwrap();
    }
    let committed = append_one(&mut engine.writer, append(1, 0, 1)).await;
    assert_eq!(committed.first.position, 1);
}

#[tokio::test]
async fn a_checkpoint_moves_the_log_into_the_file() {
    let place = Place::fresh();
    with_events(&place, 3).await;
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 3, 1)).await;
    assert_eq!(engine.writer.checkpoint().await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_read_of_streams_is_found_by_an_index() {
    let place = Place::fresh();
    with_events(&place, 3).await;
    let mut connection =
        SqliteConnectOptions::new().filename(place.path().join("journal.sqlite3")).connect().await.unwrap();
    for (text, wanted) in [
        (super::read::STREAM, "SEARCH e USING INDEX events_by_stream (stream=? AND version>?)"),
        (super::read::STREAM_BY_STREAM, "SEARCH e USING INDEX events_by_stream ((stream,version)>(?,?))"),
        (super::open_streams::HISTORIES, "SEARCH e USING INDEX events_by_stream (stream=?)"),
        (
            super::snapshots::NEWEST,
            "SEARCH snapshots USING INDEX sqlite_autoindex_snapshots_1 (stream=? AND version<?)",
        ),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("explain query plan {text}")))
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
        assert!(steps.contains(&wanted), "{wanted}: {steps:?}");
        assert!(steps.iter().all(|step| !step.contains("SCAN e") && !step.contains("TEMP B-TREE")), "{steps:?}");
    }
}

/// SQLite does not go below the number of pages that there are, so 1 means: not one more.
async fn limit_pages(writer: &mut Writer, pages: u32) {
    let writer = writer.sqlite();
    let mut connection = writer.begin().await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("pragma max_page_count = {pages}"));
    sqlx::query(limit).execute(&mut connection).await.unwrap();
    writer.end(connection, Ok(())).await.unwrap();
}
