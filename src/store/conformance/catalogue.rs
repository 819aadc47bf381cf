//! What the catalogue promises, and answers that are not streams.

use std::sync::Arc;

use super::{Place, id, on_every_engine};
use crate::order::{Currency, ItemId, Money, Place as Address, Point, Preset, ServicePolicy, StoreId, Timestamp};
use crate::store::{
    Answer, AnswerKey, CatalogueChange, CommitFault, DbError, Engine, MenuItem, NewAnswer, NotAppended, Shop,
    StoreRider, StreamAnswer,
};

on_every_engine!(
    the_catalogue_reads_back_as_it_was_written,
    a_change_made_on_a_revision_that_is_gone_is_refused,
    an_item_of_a_store_that_does_not_exist_is_refused,
    a_change_and_its_answer_happen_together,
    an_answer_is_remembered_until_it_is_forgotten,
    the_first_answer_to_a_key_is_kept,
    a_catalogue_change_of_a_replaced_writer_is_refused,
    a_catalogue_change_whose_answer_was_lost_is_unknown,
    a_store_is_settled_as_the_lost_commit_left_it,
);

fn shop(n: u128) -> Shop {
    Shop {
        id: StoreId::new(id(n)),
        owner: "owner:kim".parse().unwrap(),
        name: "서울 분식".parse().unwrap(),
        place: Address {
            text: "1 Sejong-daero".parse().unwrap(),
            point: Point::new(37.566_535_1, 126.977_969_2).unwrap(),
            phone: Some("+82 2 1234".parse().unwrap()),
        },
        policy: Arc::new(ServicePolicy::preset(Preset::Restaurant)),
        open: true,
        paused_until: None,
        revision: 1,
        created_at: Timestamp::from_micros(1_795_262_400_123_456),
    }
}

fn item(n: u128, store: &Shop) -> MenuItem {
    MenuItem {
        id: ItemId::new(id(n)),
        store: store.id,
        name: "떡볶이".parse().unwrap(),
        price: Money::new(6_500, Currency::KRW).unwrap(),
        available: true,
        revision: 1,
    }
}

fn answer(key: u128) -> NewAnswer {
    NewAnswer {
        key: AnswerKey { key: id(key), fingerprint: 3 },
        at: Timestamp::from_micros(key as i64),
        status: 201,
        body: r#"{"id":1}"#.into(),
    }
}

async fn write(engine: &mut Engine, change: CatalogueChange) -> Result<(), NotAppended> {
    engine.writer.write_catalogue(&change, None).await.unwrap()
}

async fn the_catalogue_reads_back_as_it_was_written(place: Place) {
    let mut engine = place.open().await;
    let mut shop = shop(1);
    let item = item(2, &shop);
    let rider = StoreRider { store: shop.id, rider: "rider-7".parse().unwrap() };
    for change in [
        CatalogueChange::PutShop(shop.clone()),
        CatalogueChange::PutItem(item.clone()),
        CatalogueChange::PutRider(rider.clone()),
        CatalogueChange::PutRider(rider.clone()),
    ] {
        assert_eq!(write(&mut engine, change).await, Ok(()));
    }
    shop.revision = 2;
    shop.open = false;
    shop.paused_until = Some(Timestamp::from_micros(5));
    assert_eq!(write(&mut engine, CatalogueChange::PutShop(shop.clone())).await, Ok(()));

    let catalogue = engine.readers.catalogue().await.unwrap();
    assert_eq!(
        (catalogue.shops, catalogue.items, catalogue.riders),
        (vec![shop.clone()], vec![item.clone()], vec![rider.clone()])
    );

    for _ in 0..2 {
        let remove = CatalogueChange::RemoveItem { store: shop.id, item: item.id };
        assert_eq!(write(&mut engine, remove).await, Ok(()));
        assert_eq!(write(&mut engine, CatalogueChange::RemoveRider(rider.clone())).await, Ok(()));
    }
    let catalogue = engine.readers.catalogue().await.unwrap();
    assert_eq!((catalogue.items, catalogue.riders), (vec![], vec![]));
}

