//! From what a statement ended in to what the caller may conclude from it.
//!
//! One autocommit statement commits when the server has done all of it, so an error that it reports means that nothing
//! happened: a constraint, a full disk, `statement_timeout` (57014) and `lock_timeout` (55P03) alike. Whatever ends the
//! connection is different. The server sends its last words (FATAL: an administrator, a shutdown) when it pleases, also
//! after the commit and before the answer to it, and a socket that closes or a deadline that passes says nothing at all:
//! the outcome of what was sent is unknown. Unknown costs one look at the journal, so in doubt it is chosen.

use sqlx::Row;
use sqlx::postgres::{PgDatabaseError, PgRow, PgSeverity};

use crate::store::{DbError, NotAppended};

/// What a statement ended in, if not in rows.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server says no and goes on: nothing happened.
    Refused(sqlx::Error),
    /// The connection is of no use any more. Whether the statement was carried out is unknown.
    Lost(sqlx::Error),
    /// The same, because there was no answer in time.
    Silent(sqlx::Error),
    /// There was no connection to send it on.
    NotSent(sqlx::Error),
}

impl Failure {
    pub(super) fn of(error: sqlx::Error) -> Self {
        match reported(&error).map(PgDatabaseError::severity) {
            Some(PgSeverity::Error) => Failure::Refused(error),
            _ => Failure::Lost(error),
        }
    }

    /// For a statement that writes.
    pub(super) fn of_write(self) -> DbError {
        match self {
            Failure::Refused(error) | Failure::NotSent(error) => definite(error),
            Failure::Lost(error) | Failure::Silent(error) => DbError::Unknown(error),
        }
    }

    /// For a statement that only reads: what was not read did not happen.
    pub(super) fn of_read(self) -> DbError {
        match self {
            Failure::Refused(error) | Failure::NotSent(error) => definite(error),
            Failure::Lost(error) | Failure::Silent(error) => DbError::Unavailable(error),
        }
    }

    /// Whether the connection it was sent on is still good.
    pub(super) fn leaves_connection(&self) -> bool {
        matches!(self, Failure::Refused(_))
    }
}

/// Why an append was given up.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(DbError),
    /// The tables refused the batch: a version or a key is taken, a version is missing, or the shards are not ours.
    Conflict,
}

impl Stop {
    /// For an append that was judged before: it has no conflict but by our own bug.
    pub(super) fn into_error(self) -> DbError {
        match self {
            Stop::Failed(error) => error,
            Stop::Conflict => DbError::Corrupt("the tables refuse what was made sure of".into()),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Refused(error) if is_conflict(error) => Stop::Conflict,
            _ => Stop::Failed(failure.of_write()),
        }
    }
}

/// SQLSTATE codes (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
const DISK_FULL: &str = "53100";
const READ_ONLY: &str = "25006";
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
const CONSTRAINT: &str = "23";
const DAMAGED: &str = "XX0";

/// The constraints that a caller can break, by name: "any constraint" would turn a fault of ours into a polite refusal.
const CONFLICTS: [&str; 3] = ["events_by_stream", "answers_pkey", "shards_give_positions_to_their_owner"];

pub(super) fn definite(error: sqlx::Error) -> DbError {
    match code(&error) {
        Some(DISK_FULL) => DbError::Full(error),
        Some(READ_ONLY) => DbError::ReadOnly(error),
        Some(code) if code.starts_with(DAMAGED) || code.starts_with(CONSTRAINT) => DbError::Corrupt(error.to_string()),
        _ => DbError::Unavailable(error),
    }
}

fn is_conflict(error: &sqlx::Error) -> bool {
    reported(error).and_then(PgDatabaseError::constraint).is_some_and(|name| CONFLICTS.contains(&name))
}

fn reported(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref())
}

pub(super) fn code(error: &sqlx::Error) -> Option<&str> {
    reported(error).map(PgDatabaseError::code)
}

/// A column of a row as it was written.
pub(super) fn get<'r, T>(row: &'r PgRow, column: usize) -> Result<T, DbError>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// A number that is smaller than its column.
pub(super) fn number<N: TryFrom<i64>>(row: &PgRow, column: usize) -> Result<N, DbError> {
    N::try_from(get(row, column)?)
        .map_err(|_| DbError::Corrupt(format!("a row holds in column {column} what was never written")))
}

/// What one change came to: nothing is wrong but what was asked for, or the statement failed.
pub(super) type Outcome = Result<Result<(), NotAppended>, DbError>;
