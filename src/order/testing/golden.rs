//! `wire.txt` holds every event as it stands in journals: name, a space, body. Then every preset spelled
//! out, because an order carries only its name: a preset that changed would change orders that are under way.
//!
//! Nothing rewrites that file. A line that does not match any more is a change of what others read: give the new
//! meaning a new name, or a new field a default, and add lines; never change one that has been released.

use std::collections::BTreeSet;

use crate::order::event::{
    Attempt, Nothing, OrderCompleted, OrderRejected, OutOfStock, PaymentDeclined, PaymentDeferred, PaymentRequested,
    ReminderGiven, Rider, RiderDeclined,
};
use crate::order::order::Assignment;
use crate::order::testing::*;
use crate::order::{
    Currency, DeclineReason, EndReason, Ended, Money, OrderEvent as Event, Overrides, PartyRole, PaymentMethod, Pieces,
    Place, Point, Preset, RiderEvent, ServicePolicy, StockEvent,
};

const WIRE: &str = include_str!("../wire.txt");

/// Samples of every event of an order, with everything in it that can be.
pub(crate) fn order_events() -> Vec<Event> {
    let everything = crate::order::Placement {
        note: Some(text("ring twice")),
        destination: Place {
            text: text("세종대로 5"),
            point: Point::new(37.5045, 127.0).unwrap(),
            phone: Some(text("+82 2 000 0000")),
        },
        total: Money::new(24_000, Currency::KRW).unwrap(),
        ..placement_under(r#"{"preset":"quick_service","accept_within_s":60}"#)
    };
    let ended = |by, reason| Ended { by, reason, note: None, stop_preparation: false };
    let mut all = vec![
        placed(placement(Preset::FoodDelivery)),
        placed(paid_on_delivery(everything)),
        Event::UnavailableArea(Nothing {}),
        Event::StockReserved(Nothing {}),
        Event::OutOfStock(OutOfStock { item_id: ITEM }),
        requested(1),
        Event::PaymentRequested(PaymentRequested { attempt: 2, token: None }),
        Event::PaymentDeferred(PaymentDeferred { attempt: 1, in_doubt: true, why: text("timeout") }),
        Event::PaymentUnresolved(Attempt { attempt: 1 }),
        Event::PaymentAuthorized(Attempt { attempt: 1 }),
        Event::PaymentCaptured(Attempt { attempt: 1 }),
        Event::PaymentDeclined(PaymentDeclined { attempt: 1, code: text("no_funds") }),
        Event::PaymentVoided(Nothing {}),
        Event::PaymentRefunded(Nothing {}),
        Event::OrderSubmitted(Nothing {}),
        Event::OrderAccepted(Nothing {}),
        Event::OrderRejected(OrderRejected { reason: Some(text("the oven broke")) }),
        Event::OrderRejected(OrderRejected { reason: None }),
        Event::PreparationStarted(Nothing {}),
        Event::PreparationFinished(Nothing {}),
        Event::PreparationCancelled(Nothing {}),
        Event::DeliveryOffered(Nothing {}),
    ];
    all.extend([Assignment::Claimed, Assignment::ByStore, Assignment::Own].map(|how| assigned(rider_id(), how)));
    all.push(confirmed(rider_id()));
    all.push(Event::RiderAccepted(Rider { rider_id: rider_id() }));
    all.extend(
        [DeclineReason::Rider, DeclineReason::DidNotAnswer, DeclineReason::AtCapacity]
            .map(|why| Event::RiderDeclined(RiderDeclined { rider_id: rider_id(), why })),
    );
    all.extend([
        Event::PickedUp(Nothing {}),
        Event::Delivered(Nothing {}),
        Event::RiderReleased(Rider { rider_id: rider_id() }),
        Event::DeliveryCancelled(Nothing {}),
        Event::StockReturned(Nothing {}),
        Event::StockSold(Nothing {}),
    ]);
    all.extend(
        [PartyRole::Store, PartyRole::Operator, PartyRole::Customer]
            .map(|to| Event::ReminderGiven(ReminderGiven { to })),
    );
    all.extend([PartyRole::Customer, PartyRole::System].map(|by| Event::OrderCompleted(OrderCompleted { by })));
    all.push(Event::OrderCancelled(Ended {
        note: Some(text("too slow")),
        stop_preparation: true,
        ..ended(PartyRole::Customer, EndReason::Customer)
    }));
    all.extend(
        [
            EndReason::UnavailableArea,
            EndReason::OutOfStock,
            EndReason::PaymentDeclined,
            EndReason::PaymentNotCompleted,
            EndReason::StoreRejected,
            EndReason::StoreDidNotAnswer,
            EndReason::NoRider,
        ]
        .map(|reason| Event::OrderCancelled(ended(PartyRole::System, reason))),
    );
    all.push(Event::OrderCancelled(ended(PartyRole::Operator, EndReason::Operator)));
    all.push(Event::OrderSettled(Nothing {}));
    all
}

fn stock_events() -> [StockEvent; 6] {
    [
        StockEvent::LevelSet { item: ITEM, available: Some(5) },
        StockEvent::LevelSet { item: ITEM, available: None },
        StockEvent::Restocked { item: ITEM, quantity: 3 },
        StockEvent::Reserved { order: ORDER, lines: vec![Pieces { item_id: ITEM, quantity: 2 }] },
        StockEvent::Returned { order: ORDER, lines: vec![] },
        StockEvent::Sold { order: ORDER, lines: vec![Pieces { item_id: ITEM, quantity: 2 }] },
    ]
}

fn rider_events() -> [RiderEvent; 2] {
    [RiderEvent::Held { order: ORDER }, RiderEvent::Released { order: ORDER }]
}

/// All that a preset's name stands for.
fn spelled_out(preset: Preset) -> String {
    let policy = ServicePolicy::preset(preset);
    let methods = [PaymentMethod::Card, PaymentMethod::OnDelivery];
    let everything = Overrides {
        preset,
        payment_methods: Some(methods.into_iter().filter(|method| policy.offers(*method)).collect()),
        service_area: Some(policy.service_area),
        stock: Some(policy.stock),
        capture: Some(policy.capture),
        acceptance: Some(policy.acceptance),
        preparation: Some(policy.preparation),
        dispatch: Some(policy.dispatch),
        cancel_until: Some(policy.cancel_until),
        payment_within_s: Some(policy.payment_within),
        accept_within_s: Some(policy.accept_within),
        prepare_within_s: Some(policy.prepare_within),
        rider_within_s: Some(policy.rider_within),
        rider_answers_within_s: Some(policy.rider_answers_within),
        deliver_within_s: Some(policy.deliver_within),
        complete_after_s: Some(policy.complete_after),
    };
    serde_json::to_string(&everything).unwrap()
}

fn written() -> Vec<(&'static str, String)> {
    let orders = order_events().into_iter().map(|event| (event.name(), event.data()));
    let stock = stock_events().into_iter().map(|event| (event.name(), event.data()));
    let riders = rider_events().into_iter().map(|event| (event.name(), event.data()));
    let presets = Preset::ALL.map(|preset| ("preset", spelled_out(preset)));
    orders.chain(stock).chain(riders).chain(presets).collect()
}

#[test]
fn every_event_and_every_preset_is_what_it_always_was() {
    let written = written();
    for (line, (name, data)) in WIRE.lines().zip(&written) {
        assert_eq!(format!("{name} {data}"), line);
    }
    assert_eq!(WIRE.lines().count(), written.len(), "one line for each sample");
}

#[test]
fn every_event_that_was_ever_written_can_be_read() {
    let line = |n: usize| WIRE.lines().nth(n).and_then(|line| line.split_once(' ')).expect("a name and a body");
    let orders = order_events();
    for (n, event) in orders.iter().enumerate() {
        let (name, data) = line(n);
        assert_eq!(Event::read(name, data).unwrap(), *event);
    }
    for (n, event) in stock_events().iter().enumerate() {
        let (name, data) = line(orders.len() + n);
        assert_eq!(StockEvent::read(name, data).unwrap(), *event);
    }
    for (n, event) in rider_events().iter().enumerate() {
        let (name, data) = line(orders.len() + stock_events().len() + n);
        assert_eq!(RiderEvent::read(name, data).unwrap(), *event);
    }
}

#[test]
fn no_event_is_without_a_sample() {
    let sampled: BTreeSet<_> = order_events().iter().map(Event::name).collect();
    assert_eq!(sampled, Event::NAMES.iter().copied().collect());
}

/// A newer program may have written more than this one knows; what it does not know by name it must not guess at.
#[test]
fn new_fields_are_passed_over_and_new_names_are_not() {
    let newer = r#"{"attempt":1,"wallet":"kakao"}"#;
    assert_eq!(Event::read("payment_captured", newer).unwrap(), captured(1));
    assert!(Event::read("payment_split", newer).is_err());
    assert!(Event::read("payment_captured", "{}").is_err());
    assert!(StockEvent::read("delivery_held", "{}").is_err());
    assert!(RiderEvent::read("reservation_made", "{}").is_err());
}

/// Other systems may have been told these words; they never change.
#[test]
fn the_words_of_the_public_interface_are_what_they_were() {
    let of = |all: &[&str]| all.join(" ");
    let statuses: Vec<_> = crate::order::Status::ALL.iter().map(|status| status.as_str()).collect();
    assert_eq!(
        of(&statuses),
        "placed awaiting_payment awaiting_acceptance accepted preparing ready picked_up delivered completed rejected cancelled"
    );
    for status in crate::order::Status::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
    let commands: Vec<_> = crate::order::CommandName::BY_PEOPLE.iter().map(|name| name.as_str()).collect();
    assert_eq!(
        of(&commands),
        "place pay cancel confirm accept reject start-preparation finish-preparation assign depart claim \
         accept-delivery decline-delivery pick-up deliver"
    );
}
