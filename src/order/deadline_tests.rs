//! What happens when nobody does anything: the table of waits, row by row.

use super::super::event::{Rider, RiderDeclined};
use super::super::order::Assignment;
use super::super::testing::*;
use super::super::{DeclineReason as Why, OrderCommand as Command, Preset, Request, Status};
use super::*;

fn after(seconds: u32) -> Timestamp {
    NOON + Seconds(seconds)
}

fn reminded(to: PartyRole) -> OrderEvent {
    reminder_for(to)
}

/// Nothing is due a microsecond before it is.
#[track_caller]
fn not_before(order: Given, due: Timestamp) -> Given {
    assert_eq!(order.order().next_due(), Some(due));
    order.when_it_is(Timestamp::from_micros(due.as_micros() - 1)).then_nothing()
}

#[track_caller]
fn ends(order: Given, due: Timestamp, reason: EndReason) -> Given {
    let deadline = order.order().deadline().expect("a deadline");
    assert_eq!((deadline.at, deadline.then), (due, Outcome::Cancelled(reason)));
    let cancelled = order.when_it_is(due).then_first("order_cancelled").is(Status::Cancelled);
    let State::Cancelled(ended) = &cancelled.order().state else { unreachable!("checked above") };
    assert_eq!((ended.by, ended.reason), (PartyRole::System, reason));
    assert_eq!(cancelled.order().next_due(), None);
    cancelled
}

#[test]
fn a_payment_is_waited_for_half_an_hour_from_placing() {
    let asked = given(until(Preset::FoodDelivery, "payment_requested"));
    let not_paid_yet = Command::NoteNotPaidYet { attempt: 1, sent: false, why: text("gate closed") };
    // However often it is tried meanwhile.
    let deferred = not_before(asked, after(1_800))
        .when_at(after(1_000), super::super::Party::System, not_paid_yet)
        .then_names(&["payment_deferred"]);
    ends(not_before(deferred, after(1_800)), after(1_800), EndReason::PaymentNotCompleted).outstanding([]);
}

#[test]
fn goods_that_nobody_sets_aside_end_the_same_way() {
    ends(given([placed(placement(Preset::Retail))]), after(1_800), EndReason::PaymentNotCompleted)
        .outstanding([Request::ReturnStock]);
}

#[test]
fn a_payment_in_doubt_ends_the_wait_and_not_the_doubt() {
    let asked = given(until(Preset::FoodDelivery, "payment_requested"));
    let ended = ends(asked, after(1_800), EndReason::PaymentNotCompleted);
    assert!(!ended.order().settled);
    assert_eq!(ended.order().attention(), Some("payment_in_doubt"));
}

#[test]
fn a_store_is_reminded_at_half_and_has_ten_minutes_to_answer() {
    let submitted = given(until(Preset::FoodDelivery, "order_submitted"));
    let told = not_before(submitted, after(300)).when_it_is(after(300)).then([reminded(PartyRole::Store)]);
    ends(not_before(told, after(600)), after(600), EndReason::StoreDidNotAnswer)
        .when_told(Command::NoteVoided)
        .then_names(&["payment_voided", "order_settled"]);
}

#[test]
fn a_deadline_that_passed_while_nobody_watched_skips_the_reminder() {
    ends(given(until(Preset::Retail, "order_submitted")), after(600), EndReason::StoreDidNotAnswer);
}

#[test]
fn a_preparation_that_takes_two_hours_is_late_and_goes_on() {
    for last in ["payment_captured", "preparation_started"] {
        let late = not_before(given(until(Preset::FoodDelivery, last)), after(7_200))
            .when_it_is(after(7_200))
            .then([reminded(PartyRole::Operator)]);
        assert_eq!(late.order().attention(), Some("preparation_late"));
        assert_eq!(late.order().next_due(), None);
        late.when_it_is(after(99_999)).then_nothing();
    }
}

#[test]
fn preparation_is_late_counting_from_acceptance() {
    let started = given(until(Preset::FoodDelivery, "order_accepted"))
        .when_at(after(3_000), super::super::Party::System, Command::NoteCaptured { attempt: 1 })
        .then_names(&["payment_captured"])
        .when_at(after(7_000), store(), Command::StartPreparation)
        .then_names(&["preparation_started"]);
    not_before(started, after(7_200));
}

#[test]
fn a_ready_order_waits_half_an_hour_for_a_rider() {
    let captured = || given(until(Preset::FoodDelivery, "delivery_offered"));
    let told = not_before(captured(), after(900)).when_it_is(after(900)).then([reminded(PartyRole::Operator)]);
    assert_eq!(told.order().attention(), Some("waiting_for_rider"));
    let ended = ends(not_before(told, after(1_800)), after(1_800), EndReason::NoRider);
    assert_eq!(ended.order().delivery, Delivery::Cancelled { rider: None });
}

#[test]
fn a_store_that_does_not_depart_has_no_rider_either() {
    ends(given(until(Preset::StoreDelivered, "preparation_finished")), after(1_800), EndReason::NoRider);
}

#[test]
fn an_assigned_rider_has_five_minutes_to_answer() {
    let assigned = given(until(Preset::QuickService, "assignment_confirmed"));
    not_before(assigned, after(300))
        .when_it_is(after(300))
        .then([
            OrderEvent::RiderDeclined(RiderDeclined { rider_id: rider_id(), why: Why::DidNotAnswer }),
            plain("delivery_offered"),
        ])
        .is(Status::Ready)
        .outstanding([Request::ReleaseRider { rider: rider_id() }]);
}

