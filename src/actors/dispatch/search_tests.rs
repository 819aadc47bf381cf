//! Searches on the board: for a free rider, and for deliveries near a place.

use super::*;
use crate::actors::mailbox::{Mailbox, Refusal};
use crate::actors::probe::{POLICY, until};
use crate::order::testing::{NOON, placement, until as history_until};
use crate::order::{OrderEvent, Placement, Preset, SharedPlacement, replay};

const EXPIRES: Duration = Duration::from_secs(120);
const STORE: StoreId = StoreId::new(Uuid::from_u128(1));

/// One store, with riders of its own.
struct Staff(&'static [&'static str]);

impl StoreRiders for Staff {
    fn riders_of(&self, store: StoreId) -> Vec<RiderId> {
        let staff = if store == STORE { self.0 } else { &[] };
        staff.iter().map(|name| rider(name)).collect()
    }
}

struct Board {
    fold: Mailbox<Fold>,
    find: Mailbox<FindRider>,
    presence: Mailbox<NotePresence>,
    nearby: Mailbox<Nearby>,
    boards: watch::Receiver<u64>,
}

impl Board {
    /// One that has been told everything there is, which is nothing.
    async fn of(staff: &'static [&'static str]) -> Self {
        let (staff, clock, supervision) = (Arc::new(Staff(staff)), Clock::default(), Supervision::default());
        let opened = DispatchActor::open(staff, 2, clock, EXPIRES, POLICY, &supervision);
        let (door, boards) = opened;
        let (fold, find, presence) = (door.mailbox(), door.mailbox(), door.mailbox());
        let board = Self { fold, find, presence, nearby: door.mailbox(), boards };
        board.tell(Fold::Complete).await;
        board
    }

    async fn tell(&self, fold: Fold) {
        self.fold.ask(fold).await.unwrap();
    }

    async fn offer(&self, orders: impl IntoIterator<Item = Arc<Order>>) {
        let news = |after| News::Order { before: None, events: [].into(), after };
        self.tell(Fold::News(orders.into_iter().map(news).collect())).await;
    }

    async fn on_duty(&self, name: &str, available: bool) {
        let presence = Presence { available, location: at(37.5, 127.0) };
        self.presence.ask(NotePresence { rider: rider(name), presence }).await.unwrap();
    }

    async fn free(&self, store: StoreId) -> Option<String> {
        let order = OrderId::new(Uuid::from_u128(9));
        self.find.ask(FindRider { store, order }).await.unwrap().map(|rider| rider.to_string())
    }

    /// The numbers of the orders that are shown.
    async fn near(&self, around: Point, radius_m: f64, limit: usize) -> Vec<u128> {
        let found = self.nearby.ask(Nearby { around, radius_m, limit }).await.unwrap().expect("it is complete");
        found.iter().map(|delivery| delivery.order.id.uuid().as_u128()).collect()
    }
}

fn rider(name: &str) -> RiderId {
    RiderId(name.parse().unwrap())
}

fn at(lat: f64, lng: f64) -> Point {
    Point::new(lat, lng).unwrap()
}

/// An order on its way through an ordinary life, just after that event.
fn order(number: u128, destination: Point, last: &str) -> Arc<Order> {
    let usual = placement(Preset::FoodDelivery);
    let there = crate::order::Place { point: destination, ..usual.destination.clone() };
    let placed = OrderEvent::OrderPlaced(SharedPlacement::new(Placement { destination: there, ..usual }));
    let rest = history_until(Preset::FoodDelivery, last).into_iter().skip(1);
    let history: Vec<OrderEvent> = [placed].into_iter().chain(rest).collect();
    let id = OrderId::new(Uuid::from_u128(number));
    replay(id, None, history.iter().map(|event| (event, NOON))).unwrap().unwrap()
}

fn open(number: u128, destination: Point) -> Arc<Order> {
    order(number, destination, "delivery_offered")
}

