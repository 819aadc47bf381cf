//! Progress of the journal's readers: who goes on, and who has been trying in vain, since when and why.
//!
//! A reader whose database fails tries again for as long as it runs: nothing else would bring it back. That it does so
//! must not be seen in the log alone, because what it makes (a list, a message, the riders' board) stands still meanwhile.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::world::Pace;

/// Between two tries: the first, and the longest. A database that comes back is noticed within seconds, and one that is
/// overloaded is left alone.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// All readers by name; none where one goes on.
#[derive(Clone, Debug, Default)]
pub struct ReaderHealth(Arc<Mutex<BTreeMap<&'static str, Option<Stall>>>>);

/// What a reader has been trying in vain.
#[derive(Clone, Debug)]
pub struct Stall {
    pub since: Instant,
    pub tries: u32,
    /// Of the last try.
    pub error: Arc<str>,
}

impl ReaderHealth {
    pub(super) fn of(&self, reader: &'static str) -> Health {
        let health = Health { reader: Some((reader, self.clone())), tries: 0 };
        health.show(None);
        health
    }

    pub fn all(&self) -> Vec<(&'static str, Option<Stall>)> {
        self.lock().iter().map(|(reader, stall)| (*reader, stall.clone())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Option<Stall>>> {
        // Nothing can panic while it is held, so poisoned or not, what is inside is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where one reader says how it fares. The default is for readers that nobody looks at.
#[derive(Default)]
pub(super) struct Health {
    reader: Option<(&'static str, ReaderHealth)>,
    tries: u32,
}

impl Health {
    /// It has read, or written, what it wanted.
    pub(super) fn goes_on(&mut self) {
        if self.tries > 0 {
            self.tries = 0;
            self.show(None);
        }
    }

    /// It has not. Returns how long to wait before the next try.
    pub(super) fn stalls(&mut self, error: &dyn Display) -> Duration {
        self.tries = self.tries.saturating_add(1);
        self.show(Some(error));
        Pace::pause(PAUSE, LONGEST_PAUSE, self.tries)
    }

    fn show(&self, error: Option<&dyn Display>) {
        let Some((reader, all)) = &self.reader else { return };
        metrics::gauge!("reader_stalled", "reader" => *reader).set(if error.is_some() { 1.0 } else { 0.0 });
        let mut all = all.lock();
        let since = all.get(reader).and_then(Option::as_ref).map_or_else(Instant::now, |stall| stall.since);
        let stall = error.map(|error| Stall { since, tries: self.tries, error: error.to_string().into() });
        all.insert(reader, stall);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_fails_again_and_again_is_seen_since_its_first_failure() {
        let all = ReaderHealth::default();
        let mut board = all.of("dispatch board");
        let _other = all.of("notifier");
        board.stalls(&"no answer");
        let first = all.all().remove(0).1.expect("it is seen").since;
        board.stalls(&"no room");

        let (reader, stall) = all.all().remove(0);
        let stall = stall.expect("it is still seen");
        assert_eq!((reader, stall.tries, &*stall.error, stall.since), ("dispatch board", 2, "no room", first));

        board.goes_on();
        assert!(all.all().iter().all(|(_, stall)| stall.is_none()));
    }
}
