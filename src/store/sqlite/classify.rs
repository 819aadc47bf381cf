//! From an error of SQLite to what the caller may conclude from it.
//!
//! Decided here: which error is definite. Only COMMIT makes anything durable, so whatever fails before it did
//! not happen; at COMMIT itself only the errors count as definite that SQLite raises before the commit record
//! is complete, and only if the transaction could still be rolled back.

use crate::store::{DbError, NotAppended};

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>); an extended code carries one in its
/// lowest byte.
const READONLY: u32 = 8;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CONSTRAINT: u32 = 19;
const NOT_A_DATABASE: u32 = 26;

/// Why a transaction was given up before its commit.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(DbError),
    /// A member of the batch broke a rule that the tables keep: a version or an idempotency key twice, or a
    /// version left out. Which one, the database does not say.
    Conflict,
    /// Nothing is wrong but what was asked for.
    Refused(NotAppended),
}

impl Stop {
    /// For transactions that have no refusals: one would be our own bug.
    pub(super) fn into_error(self) -> DbError {
        match self {
            Stop::Failed(error) => error,
            Stop::Conflict => DbError::Corrupt("the tables refuse what the transaction made sure of".into()),
            Stop::Refused(refusal) => DbError::Corrupt(refusal.to_string()),
        }
    }

    pub(super) fn into_refusal<T>(self) -> Result<Result<T, NotAppended>, DbError> {
        match self {
            Stop::Refused(refusal) => Ok(Err(refusal)),
            Stop::Failed(_) | Stop::Conflict => Err(self.into_error()),
        }
    }
}

impl From<DbError> for Stop {
    fn from(error: DbError) -> Self {
        Stop::Failed(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        if is_conflict(&error) { Stop::Conflict } else { Stop::Failed(definite(error)) }
    }
}

/// For what was only read, and for everything before a COMMIT was sent.
pub(super) fn definite(error: sqlx::Error) -> DbError {
    match error {
        sqlx::Error::Database(_) => match primary_code(&error) {
            Some(FULL) => DbError::Full(error),
            Some(READONLY) => DbError::ReadOnly(error),
            Some(CORRUPT | NOT_A_DATABASE) => DbError::Corrupt(error.to_string()),
            // Constraints that no caller can break: the rows themselves contradict what was written before.
            Some(CONSTRAINT) => DbError::Corrupt(error.to_string()),
            _ => DbError::Unavailable(error),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => DbError::Corrupt(error.to_string()),
        _ => DbError::Unavailable(error),
    }
}

/// For an error of the text that ends in COMMIT.
///
/// `rolled_back`: a ROLLBACK succeeded afterwards, which SQLite refuses once a transaction has ended. That alone is not
/// enough: after a failed sync the commit record may stand in the log although the transaction could be rolled back.
pub(super) fn at_commit(error: sqlx::Error, rolled_back: bool) -> Stop {
    if rolled_back && is_conflict(&error) {
        return Stop::Conflict;
    }
    if rolled_back && is_fence(&error) {
        return Stop::Failed(DbError::Fenced);
    }
    Stop::Failed(match primary_code(&error) {
        Some(FULL | READONLY) if rolled_back => definite(error),
        _ => DbError::Unknown(error),
    })
}

/// The batch's own words for "these are not our shards any more".
fn is_fence(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    primary_code(error) == Some(CONSTRAINT) && database.message().contains("shards.next_position")
}

/// The constraints that a caller can break, by the names that SQLite gives them: "any constraint" would turn a
/// fault of ours into a polite refusal.
fn is_conflict(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    let message = database.message();
    primary_code(error) == Some(CONSTRAINT)
        && (message.contains("events.stream, events.version")
            || message.contains("answers.key")
            || message.contains("the version before this one is missing"))
}

/// In WAL mode the commit record is the last page written, and checkpoints report no errors to a commit: whoever is
/// told that the disk is full has not committed, also when SQLite has rolled back by itself.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(FULL)
}

pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(CORRUPT | NOT_A_DATABASE))
}

pub(super) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let sqlx::Error::Database(database) = error else { return None };
    let extended: u32 = database.code()?.parse().ok()?;
    Some(extended & 0xff)
}
