//! What can go wrong with the database, told apart by what the caller may conclude.

use std::io;
use std::path::PathBuf;

/// The outcome of a read or write that the database did not carry out as asked.
///
/// A write that ends in [`DbError::Unavailable`], [`DbError::Full`] or [`DbError::ReadOnly`] definitely did
/// not happen. [`DbError::Unknown`] says what it says: only reading the journal again tells.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    #[error("the disk is full")]
    Full(#[source] sqlx::Error),
    #[error("the database may only be read")]
    ReadOnly(#[source] sqlx::Error),
    #[error("whether the transaction was committed is unknown")]
    Unknown(#[source] sqlx::Error),
    #[error("another process has taken over this journal")]
    Fenced,
    #[error("the database is damaged: {0}")]
    Corrupt(String),
}

impl DbError {
    /// A write that ended so did not happen, for certain.
    pub fn is_definite(&self) -> bool {
        match self {
            DbError::Unavailable(_) | DbError::Full(_) | DbError::ReadOnly(_) | DbError::Fenced => true,
            DbError::Unknown(_) | DbError::Corrupt(_) => false,
        }
    }
}

/// Why the database was not opened. Each says in one line what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot write in the data directory {}: make it a directory of this user, or name another one", .path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("the data directory {} is used by another baedal process: stop that one, or name another directory", .path.display())]
    InUse { path: PathBuf },
    #[error(
        "this program was built with SQLite {found}, which can lose committed data: build it with {wanted} or later"
    )]
    SqliteTooOld { found: String, wanted: &'static str },
    #[error("{} does not keep {pragma}={wanted} (it says {found}): keep it on a local disk, not on a network share", .file.display())]
    NotDurable { file: PathBuf, pragma: &'static str, wanted: &'static str, found: String },
    #[error("{} was written by a newer version of this program: start that version", .file.display())]
    SchemaTooNew { file: PathBuf },
    #[error("{} is damaged ({what}): restore it from a backup", .file.display())]
    Damaged { file: PathBuf, what: String },
    #[error("{} cannot be opened: look at the cause and start again", .file.display())]
    Failed { file: PathBuf, source: sqlx::Error },
    #[error("{} cannot be brought up to date: look at the cause and start again", .file.display())]
    NotMigrated { file: PathBuf, source: sqlx::migrate::MigrateError },
    #[error("the address of the database is none: postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    NoAddress,
    #[error("the database {database} cannot be reached: look whether the server runs and the address is right")]
    Unreachable { database: String, source: sqlx::Error },
    #[error("the database {database} does not let {user} in: look at the name and the password")]
    NotLetIn { database: String, user: String, source: sqlx::Error },
    #[error("there is no database {name} at {database}: create it, or name another one")]
    NoDatabase { database: String, name: String, source: sqlx::Error },
    #[error("{user} may not make tables in {database}: make it the owner of the database")]
    NotAllowed { database: String, user: String, source: sqlx::Error },
    #[error("the server is PostgreSQL {found}: {wanted} or later is needed")]
    ServerTooOld { found: String, wanted: i32 },
    #[error("{database} is a standby, which may only be read: name the primary")]
    Standby { database: String },
    #[error("{database} may lose what was acknowledged ({setting} is {found}): switch {setting} on")]
    LosesData { database: String, setting: &'static str, found: String },
    #[error("the schema in {database} is older than this program: run baedal migrate")]
    SchemaTooOld { database: String },
    #[error("a server runs on {database}: stop it first")]
    ServerRuns { database: String },
    #[error("cannot start a thread")]
    NoThread { source: io::Error },
}
