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

    /// Keeps the answer to a request that changed something elsewhere.
    pub async fn remember(&self, answer: NewAnswer) -> Result<(), CatalogueError> {
        self.write(move |writer| {
            Box::pin(async move {
                match writer.remember_answer(&answer).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(refusal)) => Err(refused(refusal)),
                    Err(error) => Err(failed(&error)),
                }
            })
        })
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
    async fn write<T, W>(&self, work: W) -> Result<T, CatalogueError>
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

fn refused(refusal: NotAppended) -> CatalogueError {
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
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::actors::journal::JournalActor;
    use crate::actors::probe::until;
    use crate::order::testing::placement;
    use crate::order::{ItemId, Money, Place, Preset, Text};
    use crate::store::{Catalogue, CommitFault, DataPlace, Engine, MenuItem, Readers, Shop};

    const SOUP: ItemId = ItemId::new(Uuid::from_u128(2));

    struct Town {
        stores: Stores,
        readers: Readers,
        shop: Shop,
        _data: tempfile::TempDir,
    }

    impl Town {
        /// With one store, which sells soup for 1.
        async fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let place = DataPlace::Directory(data.path().to_owned());
            let Engine { writer, readers, .. } = Engine::open(&place).await.unwrap();
            let journal = JournalActor::of_test(writer);
            let stores = Stores::new(Catalogue::default(), journal.mailbox());
            let town = Self { stores, readers, shop: shop(), _data: data };
            town.stores.change(CatalogueChange::PutShop(town.shop.clone()), None).await.unwrap();
            town.stores.change(town.price(1, 1), None).await.unwrap();
            town
        }

        fn price(&self, amount: i64, revision: u32) -> CatalogueChange {
            let price = Money::new(amount, crate::order::Currency::KRW).unwrap();
            let name = Text::literal("Soup");
            let store = self.shop.id;
            CatalogueChange::PutItem(MenuItem { id: SOUP, store, name, price, available: true, revision })
        }

        async fn fail_next_commit(&self, fault: CommitFault) {
            let task: WriterTask = Box::new(move |writer| Box::pin(async move { writer.fail_next_commit(fault) }));
            self.stores.writer.ask(Between(task)).await.unwrap();
        }

        fn in_memory(&self) -> Option<(i64, u32)> {
            let listing = self.stores.listing(self.shop.id)?;
            listing.menu.get(&SOUP).map(|item| (item.price.amount, item.revision))
        }

        async fn on_disk(&self) -> Option<(i64, u32)> {
            let items = self.readers.catalogue().await.unwrap().items;
            items.first().map(|item| (item.price.amount, item.revision))
        }
    }

    fn shop() -> Shop {
        let placement = placement(Preset::FoodDelivery);
        Shop {
            id: placement.store.id,
            owner: placement.store.owner.clone(),
            name: placement.store.name.clone(),
            place: Place { point: placement.store.point, ..placement.destination.clone() },
            policy: placement.policy.clone(),
            open: true,
            paused_until: None,
            revision: 1,
            created_at: Timestamp::from_micros(0),
        }
    }

    #[actix::test]
    async fn a_change_whose_client_hangs_up_is_in_memory_as_on_disk() {
        let town = Town::new().await;
        for revision in 2..20 {
            let mut change = Box::pin(town.stores.change(town.price(revision.into(), revision), None));
            assert!(futures_util::poll!(&mut change).is_pending());
            drop(change);
            let wanted = Some((i64::from(revision), revision));
            until("memory has it", async || town.in_memory() == wanted).await;
            assert_eq!(town.on_disk().await, wanted);
        }
    }

    #[actix::test]
    async fn after_a_lost_commit_memory_is_what_is_on_disk() {
        let town = Town::new().await;

        town.fail_next_commit(CommitFault::LostBefore).await;
        let lost = town.stores.change(town.price(2, 2), None).await;
        assert!(matches!(lost, Err(CatalogueError::Unwritable)), "{lost:?}");
        assert_eq!((town.in_memory(), town.on_disk().await), (Some((1, 1)), Some((1, 1))));

        town.fail_next_commit(CommitFault::LostAfter).await;
        town.stores.change(town.price(3, 2), None).await.expect("it is read what stands");
        assert_eq!((town.in_memory(), town.on_disk().await), (Some((3, 2)), Some((3, 2))));

        town.fail_next_commit(CommitFault::LostAfter).await;
        let other = Shop { id: StoreId::new(Uuid::from_u128(77)), ..town.shop.clone() };
        town.stores.change(CatalogueChange::PutShop(other.clone()), None).await.unwrap();
        assert_eq!(*town.stores.listing(other.id).unwrap().shop, other);

        town.stores.change(town.price(4, 3), None).await.expect("and goes on");
    }

    #[actix::test]
    async fn a_store_in_doubt_is_read_again_before_its_next_change() {
        let town = Town::new().await;
        // As if its commit had not been answered, nor what stands.
        town.stores.adopt(&town.price(9, 2));
        town.stores.doubts.begin(town.shop.id);

        let refused = town.stores.change(town.price(10, 3), None).await;

        assert!(matches!(refused, Err(CatalogueError::Conflict)), "{refused:?}");
        assert_eq!(town.in_memory(), Some((1, 1)));
        town.stores.change(town.price(10, 2), None).await.unwrap();
        assert_eq!((town.in_memory(), town.on_disk().await), (Some((10, 2)), Some((10, 2))));
    }

    #[actix::test]
    async fn a_store_in_doubt_is_read_again_without_being_asked() {
        let town = Town::new().await;
        let settling = actix::spawn(town.stores.clone().settle_doubts());
        town.stores.adopt(&town.price(9, 2));
        let ghost = Shop { id: StoreId::new(Uuid::from_u128(77)), ..town.shop.clone() };
        town.stores.adopt(&CatalogueChange::PutShop(ghost.clone()));

        [town.shop.id, ghost.id].into_iter().for_each(|store| town.stores.doubts.begin(store));

        until("nothing is in doubt", async || town.stores.doubts.first().is_none()).await;
        assert_eq!(town.in_memory(), Some((1, 1)));
        assert!(town.stores.listing(ghost.id).is_none());
        settling.abort();
    }

    #[actix::test]
    async fn a_store_that_differs_from_the_disk_refuses_a_change_only_once() {
        let town = Town::new().await;
        town.stores.adopt(&town.price(9, 5));

        let refused = town.stores.change(town.price(10, 6), None).await;

        assert!(matches!(refused, Err(CatalogueError::Conflict)), "{refused:?}");
        let listing: Arc<_> = town.stores.listing(town.shop.id).unwrap();
        let next = listing.menu[&SOUP].revision + 1;
        town.stores.change(town.price(10, next), None).await.unwrap();
    }
}