#[actix::test]
async fn of_a_stores_own_riders_on_duty_whoever_carries_least_is_found() {
    let board = Board::of(&["ann", "ben", "cid"]).await;
    assert_eq!(board.free(STORE).await, None, "nobody is on duty");
    for (name, available) in [("ann", true), ("ben", true), ("cid", false), ("foreign", true)] {
        board.on_duty(name, available).await;
    }
    board.tell(Fold::Held(vec![(rider("ann").stream(), 1)])).await;
    assert_eq!(board.free(STORE).await.as_deref(), Some("ben"));
    board.tell(Fold::Held(vec![(rider("ben").stream(), 2)])).await;
    assert_eq!(board.free(STORE).await.as_deref(), Some("ann"), "the other's hands are full");
    board.tell(Fold::Held(vec![(rider("ann").stream(), 2)])).await;
    assert_eq!(board.free(STORE).await, None, "both are");
    board.tell(Fold::Held(vec![(rider("ben").stream(), 0)])).await;
    assert_eq!(board.free(STORE).await.as_deref(), Some("ben"));
    assert_eq!(board.free(StoreId::new(Uuid::from_u128(2))).await, None, "a store without riders");
}

#[actix::test]
async fn deliveries_are_found_across_the_edges_of_cells_nearest_first() {
    let board = Board::of(&[]).await;
    // Cells end at hundredths of a degree: these are in three of them, some 30 m, 150 m, 500 m and 20 km away.
    let here = at(37.5099, 127.0099);
    let places =
        [(4, at(37.69, 127.0099)), (3, at(37.5144, 127.0099)), (1, at(37.5101, 127.0101)), (2, at(37.5099, 127.0116))];
    board.offer(places.map(|(number, place)| open(number, place))).await;
    assert_eq!(board.near(here, 1_000.0, 10).await, [1, 2, 3]);
    assert_eq!(board.near(here, 1_000.0, 2).await, [1, 2]);
    assert_eq!(board.near(here, 100.0, 10).await, [1]);
    assert_eq!(board.near(here, 30_000_000.0, 10).await, [1, 2, 3, 4], "past a third of the globe all are looked at");
}

#[actix::test]
async fn deliveries_near_a_pole_and_the_date_line_are_found_too() {
    let board = Board::of(&[]).await;
    board.offer([open(1, at(10.0, 179.999)), open(2, at(89.99, 0.0))]).await;
    assert_eq!(board.near(at(10.0, -179.999), 1_000.0, 10).await, [1]);
    assert_eq!(board.near(at(89.99, 180.0), 3_000.0, 10).await, [2]);
}

#[actix::test]
async fn a_delivery_is_shown_from_its_offer_until_it_is_taken() {
    let board = Board::of(&[]).await;
    let here = at(37.5, 127.0);
    for (after, shown) in [("preparation_finished", 0), ("delivery_offered", 1), ("rider_assigned", 0)] {
        board.offer([order(1, here, after)]).await;
        assert_eq!(board.near(here, 100.0, 10).await.len(), shown, "{after}");
    }
}

#[actix::test]
async fn a_new_board_knows_nothing_and_says_that_it_has_begun() {
    let mut board = Board::of(&["ann"]).await;
    board.on_duty("ann", true).await;
    board.boards.mark_unchanged();
    // The staff list of this store makes the search panic.
    let broken = DispatchActor::open(Arc::new(Broken), 2, Clock::default(), EXPIRES, POLICY, &Supervision::default());
    let (door, mut boards) = broken;
    let (fold, find): (Mailbox<Fold>, Mailbox<FindRider>) = (door.mailbox(), door.mailbox());
    fold.ask(Fold::Complete).await.unwrap();
    boards.mark_unchanged();
    let ask = || find.ask(FindRider { store: STORE, order: OrderId::new(Uuid::from_u128(9)) });
    assert_eq!(ask().await, Err(Refusal::Stopped));
    boards.changed().await.unwrap();
    until("the next one answers, and knows nothing", async || ask().await == Ok(None)).await;
    assert!(!board.boards.has_changed().unwrap(), "nobody else is touched");
    assert_eq!(board.free(STORE).await.as_deref(), Some("ann"));
}

struct Broken;

impl StoreRiders for Broken {
    fn riders_of(&self, _: StoreId) -> Vec<RiderId> {
        panic!("the test wants a panic")
    }
}
