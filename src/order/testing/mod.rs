//! Given what happened, when this is commanded, then that follows: the language of the rule tests.
//!
//! The histories are written by hand, event by event, so that a test never rests on the rules it tests.

mod every_command;
pub(crate) mod golden;
mod liveness;
mod model;
mod properties;
mod provider;
mod public_events;
mod reachable;
pub(crate) mod shelf;
mod situations;
mod transitions;
mod world;

use std::sync::Arc;

use uuid::Uuid;

use crate::order::event::{Attempt, Nothing, OrderCompleted, PaymentRequested, Rider, RiderAssigned};
use crate::order::order::Assignment;
use crate::order::{
    CardToken, Currency, CustomerId, ItemId, Line, Money, NoStep, Order, OrderCommand, OrderEvent, OrderId, OwnerId,
    Parcel, Party, PartyRole, PaymentMethod, Place, Placement, Point, Preset, Rejection, Request, RiderId,
    ServicePolicy, SharedPlacement, Status, StoreId, StoreRef, Subject, Text, Timestamp, replay, step,
};

/// 2026-11-21 12:00 UTC: the moment of every event that a test gives no time of its own.
pub(crate) const NOON: Timestamp = Timestamp::from_micros(1_795_262_400_000_000);
pub(crate) const ORDER: OrderId = OrderId::new(Uuid::from_u128(0x01d));
pub(crate) const ITEM: ItemId = ItemId::new(Uuid::from_u128(0x17e));

/// As most cancel: without a word.
pub(crate) const CANCEL: OrderCommand = OrderCommand::Cancel { note: None };

pub(crate) fn customer() -> Party {
    Party::Customer(CustomerId(subject("alice")))
}

pub(crate) fn store() -> Party {
    Party::Store(OwnerId(subject("bob")))
}

pub(crate) fn rider() -> Party {
    Party::Rider(rider_id())
}

pub(crate) fn another_rider() -> Party {
    Party::Rider(another_rider_id())
}

pub(crate) fn operator() -> Party {
    Party::Operator(subject("olga"))
}

pub(crate) fn rider_id() -> RiderId {
    RiderId(subject("ravi"))
}

pub(crate) fn another_rider_id() -> RiderId {
    RiderId(subject("rosa"))
}

pub(crate) fn card() -> CardToken {
    CardToken(text("ok"))
}

pub(crate) fn another_card() -> CardToken {
    CardToken(text("another"))
}

pub(crate) fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    text.parse().unwrap()
}

fn subject(name: &str) -> Subject {
    name.parse().unwrap()
}

/// Two bowls of soup from a store in Seoul, to a place 500 m away, paid by card. A courier carries a parcel instead.
pub(crate) fn placement(preset: Preset) -> Placement {
    let point = |lat, lng| Point::new(lat, lng).unwrap();
    let place = |words: &str, lat| Place { text: text(words), point: point(lat, 127.0), phone: None };
    let won = |amount| Money::new(amount, Currency::KRW).unwrap();
    let policy = ServicePolicy::preset(preset);
    let parcel = policy.carries_parcels().then(|| Parcel {
        description: text("keys"),
        size: text("small"),
        weight_g: 200,
        pick_up: place("1 Sejong-daero", 37.51),
    });
    Placement {
        store: Arc::new(StoreRef {
            id: StoreId::new(Uuid::from_u128(0x570)),
            name: text("Soup and more"),
            owner: OwnerId(subject("bob")),
            point: point(37.5, 127.0),
        }),
        customer_id: CustomerId(subject("alice")),
        policy: Arc::new(policy),
        lines: Box::new([Line {
            item_id: ITEM,
            name: text("soup"),
            quantity: 2,
            unit_price: won(12_000),
            total: won(24_000),
        }]),
        total: won(24_000),
        destination: place("5 Sejong-daero", 37.5045),
        parcel: parcel.map(Box::new),
        note: None,
        payment_method: PaymentMethod::Card,
        card_token: Some(card()),
    }
}

/// A placement under a policy as stores write it: `{"preset": "retail", "accept_within_s": 60}`.
pub(crate) fn placement_under(policy: &str) -> Placement {
    let policy: ServicePolicy = serde_json::from_str(policy).unwrap();
    Placement { policy: Arc::new(policy.clone()), ..placement(policy.preset) }
}

