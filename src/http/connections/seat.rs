//! One connection as the others see it: what it is doing, and the word that ends it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use crate::http::code::Code;

/// See the module.
pub(in crate::http) struct Seat {
    pub(super) id: u64,
    /// What it counts for; see [`super::block`].
    pub(super) address: IpAddr,
    /// What is said to whoever asks for more than health and operations; none on an ordinary seat.
    refuses: Option<Code>,
    /// Seats run short: see [`super::Connections`].
    short: Arc<AtomicBool>,
    taken: Instant,
    working: AtomicU32,
    /// Milliseconds after `taken`.
    idle_since: AtomicU64,
    closed: AtomicBool,
    reader: AtomicWaker,
}

impl Seat {
    pub(super) fn new(id: u64, address: IpAddr, refuses: Option<Code>, short: Arc<AtomicBool>, taken: Instant) -> Self {
        Self {
            id,
            address,
            refuses,
            short,
            taken,
            working: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }

    /// On a seat of the reserve, what is said to whoever asks for more than health and operations.
    pub(in crate::http) fn refuses(&self) -> Option<Code> {
        self.refuses
    }

    pub(super) fn is_reserved(&self) -> bool {
        self.refuses.is_some()
    }

    /// Whether it is kept after an answer: while seats run short whoever comes back takes one that is free then.
    pub(in crate::http) fn is_kept(&self) -> bool {
        !self.is_reserved() && !self.short.load(Ordering::Relaxed)
    }

    /// Keeps the connection from being taken for idle, for as long as the returned guard lives.
    pub(in crate::http) fn work(self: &Arc<Self>) -> Working {
        self.working.fetch_add(1, Ordering::Relaxed);
        Working(self.clone())
    }

    /// None while it is at work.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        let since = self.taken + Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        (self.working.load(Ordering::Relaxed) == 0).then(|| now.saturating_duration_since(since))
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// Whoever reads is woken when it is closed.
    pub(super) fn is_closed(&self, reader: &Waker) -> bool {
        self.reader.register(reader);
        self.closed.load(Ordering::Acquire)
    }
}

/// A request that is being answered, or a feed.
pub(in crate::http) struct Working(Arc<Seat>);

impl Drop for Working {
    fn drop(&mut self) {
        let idle_since = u64::try_from(self.0.taken.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since.store(idle_since, Ordering::Relaxed);
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}