async fn a_change_made_on_a_revision_that_is_gone_is_refused(place: Place) {
    let mut engine = place.open().await;
    let at = |revision| CatalogueChange::PutShop(Shop { revision, ..shop(1) });
    assert_eq!(write(&mut engine, at(2)).await, Err(NotAppended::VersionConflict), "there is no revision 1");
    assert_eq!(write(&mut engine, at(1)).await, Ok(()));
    for (revision, outcome) in
        [(1, Err(NotAppended::VersionConflict)), (3, Err(NotAppended::VersionConflict)), (2, Ok(()))]
    {
        assert_eq!(write(&mut engine, at(revision)).await, outcome);
    }
    let at = |revision| CatalogueChange::PutItem(MenuItem { revision, ..item(2, &shop(1)) });
    for (revision, outcome) in
        [(2, Err(NotAppended::VersionConflict)), (1, Ok(())), (1, Err(NotAppended::VersionConflict)), (2, Ok(()))]
    {
        assert_eq!(write(&mut engine, at(revision)).await, outcome);
    }
}

async fn an_item_of_a_store_that_does_not_exist_is_refused(place: Place) {
    let mut engine = place.open().await;
    let rider = StoreRider { store: shop(1).id, rider: "rider-7".parse().unwrap() };
    for change in [CatalogueChange::PutItem(item(2, &shop(1))), CatalogueChange::PutRider(rider)] {
        assert_eq!(write(&mut engine, change).await, Err(NotAppended::VersionConflict));
    }
}

