//! Makes the list views anew from the journal, beside those that are being read and written, and then swaps them.
//!
//! The new rows grow in tables of their own. When they have come to where the journal stood at the beginning, the
//! projector stands still, the rest is added, and the tables change names in one transaction: whoever reads sees the
//! old ones or the new ones, whole. Orders, feeds and messages notice nothing. It may end anywhere, by a crash or with
//! the process: whoever reads goes on with what was there, and what is left behind is thrown away by the next start, or
//! by the next rebuild.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::follow::{FollowError, LeftOut, Replay};
use super::projector::TOGETHER;
use super::view_rows::Rows;
use crate::crash;
use crate::store::{Checksums, Cursor, DbError, Readers, Swapped, Views};

/// What came of a rebuild.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// How many events were folded.
    pub events: u64,
    /// Streams that cannot be read stand in the views as far as they can.
    pub left_out: LeftOut,
    /// Of the views before and after, both at the same place in the journal: equal, unless the old ones were wrong.
    pub checksums: Checksums,
    pub took: std::time::Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the projector has other worries: look at the log")]
    Abandoned,
}

/// How far a rebuild is, and how the last one ended.
#[derive(Clone, Debug, Default)]
pub struct RebuildState {
    /// Events folded, of so many.
    pub running: Option<(u64, u64)>,
    pub last: Option<Result<Rebuilt, Arc<str>>>,
    /// How many have ended since the start.
    pub ended: u64,
}

/// Asks the projector to stand still once it has passed `from`. It tells its cursor, and waits until it is told.
pub(super) struct HandOver {
    pub(super) from: Cursor,
    pub(super) told: oneshot::Sender<(Cursor, oneshot::Sender<()>)>,
}

/// The way to ask for a rebuild, and to see how it goes.
#[derive(Clone)]
pub struct ViewRebuild {
    begin: Arc<Notify>,
    state: watch::Receiver<RebuildState>,
}

impl ViewRebuild {
    /// Begins one, unless one is under way.
    pub fn begin(&self) {
        if self.state.borrow().running.is_none() {
            self.begin.notify_one();
        }
    }

    pub fn state(&self) -> RebuildState {
        self.state.borrow().clone()
    }
}

/// Carries rebuilds out, one after the other.
pub(super) struct Rebuilder {
    readers: Readers,
    views: Views,
    projector: mpsc::Sender<HandOver>,
    asked: Arc<Notify>,
    state: watch::Sender<RebuildState>,
}

impl Rebuilder {
    pub(super) fn new(readers: Readers, views: Views, projector: mpsc::Sender<HandOver>) -> (Self, ViewRebuild) {
        let asked = Arc::new(Notify::new());
        let state = watch::Sender::new(RebuildState::default());
        let handle = ViewRebuild { begin: asked.clone(), state: state.subscribe() };
        (Self { readers, views, projector, asked, state }, handle)
    }

    /// A rebuild that was under way when the last life ended is not taken up again: the old views stand.
    pub(super) async fn run(&self) {
        if self.state.borrow().running.is_some() {
            self.ended(Err("it panicked: the old views stay".into()));
        }
        self.drop_leftovers().await;
        loop {
            self.asked.notified().await;
            tracing::info!("making the views anew");
            let outcome = self.rebuild().await;
            match &outcome {
                Ok(rebuilt) => tracing::info!(
                    events = rebuilt.events, left_out = rebuilt.left_out.events, old = %rebuilt.checksums.old, new = %rebuilt.checksums.new,
                    took_ms = rebuilt.took.as_millis() as u64, "the views are made anew"
                ),
                Err(error) => {
                    tracing::error!(%error, "the views could not be made anew: the old ones stay");
                    self.drop_leftovers().await;
                }
            }
            self.ended(outcome.map_err(|error| error.to_string().into()));
        }
    }

    fn ended(&self, outcome: Result<Rebuilt, Arc<str>>) {
        let last = Some(outcome);
        self.state.send_modify(|state| *state = RebuildState { running: None, last, ended: state.ended + 1 });
    }

    /// They only take room: the next rebuild throws them away too.
    async fn drop_leftovers(&self) {
        if let Err(error) = self.views.drop_leftovers().await {
            tracing::warn!(%error, "what is left of a rebuild of the views stays until the next one");
        }
    }

    async fn rebuild(&self) -> Result<Rebuilt, RebuildError> {
        let head = self.readers.head().await?;
        let mut twin = Twin::begin(&self.readers, &self.views).await?;
        let state = &self.state;
        twin.add(&Cursor::start(), &head, |done, all| {
            state.send_modify(|state| state.running = Some((done, all)));
        })
        .await?;
        let (told, tells) = oneshot::channel();
        let hand_over = HandOver { from: head.clone(), told };
        self.projector.send(hand_over).await.map_err(|_| RebuildError::Abandoned)?;
        let (stands_at, done) = tells.await.map_err(|_| RebuildError::Abandoned)?;
        twin.add(&head, &stands_at, |_, _| {}).await?;
        let swapped = twin.swap_in().await?;
        // The projector goes on; what is compared now is what stood here a moment ago.
        drop(done);
        twin.compared(swapped).await
    }
}

/// The same while nothing else runs on this data.
pub async fn rebuild_at_rest(
    readers: &Readers,
    views: &Views,
    progress: impl FnMut(u64, u64),
) -> Result<Rebuilt, RebuildError> {
    let head = readers.head().await?;
    let mut twin = Twin::begin(readers, views).await?;
    twin.add(&Cursor::start(), &head, progress).await?;
    let swapped = twin.swap_in().await?;
    twin.compared(swapped).await
}

/// The tables that are growing.
struct Twin<'a> {
    readers: &'a Readers,
    views: &'a Views,
    started: Instant,
    events: u64,
    left_out: LeftOut,
}

impl<'a> Twin<'a> {
    async fn begin(readers: &'a Readers, views: &'a Views) -> Result<Self, RebuildError> {
        let started = Instant::now();
        views.begin_rebuild().await?;
        crash::point("rebuild.begun");
        Ok(Self { readers, views, started, events: 0, left_out: LeftOut::default() })
    }

    /// Folds what lies between two cursors into the new tables.
    async fn add(
        &mut self,
        from: &Cursor,
        until: &Cursor,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), RebuildError> {
        let mut replay = Replay::new(self.readers.clone(), from.clone(), until.clone());
        let all = replay.distance();
        progress(0, all);
        while let Some(entries) = replay.next(TOGETHER).await? {
            let entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
            let rows = Rows::of(&entries);
            self.views.save_rebuilt(&rows.orders, &rows.stock).await?;
            crash::point("rebuild.saved");
            progress(all - replay.distance(), all);
        }
        self.events += all;
        self.left_out.add(replay.left_out());
        Ok(())
    }

    async fn swap_in(&self) -> Result<Swapped, DbError> {
        crash::point("rebuild.before_swap");
        let swapped = self.views.swap_in_rebuilt().await?;
        crash::point("rebuild.swapped");
        Ok(swapped)
    }

    async fn compared(self, swapped: Swapped) -> Result<Rebuilt, RebuildError> {
        let checksums = swapped.checksums().await?;
        let Self { events, left_out, started, .. } = self;
        Ok(Rebuilt { events, left_out, checksums, took: started.elapsed() })
    }
}
