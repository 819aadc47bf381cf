//! The stores, their menus and their own riders, held in memory for everyone who places or shows.
//!
//! Read without asking anyone, so that orders are taken while a store's management is down. Memory is never ahead of the
//! disk, and behind it only while the outcome of a commit is unknown: see `writing`.

mod answers;
mod writing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use self::answers::Answers;
pub use self::writing::CatalogueError;
use self::writing::Doubts;
use super::dispatch::StoreRiders;
use super::journal::Between;
use super::mailbox::Mailbox;
use crate::order::{ItemId, Placement, RiderId, StoreId, StoreRef};
use crate::store::{Catalogue, CatalogueChange, MenuItem, Shop, StoreRider};

/// A store with what it sells and who carries for it.
#[derive(Clone, Debug)]
pub struct Listing {
    pub shop: Arc<Shop>,
    /// The shop as its orders know it.
    pub store: Arc<StoreRef>,
    pub menu: BTreeMap<ItemId, MenuItem>,
    pub riders: Vec<RiderId>,
}

impl Listing {
    fn new(shop: &Shop) -> Self {
        Self { store: store_of(shop).into(), shop: shop.clone().into(), menu: BTreeMap::new(), riders: Vec::new() }
    }

    fn put(&mut self, shop: &Shop) {
        let store = store_of(shop);
        if *self.store != store {
            self.store = store.into();
        }
        self.shop = shop.clone().into();
    }

    /// Lets an order that was read from the journal hold what it has in common with the listing by the same pointer, as
    /// one does that was placed from it: half of what an order consists of is the same in all orders of its store.
    pub fn share_with(&self, placement: &mut Placement) {
        if placement.store == self.store {
            placement.store = self.store.clone();
        }
        if placement.policy == self.shop.policy {
            placement.policy = self.shop.policy.clone();
        }
        for line in &mut placement.lines {
            if let Some(item) = self.menu.get(&line.item_id).filter(|item| item.name == line.name) {
                line.name = item.name.clone();
            }
        }
    }
}

/// What makes the catalogue out of nothing.
fn changes_to(catalogue: Catalogue) -> impl Iterator<Item = CatalogueChange> {
    let Catalogue { shops, items, riders } = catalogue;
    let shops = shops.into_iter().map(CatalogueChange::PutShop);
    let items = items.into_iter().map(CatalogueChange::PutItem);
    shops.chain(items).chain(riders.into_iter().map(CatalogueChange::PutRider))
}

fn store_of(shop: &Shop) -> StoreRef {
    StoreRef { id: shop.id, name: shop.name.clone(), owner: shop.owner.clone(), point: shop.place.point }
}

#[derive(Clone)]
pub struct Stores {
    listings: Arc<RwLock<HashMap<StoreId, Arc<Listing>>>>,
    doubts: Arc<Doubts>,
    answers: Arc<Answers>,
    writer: Mailbox<Between>,
}

impl Stores {
    pub fn new(catalogue: Catalogue, writer: Mailbox<Between>) -> Self {
        let stores = Self { listings: Arc::default(), doubts: Arc::default(), answers: Arc::default(), writer };
        changes_to(catalogue).for_each(|change| stores.adopt(&change));
        stores
    }

    pub fn listing(&self, store: StoreId) -> Option<Arc<Listing>> {
        self.read().get(&store).cloned()
    }

    /// Every store; some thousands at most, so looking at all of them is cheap.
    pub fn all(&self) -> Vec<Arc<Listing>> {
        self.read().values().cloned().collect()
    }

    fn adopt(&self, change: &CatalogueChange) {
        let mut listings = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        let store = change.store();
        if let CatalogueChange::PutShop(shop) = change {
            match listings.get_mut(&store).map(Arc::make_mut) {
                Some(listing) => listing.put(shop),
                None => drop(listings.insert(store, Arc::new(Listing::new(shop)))),
            }
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

    /// Holds of the store what these rows say, and nothing else.
    fn replace(&self, store: StoreId, rows: Catalogue) {
        let Catalogue { shops, items, riders } = rows;
        let mut listings = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        let Some(shop) = shops.first() else { return drop(listings.remove(&store)) };
        let before = listings.get(&store).map(|listing| Listing::clone(listing));
        let mut listing = before.unwrap_or_else(|| Listing::new(shop));
        listing.put(shop);
        listing.menu = items.into_iter().map(|item| (item.id, item)).collect();
        listing.riders = riders.into_iter().map(|StoreRider { rider, .. }| rider).collect();
        listings.insert(store, Arc::new(listing));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::testing::placement;
    use crate::order::{Preset, Text, Timestamp};

    /// Where the placement was made, with everything that it names.
    fn listing(placement: &Placement) -> Listing {
        let store = &placement.store;
        let mut listing = Listing::new(&Shop {
            id: store.id,
            owner: store.owner.clone(),
            name: store.name.clone(),
            place: crate::order::Place { point: store.point, ..placement.destination.clone() },
            policy: placement.policy.clone(),
            open: true,
            paused_until: None,
            revision: 1,
            created_at: Timestamp::from_micros(0),
        });
        for line in &placement.lines {
            let (id, name, price) = (line.item_id, line.name.clone(), line.unit_price);
            listing.menu.insert(id, MenuItem { id, store: store.id, name, price, available: true, revision: 1 });
        }
        listing
    }

    #[test]
    fn an_order_that_was_read_back_holds_the_names_that_the_listing_holds() {
        let listing = listing(&placement(Preset::FoodDelivery));
        let mut read = placement(Preset::FoodDelivery);

        listing.share_with(&mut read);

        assert_eq!(read, placement(Preset::FoodDelivery), "nothing else changes");
        assert!(Arc::ptr_eq(&read.store, &listing.store));
        assert!(Arc::ptr_eq(&read.policy, &listing.shop.policy));
        let name = &listing.menu[&read.lines[0].item_id].name;
        assert_eq!(read.lines[0].name.as_str().as_ptr(), name.as_str().as_ptr());
    }

    #[test]
    fn an_order_keeps_what_its_store_has_changed_since() {
        let mut listing = listing(&placement(Preset::FoodDelivery));
        listing.put(&Shop {
            name: Text::literal("Soup no more"),
            policy: placement(Preset::Retail).policy,
            ..Shop::clone(&listing.shop)
        });
        listing.menu.clear();
        let mut read = placement(Preset::FoodDelivery);

        listing.share_with(&mut read);

        assert_eq!(read, placement(Preset::FoodDelivery));
    }
}
