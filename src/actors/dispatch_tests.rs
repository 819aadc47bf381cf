//! Riders on duty, and a board that has not read everything.

use super::*;
use crate::actors::probe::POLICY;
use crate::order::testing::{self, NOON, ORDER, rider_id};
use crate::order::{Preset, replay};

const EXPIRES: Duration = Duration::from_secs(120);

/// A store with these riders of its own.
struct Own(Vec<RiderId>);

impl StoreRiders for Own {
    fn riders_of(&self, _: StoreId) -> Vec<RiderId> {
        self.0.clone()
    }
}

fn rider(name: &str) -> RiderId {
    RiderId(name.parse().unwrap())
}

struct Desk {
    board: Door<Guarded<DispatchActor>>,
    clock: Clock,
}

impl Desk {
    async fn open() -> Self {
        let clock = Clock::default();
        let riders = Arc::new(Own(vec![rider("rico"), rider("rita")]));
        let parts = Supervision::default();
        let (board, _) = DispatchActor::open(riders, 3, clock.clone(), EXPIRES, POLICY, &parts);
        board.mailbox::<Fold>().ask(Fold::Complete).await.unwrap();
        Self { board, clock }
    }

    async fn says(&self, name: &str, available: bool) {
        let presence = Presence { available, location: Point::new(37.5, 127.0).unwrap() };
        self.board.mailbox().ask(NotePresence { rider: rider(name), presence }).await.unwrap();
    }

    async fn finds(&self) -> Option<RiderId> {
        let (store, order) = (StoreId::new(Uuid::from_u128(1)), OrderId::new(Uuid::from_u128(2)));
        self.board.mailbox().ask(FindRider { store, order }).await.unwrap()
    }

    async fn knows(&self, name: &str) -> Option<bool> {
        let presence = self.board.mailbox().ask(PresenceOf(rider(name))).await.unwrap();
        presence.map(|presence| presence.available)
    }
}

#[actix::test]
async fn a_rider_on_duty_is_found_until_they_are_not_heard_of() {
    let desk = Desk::open().await;
    assert_eq!(desk.finds().await, None);
    desk.says("rico", true).await;
    desk.clock.advance(EXPIRES / 2);
    assert_eq!((desk.finds().await, desk.knows("rico").await), (Some(rider("rico")), Some(true)));

    desk.clock.advance(EXPIRES / 2);

    assert_eq!((desk.finds().await, desk.knows("rico").await), (None, None));
}

#[actix::test]
async fn a_rider_who_says_so_again_in_time_stays_on_duty() {
    let desk = Desk::open().await;
    for _ in 0..5 {
        desk.says("rico", true).await;
        desk.clock.advance(EXPIRES / 2);
    }
    assert_eq!(desk.finds().await, Some(rider("rico")));
    desk.says("rico", false).await;
    assert_eq!((desk.finds().await, desk.knows("rico").await), (None, Some(false)));
}

#[actix::test]
async fn whoever_was_not_heard_of_makes_room_for_one_who_is() {
    let desk = Desk::open().await;
    desk.says("rico", true).await;
    desk.clock.advance(EXPIRES);
    desk.says("rita", true).await;
    assert_eq!((desk.finds().await, desk.knows("rico").await), (Some(rider("rita")), None));
}

struct One;

impl StoreRiders for One {
    fn riders_of(&self, _: StoreId) -> Vec<RiderId> {
        vec![rider_id()]
    }
}

fn offered() -> Arc<Order> {
    let events = testing::until(Preset::FoodDelivery, "delivery_offered");
    replay(ORDER, None, events.iter().map(|event| (event, NOON))).unwrap().unwrap()
}

async fn nearby(board: &Door<Guarded<DispatchActor>>) -> Option<Vec<OrderId>> {
    let around = offered().placement.destination.point;
    let found = board.mailbox::<Nearby>().ask(Nearby { around, radius_m: 1_000.0, limit: 10 }).await.unwrap();
    found.map(|found| found.iter().map(|open| open.order.id).collect())
}

#[actix::test]
async fn nobody_is_answered_from_a_board_that_is_not_complete() {
    let (board, _boards) =
        DispatchActor::open(Arc::new(One), 1, Clock::default(), EXPIRES, POLICY, &Supervision::default());
    let fold = async |fold| board.mailbox::<Fold>().ask(fold).await.unwrap();
    let free = async || {
        let find = FindRider { store: offered().placement.store.id, order: ORDER };
        board.mailbox::<FindRider>().ask(find).await.unwrap()
    };
    let presence = Presence { available: true, location: offered().placement.destination.point };
    board.mailbox().ask(NotePresence { rider: rider_id(), presence }).await.unwrap();
    let order = || Fold::News(vec![News::Order { before: None, events: [].into(), after: offered() }]);
    assert_eq!((nearby(&board).await, free().await), (None, None), "nothing was read yet");

    fold(order()).await;
    assert_eq!(nearby(&board).await, None, "there may be more");
    fold(Fold::Complete).await;
    assert_eq!((nearby(&board).await, free().await), (Some(vec![ORDER]), Some(rider_id())));
    fold(Fold::Held(vec![(rider_id().stream(), 1)])).await;
    assert_eq!(free().await, None, "their hands are full");

    fold(Fold::Anew).await;
    assert_eq!((nearby(&board).await, free().await), (None, None), "it is read once more");
    fold(Fold::Complete).await;
    assert_eq!((nearby(&board).await, free().await), (Some(vec![]), Some(rider_id())), "without what was before");
}