#[test]
fn a_rider_named_while_the_food_cooks_has_five_minutes_too() {
    let policy = placement_under(r#"{"preset":"food_delivery","dispatch":"store_assigns"}"#);
    let named = given([placed(policy), requested(1), authorized(1), plain("order_submitted"), plain("order_accepted")])
        .and([assigned(rider_id(), Assignment::ByStore)]);
    not_before(named, after(300)).when_it_is(after(300)).then_names(&["rider_declined", "delivery_offered"]);
}

#[test]
fn a_book_that_does_not_answer_has_half_a_minute_whatever_riders_have() {
    let hasty = placement_under(r#"{"preset":"retail","rider_answers_within_s":1}"#);
    let mut history = until(Preset::Retail, "rider_assigned");
    history[0] = placed(hasty);
    not_before(given(history), after(30))
        .when_it_is(after(30))
        .then_names(&["rider_declined", "delivery_offered"])
        .outstanding([Request::FindRider, Request::ReleaseRider { rider: rider_id() }]);
}

#[test]
fn a_rider_who_said_yes_is_waited_for() {
    let coming = given(until(Preset::QuickService, "rider_accepted"));
    let late = not_before(coming, after(7_200)).when_it_is(after(7_200)).then([reminded(PartyRole::Operator)]);
    assert_eq!(late.is(Status::Ready).order().next_due(), None);
}

#[test]
fn the_wait_for_a_rider_begins_anew_when_one_gives_it_back() {
    let given_back = given(until(Preset::QuickService, "rider_assigned"))
        .when_at(after(200), rider(), Command::DeclineDelivery)
        .then_names(&["rider_declined", "delivery_offered"]);
    assert_eq!(given_back.order().deadline().unwrap().at, after(200 + 1_800));
    not_before(given_back, after(200 + 900));
}

#[test]
fn a_delivery_under_way_for_two_hours_is_late_and_goes_on() {
    for preset in Preset::ALL {
        let late = not_before(given(until(preset, "picked_up")), after(7_200))
            .when_it_is(after(7_200))
            .then([reminded(PartyRole::Operator)])
            .is(Status::PickedUp);
        assert_eq!(late.order().attention(), Some("delivery_late"));
        assert_eq!(late.order().next_due(), None);
    }
}

#[test]
fn a_customer_who_says_nothing_for_a_day_has_received_it() {
    for preset in Preset::ALL {
        let reminder = not_before(given(until(preset, "delivered")), after(43_200))
            .when_it_is(after(43_200))
            .then([reminded(PartyRole::Customer)]);
        assert_eq!(reminder.order().deadline().unwrap().then, Outcome::Completed);
        not_before(reminder, after(86_400))
            .when_it_is(after(86_400))
            .then_first("order_completed")
            .is(Status::Completed);
    }
}

#[test]
fn who_completed_an_order_is_written_down() {
    given(until(Preset::StoreDelivered, "delivered"))
        .when_it_is(after(86_400))
        .then([deliver::completed(PartyRole::System), plain("order_settled")]);
}

#[test]
fn a_store_may_set_every_time_itself() {
    let hasty = r#"{"preset":"quick_service","payment_within_s":10,"accept_within_s":20,"rider_within_s":30,
        "rider_answers_within_s":4,"deliver_within_s":50,"complete_after_s":60}"#;
    let history = |last: &str| {
        let mut history = until(Preset::QuickService, last);
        history[0] = placed(placement_under(hasty));
        given(history)
    };
    for (last, first_due, deadline) in [
        ("payment_requested", 10, 10),
        ("order_submitted", 10, 20),
        ("payment_captured", 15, 30),
        ("rider_assigned", 15, 30),
        ("assignment_confirmed", 4, 30),
        ("rider_accepted", 50, 50),
        ("picked_up", 50, 50),
        ("delivered", 30, 60),
    ] {
        let order = history(last);
        assert_eq!(order.order().next_due(), Some(after(first_due)), "{last}");
        assert_eq!(order.order().deadline().map(|deadline| deadline.at), Some(after(deadline)), "{last}");
    }
}

#[test]
fn an_order_that_has_ended_waits_for_nothing() {
    let ended =
        given(until(Preset::Retail, "rider_accepted")).when(customer(), CANCEL).then_names(&["order_cancelled"]);
    assert_eq!((ended.order().next_due(), ended.order().deadline()), (None, None));
    ended.when_it_is(after(u32::MAX)).then_nothing();
    given(happy(Preset::Retail)).when_it_is(after(u32::MAX)).then_nothing();
}

#[test]
fn a_rider_who_did_not_answer_can_be_named_again_when_their_book_is_clear() {
    given(until(Preset::QuickService, "rider_assigned"))
        .when_it_is(after(300))
        .then_names(&["rider_declined", "delivery_offered"])
        .when_told(Command::NoteRiderReleased { rider: rider_id() })
        .then([OrderEvent::RiderReleased(Rider { rider_id: rider_id() })])
        .when(store(), Command::Assign { rider: rider_id() })
        .then_names(&["rider_assigned"]);
}
