//! The engine for production: one PostgreSQL database holds the journal, the catalogue and the views.
//!
//! Every call is one autocommit statement, and so whole or nothing: an error that the server reports means that nothing
//! happened, and no transaction is left open (but for one that reads, in `rebuild.rs`). Statements run in tasks on a
//! thread of this engine's own (`io.rs`), each within a deadline: whoever asked may stop waiting, the statement goes on
//! to its end. A server that is frozen, or behind a network that swallows everything, gives no error; then the deadline ends the wait, the connection is
//! thrown away, and what it still had under way is unknown (`classify.rs`) until the writer has fenced it off
//! (`recover.rs`). Readers need commit order across shards: as in the SQLite engine, events are numbered in commit
//! order by the one writer, and milestones say where the shards stood; so a poll is one look at the end of one index
//! whatever the number of shards, and nothing that commits late can be skipped, because the cursor itself is made of
//! positions without gaps.

mod answers;
mod append;
mod catalogue;
mod classify;
mod connections;
mod history;
mod io;
mod judge;
mod lists;
mod open;
mod open_streams;
mod place;
mod read;
mod rebuild;
mod recover;
mod sandbox_ledger;
mod snapshots;
mod statement;
#[cfg(test)]
mod tests;
mod views;
mod writer;

pub(super) use open::{Attached, attach, migrate, open};
pub use place::PostgresPlace;
pub(super) use read::Readers;
pub(super) use rebuild::Swapped;
pub(super) use sandbox_ledger::SandboxLedger;
pub(super) use views::Views;
pub(super) use writer::Writer;
