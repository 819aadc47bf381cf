//! How long work waits on each thread that serves requests, measured and not guessed from what the machine does.
//!
//! A thread is measured by a small task on it that sleeps until its next tick and looks how late it is: in a busy
//! event loop its timer is woken together with everything else that is ready and waits its turn behind it, so that its
//! delay is everyone's. The journal also says how long its oldest append waited for a group.
//!
//! What counts is the mean of a window, added up along the way that a request takes. CoDel (RFC 8289) takes the minimum,
//! because a burst that is worked off leaves a short one. Here that was blind: where threads share a core they take
//! turns, the crowd moves from one queue to the next, and each of them is empty again and again while everybody waits all the
//! time. A burst is short in the mean too. Who is refused because of it is not decided here: the edge reads this and does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Between two looks: five in a window of a tenth of a second, and nothing beside what a thread does that is busy.
const TICK: Duration = Duration::from_millis(20);

/// All that is measured. Reading takes a lock, ten times a second; measuring takes none.
#[derive(Clone, Debug)]
pub struct Pressure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    /// Weak: what is not measured any more, its thread being gone, must not look as if it were late for ever.
    gauges: Mutex<Vec<Weak<Readings>>>,
}

/// One queue that is measured, for as long as whoever measures it lives.
#[derive(Debug)]
pub struct Gauge {
    start: Instant,
    readings: Arc<Readings>,
}

/// Microseconds, moments counted from the start.
#[derive(Debug)]
struct Readings {
    name: &'static str,
    /// From this moment on something waits too long. `NEVER`: nothing waits.
    due: AtomicU64,
    /// The delays since the last reading: their sum, and how many.
    sum: AtomicU64,
    count: AtomicU64,
    /// The last delay.
    last: AtomicU64,
    /// What the last reading came to.
    standing: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Default for Pressure {
    fn default() -> Self {
        Self(Arc::new(Inner { start: Instant::now(), gauges: Mutex::default() }))
    }
}

impl Pressure {
    /// A queue of that name. Threads that do the same may share a name.
    pub fn gauge(&self, name: &'static str) -> Gauge {
        let none = || AtomicU64::new(0);
        let due = AtomicU64::new(NEVER);
        let readings = Readings { name, due, sum: none(), count: none(), last: none(), standing: none() };
        let readings = Arc::new(readings);
        self.gauges().push(Arc::downgrade(&readings));
        Gauge { start: self.0.start, readings }
    }

    /// Measures the thread that polls this, for as long as it does.
    pub async fn feel(self, thread: &'static str) {
        let gauge = self.gauge(thread);
        drop(self);
        loop {
            let due = Instant::now() + TICK;
            gauge.expect(due);
            tokio::time::sleep_until(due.into()).await;
            gauge.note(due.elapsed());
        }
    }

    /// Ends a window: how long work stood in its queues, one after the other.
    pub fn read(&self) -> Duration {
        let now = micros(self.0.start.elapsed());
        self.gauges().retain(|gauge| gauge.upgrade().inspect(|readings| readings.read(now)).is_some());
        self.standing().into_iter().map(|(_, standing)| standing).sum()
    }

    /// What the last window came to, by name; of those that share one, the longest.
    pub fn standing(&self) -> Vec<(&'static str, Duration)> {
        let mut found: Vec<(&'static str, Duration)> = Vec::new();
        for readings in self.gauges().iter().filter_map(Weak::upgrade) {
            let standing = Duration::from_micros(readings.standing.load(Ordering::Relaxed));
            match found.iter_mut().find(|(name, _)| *name == readings.name) {
                Some((_, longest)) => *longest = standing.max(*longest),
                None => found.push((readings.name, standing)),
            }
        }
        found
    }

    fn gauges(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Readings>>> {
        self.0.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gauge {
    /// From `due` on, what waits now waits too long.
    pub fn expect(&self, due: Instant) {
        self.readings.due.store(micros(due.saturating_duration_since(self.start)), Ordering::Relaxed);
    }

    /// Nothing waits any more.
    pub(super) fn expect_nothing(&self) {
        self.readings.due.store(NEVER, Ordering::Relaxed);
    }

    /// What waited has had its turn, so much too late.
    pub(super) fn note(&self, late: Duration) {
        self.readings.sum.fetch_add(micros(late), Ordering::Relaxed);
        self.readings.count.fetch_add(1, Ordering::Relaxed);
        self.readings.last.store(micros(late), Ordering::Relaxed);
    }
}

impl Readings {
    fn read(&self, now: u64) {
        let count = self.count.swap(0, Ordering::Relaxed);
        let sum = self.sum.swap(0, Ordering::Relaxed);
        let standing = match sum.checked_div(count) {
            // Nothing had its turn. If something wants one, it will be as late as the one before, or already is later.
            None => match self.due.load(Ordering::Relaxed) {
                NEVER => 0,
                due => now.saturating_sub(due).max(self.last.load(Ordering::Relaxed)),
            },
            Some(mean) => mean,
        };
        self.standing.store(standing, Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_that_is_worked_off_counts_for_less_than_a_queue_that_stands() {
        let pressure = Pressure::default();
        let gauge = pressure.gauge("orders");
        [80, 0, 0, 0].into_iter().for_each(|late| gauge.note(MS * late));
        assert_eq!(pressure.read(), MS * 20);
        [80, 60, 100, 80].into_iter().for_each(|late| gauge.note(MS * late));
        assert_eq!(pressure.read(), MS * 80);
        assert_eq!(pressure.read(), Duration::ZERO, "nothing waits");
    }

    #[test]
    fn whoever_passes_several_queues_waits_in_each_and_of_like_ones_in_the_longest() {
        let pressure = Pressure::default();
        let (one, other, journal) = (pressure.gauge("http"), pressure.gauge("http"), pressure.gauge("journal"));
        one.note(MS * 20);
        other.note(MS * 70);
        journal.note(MS * 30);
        assert_eq!(pressure.read(), MS * 100);
        assert_eq!(pressure.standing(), [("http", MS * 70), ("journal", MS * 30)]);
    }

    #[test]
    fn whoever_is_late_for_a_whole_window_is_seen_before_they_come() {
        let pressure = Pressure::default();
        let gauge = pressure.gauge("journal");
        let long_ago = Instant::now();
        gauge.expect(long_ago);
        while long_ago.elapsed() < MS {
            std::thread::yield_now();
        }
        assert!(pressure.read() >= MS);
        gauge.expect_nothing();
        assert_eq!(pressure.read(), Duration::ZERO);
    }

    #[test]
    fn a_thread_that_is_gone_is_not_late() {
        let pressure = Pressure::default();
        let gauge = pressure.gauge("http");
        gauge.note(MS * 500);
        drop(gauge);
        assert_eq!(pressure.read(), Duration::ZERO);
        assert!(pressure.standing().is_empty());
    }

    #[actix::test]
    async fn a_thread_is_measured_by_what_holds_it_up() {
        let pressure = Pressure::default();
        let measuring = actix::spawn(pressure.clone().feel("orders"));
        tokio::task::yield_now().await;
        // Holds the thread, and everybody on it.
        std::thread::sleep(TICK + MS * 50);
        assert!(pressure.read() >= MS * 40, "seen from outside, while it is held up");
        while pressure.standing().iter().all(|(_, standing)| *standing >= MS * 40) {
            tokio::time::sleep(TICK).await;
            pressure.read();
        }
        measuring.abort();
    }
}
