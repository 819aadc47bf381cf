//! The journal's readers: one thread for all of them, each with a cursor of its own, so that a slow view never
//! delays an order.
//!
//! Each is supervised: made anew from its cursor when it panics. What outlives its lives is what others hold of it: the
//! feed's hub, the progress of the views, the way to ask for a rebuild.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tokio::sync::{Mutex, mpsc, watch};

use super::board::Board;
use super::catalogue::Stores;
use super::clock::Clock;
use super::deadlines::Deadlines;
use super::dispatch::Fold;
use super::feed::{Feed, Hub};
use super::follow::{Follower, compare_with_journal};
use super::health::ReaderHealth;
use super::housekeeping;
use super::mailbox::Mailbox;
use super::notifier::Notifier;
use super::order::{Execute, OrderActor};
use super::projector::{Projector, Shown, ViewProgress};
use super::rebuild::{HandOver, Rebuilder, ViewRebuild};
use super::registry::{To, Wake};
use super::supervision::PartThread;
use super::tail::Tail;
use super::wake::{OpenOrders, wake_open_orders};
use crate::store::{Cursor, DbError, Reader, Readers, Views};

/// By these names the readers are supervised, and seen by operators.
const DEADLINES: &str = "deadlines";
const PROJECTOR: &str = "projector";
const NOTIFIER: &str = "notifier";
const FEED: &str = "feed";
const BOARD: &str = "board";
const WAKING: &str = "waking";

/// What the readers read, and whom they tell.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) tail: Tail,
    pub(super) readers: Readers,
    pub(super) views: Views,
    pub(super) clock: Clock,
    pub(super) stores: Stores,
    pub(super) execute: Mailbox<To<OrderActor, Execute>>,
    pub(super) wake: Mailbox<Wake<OrderActor>>,
    pub(super) board: Mailbox<Fold>,
    /// Tells that another board has begun, which has heard nothing.
    pub(super) boards: watch::Receiver<u64>,
    pub(super) wake_concurrency: usize,
    /// Watchers of the feed that read what they missed at a time.
    pub(super) replays: usize,
    pub(super) health: ReaderHealth,
}

impl Reading {
    /// Starts all of them. Each begins where it left off, or at the end of the journal as it is now. What cannot be read
    /// at the start keeps the process from starting; what cannot be read later is tried again.
    pub(super) async fn start(self, thread: &PartThread) -> anyhow::Result<(Hub, Shown, ViewRebuild)> {
        let head = self.readers.head().await.context("the journal cannot be read")?;
        self.tail.counts_as_told(&head); // Every reader begins on disk, there or before it.
        let projected = self.views.cursor(Reader::OrderView).await.context("the views cannot be read")?;
        let first = self.deadlines().await.context("the deadlines cannot be read")?;
        let progress = watch::Sender::new(projected);
        let [told, offered] = [(); 2].map(|()| watch::Sender::new(Cursor::start()));
        let shown = Shown {
            lists: ViewProgress::of(&progress),
            messages: ViewProgress::of(&told),
            deliveries: ViewProgress::of(&offered),
        };
        let (hand_over, rebuilds) = mpsc::channel(1);
        let (rebuilder, rebuild) = Rebuilder::new(self.readers.clone(), self.views.clone(), hand_over);
        let hub = Hub::at(head, self.replays);
        let (tail, readers) = (self.tail.clone(), self.readers.clone());
        thread.keep("comparing", move |_| compare_with_journal(tail.clone(), readers.clone()));
        self.keep_deadlines(thread, first);
        self.keep_projector(thread, progress, rebuilds);
        self.keep_notifier(thread, told);
        self.keep_feed(thread, hub.clone());
        self.keep_board(thread, offered);
        self.keep_waking(thread);
        let rebuilder = Arc::new(rebuilder);
        thread.keep("rebuilding", move |_| {
            let rebuilder = rebuilder.clone();
            async move { rebuilder.run().await }
        });
        let (clock, readers) = (self.clock.clone(), self.readers.clone());
        thread.keep("clock", move |_| clock.clone().keep_checking(readers.clone()));
        let stores = self.stores.clone();
        thread.keep("settling", move |_| stores.clone().settle_doubts());
        thread.keep("housekeeping", move |_| housekeeping::run(self.stores.clone(), self.clock.clone()));
        Ok((hub, shown, rebuild))
    }

    fn follow(&self, name: &'static str, cursor: Cursor) -> Follower {
        Follower::new(self.tail.clone(), self.readers.clone(), cursor).seen_by(self.health.of(name))
    }

