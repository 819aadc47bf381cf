//! The file of the views: opened as it is, or set aside and begun anew.
//!
//! What stands in it is made from the journal, so nobody has to restore it. A file that SQLite calls damaged is renamed, and
//! so is one that has dealt with events which the journal does not have: it belongs to another journal, or to this one
//! before a backup of it was restored, and what is appended next would never be looked at. The readers fill a new one.
//!
//! Two things in it cannot be made again, and are given up in the way that harms less. Whom a message told is forgotten, and
//! nobody is told twice: messages begin at the end of the journal. How far Kafka had everything is forgotten too, and the
//! mirror sends all of it again, with the same ids and bytes.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::{
    FIRST_CONNECTION_WITHIN, Files, READERS, VIEWS_SCHEMA, check_pragma, check_structure, connect, connection,
    first_connection, migrate, pool, private_file, reader, refusal, unread,
};
use crate::store::sqlite::Views;
use crate::store::sqlite::views::{cursor_from, put_cursor};
use crate::store::{Cursor, OpenError, Reader};

/// How many files that were set aside are kept: one to look into, and the one before it.
const KEPT_ASIDE: usize = 2;

/// A database in WAL mode is up to three files. The log leaves first: a database without its log is an older one, but a new
/// database must never meet an old log.
const PARTS: [&str; 3] = ["-wal", "-shm", ""];

/// Why the file is begun anew or the start is refused.
enum Unfit {
    Made(String),
    Refused(OpenError),
}

impl From<OpenError> for Unfit {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged { what, .. } => Unfit::Made(format!("it is damaged: {what}")),
            other => Unfit::Refused(other),
        }
    }
}

pub(super) async fn open_views(files: &Files, head: &Cursor) -> Result<Views, OpenError> {
    let file = &files.views;
    match prepare(files, head).await {
        Ok(()) => {}
        Err(Unfit::Refused(error)) => return Err(error),
        Err(Unfit::Made(why)) => {
            let aside = set_aside(file).map_err(|source| not_writable(file, source))?;
            tracing::warn!(
                file = %file.display(), %why, set_aside_as = %aside.display(),
                "the views are set aside and made again from the journal: lists fill up meanwhile, the record of \
                 messages begins anew and nobody is told twice, and a Kafka mirror sends everything again, with the \
                 same ids and bytes"
            );
            prepare(files, head).await.map_err(|unfit| match unfit {
                Unfit::Refused(error) => error,
                Unfit::Made(what) => OpenError::Damaged { file: file.clone(), what },
            })?;
        }
    }
    let (writer, readers) = (pool(1, files.views_writer()), pool(READERS, reader(file)));
    first_connection(&writer, file, FIRST_CONNECTION_WITHIN).await?;
    first_connection(&readers, file, FIRST_CONNECTION_WITHIN).await?;
    Ok(Views::new(writer, readers, files.clone()))
}

/// Makes the file if need be, brings it up to date, and looks whether it belongs to the journal that ends at `head`.
async fn prepare(files: &Files, head: &Cursor) -> Result<(), Unfit> {
    let file = &files.views;
    private_file(file).map_err(|source| not_writable(file, source))?;
    // With none of the settings that make SQLite read the file: sqlx closes a connection that fails over them some time
    // later, and a connection that is closed after the file was renamed takes the new file's log with it.
    let mut plain = connect(file, connection(file)).await?;
    let schema = sqlx::query("select count(*) from sqlite_schema").execute(&mut plain).await;
    closed(plain, file, schema.map(drop).map_err(|error| refusal(file, error).into())).await?;
    let mut connection = connect(file, files.views_writer()).await?;
    let fit = check(&mut connection, file, head).await;
    closed(connection, file, fit).await
}

/// In any case: the file may be renamed next.
async fn closed(connection: SqliteConnection, file: &Path, outcome: Result<(), Unfit>) -> Result<(), Unfit> {
    let closed = connection.close().await.map_err(|error| Unfit::from(refusal(file, error)));
    outcome.and(closed)
}

async fn check(connection: &mut SqliteConnection, file: &Path, head: &Cursor) -> Result<(), Unfit> {
    check_pragma(connection, file, "pragma journal_mode", ("journal_mode", "wal")).await?;
    migrate(&VIEWS_SCHEMA, connection, file).await?;
    check_structure(connection, file, "pragma quick_check(cursors)").await?;
    for reader in Reader::ALL {
        let marks: Option<String> = sqlx::query_scalar("select marks from cursors where reader = $1")
            .bind(reader.name())
            .fetch_optional(&mut *connection)
            .await
            .map_err(|error| refusal(file, error))?;
        match marks {
            Some(marks) => {
                let cursor = cursor_from(&marks).map_err(|error| unread(file, error))?;
                if !head.includes(&cursor) {
                    return Err(Unfit::Made("it has dealt with events that the journal does not have".into()));
                }
            }
            // A file that is new beside a journal that is not: who was told what is not known any more.
            None if reader == Reader::Messages => {
                put_cursor(connection, reader, head).await.map_err(|error| refusal(file, error))?;
            }
            None => {}
        }
    }
    Ok(())
}

/// Renames the file and what belongs to it. The oldest that were kept aside go.
fn set_aside(file: &Path) -> io::Result<PathBuf> {
    for number in (1..=KEPT_ASIDE).rev() {
        let from = if number == 1 { file.to_owned() } else { aside(file, number - 1) };
        let to = aside(file, number);
        for part in PARTS {
            let to = with(&to, part);
            match std::fs::rename(with(&from, part), &to) {
                // The parts of two files never stand together.
                Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&to)?,
                outcome => outcome?,
            }
        }
    }
    // The names must outlast a loss of power before a new file takes one of them.
    if let Some(directory) = file.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(aside(file, 1))
}

fn aside(file: &Path, number: usize) -> PathBuf {
    with(file, &format!(".aside-{number}"))
}

fn with(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn not_writable(file: &Path, source: io::Error) -> OpenError {
    OpenError::NotWritable { path: file.parent().unwrap_or(file).to_owned(), source }
}
