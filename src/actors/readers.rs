//! The journal's readers: one thread for all of them, each with a cursor of its own, so that a slow view never
//! delays an order.

use std::future::Future;
use std::time::{Duration, Instant};

use actix::Arbiter;
use anyhow::Context as _;
use tokio::sync::watch;

use super::board::Board;
use super::catalogue::Stores;
use super::clock::Clock;
use super::deadlines::Deadlines;
use super::dispatch::Fold;
use super::feed::{Feed, Hub};
use super::follow::Follower;
use super::housekeeping;
use super::mailbox::Mailbox;
use super::notifier::Notifier;
use super::order::{Execute, OrderActor};
use super::projector::{Projector, ViewProgress};
use super::rebuild::{Rebuilder, ViewRebuild};
use super::registry::{To, Wake};
use super::tail::Tail;
use super::wake::wake_open_orders;
use crate::store::{Reader, Readers, Views};

/// What the readers read, and whom they tell.
pub(super) struct Reading {
    pub(super) tail: Tail,
    pub(super) readers: Readers,
    pub(super) views: Views,
    pub(super) clock: Clock,
    pub(super) stores: Stores,
    pub(super) execute: Mailbox<To<OrderActor, Execute>>,
    pub(super) wake: Mailbox<Wake<OrderActor>>,
    pub(super) board: Mailbox<Fold>,
    pub(super) wake_concurrency: usize,
    /// Watchers of the feed that read what they missed at a time.
    pub(super) replays: usize,
}

impl Reading {
    /// Starts all of them. Each begins where it left off, or at the end of the journal as it is now.
    pub(super) async fn start(self, thread: &ReaderThread) -> anyhow::Result<(Hub, ViewProgress, ViewRebuild)> {
        let Self { tail, readers, views, clock, stores, execute, wake, board, wake_concurrency, replays } = self;
        let follow = |cursor| Follower::new(tail.clone(), readers.clone(), cursor);
        let head = readers.head().await.context("the journal cannot be read")?;
        let projected = views.cursor(Reader::OrderView).await.context("the views cannot be read")?;
        let told = views.cursor(Reader::Messages).await.context("the views cannot be read")?;

        let deadlines = Deadlines::load(&readers, follow(head.clone()), clock.clone(), execute)
            .await
            .context("the deadlines cannot be read")?;
        let (projector, progress) = Projector::new(follow(projected.clone()), views.clone());
        let (hand_over, rebuilds) = tokio::sync::mpsc::channel(1);
        let (rebuilder, rebuild) = Rebuilder::new(readers.clone(), views.clone(), hand_over);
        let notifier = Notifier::new(follow(told), views.clone());
        let (feed, hub) = Feed::new(follow(head), replays);
        let board = Board { follower: follow(projected), readers: readers.clone(), views: views.clone(), fold: board };
        thread.keep_running("housekeeping", housekeeping::run(stores.clone(), clock.clone()));
        thread.keep_running("settling", stores.settle_doubts());
        thread.keep_running("deadlines", deadlines.run());
        thread.keep_running("projector", projector.run(rebuilds));
        thread.keep_running("rebuilding", rebuilder.run());
        thread.keep_running("notifier", notifier.run());
        thread.keep_running("feed", feed.run());
        thread.keep_running("dispatch board", board.run());
        thread.keep_running("waking", async move {
            let started = Instant::now();
            let orders = wake_open_orders(&readers, &wake, wake_concurrency).await;
            let took_ms = started.elapsed().as_millis() as u64;
            if orders > 0 {
                tracing::info!(orders, took_ms, "open orders are awake");
            }
            std::future::pending().await
        });
        Ok((hub, progress, rebuild))
    }
}

/// The readers' thread, and the word that ends them. They end at a point where they wait, inside their runtime:
/// their connections cannot be closed after it.
pub(super) struct ReaderThread {
    thread: Arbiter,
    stop: watch::Sender<bool>,
}

impl ReaderThread {
    pub(super) fn new() -> Self {
        Self { thread: Arbiter::new(), stop: watch::Sender::new(false) }
    }

    fn keep_running(&self, name: &'static str, reader: impl Future<Output = ()> + 'static + Send) {
        self.keep_until_stopped(name, |mut stopping| async move {
            tokio::select! {
                () = reader => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// For a reader with something to finish when it is told to stop.
    ///
    /// A reader that ends before is a bug: nothing else would bring it back, so the process is not worth keeping.
    pub(super) fn keep_until_stopped<F>(
        &self,
        name: &'static str,
        reader: impl FnOnce(watch::Receiver<bool>) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + 'static,
    {
        let stopping = self.stop.subscribe();
        self.thread.spawn(async move {
            let reading = tokio::task::spawn_local(reader(stopping.clone()));
            let ended_well = reading.await.is_ok();
            if !ended_well || !*stopping.borrow() {
                tracing::error!(reader = name, "a reader of the journal ended");
                std::process::abort();
            }
        });
    }

    pub(super) fn stop(self, patience: Duration) -> Arbiter {
        self.stop.send_replace(true);
        // Each reader holds a receiver until it has ended.
        let patience = Instant::now() + patience;
        while self.stop.receiver_count() > 0 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread
    }
}

/// How long readers get to finish what they are writing at the end.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_secs(2);
