//! How long appends wait before they are written, for whoever decides whether more may come.

use std::time::{Duration, Instant};

use crate::actors::pressure::Gauge;

/// Disks and databases pause this long now and then. A group that takes longer keeps everyone waiting too long who comes
/// behind it.
const ORDINARY_PAUSE: Duration = Duration::from_millis(250);

/// A group of so few takes as long as the database does, not as long as its appends do.
const FEW: usize = 8;

/// How long appends wait for their group, beyond what the database takes for any.
pub(super) struct Queue {
    gauge: Gauge,
    /// What a commit takes that has next to nothing to write. A slow database is no queue: refusing orders would not make it
    /// any faster.
    bare_commit: Duration,
}

impl Queue {
    pub(super) fn new(gauge: Gauge) -> Self {
        Self { gauge, bare_commit: Duration::MAX }
    }

    /// The group whose oldest append was asked for at this moment.
    pub(super) fn begins(&self, oldest: Instant) {
        self.gauge.note(oldest.elapsed().saturating_sub(self.bare_commit));
        self.gauge.expect(Instant::now() + ORDINARY_PAUSE + self.bare_commit.min(ORDINARY_PAUSE));
    }

    pub(super) fn ends(&mut self, took: Duration, appends: usize) {
        self.gauge.expect_nothing();
        if took < self.bare_commit {
            self.bare_commit = took;
        } else if appends <= FEW {
            self.bare_commit += (took - self.bare_commit) / 8;
        }
    }
}
