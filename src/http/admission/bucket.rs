//! Hands out room at a rate, without a lock: the generic cell rate algorithm (ITU-T I.371, the leaky bucket of ATM).
//!
//! All it remembers is until when the room that was handed out is booked. Whoever comes while it is booked too far ahead
//! gets none, and those who matter less are told so sooner: while those who matter more take all there is, they get
//! nothing; when something is left over, it is theirs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Class;

/// How far ahead room is booked: what one window of the controller brings at once is no reason to refuse anyone.
const AHEAD: Duration = Duration::from_millis(50);

/// All in nanoseconds, moments counted from a start that the caller knows.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// For one new order. 0: there is room for everything.
    interval: AtomicU64,
    booked_until: AtomicU64,
}

impl Bucket {
    /// From now on so many orders a second; none: everything.
    pub(super) fn pour(&self, orders_per_s: Option<f64>, now: Duration) {
        // An hour is as good as never, and the sums below cannot overflow.
        let interval = orders_per_s.map_or(0, |rate| (1e9 / rate.max(1.0 / 3_600.0)) as u64);
        // What was booked at a slower pace would keep everyone out long after it has become faster.
        self.booked_until.fetch_min(nanos(now).saturating_add(interval), Ordering::Relaxed);
        self.interval.store(interval, Ordering::Relaxed);
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.interval.load(Ordering::Relaxed) != 0
    }

    /// Whether there is room for one more of that class; if so, it is taken.
    pub(super) fn take(&self, class: Class, now: Duration) -> bool {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == 0 {
            return true;
        }
        let (now, ahead) = (nanos(now), nanos(ahead_for(class)));
        let wanted = interval.saturating_mul(class.thousandths()) / 1_000;
        let book = |booked: u64| (booked <= now.saturating_add(ahead)).then(|| booked.max(now).saturating_add(wanted));
        self.booked_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, book).is_ok()
    }
}

fn ahead_for(class: Class) -> Duration {
    match class {
        Class::Finish | Class::New => AHEAD,
        Class::Later => AHEAD / 2,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of those who come every `pause` for ten seconds get room.
    fn taken(bucket: &Bucket, class: Class, pause: Duration) -> u32 {
        let mut now = Duration::ZERO;
        let mut taken = 0;
        while now < SECOND * 10 {
            taken += u32::from(bucket.take(class, now));
            now += pause;
        }
        taken
    }

    #[test]
    fn there_is_room_for_everything_until_it_is_said_how_much() {
        let bucket = Bucket::default();
        assert!(!bucket.is_bounded());
        assert_eq!(taken(&bucket, Class::New, SECOND / 1_000), 10_000);
        bucket.pour(Some(100.0), Duration::ZERO);
        let some = taken(&bucket, Class::New, SECOND / 1_000);
        assert!((1_000..=1_006).contains(&some), "ten seconds' worth and what is booked ahead: {some}");
        bucket.pour(None, SECOND * 10);
        assert!(bucket.take(Class::New, SECOND * 10));
    }

    #[test]
    fn whoever_matters_less_gets_what_is_left_over() {
        let bucket = Bucket::default();
        bucket.pour(Some(1_000.0), Duration::ZERO);
        let (mut new, mut later) = (0, 0);
        // Twice as many new orders as there is room for, then half as many.
        for half_ms in 0..4_000u32 {
            let now = SECOND / 2_000 * half_ms;
            later += u32::from(bucket.take(Class::Later, now));
            new += u32::from((half_ms < 2_000 || half_ms % 4 == 0) && bucket.take(Class::New, now));
            if half_ms == 1_999 {
                assert!(new > 990, "{new}");
                assert!(later < 300, "only before the bucket was first empty: {later}");
                (new, later) = (0, 0);
            }
        }
        assert!(new >= 498, "all of them, once what was booked before is used up: {new}");
        assert!(later > 1_800, "{later}");
    }

    #[test]
    fn what_was_booked_at_a_trickle_does_not_keep_out_whoever_comes_later() {
        let bucket = Bucket::default();
        bucket.pour(Some(0.1), Duration::ZERO);
        assert!(bucket.take(Class::New, Duration::ZERO));
        assert!(!bucket.take(Class::New, SECOND));
        bucket.pour(Some(1_000.0), SECOND);
        assert!(bucket.take(Class::New, SECOND + SECOND / 1_000));
    }
}
