//! The stores, their menus and their own riders, held in memory for everyone who places or shows.
//!
//! Read without asking anyone, so that orders are taken while a store's management is down. Written through the
//! journal's connection first and swapped in memory after, so that memory is never ahead of the disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::dispatch::StoreRiders;
use futures_util::future::LocalBoxFuture;

use super::journal::{Between, WriterTask};
use super::mailbox::Mailbox;
use crate::order::{ItemId, RiderId, StoreId, Timestamp};
use crate::store::{
    Answer, Catalogue, CatalogueChange, DbError, MenuItem, NewAnswer, NotAppended, Shop, StoreRider, Writer,
};

/// A store with what it sells and who carries for it.
#[derive(Clone, Debug)]
pub struct Listing {
    pub shop: Arc<Shop>,
    pub menu: BTreeMap<ItemId, MenuItem>,
    pub riders: Vec<RiderId>,
}

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

#[derive(Clone)]
pub struct Stores {
    listings: Arc<RwLock<HashMap<StoreId, Arc<Listing>>>>,
    writer: Mailbox<Between>,
}

impl Stores {
    pub fn new(catalogue: Catalogue, writer: Mailbox<Between>) -> Self {
        let stores = Self { listings: Arc::default(), writer };
        for shop in catalogue.shops {
            stores.adopt(&CatalogueChange::PutShop(shop));
        }
        for item in catalogue.items {
            stores.adopt(&CatalogueChange::PutItem(item));
        }
        for rider in catalogue.riders {
            stores.adopt(&CatalogueChange::PutRider(rider));
        }
        stores
    }

    pub fn listing(&self, store: StoreId) -> Option<Arc<Listing>> {
        self.read().get(&store).cloned()
    }

    /// Every store; some thousands at most, so looking at all of them is cheap.
    pub fn all(&self) -> Vec<Arc<Listing>> {
        self.read().values().cloned().collect()
    }

    /// Writes the change, and the answer to the request that asked for it if it came with a key.
    pub async fn change(&self, change: CatalogueChange, answer: Option<NewAnswer>) -> Result<(), CatalogueError> {
        let written = change.clone();
        self.write(move |writer| Box::pin(async move { writer.write_catalogue(&written, answer.as_ref()).await }))
            .await?;
        self.adopt(&change);
        Ok(())
    }

    /// Keeps the answer to a request that changed something elsewhere.
    pub async fn remember(&self, answer: NewAnswer) -> Result<(), CatalogueError> {
        self.write(move |writer| Box::pin(async move { writer.remember_answer(&answer).await })).await
    }

    /// See [`Writer::forget_answers`].
    pub async fn forget_answers(&self, before: Timestamp, limit: usize) -> Result<u64, CatalogueError> {
        self.write(move |writer| Box::pin(async move { writer.forget_answers(before, limit).await.map(Ok) })).await
    }

    /// Does this on the journal's own connection, between two groups of appends.
    async fn write<T, W>(&self, work: W) -> Result<T, CatalogueError>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a mut Writer) -> LocalBoxFuture<'a, Result<Result<T, NotAppended>, DbError>>
            + Send
            + 'static,
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
        match told.await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(NotAppended::AnsweredBefore(answer)))) => Err(CatalogueError::AnsweredBefore(answer)),
            Ok(Ok(Err(_))) => Err(CatalogueError::Conflict),
            Ok(Err(DbError::Unknown(_))) | Err(_) => Err(CatalogueError::Unknown),
            Ok(Err(error)) => {
                tracing::error!(%error, "the catalogue cannot be written");
                Err(CatalogueError::Unwritable)
            }
        }
    }

    fn adopt(&self, change: &CatalogueChange) {
        let mut listings = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        let store = match change {
            CatalogueChange::PutShop(shop) => shop.id,
            CatalogueChange::PutItem(item) => item.store,
            CatalogueChange::RemoveItem { store, .. } => *store,
            CatalogueChange::PutRider(rider) | CatalogueChange::RemoveRider(rider) => rider.store,
        };
        if let CatalogueChange::PutShop(shop) = change {
            let shop = Arc::new(shop.clone());
            let listing = listings
                .entry(store)
                .or_insert_with(|| Arc::new(Listing { shop: shop.clone(), menu: BTreeMap::new(), riders: Vec::new() }));
            Arc::make_mut(listing).shop = shop;
            return;
        }
        let Some(listing) = listings.get_mut(&store) else { return };
        let listing = Arc::make_mut(listing);
        match change {
            CatalogueChange::PutShop(_) => {}
            CatalogueChange::PutItem(item) => drop(listing.menu.insert(item.id, item.clone())),
            CatalogueChange::RemoveItem { item, .. } => drop(listing.menu.remove(item)),
            CatalogueChange::PutRider(StoreRider { rider, .. }) => {
                if !listing.riders.contains(rider) {
                    listing.riders.push(rider.clone());
                }
            }
            CatalogueChange::RemoveRider(StoreRider { rider, .. }) => listing.riders.retain(|other| other != rider),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<StoreId, Arc<Listing>>> {
        // Writers do not panic while they hold it; poisoned or not, each listing is whole.
        self.listings.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreRiders for Stores {
    fn riders_of(&self, store: StoreId) -> Vec<RiderId> {
        self.listing(store).map(|listing| listing.riders.clone()).unwrap_or_default()
    }
}
