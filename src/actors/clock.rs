//! The one place that reads the clock. It can be set forward, for tests and demonstrations of deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::order::Timestamp;

#[derive(Clone, Debug)]
pub struct Clock {
    /// Microseconds that this clock is ahead of the system's.
    ahead: Arc<AtomicI64>,
    moved: watch::Sender<()>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { ahead: Arc::default(), moved: watch::Sender::new(()) }
    }
}

impl Clock {
    /// Whole microseconds, which is what the journal keeps.
    pub fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    /// Sets the clock forward. It never goes back: what has happened has happened.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.ahead.fetch_add(by, Ordering::Relaxed);
        self.moved.send_replace(());
    }

    /// Wakes when the clock was set.
    pub fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }
}