pub(crate) fn paid_on_delivery(placement: Placement) -> Placement {
    Placement { payment_method: PaymentMethod::OnDelivery, card_token: None, ..placement }
}

pub(crate) fn place(placement: Placement) -> OrderCommand {
    OrderCommand::Place(Arc::new(placement))
}

pub(crate) fn placed(placement: Placement) -> OrderEvent {
    OrderEvent::OrderPlaced(SharedPlacement::new(placement))
}

pub(crate) fn requested(attempt: u16) -> OrderEvent {
    OrderEvent::PaymentRequested(PaymentRequested { attempt, token: Some(card()) })
}

pub(crate) fn authorized(attempt: u16) -> OrderEvent {
    OrderEvent::PaymentAuthorized(Attempt { attempt })
}

pub(crate) fn captured(attempt: u16) -> OrderEvent {
    OrderEvent::PaymentCaptured(Attempt { attempt })
}

pub(crate) fn assigned(rider_id: RiderId, how: Assignment) -> OrderEvent {
    OrderEvent::RiderAssigned(RiderAssigned { rider_id, how })
}

pub(crate) fn confirmed(rider_id: RiderId) -> OrderEvent {
    OrderEvent::AssignmentConfirmed(Rider { rider_id })
}

/// An event that is all in its name.
pub(crate) fn plain(name: &str) -> OrderEvent {
    OrderEvent::read(name, "{}").unwrap()
}

/// The whole life of an order under that preset when everyone does their part.
pub(crate) fn happy(preset: Preset) -> Vec<OrderEvent> {
    let placed = || placed(placement(preset));
    let took = |how| [assigned(rider_id(), how), OrderEvent::RiderAccepted(Rider { rider_id: rider_id() })];
    let released = || OrderEvent::RiderReleased(Rider { rider_id: rider_id() });
    let completed = || OrderEvent::OrderCompleted(OrderCompleted { by: PartyRole::Customer });
    let submitted = || OrderEvent::OrderSubmitted(Nothing {});
    match preset {
        Preset::FoodDelivery => [placed(), requested(1), authorized(1), submitted()]
            .into_iter()
            .chain([plain("order_accepted"), captured(1), plain("preparation_started")])
            .chain([plain("preparation_finished"), plain("delivery_offered")])
            .chain(took(Assignment::Claimed))
            .chain([plain("picked_up"), plain("delivered"), released(), completed(), plain("order_settled")])
            .collect(),
        Preset::StoreDelivered => [placed(), requested(1), authorized(1), submitted()]
            .into_iter()
            .chain([plain("order_accepted"), captured(1), plain("preparation_started")])
            .chain([plain("preparation_finished"), plain("picked_up"), plain("delivered")])
            .chain([completed(), plain("order_settled")])
            .collect(),
        Preset::QuickService => [placed(), requested(1), authorized(1), submitted()]
            .into_iter()
            .chain([plain("order_accepted"), plain("delivery_offered"), captured(1)])
            .chain([assigned(rider_id(), Assignment::ByStore), confirmed(rider_id())])
            .chain([OrderEvent::RiderAccepted(Rider { rider_id: rider_id() })])
            .chain([plain("picked_up"), plain("delivered"), released(), completed(), plain("order_settled")])
            .collect(),
        // They differ in who accepts, not in what happens.
        Preset::Retail | Preset::Restaurant => [placed(), plain("stock_reserved"), requested(1), captured(1)]
            .into_iter()
            .chain([submitted(), plain("order_accepted"), plain("preparation_started")])
            .chain([plain("preparation_finished"), plain("delivery_offered")])
            .chain(took(Assignment::Own))
            .chain([plain("picked_up"), plain("delivered"), released(), plain("stock_sold"), completed()])
            .chain([plain("order_settled")])
            .collect(),
    }
}

/// The happy life of an order until that event, included.
pub(crate) fn until(preset: Preset, last: &str) -> Vec<OrderEvent> {
    let mut history = happy(preset);
    let end = history.iter().position(|event| event.name() == last).expect("an event of that happy life");
    history.truncate(end + 1);
    history
}

