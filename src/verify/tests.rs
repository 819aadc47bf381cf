//! A journal in good order, and then with one thing wrong.

use super::*;
use crate::actors::{Follower, Projector, Tail};
use crate::order::testing::{self, ITEM, rider_id};
use crate::order::{CommandId, Pieces, Preset, RiderEvent, StockEvent};
use crate::store::{Append, DataPlace, Due, Engine, NewEvent, Reader, Shard};

const STORE: StoreId = StoreId::new(Uuid::from_u128(5));

struct Books {
    engine: Engine,
    _data: tempfile::TempDir,
}

fn order_id(n: u128) -> OrderId {
    OrderId::new(Uuid::from_u128(n))
}

fn order(n: u128, until: &str, due: Due) -> Append {
    let events = testing::until(Preset::Retail, until);
    let events = events.iter().map(|event| NewEvent { name: event.name(), data: event.data().into() }).collect();
    append(StreamId::order(order_id(n)), 0, events, due)
}

fn stock(version: u32, events: &[StockEvent]) -> Append {
    let events = events.iter().map(|event| NewEvent { name: event.name(), data: event.data().into() }).collect();
    append(StreamId::stock(STORE), version, events, Due::Unchanged)
}

fn held(n: u128) -> Append {
    let event = RiderEvent::Held { order: order_id(n) };
    let event = NewEvent { name: event.name(), data: event.data().into() };
    append(StreamId::rider(&rider_id()), 0, vec![event], Due::Unchanged)
}

fn append(stream: StreamId, expected_version: u32, events: Vec<NewEvent>, due: Due) -> Append {
    Append {
        stream,
        shard: Shard::new(0).unwrap(),
        expected_version,
        at: Timestamp::from_micros(1),
        by: "test".into(),
        command: CommandId::new(Uuid::now_v7()),
        fingerprint: None,
        answer: None,
        events,
        due,
    }
}

impl Books {
    async fn of(batch: &[Append]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let engine = Engine::open(&DataPlace::Directory(data.path().to_owned())).await.unwrap();
        let mut books = Self { engine, _data: data };
        assert!(books.engine.writer.append(batch).await.unwrap().iter().all(Result::is_ok));
        books.catch_up().await;
        books
    }

    async fn catch_up(&self) {
        let Engine { readers, views, .. } = &self.engine;
        let cursor = views.cursor(Reader::OrderView).await.unwrap();
        let follower = Follower::new(Tail::default(), readers.clone(), cursor);
        Projector::at_rest(follower, views.clone()).catch_up().await.unwrap();
    }

    async fn keep(&mut self, version: u32, state: String) {
        let (stream, at) = (StreamId::stock(STORE), Timestamp::from_micros(1));
        self.engine.writer.save_snapshot(&Snapshot { stream, version, at, state: state.into() }).await.unwrap();
    }

    async fn report(&self) -> Report {
        verify(&self.engine.readers, &self.engine.views, None, |_, _| {}).await.unwrap()
    }

    async fn broken(&self) -> Vec<String> {
        self.report().await.shown
    }
}

/// Order 1 is with a rider and has two pieces aside, order 2 has ended.
fn in_order() -> Vec<Append> {
    let lines = vec![Pieces { item_id: ITEM, quantity: 2 }];
    vec![
        order(1, "rider_assigned", Due::Open(None)),
        order(2, "order_settled", Due::Closed),
        stock(
            0,
            &[
                StockEvent::LevelSet { item: ITEM, available: Some(9) },
                StockEvent::Reserved { order: order_id(1), lines },
                StockEvent::Restocked { item: ITEM, quantity: 1 },
            ],
        ),
        held(1),
    ]
}

#[tokio::test]
async fn a_journal_in_good_order_is_counted_and_nothing_is_said() {
    let mut books = Books::of(&in_order()).await;
    let mut stock = Stock::default().after(&StockEvent::LevelSet { item: ITEM, available: Some(9) }).unwrap();
    books.keep(1, stock.snapshot()).await;
    let lines = vec![Pieces { item_id: ITEM, quantity: 2 }];
    stock = stock.after(&StockEvent::Reserved { order: order_id(1), lines }).unwrap();
    let stock = stock.after(&StockEvent::Restocked { item: ITEM, quantity: 1 }).unwrap();
    books.keep(3, stock.snapshot()).await;

    let mut told = Vec::new();
    let Engine { readers, views, .. } = &books.engine;
    let report = verify(readers, views, None, |done, all| told.push((done, all))).await.unwrap();

    assert_eq!((report.broken, report.shown.as_slice()), (0, &[] as &[String]));
    let Report { orders, open, stores, riders, events, .. } = report;
    assert_eq!((orders, open, stores, riders), (2, 1, 1, 1));
    assert!(report.snapshots >= 1, "the first may have been dropped");
    assert_eq!(told.last(), Some(&(2 * events, 2 * events)));
}

