//! Changes of the catalogue: made on the journal's connection, and taken into memory there.
//!
//! A change is adopted on the journal's thread, after its commit and before anyone is told of it. So memory takes the
//! changes in the sequence of their commits, also when the client has hung up or waits no longer. After an outcome that
//! is unknown the store's rows are read again before the next change of that store; until then memory may show the old.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::sync::Notify;

use super::Stores;
use crate::actors::journal::{Between, WriterTask};
use crate::actors::world::Pace;
use crate::order::{StoreId, Timestamp};
use crate::store::{Answer, CatalogueChange, DbError, NewAnswer, NotAppended, StoreRider, Writer};

/// The pause before a store is looked at again whose rows could not be read; doubles up to the longest. The journal's
/// writer waits for each look, so there are few of them while the database is away.
const RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("someone else has changed it meanwhile")]
    Conflict,
    #[error("this request was answered before")]
    AnsweredBefore(Answer),
    /// Definitely not written.
    #[error("the catalogue takes no writes at the moment")]
    Unwritable,
    #[error("whether the change was written is unknown")]
    Unknown,
}

/// The stores of which memory may be behind the disk.
#[derive(Default)]
pub(super) struct Doubts {
    stores: Mutex<BTreeSet<StoreId>>,
    one_more: Notify,
}

impl Doubts {
    fn begin(&self, store: StoreId) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).insert(store);
        self.one_more.notify_one();
    }

    fn end(&self, store: StoreId) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).remove(&store);
    }

    fn about(&self, store: StoreId) -> bool {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).contains(&store)
    }

    fn first(&self) -> Option<StoreId> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }
}

impl Stores {
    /// Writes the change, and the answer to the request that asked for it if it came with a key.
    ///
    /// Once it is on its way it is carried out, or not, whatever becomes of this future.
    pub async fn change(&self, change: CatalogueChange, answer: Option<NewAnswer>) -> Result<(), CatalogueError> {
        let stores = self.clone();
        self.write(move |writer| Box::pin(async move { stores.carry_out(writer, &change, answer.as_ref()).await }))
            .await
    }

    /// See [`Writer::forget_answers`].
    pub async fn forget_answers(&self, before: Timestamp, limit: usize) -> Result<u64, CatalogueError> {
        self.write(move |writer| {
            Box::pin(async move { writer.forget_answers(before, limit).await.map_err(|error| failed(&error)) })
        })
        .await
    }

    /// Looks again at every store that is in doubt, until nothing is; for as long as it is polled.
    pub(in crate::actors) async fn settle_doubts(self) {
        loop {
            self.doubts.one_more.notified().await;
            let mut tries = 0;
            while let Some(store) = self.doubts.first() {
                tokio::time::sleep(Pace::pause(RETRY_DELAY, MAX_RETRY_DELAY, tries)).await;
                let stores = self.clone();
                let looked =
                    self.write(move |writer| Box::pin(async move { stores.settle(writer, store).await })).await;
                tries = if looked.is_ok() { 0 } else { tries.saturating_add(1) };
            }
        }
    }

    async fn carry_out(
        &self,
        writer: &mut Writer,
        change: &CatalogueChange,
        answer: Option<&NewAnswer>,
    ) -> Result<(), CatalogueError> {
        let store = change.store();
        if self.doubts.about(store) {
            self.settle(writer, store).await.map_err(|_| CatalogueError::Unwritable)?;
        }
        match writer.write_catalogue(change, answer).await {
            Ok(Ok(())) => {
                self.adopt(change);
                Ok(())
            }
            Ok(Err(refusal)) => {
                if refusal == NotAppended::VersionConflict && self.comes_next(change) {
                    // What memory holds is not what the disk holds, for whatever reason.
                    tracing::error!(store.id = %store, "a store in memory differs from the database; reading it again");
                    self.doubts.begin(store);
                    let _ = self.settle(writer, store).await;
                }
                Err(refused(refusal))
            }
            Err(error) if error.is_definite() => Err(failed(&error)),
            Err(error) => {
                tracing::warn!(store.id = %store, %error, "a change of the catalogue was not answered: reading what stands");
                self.doubts.begin(store);
                self.settle(writer, store).await.map_err(|_| CatalogueError::Unknown)?;
                if self.holds(change) { Ok(()) } else { Err(CatalogueError::Unwritable) }
            }
        }
    }

    /// Takes the store's rows into memory as they are for good.
    async fn settle(&self, writer: &mut Writer, store: StoreId) -> Result<(), CatalogueError> {
        let rows = writer.settle_catalogue(store).await.map_err(|error| {
            tracing::warn!(store.id = %store, %error, "a store cannot be read again; trying later");
            CatalogueError::Unwritable
        })?;
        self.replace(store, rows);
        self.doubts.end(store);
        Ok(())
    }

    /// Made on the revision that memory holds.
    fn comes_next(&self, change: &CatalogueChange) -> bool {
        let listing = self.listing(change.store());
        match change {
            CatalogueChange::PutShop(shop) => listing.map_or(0, |listing| listing.shop.revision) + 1 == shop.revision,
            CatalogueChange::PutItem(item) => listing
                .is_some_and(|listing| listing.menu.get(&item.id).map_or(0, |held| held.revision) + 1 == item.revision),
            // Refused only where there is no such store.
            CatalogueChange::PutRider(_) | CatalogueChange::RemoveItem { .. } | CatalogueChange::RemoveRider(_) => {
                listing.is_some()
            }
        }
    }

    fn holds(&self, change: &CatalogueChange) -> bool {
        let listing = self.listing(change.store());
        match change {
            CatalogueChange::PutShop(shop) => listing.is_some_and(|listing| *listing.shop == *shop),
            CatalogueChange::PutItem(item) => listing.is_some_and(|listing| listing.menu.get(&item.id) == Some(item)),
            CatalogueChange::RemoveItem { item, .. } => listing.is_none_or(|listing| !listing.menu.contains_key(item)),
            CatalogueChange::PutRider(StoreRider { rider, .. }) => {
                listing.is_some_and(|listing| listing.riders.contains(rider))
            }
            CatalogueChange::RemoveRider(StoreRider { rider, .. }) => {
                listing.is_none_or(|listing| !listing.riders.contains(rider))
            }
        }
    }

    /// Does this on the journal's own connection, between two groups of appends.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, CatalogueError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a mut Writer) -> LocalBoxFuture<'a, Result<T, CatalogueError>> + Send + 'static,
    {
        let (tell, told) = tokio::sync::oneshot::channel();
        let task: WriterTask = Box::new(move |writer| {
            Box::pin(async move {
                let outcome = work(writer).await;
                drop(tell.send(outcome));
            })
        });
        self.writer.ask(Between(task)).await.map_err(|refusal| {
            if refusal.is_definite() { CatalogueError::Unwritable } else { CatalogueError::Unknown }
        })?;
        told.await.unwrap_or(Err(CatalogueError::Unknown))
    }
}

pub(super) fn refused(refusal: NotAppended) -> CatalogueError {
    match refusal {
        NotAppended::AnsweredBefore(answer) => CatalogueError::AnsweredBefore(answer),
        NotAppended::VersionConflict
        | NotAppended::TooLarge { .. }
        | NotAppended::Empty
        | NotAppended::DidNotHappen => CatalogueError::Conflict,
    }
}

fn failed(error: &DbError) -> CatalogueError {
    if !error.is_definite() {
        return CatalogueError::Unknown;
    }
    tracing::error!(%error, "the catalogue cannot be written");
    CatalogueError::Unwritable
}

#[cfg(test)]
#[path = "writing_tests.rs"]
mod tests;
