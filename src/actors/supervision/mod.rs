//! The supervision of the parts of which there is one each: the journal's readers, the dispatch board, the payment gate.
//!
//! A part that panics is thrown away with all it had in memory, and made anew from where its cursor is saved, after a
//! growing pause. Three panics in a row without any progress between them are no accident: the part is quarantined,
//! visibly, until an operator releases it. Orders go on without it. The registry does the same for each order, store and
//! rider; only the journal's writer is not supervised: what it had in memory decides whether a commit stands, so there
//! the process ends, and the next one reads the journal.

mod guarded;
mod thread;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

pub(super) use self::guarded::{Guarded, Life, Supervised};
pub(super) use self::thread::{LEAVE_WITHIN, PartThread, on};
use super::world::Pace;
use crate::store::Cursor;

/// How often a part may fail in a row without progress: as often as a command may fail its order.
const PANICS_ALLOWED: u32 = 3;

/// The pause before a part is made anew, and the longest: whatever it stumbled over may need a moment, and a part that
/// panics at each event must not take a core.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartState {
    Running,
    /// It failed, and is made anew after a pause.
    Restarting,
    /// It failed three times in a row without progress. It does nothing until an operator releases it.
    Quarantined,
}

impl PartState {
    pub const fn as_str(self) -> &'static str {
        match self {
            PartState::Running => "running",
            PartState::Restarting => "restarting",
            PartState::Quarantined => "quarantined",
        }
    }
}

/// How a part stands, for operations.
#[derive(Clone, Debug)]
pub struct PartReport {
    pub name: &'static str,
    pub state: PartState,
    /// Since the start of the process.
    pub failures: u64,
    /// Up to where it has done its work; none for a part without a cursor, and before its first progress.
    pub cursor: Option<Cursor>,
}

/// All parts that are supervised. Cheap to clone.
#[derive(Clone, Default)]
pub struct Supervision(Arc<Mutex<Vec<Part>>>);

impl Supervision {
    /// Takes a part of that name under supervision.
    pub(super) fn part(&self, name: &'static str) -> Part {
        let part = Part::new(name);
        self.lock().push(part.clone());
        part
    }

    pub fn report(&self) -> Vec<PartReport> {
        self.lock().iter().map(Part::report).collect()
    }

    /// Gives a quarantined part another chance. Says whether it was quarantined.
    pub fn release(&self, name: &str) -> bool {
        self.lock().iter().any(|part| part.name() == name && part.release())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Part>> {
        lock(&self.0)
    }
}

/// What a part and its supervisor know of each other.
#[derive(Clone)]
pub(super) struct Part(Arc<Inner>);

struct Inner {
    name: &'static str,
    /// Since the last failure.
    progressed: AtomicBool,
    standing: Mutex<Standing>,
    released: Notify,
}

struct Standing {
    state: PartState,
    failures_in_a_row: u32,
    failures: u64,
    cursor: Option<Cursor>,
}

/// What becomes of a part that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    AgainAfter(Duration),
    Quarantine,
}

impl Part {
    pub(super) fn new(name: &'static str) -> Self {
        let standing = Standing { state: PartState::Running, failures_in_a_row: 0, failures: 0, cursor: None };
        let inner = Inner { name, progressed: false.into(), standing: Mutex::new(standing), released: Notify::new() };
        let part = Self(Arc::new(inner));
        part.show(PartState::Running);
        part
    }

    pub(super) fn name(&self) -> &'static str {
        self.0.name
    }

    /// Whatever made it fail before lies behind it.
    pub(super) fn progressed(&self) {
        self.0.progressed.store(true, Ordering::Relaxed);
    }

    /// The same, for a part that knows where it is.
    pub(super) fn passed(&self, cursor: &Cursor) {
        self.progressed();
        self.standing().cursor.get_or_insert_with(Cursor::start).clone_from(cursor);
    }

    /// It panicked, or ended when it should not.
    fn failed(&self) -> Verdict {
        let progressed = self.0.progressed.swap(false, Ordering::Relaxed);
        let mut standing = self.standing();
        standing.failures += 1;
        standing.failures_in_a_row = if progressed { 1 } else { standing.failures_in_a_row + 1 };
        let failures = standing.failures_in_a_row;
        let quarantined = failures >= PANICS_ALLOWED;
        standing.state = if quarantined { PartState::Quarantined } else { PartState::Restarting };
        let state = standing.state;
        drop(standing);
        metrics::counter!("part_failures_total", "part" => self.0.name).increment(1);
        self.show(state);
        if quarantined {
            tracing::error!(
                part = self.0.name,
                "a part failed three times without progress: quarantined; look at what it panicked over, then \
                 POST /v1/operations/quarantine/part/{}/release",
                self.0.name
            );
            return Verdict::Quarantine;
        }
        tracing::error!(part = self.0.name, failures, "a part failed and is made anew; orders go on");
        Verdict::AgainAfter(Pace::pause(FIRST_PAUSE, LONGEST_PAUSE, failures - 1))
    }

    /// A new one takes up the work.
    fn runs(&self) {
        self.standing().state = PartState::Running;
        self.show(PartState::Running);
    }

    fn release(&self) -> bool {
        let mut standing = self.standing();
        if standing.state != PartState::Quarantined {
            return false;
        }
        standing.state = PartState::Restarting;
        standing.failures_in_a_row = 0;
        drop(standing);
        self.show(PartState::Restarting);
        self.0.released.notify_one();
        true
    }

    /// Waits for an operator.
    async fn released(&self) {
        self.0.released.notified().await;
    }

    fn report(&self) -> PartReport {
        let standing = self.standing();
        let (state, failures, cursor) = (standing.state, standing.failures, standing.cursor.clone());
        PartReport { name: self.0.name, state, failures, cursor }
    }

    /// Two gauges, so that an alarm needs no table of states.
    fn show(&self, state: PartState) {
        let is = |wanted| f64::from(u8::from(state == wanted));
        metrics::gauge!("part_running", "part" => self.0.name).set(is(PartState::Running));
        metrics::gauge!("part_quarantined", "part" => self.0.name).set(is(PartState::Quarantined));
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        lock(&self.0.standing)
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held, so poisoned or not, what is inside is whole.
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_without_progress_quarantine_a_part_until_it_is_released() {
        let supervision = Supervision::default();
        let part = supervision.part("projector");
        assert!(matches!(part.failed(), Verdict::AgainAfter(_)));
        assert!(matches!(part.failed(), Verdict::AgainAfter(_)));
        assert!(!supervision.release("projector"), "it is still tried");
        assert_eq!(part.failed(), Verdict::Quarantine);
        assert_eq!(supervision.report()[0].state, PartState::Quarantined);

        assert!(supervision.release("projector"));

        part.runs();
        assert_eq!(supervision.report()[0].state, PartState::Running);
        assert!(matches!(part.failed(), Verdict::AgainAfter(_)), "it has all its chances again");
    }

    #[test]
    fn a_part_that_gets_on_between_its_failures_is_not_quarantined() {
        let part = Part::new("feed");
        for _ in 0..10 {
            assert!(matches!(part.failed(), Verdict::AgainAfter(_)));
            part.passed(&Cursor::start());
        }
    }
}
