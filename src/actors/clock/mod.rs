//! The one place that reads the clock.
//!
//! The time of day is the database's where it has a clock of its own, so that a deadline means the same to whichever machine
//! serves, and else this machine's. Either is checked against the monotonic clock: see [`trusted`]. It can be set forward
//! besides, for tests and demonstrations of deadlines.

mod trusted;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use self::trusted::{Noted, Reading, TrustedClock};
use crate::order::Timestamp;
use crate::store::{DbError, Readers};

/// How often the calendar is looked at. Between two looks time goes by the monotonic clock, so this bounds only how soon a
/// jump is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A database that takes longer to say what time it is does not say it exactly enough.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// How far this machine's clock may be from the database's before somebody should mend it.
const APART: i64 = 60_000_000;

#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    /// From the time since `began` to the time of day, in microseconds: what the trusted clock says.
    offset: AtomicI64,
    /// Microseconds that it was set forward.
    ahead: AtomicI64,
    moved: watch::Sender<()>,
    checked: Mutex<Checked>,
}

#[derive(Debug)]
struct Checked {
    trusted: TrustedClock,
    /// Microseconds that this machine's clock is ahead of the database's, if that has one.
    ahead_of_database: Option<i64>,
}

/// What operators see of it.
#[derive(Clone, Copy, Debug)]
pub struct ClockReport {
    pub now: Timestamp,
    /// Microseconds that this machine's clock is ahead of the database's. None: the time is this machine's.
    pub ahead_of_database: Option<i64>,
    /// By how many microseconds the calendar has jumped, and after how long it will be believed. None: it goes as
    /// expected.
    pub jump: Option<(i64, Duration)>,
}

impl Default for Clock {
    /// Believes this machine's clock as it is.
    fn default() -> Self {
        let began = Instant::now();
        let (trusted, _) = TrustedClock::start(Reading { monotonic: Duration::ZERO, calendar: machine() }, None);
        Self(Arc::new(Shared {
            began,
            offset: AtomicI64::new(trusted.offset()),
            ahead: AtomicI64::new(0),
            moved: watch::Sender::new(()),
            checked: Mutex::new(Checked { trusted, ahead_of_database: None }),
        }))
    }
}

impl Clock {
    /// Whole microseconds, which is what the journal keeps.
    pub fn now(&self) -> Timestamp {
        let since = i64::try_from(self.monotonic().as_micros()).unwrap_or(i64::MAX);
        let offset = self.0.offset.load(Ordering::Relaxed).saturating_add(self.0.ahead.load(Ordering::Relaxed));
        Timestamp::from_micros(since.saturating_add(offset))
    }

