//! How much new work is on its way through the server at a time.
//!
//! A bound on what is under way needs no belief in what can be done: when everything takes longer, seats come free more
//! slowly, and what was let in shares the server with so few new orders that it is finished (Little's law; Netflix's
//! concurrency limits rest on it). The rate that `controller` works out is for what this cannot see: work that stands in
//! queues although few new orders come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// No seat is kept longer than this. What still goes on then waits for somebody else, a payment provider mostly, and
/// keeps nobody from being served.
pub(in crate::http) const AT_MOST: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Seats {
    taken: Arc<AtomicUsize>,
    all: usize,
}

/// Given back when dropped.
#[derive(Debug)]
pub(in crate::http) struct Seat(Arc<AtomicUsize>);

impl Seats {
    pub(super) fn new(all: usize) -> Self {
        Self { taken: Arc::default(), all }
    }

    /// None: all are taken.
    pub(super) fn take(&self) -> Option<Seat> {
        let one_more = |taken| (taken < self.all).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.ok().map(|_| Seat(self.taken.clone()))
    }

    /// So few are left that they are kept for those who need one.
    pub(super) fn are_scarce(&self) -> bool {
        self.taken() * 4 >= self.all * 3
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn all(&self) -> usize {
        self.all
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does the work, on a seat for as long as it has one at the most.
pub(in crate::http) async fn seated<T>(seat: Option<Seat>, at_most: Duration, work: impl Future<Output = T>) -> T {
    let Some(seat) = seat else { return work.await };
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(at_most, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            drop(seat);
            work.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_seats_and_no_more() {
        let seats = Seats::new(4);
        let mut taken: Vec<Seat> = (0..4).map_while(|_| seats.take()).collect();
        assert_eq!((taken.len(), seats.taken()), (4, 4));
        assert!(seats.take().is_none());
        taken.pop();
        assert!(seats.are_scarce(), "three of four are taken");
        assert!(seats.take().is_some());
        taken.truncate(2);
        assert!(!seats.are_scarce());
    }

    #[tokio::test]
    async fn a_seat_is_given_back_when_the_work_is_done_or_takes_too_long() {
        let seats = Seats::new(1);
        seated(seats.take(), Duration::from_secs(3600), async { assert_eq!(seats.taken(), 1) }).await;
        assert_eq!(seats.taken(), 0);

        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let mut work = std::pin::pin!(seated(seats.take(), Duration::ZERO, told));
        while seats.taken() == 1 {
            assert!(futures_util::poll!(&mut work).is_pending(), "it waits for what it was not told");
            tokio::task::yield_now().await;
        }
        tell.send(()).unwrap();
        assert_eq!(work.await, Ok(()), "the work goes on without a seat");
    }
}
