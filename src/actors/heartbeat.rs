//! The heartbeats of the threads: whether the event loop of each still turns.
//!
//! A thread that waits for a slow disk or database turns: its futures wait, and it goes round. One that is blocked, or
//! computes for ever, does not, and nothing mends it but a new process: that is what `/livez` is asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two beats: a small part of the shortest time after which a thread may be said to stand still, one second.
const BEAT: Duration = Duration::from_millis(250);

/// All threads that have ever beaten. Cheap to clone.
#[derive(Clone)]
pub struct Heartbeats(Arc<Inner>);

struct Inner {
    start: Instant,
    /// A thread whose last beat is older than this stands still.
    stalled_after: Duration,
    threads: Mutex<Vec<Arc<Thread>>>,
}

struct Thread {
    name: &'static str,
    /// Of the last beat, since the start, in milliseconds.
    last: AtomicU64,
}

/// A thread that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled {
    pub thread: &'static str,
    /// Since its last beat.
    pub since: Duration,
}

impl Heartbeats {
    pub fn new(stalled_after: Duration) -> Self {
        Self(Arc::new(Inner { start: Instant::now(), stalled_after, threads: Mutex::default() }))
    }

    /// Beats for the thread that polls this. Its first beat is now.
    pub(super) fn beat(&self, name: &'static str) -> impl Future<Output = ()> + Send + 'static {
        let thread = Arc::new(Thread { name, last: self.now().into() });
        self.threads().push(thread.clone());
        let start = self.0.start;
        async move {
            loop {
                thread.last.store(millis(start.elapsed()), Ordering::Relaxed);
                tokio::time::sleep(BEAT).await;
            }
        }
    }

    /// Whichever has stood still the longest, too long.
    pub fn stalled(&self) -> Option<Stalled> {
        self.stalled_at(self.now())
    }

    fn stalled_at(&self, now: u64) -> Option<Stalled> {
        let ages = self.threads().iter().map(age(now)).collect::<Vec<_>>();
        let stalled = ages.into_iter().filter(|stalled| stalled.since > self.0.stalled_after);
        stalled.max_by_key(|stalled| stalled.since)
    }

    fn now(&self) -> u64 {
        millis(self.0.start.elapsed())
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Thread>>> {
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn age(now: u64) -> impl Fn(&Arc<Thread>) -> Stalled {
    move |thread| {
        let since = Duration::from_millis(now.saturating_sub(thread.last.load(Ordering::Relaxed)));
        Stalled { thread: thread.name, since }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::probe::until;

    #[test]
    fn a_thread_that_has_not_beaten_for_too_long_stands_still() {
        let heartbeats = Heartbeats::new(Duration::from_secs(15));
        let _never_polled = (heartbeats.beat("orders"), heartbeats.beat("journal"));
        heartbeats.threads()[1].last.store(2_000, Ordering::Relaxed);
        assert_eq!(heartbeats.stalled_at(15_000), None);
        let orders = Stalled { thread: "orders", since: Duration::from_secs(16) };
        heartbeats.threads()[0].last.store(0, Ordering::Relaxed);
        assert_eq!(heartbeats.stalled_at(16_000), Some(orders), "and the journal's is fourteen seconds old");
        assert_eq!(heartbeats.stalled_at(18_000).map(|stalled| stalled.thread), Some("orders"), "the longest");
    }

    #[actix::test]
    async fn a_thread_beats_for_as_long_as_it_turns() {
        let heartbeats = Heartbeats::new(Duration::from_secs(15));
        let beating = actix::spawn(heartbeats.beat("orders"));
        until("it beats", async || heartbeats.threads()[0].last.load(Ordering::Relaxed) > 0).await;
        beating.abort();
    }
}
