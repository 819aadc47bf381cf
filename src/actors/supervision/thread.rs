//! A thread with parts that are futures, each of them made again when it fails.

use std::future::Future;
use std::time::{Duration, Instant};

use actix::Arbiter;
use anyhow::Context as _;
use tokio::sync::watch;

use super::{Part, Supervision, Verdict};

/// How long parts get to finish what they are writing at the end.
pub(in crate::actors) const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// The thread, and the word that ends its parts. They end at a point where they wait, inside their runtime: their
/// connections cannot be closed after it.
pub(in crate::actors) struct PartThread {
    thread: Arbiter,
    stop: watch::Sender<bool>,
    supervision: Supervision,
}

impl PartThread {
    pub(in crate::actors) fn new(supervision: Supervision) -> Self {
        Self { thread: Arbiter::new(), stop: watch::Sender::new(false), supervision }
    }

    /// Polls something on this thread for as long as it lives.
    pub(in crate::actors) fn spawn(&self, running: impl Future<Output = ()> + Send + 'static) {
        self.thread.spawn(running);
    }

    /// Runs a part until the thread is stopped. `begin` makes it, at first and after each failure: from what is on
    /// disk, and from what it shares with others. That it ends by itself is a failure too.
    pub(in crate::actors) fn keep<F>(&self, name: &'static str, begin: impl FnMut(Part) -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let (part, stopping) = (self.supervision.part(name), self.stop.subscribe());
        self.thread.spawn(supervise(part, begin, stopping));
    }

    /// Tells them to end, without waiting for it.
    pub(in crate::actors) fn tell_to_end(&self) {
        self.stop.send_replace(true);
    }

    pub(in crate::actors) fn stop(self, patience: Duration) -> Arbiter {
        self.tell_to_end();
        // Each part's supervisor holds a receiver until it has ended.
        let patience = Instant::now() + patience;
        while self.stop.receiver_count() > 0 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread
    }
}

/// Runs `make` on that thread and hands back what it made.
pub(in crate::actors) async fn on<T: Send + 'static>(
    thread: &Arbiter,
    make: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let started = thread.spawn_fn(move || drop(tell.send(make())));
    anyhow::ensure!(started, "a thread ended before it began");
    told.await.context("a part of the system could not be started")
}

async fn supervise<F>(part: Part, mut begin: impl FnMut(Part) -> F, mut stopping: watch::Receiver<bool>)
where
    F: Future<Output = ()> + 'static,
{
    loop {
        let (running, mut told) = (begin(part.clone()), stopping.clone());
        let life = tokio::task::spawn_local(async move {
            tokio::select! {
                () = running => {}
                _ = told.wait_for(|stop| *stop) => {}
            }
        });
        let ended = life.await;
        if ended.is_ok() && *stopping.borrow() {
            return;
        }
        let pause = async {
            match part.failed() {
                Verdict::AgainAfter(pause) => tokio::time::sleep(pause).await,
                Verdict::Quarantine => part.released().await,
            }
        };
        tokio::select! {
            () = pause => part.runs(),
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::actors::probe::until;
    use crate::actors::supervision::PartState;
    use crate::store::Cursor;

    /// A part that panics in its first so many lives.
    fn fails_at_first(lives: u32, supervision: &Supervision) -> (PartThread, Arc<AtomicU32>) {
        let thread = PartThread::new(supervision.clone());
        let (begun, counted) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counting = counted.clone();
        thread.keep("test", move |part| {
            let (nth, counting) = (begun.fetch_add(1, Ordering::Relaxed), counting.clone());
            async move {
                counting.fetch_add(1, Ordering::Relaxed);
                assert!(nth >= lives, "the test wants a panic");
                part.passed(&Cursor::start());
                std::future::pending().await
            }
        });
        (thread, counted)
    }

    async fn until_it(is: PartState, supervision: &Supervision) {
        until("it stands so", async || supervision.report()[0].state == is).await;
    }

    #[actix::test]
    async fn a_part_that_panics_is_made_anew() {
        let supervision = Supervision::default();
        let (thread, lives) = fails_at_first(2, &supervision);
        until("it gets on", async || supervision.report()[0].cursor.is_some()).await;
        assert_eq!((lives.load(Ordering::Relaxed), supervision.report()[0].failures), (3, 2));
        until_it(PartState::Running, &supervision).await;
        let arbiter = thread.stop(LEAVE_WITHIN);
        arbiter.stop();
        arbiter.join().unwrap();
    }

    #[actix::test]
    async fn a_part_that_panics_three_times_waits_for_an_operator() {
        let supervision = Supervision::default();
        let (thread, lives) = fails_at_first(3, &supervision);
        until_it(PartState::Quarantined, &supervision).await;
        assert_eq!(lives.load(Ordering::Relaxed), 3);
        assert!(supervision.release("test"));
        until("it gets on", async || supervision.report()[0].cursor.is_some()).await;
        thread.stop(LEAVE_WITHIN).stop();
    }

    #[actix::test]
    async fn a_part_in_quarantine_does_not_hold_up_the_end() {
        let supervision = Supervision::default();
        let (thread, _) = fails_at_first(3, &supervision);
        until_it(PartState::Quarantined, &supervision).await;
        let before = Instant::now();
        thread.stop(Duration::from_secs(3_600)).stop();
        assert!(before.elapsed() < Duration::from_secs(3_600));
    }
}
