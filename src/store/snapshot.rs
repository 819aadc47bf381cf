//! Books as they stood at some of their versions: a cache beside the events.
//!
//! Nothing rests on it but speed. A crash between an append and its snapshot costs a longer read, and a snapshot that
//! was lost or spoilt is made again.

use std::sync::Arc;

use super::StreamId;
use crate::order::Timestamp;

/// After about how many entries of a book a snapshot of it is taken. To fold a thousand takes some milliseconds; to write
/// a state of a hundred kilobytes for every thousand entries adds a quarter to what they take of the disk.
pub const SNAPSHOT_EVERY: u32 = 1_000;

/// Of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub stream: StreamId,
    /// The state after the entry of this version.
    pub version: u32,
    pub at: Timestamp,
    /// JSON.
    pub state: Arc<str>,
}

/// Which snapshots of a stream `$1` go when there is one of version `$2`: they are counted in steps of [`SNAPSHOT_EVERY`],
/// and one whose number is an odd multiple of 2^n stays for 8 * 2^n steps. So a book of a million entries has some
/// eighty, and a look at how it stood d entries ago folds d / 8 at most.
macro_rules! outdated_snapshots {
    () => {
        "stream = $1 and ($2 - version) / 1000 >= 8 * ((version / 1000) & -(version / 1000))"
    };
}
pub(super) use outdated_snapshots;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_the_statement_are_those_of_the_books() {
        assert!(outdated_snapshots!().contains(&format!("/ {SNAPSHOT_EVERY} >=")));
    }
}
