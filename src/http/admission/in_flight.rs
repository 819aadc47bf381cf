//! In-flight requests: how many are being worked on, and the fewest since the last look.
//!
//! The fewest, not the most: a stalled thread makes a heap of what came meanwhile, which is gone as soon as it runs
//! again; a crowd is there in every moment of a window.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(super) struct InFlight(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    now: AtomicUsize,
    /// The smallest that `now` has been since the last [`InFlight::read`].
    fewest: AtomicUsize,
}

/// A request that is being worked on, until this is dropped.
#[derive(Debug)]
pub(in crate::http) struct UnderWay(Arc<Count>);

impl InFlight {
    pub(super) fn begin(&self) -> UnderWay {
        self.0.now.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.0.clone())
    }

    pub(super) fn now(&self) -> usize {
        self.0.now.load(Ordering::Relaxed)
    }

    /// Ends a window, and says how many were in flight throughout it. Beside requests that begin and end meanwhile it may
    /// be off by as many: what is decided by it are hundreds.
    pub(super) fn read(&self) -> usize {
        self.0.fewest.swap(self.now(), Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let left = self.0.now.fetch_sub(1, Ordering::Relaxed) - 1;
        self.0.fewest.fetch_min(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_the_requests_that_were_there_throughout() {
        let in_flight = InFlight::default();
        let mut stay: Vec<UnderWay> = (0..3).map(|_| in_flight.begin()).collect();
        assert_eq!(in_flight.read(), 0, "none at its beginning");
        let passing = in_flight.begin();
        drop(passing);
        assert_eq!(in_flight.read(), 3);
        stay.pop();
        stay.extend((0..5).map(|_| in_flight.begin()));
        assert_eq!((in_flight.read(), in_flight.now()), (2, 7));
        drop(stay);
        assert_eq!((in_flight.read(), in_flight.read()), (0, 0));
    }
}