    /// Follows from where that reader's work is saved.
    async fn follow_on(&self, name: &'static str, reader: Reader) -> Follower {
        self.follow(name, self.at_last(name, || self.views.cursor(reader)).await)
    }

    async fn deadlines(&self) -> Result<Deadlines, DbError> {
        let head = self.readers.head().await?;
        Deadlines::load(&self.readers, self.follow(DEADLINES, head), self.clock.clone(), self.execute.clone()).await
    }

    fn keep_deadlines(&self, thread: &PartThread, first: Deadlines) {
        let (reading, mut first) = (self.clone(), Some(first));
        thread.keep(DEADLINES, move |part| {
            let (reading, first) = (reading.clone(), first.take());
            async move {
                let deadlines = match first {
                    Some(first) => first,
                    None => reading.at_last(DEADLINES, || reading.deadlines()).await,
                };
                deadlines.run(part).await;
            }
        });
    }

    fn keep_projector(&self, thread: &PartThread, progress: watch::Sender<Cursor>, rebuilds: mpsc::Receiver<HandOver>) {
        let (reading, rebuilds) = (self.clone(), Arc::new(Mutex::new(rebuilds)));
        thread.keep(PROJECTOR, move |part| {
            let (reading, progress, rebuilds) = (reading.clone(), progress.clone(), rebuilds.clone());
            async move {
                let mut rebuilds = rebuilds.lock().await;
                let follower = reading.follow_on(PROJECTOR, Reader::OrderView).await;
                Projector::new(follower, reading.views, progress).run(&mut rebuilds, part).await;
            }
        });
    }

    fn keep_notifier(&self, thread: &PartThread, progress: watch::Sender<Cursor>) {
        let reading = self.clone();
        thread.keep(NOTIFIER, move |part| {
            let (reading, progress) = (reading.clone(), progress.clone());
            async move {
                let follower = reading.follow_on(NOTIFIER, Reader::Messages).await;
                progress.send_replace(follower.cursor().clone());
                Notifier::new(follower, reading.views, progress).run(part).await;
            }
        });
    }

    fn keep_feed(&self, thread: &PartThread, hub: Hub) {
        let reading = self.clone();
        thread.keep(FEED, move |part| {
            let follower = reading.follow(FEED, hub.cursor());
            Feed::new(follower, hub.clone()).run(part)
        });
    }

    fn keep_board(&self, thread: &PartThread, progress: watch::Sender<Cursor>) {
        let reading = self.clone();
        thread.keep(BOARD, move |part| {
            let (reading, progress) = (reading.clone(), progress.clone());
            async move {
                let mut boards = reading.boards.clone();
                loop {
                    boards.mark_unchanged();
                    // Taken first: what is committed while the rest is read comes as news.
                    let head = reading.at_last(BOARD, || reading.readers.head()).await;
                    let board = Board {
                        follower: reading.follow(BOARD, head),
                        open: OpenOrders::new(reading.readers.clone(), reading.health.of(BOARD)),
                        readers: reading.readers.clone(),
                        health: reading.health.of(BOARD),
                        fold: reading.board.clone(),
                        progress: progress.clone(),
                    };
                    tokio::select! {
                        () = board.run(part.clone()) => return,
                        Ok(()) = boards.changed() => {}
                    }
                }
            }
        });
    }

    fn keep_waking(&self, thread: &PartThread) {
        let (reading, at_once) = (self.clone(), self.wake_concurrency);
        thread.keep(WAKING, move |_| {
            let reading = reading.clone();
            async move {
                let started = Instant::now();
                let open = OpenOrders::new(reading.readers.clone(), reading.health.of(WAKING));
                let orders = wake_open_orders(open, &reading.wake, at_once).await;
                let took_ms = started.elapsed().as_millis() as u64;
                if orders > 0 {
                    tracing::info!(orders, took_ms, "open orders are awake");
                }
                std::future::pending().await
            }
        });
    }

    /// Reads what that reader begins with, until it succeeds.
    async fn at_last<T, F>(&self, name: &'static str, read: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, DbError>>,
    {
        let mut health = self.health.of(name);
        loop {
            match read().await {
                Ok(found) => {
                    health.goes_on();
                    return found;
                }
                Err(error) => {
                    tracing::error!(reader = name, %error, "a reader cannot begin; trying again");
                    tokio::time::sleep(health.stalls(&error)).await;
                }
            }
        }
    }
}
