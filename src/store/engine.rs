//! The one choice between engines. Callers see [`Writer`] and [`Readers`], and no SQL dialect.
//!
//! Every method is a whole transaction, so that each engine can do it in its best form. What the
//! methods promise is written here once and tested in `conformance` on every engine.

use std::path::PathBuf;

use super::{
    Append, Catalogue, CatalogueChange, Committed, DbError, NewAnswer, NotAppended, OpenError, PostgresPlace, Readers,
    Snapshot, StreamAnswer, Views, postgres, sqlite,
};
use crate::order::{StoreId, Timestamp};

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataPlace {
    /// A directory of this process's own, made if missing.
    Directory(PathBuf),
    /// A database of a server.
    Postgres(PostgresPlace),
}

/// Everything that keeps data, opened and checked. Its parts go to whom they belong: the writer to the journal's
/// actor, clones of the others to everyone.
pub struct Engine {
    pub writer: Writer,
    pub readers: Readers,
    pub views: Views,
}

impl Engine {
    /// Opens the database, brings its schema up to date and makes this process its only writer.
    ///
    /// A directory that another process uses is refused. A PostgreSQL database is taken over: what had it before is told
    /// [`DbError::Fenced`] from then on.
    pub async fn open(place: &DataPlace) -> Result<Engine, OpenError> {
        Ok(match place {
            DataPlace::Directory(directory) => {
                let (writer, readers, views) = sqlite::open(directory).await?;
                Engine {
                    writer: Writer::new(Kept::Sqlite(Box::new(writer))),
                    readers: Readers::Sqlite(readers),
                    views: Views::Sqlite(views),
                }
            }
            DataPlace::Postgres(place) => {
                let (writer, readers, views) = postgres::open(place).await?;
                Engine {
                    writer: Writer::new(Kept::Postgres(writer)),
                    readers: Readers::Postgres(readers),
                    views: Views::Postgres(views),
                }
            }
        })
    }

    /// Opens the database for those who only look and make views anew. Refused while a server runs on it; the journal is
    /// taken over from nobody.
    pub async fn attach(place: &DataPlace) -> Result<Onlooker, OpenError> {
        Ok(match place {
            DataPlace::Directory(directory) => {
                let (_, readers, views) = sqlite::open(directory).await?;
                Onlooker { readers: Readers::Sqlite(readers), views: Views::Sqlite(views), _claim: None }
            }
            DataPlace::Postgres(place) => {
                let (readers, views, claim) = postgres::attach(place).await?;
                Onlooker { readers: Readers::Postgres(readers), views: Views::Postgres(views), _claim: Some(claim) }
            }
        })
    }

    /// Brings the schema up to date, and nothing else.
    pub async fn migrate(place: &DataPlace) -> Result<(), OpenError> {
        match place {
            DataPlace::Directory(directory) => sqlite::open(directory).await.map(drop),
            DataPlace::Postgres(place) => postgres::migrate(place).await,
        }
    }
}

/// What a proof of writability writes: as much as a group of a dozen orders does. A disk that still has room for one page is
/// full all the same.
pub(super) const PROOF_BYTES: usize = 64 * 1024;

/// What [`Engine::attach`] opens. Nobody else attaches as long as it lives.
pub struct Onlooker {
    pub readers: Readers,
    pub views: Views,
    _claim: Option<postgres::Attached>,
}

/// The only one that writes the journal. One call at a time, and none of them may be given up half-way.
///
/// Once a call has ended in [`DbError::Fenced`], all of them do: see [`Writer::is_fenced`].
pub struct Writer {
    kept: Kept,
    fenced: bool,
}

/// Where the writer writes.
enum Kept {
    Sqlite(Box<sqlite::Writer>),
    Postgres(postgres::Writer),
}

impl Writer {
    fn new(kept: Kept) -> Self {
        Self { kept, fenced: false }
    }

    /// Whether another process has taken the journal over. It never comes back: an epoch only grows.
    pub fn is_fenced(&self) -> bool {
        self.fenced
    }

    fn not_fenced(&self) -> Result<(), DbError> {
        if self.fenced { Err(DbError::Fenced) } else { Ok(()) }
    }

    fn noted<T>(&mut self, outcome: Result<T, DbError>) -> Result<T, DbError> {
        self.fenced |= matches!(outcome, Err(DbError::Fenced));
        outcome
    }

