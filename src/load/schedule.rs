//! When orders are meant to be placed, and whether the generator kept to it.
//!
//! Open loop: arrivals do not wait for answers, and every time is counted from the intended moment. A run in which the
//! generator itself was late says nothing about the server, so that it is declared invalid.

use std::time::Duration;

use fastrand::Rng;
use hdrhistogram::Histogram;
use tokio::time::Instant;

/// Arrivals at random, so many a second on average: gaps are exponential, as of people who do not know each other.
pub(super) struct Arrivals {
    rng: Rng,
    next: Instant,
    until: Instant,
    mean_gap_s: f64,
}

impl Arrivals {
    /// `rate` is orders a second, above 0.
    pub(super) fn new(start: Instant, until: Instant, rate: f64, seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), next: start, until, mean_gap_s: 1.0 / rate }
    }
}

impl Iterator for Arrivals {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        // 1 - x is never 0, whose logarithm is not a number.
        let gap = -(1.0 - self.rng.f64()).ln() * self.mean_gap_s;
        self.next += Duration::from_secs_f64(gap);
        (self.next < self.until).then_some(self.next)
    }
}

/// How late the generator was, in microseconds.
pub(super) struct Lateness {
    histogram: Histogram<u64>,
    bound: Duration,
}

/// A run that was late more often than this says nothing.
const LATE_SHARE: f64 = 0.01;

impl Lateness {
    pub(super) fn new(bound: Duration) -> Self {
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in sequence");
        Self { histogram, bound }
    }

    pub(super) fn note(&mut self, intended: Instant, began: Instant) {
        let late = began.saturating_duration_since(intended).as_micros();
        self.histogram.saturating_record(u64::try_from(late).unwrap_or(u64::MAX).max(1));
    }

    pub(super) fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    /// Why the run says nothing, if it was late too often.
    pub(super) fn verdict(&self) -> Option<String> {
        let worst_allowed = Duration::from_micros(self.histogram.value_at_quantile(1.0 - LATE_SHARE));
        (worst_allowed > self.bound).then(|| {
            format!(
                "the generator itself was late: 1 in 100 requests began {:.1} ms or more after its time, and {:.1} ms is \
                 what it may be",
                worst_allowed.as_secs_f64() * 1e3,
                self.bound.as_secs_f64() * 1e3
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_at_their_rate_and_end_in_time() {
        let start = Instant::now();
        let all: Vec<Instant> = Arrivals::new(start, start + Duration::from_secs(100), 50.0, 3).collect();
        assert!((4_700..5_300).contains(&all.len()), "{}", all.len());
        assert!(all.is_sorted() && all.iter().all(|at| *at < start + Duration::from_secs(100)));
        let again: Vec<Instant> = Arrivals::new(start, start + Duration::from_secs(100), 50.0, 3).collect();
        assert_eq!(all, again);
    }

    #[test]
    fn a_generator_that_is_late_now_and_then_is_forgiven_and_one_that_is_late_often_is_not() {
        let intended = Instant::now();
        let late_by = |ms| intended + Duration::from_millis(ms);
        let mut lateness = Lateness::new(Duration::from_millis(5));
        assert_eq!(lateness.verdict(), None, "nothing was sent");
        for _ in 0..995 {
            lateness.note(intended, late_by(1));
        }
        for _ in 0..5 {
            lateness.note(intended, late_by(500));
        }
        assert_eq!(lateness.verdict(), None);
        for _ in 0..20 {
            lateness.note(intended, late_by(6));
        }
        assert!(lateness.verdict().is_some_and(|why| why.contains("late")));
    }

    #[test]
    fn whoever_begins_before_their_time_is_not_late() {
        let mut lateness = Lateness::new(Duration::from_millis(5));
        let now = Instant::now();
        lateness.note(now + Duration::from_secs(1), now);
        assert_eq!(lateness.verdict(), None);
    }
}
