//! What can go wrong with the database, told apart by what the caller may conclude.

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
