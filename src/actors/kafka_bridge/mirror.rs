//! How the mirror stands, for operators and metrics, and the way to send it back.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;

use super::shared::Shared;
use crate::actors::clock::Clock;
use crate::actors::mailbox::Mailbox;
use crate::order::Timestamp;
use crate::store::{Cursor, DbError, Position, Readers, Shard};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorState {
    /// No broker has answered since the start, and none has refused.
    Connecting,
    Mirroring,
    /// Kafka takes events, and the oldest that it lacks is older than ten seconds.
    Behind,
    /// Nothing arrives until something outside changes; the last error says what.
    Broken,
}

impl MirrorState {
    pub const fn as_str(self) -> &'static str {
        match self {
            MirrorState::Connecting => "connecting",
            MirrorState::Mirroring => "mirroring",
            MirrorState::Behind => "behind",
            MirrorState::Broken => "broken",
        }
    }
}

/// What went wrong last, kept when it is mended.
#[derive(Clone, Debug)]
pub struct MirrorError {
    pub at: Timestamp,
    pub what: String,
}

/// The mirror at one moment.
#[derive(Clone, Debug)]
pub struct MirrorReport {
    pub state: MirrorState,
    pub topic: String,
    /// As the topic has them; none before it was seen.
    pub partitions: Option<usize>,
    pub last_error: Option<MirrorError>,
    /// Up to where Kafka has everything.
    pub cursor: Cursor,
    /// Up to where the journal is.
    pub head: Cursor,
    /// Of the oldest event that Kafka lacks.
    pub lag: Duration,
    /// Events handed over and not acknowledged.
    pub in_flight: usize,
    /// Since the start, like the next three.
    pub acknowledged: u64,
    /// Producers thrown away after a failure.
    pub restarts: u64,
    pub broker_errors: u64,
    /// Events announced with empty data, because this program cannot read them.
    pub withheld: u64,
}

impl MirrorReport {
    /// How many events Kafka lacks, those that are not mirrored among them.
    pub fn lag_events(&self) -> u64 {
        distance(&self.cursor, &self.head)
    }
}

pub(super) fn distance(cursor: &Cursor, head: &Cursor) -> u64 {
    head.marks().map(|mark| mark.position.saturating_sub(cursor.at(mark.shard))).sum()
}

/// What an operator asks for: send everything of this shard from `from` on again. The answer is how many events.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<u64, RewindError>")]
pub(super) struct Rewind {
    pub(super) shard: Shard,
    pub(super) from: u64,
}

/// Asks how the mirror stands, its head not looked up.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "MirrorReport")]
pub(super) struct Report;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewindError {
    #[error("positions begin with 1")]
    Zero,
    #[error("position {0} has not been mirrored yet: it will be, and skipping is not offered")]
    NotMirrored(Position),
    #[error("the mirror does not answer: nobody knows whether it was sent back")]
    NoAnswer,
    #[error("the mirror failed and does nothing now: it was not sent back")]
    AtRest,
}

/// Where `from` puts the cursor of its shard, and how many events are read again from there.
pub fn rewound(cursor: &Cursor, shard: Shard, from: u64) -> Result<(Position, u64), RewindError> {
    let before = from.checked_sub(1).ok_or(RewindError::Zero)?;
    let again = cursor.at(shard).checked_sub(before).filter(|again| *again > 0);
    let again = again.ok_or(RewindError::NotMirrored(Position { shard, position: from }))?;
    Ok((Position { shard, position: before }, again))
}

/// The mirror as the outside reaches it.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
    rewinds: Mailbox<Rewind>,
    reports: Mailbox<Report>,
    readers: Readers,
    clock: Clock,
}

impl Mirror {
    pub(super) fn new(
        shared: Arc<Shared>,
        rewinds: Mailbox<Rewind>,
        reports: Mailbox<Report>,
        readers: Readers,
        clock: Clock,
    ) -> Self {
        Self { shared, rewinds, reports, readers, clock }
    }

    /// While the bridge is made anew, or in quarantine, this is how it stood last.
    pub async fn report(&self) -> Result<MirrorReport, DbError> {
        // The cursor first: it never runs ahead of the head that way.
        let report = match self.reports.ask(Report).await {
            Ok(report) => report,
            Err(refusal) => self.shared.last_report(self.clock.now(), &refusal),
        };
        let head = self.readers.head().await?;
        Ok(MirrorReport { head, ..report })
    }

    /// Sends everything of a shard from a position on again. Says how many events.
    pub async fn rewind(&self, shard: Shard, from: u64) -> Result<u64, RewindError> {
        match self.rewinds.ask(Rewind { shard, from }).await {
            Ok(outcome) => outcome,
            Err(refusal) if refusal.is_definite() => Err(RewindError::AtRest),
            Err(_) => Err(RewindError::NoAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewind_goes_back_and_never_forward() {
        let shard = Shard::new(3).expect("there are 64");
        let mut cursor = Cursor::start();
        cursor.advance(Position { shard, position: 10 });
        assert_eq!(rewound(&cursor, shard, 4), Ok((Position { shard, position: 3 }, 7)));
        assert_eq!(rewound(&cursor, shard, 10), Ok((Position { shard, position: 9 }, 1)));
        let ahead = Position { shard, position: 11 };
        assert_eq!(rewound(&cursor, shard, 11), Err(RewindError::NotMirrored(ahead)));
        assert_eq!(rewound(&cursor, shard, 0), Err(RewindError::Zero));
    }
}