    /// Appends each member of the batch whole or not at all, and answers member by member.
    ///
    /// One transaction: when this returns `Ok`, every committed member survives the loss of power. A crash before
    /// leaves nothing of the batch, or all of its good members. Several members for one stream are fine if each
    /// expects the version that the one before it leaves; if one of those is refused, the ones built on it are too.
    ///
    /// Keep a batch under about 512 members and 1 MiB: larger ones only make everyone wait.
    /// After [`DbError::Unknown`], [`Writer::recover`] tells what became of the batch.
    pub async fn append(&mut self, batch: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.append(batch).await,
            Kept::Postgres(writer) => writer.append(batch).await,
        };
        self.noted(outcome)
    }

    /// Tells of each append of a batch that ended in [`DbError::Unknown`] whether it stands in the journal; of one
    /// that does not, [`NotAppended::DidNotHappen`], and it never will.
    ///
    /// Takes up a new connection and a new epoch, so that nothing from before can still arrive. May be repeated if it
    /// fails itself.
    pub async fn recover(&mut self, batch: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.recover(batch).await,
            Kept::Postgres(writer) => writer.recover(batch).await,
        };
        self.noted(outcome)
    }

    /// Writes one change of the catalogue, and the answer to the request that asked for it, if it came with a key.
    ///
    /// [`NotAppended::VersionConflict`]: the revision that the change was made on is gone.
    /// [`NotAppended::AnsweredBefore`]: the key was used. Either way nothing was written.
    pub async fn write_catalogue(
        &mut self,
        change: &CatalogueChange,
        answer: Option<&NewAnswer>,
    ) -> Result<Result<(), NotAppended>, DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.write_catalogue(change, answer).await,
            Kept::Postgres(writer) => writer.write_catalogue(change, answer).await,
        };
        self.noted(outcome)
    }

    /// The rows of one store as they are for good: whatever ended in [`DbError::Unknown`] before has happened, or never
    /// will. For whoever has to know what came of it; may be repeated if it fails itself.
    pub async fn settle_catalogue(&mut self, store: StoreId) -> Result<Catalogue, DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.settle_catalogue(store).await,
            Kept::Postgres(writer) => writer.settle_catalogue(store).await,
        };
        self.noted(outcome)
    }

    /// Keeps answers that nothing else is written with, and says of each whether it is kept:
    /// [`NotAppended::AnsweredBefore`] if its key has one. One transaction, and no harm in a repeat.
    pub async fn remember_answers(
        &mut self,
        answers: &[StreamAnswer],
    ) -> Result<Vec<Result<(), NotAppended>>, DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.remember_answers(answers).await,
            Kept::Postgres(writer) => writer.remember_answers(answers).await,
        };
        self.noted(outcome)
    }

    /// Forgets at most `limit` of the answers given before a time, the oldest first, and says how many. A
    /// limit keeps the appends waiting for milliseconds only.
    pub async fn forget_answers(&mut self, before: Timestamp, limit: usize) -> Result<u64, DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.forget_answers(before, limit as i64).await,
            Kept::Postgres(writer) => writer.forget_answers(before, limit as i64).await,
        };
        self.noted(outcome)
    }

    /// Keeps a book as it stood at a version, in place of what was kept of that version before, and drops older ones of
    /// which there are enough.
    pub async fn save_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.save_snapshot(snapshot).await,
            Kept::Postgres(writer) => writer.save_snapshot(snapshot).await,
        };
        self.noted(outcome)
    }

    /// Looks whether the journal is still this writer's, without writing: an append would say so too, but a server to
    /// which nobody comes makes none.
    pub async fn check_ownership(&mut self) -> Result<(), DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.check_ownership().await,
            Kept::Postgres(writer) => writer.check_ownership().await,
        };
        self.noted(outcome)
    }

    /// Commits [`PROOF_BYTES`] that mean nothing, under this writer's epoch like any append, to find out whether the
    /// journal takes writes again after it did not.
    pub async fn prove_writable(&mut self) -> Result<(), DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.prove_writable().await,
            Kept::Postgres(writer) => writer.prove_writable().await,
        };
        self.noted(outcome)
    }

    /// Does some housekeeping that would otherwise fall into a commit; for idle moments. Returns how many
    /// pages of the write-ahead log are left to do.
    pub async fn checkpoint(&mut self) -> Result<u64, DbError> {
        self.not_fenced()?;
        let outcome = match &mut self.kept {
            Kept::Sqlite(writer) => writer.checkpoint().await,
            Kept::Postgres(writer) => writer.checkpoint().await,
        };
        self.noted(outcome)
    }
}

#[cfg(test)]
impl Writer {
    /// Lets the next commit, whatever it is of, end in [`DbError::Unknown`]; called again, the one after it too.
    pub(crate) fn fail_next_commit(&mut self, fault: super::CommitFault) {
        match &mut self.kept {
            Kept::Sqlite(writer) => writer.faults.push_back(fault),
            Kept::Postgres(writer) => writer.fail_next_commit(fault),
        }
    }

    pub(in crate::store) fn sqlite(&mut self) -> &mut sqlite::Writer {
        match &mut self.kept {
            Kept::Sqlite(writer) => writer,
            Kept::Postgres(_) => unreachable!("a test of files"),
        }
    }
}
