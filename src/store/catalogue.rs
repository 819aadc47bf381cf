//! What the stores sell and who carries for them, as plain data.
//!
//! Whoever changes it hands over the row as it shall be, one revision up; the database refuses a change that was
//! made on a revision that is gone. Whether a change makes sense is decided before, not here.

use crate::order::{ItemId, Money, OwnerId, Place, RiderId, SharedPolicy, StoreId, Text, Timestamp};

#[derive(Clone, Debug, PartialEq)]
pub struct Shop {
    pub id: StoreId,
    pub owner: OwnerId,
    pub name: Text<80>,
    pub place: Place,
    pub policy: SharedPolicy,
    pub open: bool,
    pub paused_until: Option<Timestamp>,
    /// 1 when new, one more with each change.
    pub revision: u32,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MenuItem {
    pub id: ItemId,
    pub store: StoreId,
    pub name: Text<80>,
    pub price: Money,
    pub available: bool,
    /// 1 when new, one more with each change.
    pub revision: u32,
}

/// A rider of the store's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRider {
    pub store: StoreId,
    pub rider: RiderId,
}

/// All of it: a city's stores and their menus are some megabytes, read once at start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    pub shops: Vec<Shop>,
    pub items: Vec<MenuItem>,
    pub riders: Vec<StoreRider>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CatalogueChange {
    PutShop(Shop),
    PutItem(MenuItem),
    /// Nothing happens if it is not there; the same for riders.
    RemoveItem {
        store: StoreId,
        item: ItemId,
    },
    PutRider(StoreRider),
    RemoveRider(StoreRider),
}

impl CatalogueChange {
    /// Whose rows it changes.
    pub fn store(&self) -> StoreId {
        match self {
            CatalogueChange::PutShop(shop) => shop.id,
            CatalogueChange::PutItem(item) => item.store,
            CatalogueChange::RemoveItem { store, .. } => *store,
            CatalogueChange::PutRider(rider) | CatalogueChange::RemoveRider(rider) => rider.store,
        }
    }
}
