//! Snapshots of a book, taken by its actor beside its entries: no entry waits for one, and nothing rests on one.

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::{Book, LedgerActor};
use crate::actors::journal::{Between, WriterTask};
use crate::actors::mailbox::Mailbox;
use crate::store::{SNAPSHOT_EVERY, Snapshot};

impl<B: Book> LedgerActor<B> {
    /// Takes one when enough has been entered since the last. What it costs is spread over as many entries as it lists
    /// things. One that cannot be written is not tried again: the next is as good.
    pub(super) fn take_snapshot(&mut self, ctx: &mut Context<Self>) {
        let every = SNAPSHOT_EVERY.max(u32::try_from(self.book.parts()).unwrap_or(u32::MAX));
        let version = self.book.version();
        if self.snapshot.take_if(|last| version.saturating_sub(*last) >= every).is_none() {
            return;
        }
        let (stream, at) = (B::stream(&self.id), self.world.clock.now());
        let snapshot = Snapshot { stream, version, at, state: self.book.snapshot().into() };
        let writing = save(self.world.between.clone(), snapshot);
        ctx.spawn(writing.into_actor(self).map(move |(), actor, _| actor.snapshot = Some(version)));
    }
}

async fn save(between: Mailbox<Between>, snapshot: Snapshot) {
    let (stream, version) = (snapshot.stream, snapshot.version);
    let task: WriterTask = Box::new(move |writer| {
        Box::pin(async move {
            if let Err(error) = writer.save_snapshot(&snapshot).await {
                tracing::warn!(%error, stream = %stream.id, version, "a snapshot of a book could not be written");
            }
        })
    });
    if let Err(refusal) = between.ask(Between(task)).await {
        tracing::warn!(%refusal, stream = %stream.id, version, "a snapshot of a book could not be written");
    }
}
