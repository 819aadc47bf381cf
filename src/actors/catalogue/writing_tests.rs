//! The catalogue in memory after commits that nobody waited for, or that were not answered.

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