async fn a_change_and_its_answer_happen_together(place: Place) {
    let mut engine = place.open().await;
    let stored = Answer::Body { fingerprint: 3, status: 201, body: r#"{"id":1}"#.into() };
    let put = |n| CatalogueChange::PutShop(shop(n));
    assert_eq!(engine.writer.write_catalogue(&put(1), Some(&answer(9))).await.unwrap(), Ok(()));
    let repeated = engine.writer.write_catalogue(&put(2), Some(&answer(9))).await.unwrap();
    assert_eq!(repeated, Err(NotAppended::AnsweredBefore(stored.clone())));
    let refused = engine.writer.write_catalogue(&put(1), Some(&answer(10))).await.unwrap();
    assert_eq!(refused, Err(NotAppended::VersionConflict));

    assert_eq!(engine.readers.catalogue().await.unwrap().shops.len(), 1);
    assert_eq!(engine.readers.answer(id(9)).await.unwrap(), Some(stored));
    assert_eq!(engine.readers.answer(id(10)).await.unwrap(), None, "what was refused has no answer");
}

fn stream_answer(key: u128, version: u32) -> StreamAnswer {
    let at = Timestamp::from_micros(key as i64);
    StreamAnswer { key: AnswerKey { key: id(key), fingerprint: 3 }, at, stream: id(7), version }
}

async fn an_answer_is_remembered_until_it_is_forgotten(place: Place) {
    let mut engine = place.open().await;
    let answers: Vec<_> = (1..=5).map(|key| stream_answer(key, 4)).collect();
    assert_eq!(engine.writer.remember_answers(&answers).await.unwrap(), vec![Ok(()); 5]);
    let told = Answer::Stream { fingerprint: 3, id: id(7), version: 4 };
    assert_eq!(engine.readers.answer(id(5)).await.unwrap(), Some(told));

    let before = Timestamp::from_micros(4);
    assert_eq!(engine.writer.forget_answers(before, 2).await.unwrap(), 2);
    assert_eq!(engine.readers.answer(id(2)).await.unwrap(), None);
    assert!(engine.readers.answer(id(3)).await.unwrap().is_some());
    assert_eq!(engine.writer.forget_answers(before, 2).await.unwrap(), 1);
    assert!(engine.readers.answer(id(4)).await.unwrap().is_some());
}

async fn the_first_answer_to_a_key_is_kept(place: Place) {
    let mut engine = place.open().await;
    let at = |version| Answer::Stream { fingerprint: 3, id: id(7), version };
    let group = [stream_answer(1, 1), stream_answer(2, 2), stream_answer(1, 3)];
    let kept = engine.writer.remember_answers(&group).await.unwrap();
    assert_eq!(kept, [Ok(()), Ok(()), Err(NotAppended::AnsweredBefore(at(1)))]);
    let again = engine.writer.remember_answers(&[stream_answer(3, 3), stream_answer(2, 9)]).await.unwrap();
    assert_eq!(again, [Ok(()), Err(NotAppended::AnsweredBefore(at(2)))]);

    engine.writer.fail_next_commit(CommitFault::LostAfter);
    let lost = engine.writer.remember_answers(&[stream_answer(4, 4)]).await;
    assert!(matches!(lost, Err(DbError::Unknown(_))));
    let again = engine.writer.remember_answers(&[stream_answer(4, 4)]).await.unwrap();
    assert_eq!(again, [Err(NotAppended::AnsweredBefore(at(4)))]);
}

async fn a_catalogue_change_of_a_replaced_writer_is_refused(place: Place) {
    let mut old = place.open().await;
    let new = place.break_in().await;
    let refused = old.writer.write_catalogue(&CatalogueChange::PutShop(shop(1)), None).await;
    assert!(matches!(refused, Err(DbError::Fenced)));
    assert_eq!(new.readers.catalogue().await.unwrap().shops, []);
}

async fn a_catalogue_change_whose_answer_was_lost_is_unknown(place: Place) {
    let mut engine = place.open().await;
    engine.writer.fail_next_commit(CommitFault::LostAfter);
    let lost = engine.writer.write_catalogue(&CatalogueChange::PutShop(shop(1)), Some(&answer(9))).await;
    assert!(matches!(lost, Err(DbError::Unknown(_))));
    let repeated = engine.writer.write_catalogue(&CatalogueChange::PutShop(shop(1)), Some(&answer(9))).await.unwrap();
    assert!(matches!(repeated, Err(NotAppended::AnsweredBefore(_))), "asking again with the same key tells");
}

async fn a_store_is_settled_as_the_lost_commit_left_it(place: Place) {
    let mut engine = place.open().await;
    let (ours, other) = (shop(1), shop(3));
    let price = |amount, revision| {
        let price = Money::new(amount, Currency::KRW).unwrap();
        CatalogueChange::PutItem(MenuItem { price, revision, ..item(2, &ours) })
    };
    let rider = StoreRider { store: other.id, rider: "rider-7".parse().unwrap() };
    for change in [
        CatalogueChange::PutShop(ours.clone()),
        CatalogueChange::PutShop(other.clone()),
        CatalogueChange::PutRider(rider.clone()),
        price(1, 1),
    ] {
        assert_eq!(write(&mut engine, change).await, Ok(()));
    }

    for (fault, wish, left) in [(CommitFault::LostBefore, (2, 2), (1, 1)), (CommitFault::LostAfter, (3, 2), (3, 2))] {
        engine.writer.fail_next_commit(fault);
        let lost = engine.writer.write_catalogue(&price(wish.0, wish.1), None).await;
        assert!(matches!(lost, Err(DbError::Unknown(_))), "{fault:?}");
        let settled = engine.writer.settle_catalogue(ours.id).await.unwrap();
        let items: Vec<_> = settled.items.iter().map(|item| (item.price.amount, item.revision)).collect();
        assert_eq!((settled.shops, items, settled.riders), (vec![ours.clone()], vec![left], vec![]), "{fault:?}");
    }

    let settled = engine.writer.settle_catalogue(other.id).await.unwrap();
    assert_eq!((settled.shops, settled.items, settled.riders), (vec![other], vec![], vec![rider]));
    assert_eq!(engine.writer.settle_catalogue(StoreId::new(id(9))).await.unwrap(), crate::store::Catalogue::default());
}