#[tokio::test]
async fn a_snapshot_that_is_not_what_the_events_say_is_found() {
    let mut books = Books::of(&in_order()).await;
    let other = Stock::default().snapshot().replace(r#""version":0"#, r#""version":3"#);
    books.keep(3, other).await;
    let broken = books.broken().await;
    assert!(broken.len() == 1 && broken[0].contains("snapshot") && broken[0].contains("delete it"), "{broken:?}");
}

#[tokio::test]
async fn an_order_that_is_not_listed_for_waking_is_found() {
    let books = Books::of(&[order(1, "order_placed", Due::Closed)]).await;
    assert_eq!(books.broken().await, [format!("order {} is open and not listed for waking", order_id(1))]);
}

#[tokio::test]
async fn what_is_listed_of_an_order_that_does_not_exist_is_found() {
    let books = Books::of(&in_order()).await;
    let mut row = books.engine.views.orders_by_id(None, 1).await.unwrap().remove(0);
    let cursor = books.engine.views.cursor(Reader::OrderView).await.unwrap();
    for n in [0, 7] {
        row.order = order_id(n);
        books.engine.views.save_orders(std::slice::from_ref(&row), &[], &cursor).await.unwrap();
    }
    let wanted = [0, 7].map(|n| format!("order {} is in the views, and not in the journal", order_id(n)));
    assert_eq!(books.broken().await, wanted);
}

#[tokio::test]
async fn books_that_hold_what_is_done_or_does_not_exist_are_found() {
    let lines = vec![Pieces { item_id: ITEM, quantity: 2 }];
    let set = StockEvent::LevelSet { item: ITEM, available: Some(9) };
    let aside = |n| StockEvent::Reserved { order: order_id(n), lines: lines.clone() };
    let batch = [order(2, "order_settled", Due::Closed), stock(0, &[set, aside(2), aside(3)]), held(2)];
    let mut broken = Books::of(&batch).await.broken().await;
    broken.sort();
    let (store, rider) = (STORE, rider_id().stream());
    let mut wanted = [
        format!("rider {rider} holds order {}, which is not with them", order_id(2)),
        format!("store {store} holds stock for order {}, which is done with it", order_id(2)),
        format!("store {store} holds stock for order {}, which does not exist", order_id(3)),
    ];
    wanted.sort();
    assert_eq!(broken, wanted);
}

#[tokio::test]
async fn a_long_report_is_counted_to_its_end_and_shown_in_part() {
    let orders: Vec<Append> = (1..=150).map(|n| order(n, "order_placed", Due::Closed)).collect();
    let report = Books::of(&orders).await.report().await;
    assert_eq!((report.broken, report.shown.len()), (150, SHOWN_AT_MOST));
    assert!(report.to_string().ends_with("and 50 more\n"));
}

/// The events of order 1 from one number to another.
fn part(from: usize, to: usize) -> Append {
    let events = testing::until(Preset::Retail, "rider_assigned");
    let events = events[from..to].iter();
    let events = events.map(|event| NewEvent { name: event.name(), data: event.data().into() }).collect();
    append(StreamId::order(order_id(1)), from as u32, events, Due::Open(None))
}

#[tokio::test]
async fn a_row_older_than_its_cursor_is_found_before_it_is_brought_up_to_date() {
    let mut books = Books::of(&[part(0, 2)]).await;
    let Engine { writer, readers, views } = &mut books.engine;
    writer.append(&[part(2, 3)]).await.unwrap().remove(0).unwrap();
    let behind = look_at_views(readers, views).await.unwrap();
    assert_eq!(behind.stale, [] as [String; 0], "to be behind is no fault");
    assert!(behind.to_string().starts_with("the lists were 1 events behind"), "{behind}");

    // The cursor goes on without the row.
    views.save_orders(&[], &[], &readers.head().await.unwrap()).await.unwrap();
    writer.append(&[part(3, 4)]).await.unwrap().remove(0).unwrap();
    let behind = look_at_views(readers, views).await.unwrap();
    let told = format!("order {} was at version 2 in the views, whose cursor had passed version 3", order_id(1));
    assert_eq!(behind.stale, [told]);
    books.catch_up().await;
    let mut report = books.report().await;
    report.add(behind);
    assert!(report.broken > 0 && report.to_string().contains("were 1 events behind"), "{report}");
}

#[tokio::test]
async fn an_order_that_is_in_no_book_is_found() {
    let on_its_way = [order(1, "picked_up", Due::Open(None)), order(3, "rider_assigned", Due::Open(None))];
    let mut broken = Books::of(&on_its_way).await.broken().await;
    broken.sort();
    let rider = rider_id().stream();
    let nothing_aside =
        |n| format!("order {} has goods set aside, of which its store's stock knows nothing", order_id(n));
    // Of the third it is not known yet whether the rider's book takes it.
    let wanted = [
        nothing_aside(1),
        format!("order {} is with rider {rider}, whose book does not hold it", order_id(1)),
        nothing_aside(3),
    ];
    assert_eq!(broken, wanted);
}