    /// Sets the clock forward. It never goes back: what has happened has happened.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.ahead.fetch_add(by, Ordering::Relaxed);
        self.0.moved.send_replace(());
    }

    /// Wakes when the clock was set.
    pub fn moves(&self) -> watch::Receiver<()> {
        self.0.moved.subscribe()
    }

    pub fn report(&self) -> ClockReport {
        let checked = self.checked();
        let jump = checked.trusted.jump(self.monotonic());
        ClockReport { now: self.now(), ahead_of_database: checked.ahead_of_database, jump }
    }

    /// An operator's word that the calendar is right although it has jumped. False: it has not.
    pub fn confirm_jump(&self) -> bool {
        let mut checked = self.checked();
        let Some(by) = checked.trusted.believe() else { return false };
        tracing::warn!(by_s = seconds(by), "the jump of the clock was confirmed: time follows it");
        self.follow(&checked.trusted);
        self.0.moved.send_replace(());
        true
    }

    /// Begins anew at what the clocks say now, but not before the last event of the journal.
    pub(super) async fn start(&self, readers: &Readers) -> Result<(), DbError> {
        let last = readers.last_event_at().await?;
        let own = (Reading { monotonic: self.monotonic(), calendar: machine() }, None);
        let (reading, ahead_of_database) = self.read(readers).await?.unwrap_or(own);
        let mut checked = self.checked();
        let (trusted, noted) = TrustedClock::start(reading, last);
        *checked = Checked { trusted, ahead_of_database };
        self.follow(&checked.trusted);
        tell_if_apart(None, ahead_of_database);
        report(noted);
        Ok(())
    }

    /// Looks at the calendar now and then.
    pub(super) async fn keep_checking(self, readers: Readers) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.read(&readers).await {
                Ok(Some((reading, ahead_of_database))) => self.note(reading, ahead_of_database),
                // It goes on by the monotonic clock.
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the database does not say what time it is"),
            }
        }
    }

    fn note(&self, reading: Reading, ahead_of_database: Option<i64>) {
        let mut checked = self.checked();
        let noted = checked.trusted.read(reading);
        tell_if_apart(checked.ahead_of_database, ahead_of_database);
        checked.ahead_of_database = ahead_of_database;
        self.follow(&checked.trusted);
        report(noted);
        let (jump, _) = checked.trusted.jump(reading.monotonic).unwrap_or_default();
        metrics::gauge!("clock_jump_seconds").set(jump as f64 / 1e6);
        metrics::gauge!("clock_ahead_of_database_seconds").set(ahead_of_database.unwrap_or_default() as f64 / 1e6);
        if matches!(noted, Noted::Believed { .. }) {
            self.0.moved.send_replace(());
        }
    }

    /// What the clocks say, and how many microseconds this machine's is ahead of the database's. None: the database took too
    /// long to say it.
    async fn read(&self, readers: &Readers) -> Result<Option<(Reading, Option<i64>)>, DbError> {
        let asked = self.monotonic();
        let Some(calendar) = readers.time_of_day().await? else {
            return Ok(Some((Reading { monotonic: self.monotonic(), calendar: machine() }, None)));
        };
        let (machine, took) = (machine(), self.monotonic().saturating_sub(asked));
        // Its answer was on its way for as long as the question.
        let one_way = took / 2;
        let ahead = machine.as_micros() - one_way.as_micros() as i64 - calendar.as_micros();
        Ok((took <= ANSWERED_WITHIN).then_some((Reading { monotonic: asked + one_way, calendar }, Some(ahead))))
    }

    fn follow(&self, trusted: &TrustedClock) {
        self.0.offset.store(trusted.offset(), Ordering::Relaxed);
    }

    fn monotonic(&self) -> Duration {
        self.0.began.elapsed()
    }

    fn checked(&self) -> MutexGuard<'_, Checked> {
        // Numbers are never half changed.
        self.0.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Once, when this machine's clock begins to differ.
fn tell_if_apart(before: Option<i64>, ahead_of_database: Option<i64>) {
    let apart = |ahead: Option<i64>| ahead.is_some_and(|ahead| ahead.abs() > APART);
    if apart(ahead_of_database) && !apart(before) {
        let ahead_s = ahead_of_database.map_or(0, seconds);
        tracing::warn!(ahead_s, "this machine's clock differs from the database's, which counts: set it right");
    }
}

fn report(noted: Noted) {
    match noted {
        Noted::AsExpected => {}
        Noted::Jumped { by } => {
            metrics::counter!("clock_jumps_total").increment(1);
            tracing::warn!(
                by_s = seconds(by),
                "the clock has jumped: deadlines and answers go by the time as it was reckoned before, until an admin \
                 confirms the jump (PUT /v1/operations/clock) or it has lasted ten minutes"
            );
        }
        Noted::CameBack => tracing::info!("the clock is back where it was expected"),
        Noted::Believed { by } => {
            tracing::warn!(by_s = seconds(by), "the clock has kept to its jump for ten minutes: time follows it");
        }
    }
}

fn seconds(micros: i64) -> i64 {
    micros / 1_000_000
}

/// What this machine's clock says.
fn machine() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(micros.saturating_add(crate::crash::clock_wrong_by()))
}
