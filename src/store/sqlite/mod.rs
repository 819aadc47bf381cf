//! The embedded engine: two SQLite files in one directory that one process owns.
//!
//! `journal.sqlite3` is the truth and is synced at every commit; it has one writer, who is also the only one
//! to checkpoint. `views.sqlite3` is derived from it and synced now and then. Nothing here is seen outside
//! [`crate::store`]: `engine.rs` passes the calls on.

mod append;
mod classify;
mod judge;
mod open;
mod open_streams;
mod read;
mod recover;
mod rows;
mod writer;

pub(super) use open::{Files, open};
pub(super) use read::Readers;
#[cfg(test)]
pub(crate) use writer::CommitFault;
pub(super) use writer::Writer;
