//! The embedded engine: two SQLite files in one directory that one process owns.
//!
//! `journal.sqlite3` is the truth and is synced at every commit; it has one writer, who is also the only one
//! to checkpoint. `views.sqlite3` is derived from it and synced now and then. Nothing here is seen outside
//! [`crate::store`]: `engine.rs` passes the calls on.

mod answers;
mod append;
mod batch_texts;
mod catalogue;
mod classify;
mod judge;
mod lists;
mod open;
mod open_streams;
mod read;
mod rebuild;
mod recorded;
mod recover;
mod rows;
mod snapshots;
#[cfg(test)]
mod tests;
mod values;
mod views;
mod writer;

use open::Files;
pub(super) use open::open;
pub(super) use read::Readers;
pub(super) use rebuild::Swapped;
pub(super) use views::Views;
#[cfg(test)]
pub(crate) use writer::CommitFault;
pub(super) use writer::Writer;