/// An order, or that there is none yet.
#[derive(Debug)]
pub(crate) struct Given(Option<Arc<Order>>);

/// What came of one command.
#[derive(Debug)]
pub(crate) struct Attempted {
    before: Option<Arc<Order>>,
    step: Result<crate::order::Step, NoStep>,
}

/// All of it happened at noon.
pub(crate) fn given(history: impl IntoIterator<Item = OrderEvent>) -> Given {
    let history: Vec<_> = history.into_iter().collect();
    Given(replay(ORDER, None, history.iter().map(|event| (event, NOON))).expect("a history that can happen"))
}

pub(crate) fn nothing_yet() -> Given {
    Given(None)
}

impl Given {
    /// More that happened, at noon as well.
    pub(crate) fn and(self, more: impl IntoIterator<Item = OrderEvent>) -> Given {
        let more: Vec<_> = more.into_iter().collect();
        Given(replay(ORDER, self.0, more.iter().map(|event| (event, NOON))).expect("events that can follow"))
    }

    pub(crate) fn when(self, by: Party, command: OrderCommand) -> Attempted {
        self.when_at(NOON, by, command)
    }

    pub(crate) fn when_at(self, now: Timestamp, by: Party, command: OrderCommand) -> Attempted {
        let step = step(self.0.as_ref(), ORDER, &by, &command, now);
        Attempted { before: self.0, step }
    }

    /// An answer from the world.
    pub(crate) fn when_told(self, answer: OrderCommand) -> Attempted {
        self.when(Party::System, answer)
    }

    /// The clock strikes.
    pub(crate) fn when_it_is(self, now: Timestamp) -> Attempted {
        self.when_at(now, Party::System, OrderCommand::NoteTime)
    }

    pub(crate) fn order(&self) -> &Order {
        self.0.as_ref().expect("an order")
    }

    #[track_caller]
    pub(crate) fn is(self, status: Status) -> Given {
        assert_eq!(self.order().status(), status);
        self
    }

    #[track_caller]
    pub(crate) fn outstanding(self, requests: impl IntoIterator<Item = Request>) -> Given {
        assert_eq!(self.order().outstanding(), requests.into_iter().collect::<Vec<_>>());
        self
    }
}

impl Attempted {
    #[track_caller]
    fn events(self) -> (Vec<OrderEvent>, Given) {
        match self.step {
            Ok(step) => (step.events, Given(Some(step.next))),
            Err(no) => panic!("no step: {no:?}"),
        }
    }

    /// Exactly these events followed.
    #[track_caller]
    pub(crate) fn then(self, expected: impl IntoIterator<Item = OrderEvent>) -> Given {
        let (events, next) = self.events();
        assert_eq!(events, expected.into_iter().collect::<Vec<_>>());
        next
    }

    /// Events of exactly these names followed.
    #[track_caller]
    pub(crate) fn then_names(self, expected: &[&str]) -> Given {
        let (events, next) = self.events();
        assert_eq!(events.iter().map(OrderEvent::name).collect::<Vec<_>>(), expected);
        next
    }

    /// An event of that name followed, and then others.
    #[track_caller]
    pub(crate) fn then_first(self, expected: &str) -> Given {
        let (events, next) = self.events();
        assert_eq!(events.first().map(OrderEvent::name), Some(expected));
        next
    }

    /// It holds already: the order is as it was.
    #[track_caller]
    pub(crate) fn then_nothing(self) -> Given {
        self.then([])
    }

    #[track_caller]
    pub(crate) fn then_rejected(self, expected: Rejection) -> Given {
        match self.step {
            Ok(step) => panic!("not rejected but: {:?}", step.events),
            Err(NoStep::Rejected(rejection)) => assert_eq!(rejection, expected),
            Err(NoStep::Illegal(illegal)) => panic!("the rules contradict each other: {illegal}"),
        }
        Given(self.before)
    }

    /// Rejected for coming too early or too late.
    #[track_caller]
    pub(crate) fn then_wrong_status(self) -> Given {
        match self.step {
            Err(NoStep::Rejected(Rejection::WrongStatus { .. })) => Given(self.before),
            Ok(step) => panic!("not rejected but: {:?}", step.events),
            Err(no) => panic!("rejected, but: {no:?}"),
        }
    }
}
