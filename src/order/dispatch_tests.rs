//! Who carries an order: claiming, assigning, own riders, and what becomes of a rider's no.

use super::super::testing::*;
use super::super::{DeliveryStatus, OrderCommand as Command, Party, Preset, Request, Seconds, Status};
use super::*;

fn hold(rider: RiderId) -> Request {
    Request::HoldRider { rider }
}

fn release(rider: RiderId) -> Request {
    Request::ReleaseRider { rider }
}

fn declined(rider_id: RiderId, why: DeclineReason) -> OrderEvent {
    OrderEvent::RiderDeclined(RiderDeclined { rider_id, why })
}

fn accepted(rider_id: RiderId) -> OrderEvent {
    OrderEvent::RiderAccepted(Rider { rider_id })
}

/// An answer to what is asked now.
fn note_held() -> Command {
    Command::NoteRiderHeld { rider: rider_id(), as_of: u32::MAX }
}

fn note_full() -> Command {
    Command::NoteRiderFull { rider: rider_id(), as_of: u32::MAX }
}

fn note_released() -> Command {
    Command::NoteRiderReleased { rider: rider_id() }
}

fn assign(rider: RiderId) -> Command {
    Command::Assign { rider }
}

fn offered(preset: Preset) -> Given {
    given(until(preset, "delivery_offered")).is(Status::Ready)
}

/// The desk has named a rider, whose book has not answered yet.
fn named_by_desk() -> Given {
    given(until(Preset::QuickService, "rider_assigned"))
}

/// The rider's book has it, and the rider has not answered yet.
fn assigned_by_desk() -> Given {
    given(until(Preset::QuickService, "assignment_confirmed"))
}

/// As a courier's desk works, but with a kitchen.
fn cooking_for_a_desk() -> Given {
    let policy = placement_under(r#"{"preset":"food_delivery","dispatch":"store_assigns"}"#);
    given([placed(policy), requested(1), authorized(1), plain("order_submitted"), plain("order_accepted")])
        .and([captured(1), plain("preparation_started")])
}

#[test]
fn a_rider_takes_an_offered_delivery_once_their_book_has_it() {
    offered(Preset::FoodDelivery)
        .when(rider(), Command::Claim)
        .then([super::assigned(&rider_id(), Assignment::Claimed)])
        .outstanding([hold(rider_id())])
        .when_told(note_held())
        .then([accepted(rider_id())]);
}

#[test]
fn of_two_riders_who_race_one_gets_it() {
    offered(Preset::FoodDelivery)
        .when(another_rider(), Command::Claim)
        .then([super::assigned(&another_rider_id(), Assignment::Claimed)])
        .when(rider(), Command::Claim)
        .then_rejected(Rejection::DeliveryTaken)
        .when(another_rider(), Command::Claim)
        .then_nothing();
}

#[test]
fn a_delivery_that_is_taken_stays_taken() {
    for last in ["rider_accepted", "picked_up", "delivered"] {
        given(until(Preset::FoodDelivery, last))
            .when(another_rider(), Command::Claim)
            .then_rejected(Rejection::DeliveryTaken)
            .when(rider(), Command::Claim)
            .then_nothing();
    }
}

#[test]
fn what_is_not_offered_cannot_be_claimed() {
    for preset in [Preset::Retail, Preset::QuickService, Preset::Restaurant] {
        offered(preset).when(rider(), Command::Claim).then_rejected(Rejection::DeliveryNotOffered);
    }
    for last in ["payment_requested", "order_submitted", "order_accepted", "preparation_started", "order_settled"] {
        given(until(Preset::FoodDelivery, last))
            .when(rider(), Command::Claim)
            .then_rejected(Rejection::DeliveryNotOffered);
    }
}

#[test]
fn a_rider_whose_book_is_full_leaves_the_delivery_to_others() {
    offered(Preset::FoodDelivery)
        .when(rider(), Command::Claim)
        .then_names(&["rider_assigned"])
        .when_told(note_full())
        .then([declined(rider_id(), DeclineReason::AtCapacity), plain("delivery_offered")])
        .outstanding([])
        .when(another_rider(), Command::Claim)
        .then_names(&["rider_assigned"]);
}

#[test]
fn the_desk_assigns_and_the_rider_says_yes() {
    given(until(Preset::QuickService, "payment_captured"))
        .when(store(), assign(rider_id()))
        .then([super::assigned(&rider_id(), Assignment::ByStore)])
        .outstanding([hold(rider_id())])
        .when_told(note_held())
        .then([confirmed(rider_id())])
        .outstanding([])
        .when(rider(), Command::AcceptDelivery)
        .then([accepted(rider_id())])
        .outstanding([])
        .when(rider(), Command::AcceptDelivery)
        .then_nothing();
}

#[test]
fn an_entry_in_the_book_is_not_the_rider_s_yes() {
    let waiting = assigned_by_desk().when_told(note_held()).then_nothing();
    assert_eq!(waiting.order().delivery.status(), DeliveryStatus::Assigned);
}

#[test]
fn a_rider_cannot_say_yes_before_their_book_has_room() {
    named_by_desk()
        .when(rider(), Command::AcceptDelivery)
        .then_rejected(Rejection::AssignmentPending)
        .when_told(note_full())
        .then([declined(rider_id(), DeclineReason::AtCapacity), plain("delivery_offered")])
        .outstanding([])
        .when(rider(), Command::AcceptDelivery)
        .then_rejected(Rejection::NotYours);
}

#[test]
fn a_rider_s_time_to_answer_begins_with_their_book_s_yes() {
    let later = NOON + Seconds(100);
    let waiting = named_by_desk().when_at(later, Party::System, note_held()).then_names(&["assignment_confirmed"]);
    assert_eq!(waiting.order().next_due(), Some(later + Seconds(300)));
}

#[test]
fn a_book_s_word_about_an_earlier_assignment_is_no_news() {
    let asked_first = named_by_desk().order().version;
    let named_again = named_by_desk()
        .when(rider(), Command::DeclineDelivery)
        .then_names(&["rider_declined", "delivery_offered"])
        .when_told(note_released())
        .then_names(&["rider_released"])
        .when(store(), assign(rider_id()))
        .then_names(&["rider_assigned"]);
    let asked_now = named_again.order().version;
    named_again
        .when_told(Command::NoteRiderHeld { rider: rider_id(), as_of: asked_first })
        .then_nothing()
        .when_told(Command::NoteRiderFull { rider: rider_id(), as_of: asked_first })
        .then_nothing()
        .when_told(Command::NoteRiderHeld { rider: rider_id(), as_of: asked_now })
        .then([confirmed(rider_id())]);
}

/// Journals of earlier releases: the rider could say yes, and leave, before the book was heard.
mod before_books_were_waited_for {
    use super::*;

    fn said_yes() -> Given {
        named_by_desk().and([accepted(rider_id())])
    }

    #[test]
    fn a_yes_is_kept_and_the_book_is_asked_before_anyone_leaves() {
        said_yes()
            .outstanding([hold(rider_id())])
            .when(rider(), Command::PickUp)
            .then_rejected(Rejection::AssignmentPending)
            .when_told(note_held())
            .then([confirmed(rider_id())])
            .outstanding([])
            .when(rider(), Command::PickUp)
            .then_names(&["picked_up"]);
    }

    #[test]
    fn a_full_book_undoes_the_yes() {
        said_yes()
            .when_told(note_full())
            .then([declined(rider_id(), DeclineReason::AtCapacity), plain("delivery_offered")]);
    }

    #[test]
    fn a_rider_on_the_way_stays_on_the_way() {
        said_yes().and([plain("picked_up")]).outstanding([]).when(rider(), Command::Deliver).then_names(&["delivered"]);
    }
}

#[test]
fn the_desk_names_one_rider_at_a_time() {
    assigned_by_desk()
        .when(store(), assign(another_rider_id()))
        .then_rejected(Rejection::DeliveryTaken)
        .when(store(), assign(rider_id()))
        .then_nothing();
}

#[test]
fn a_rider_who_declines_is_struck_out_and_another_can_be_named() {
    assigned_by_desk()
        .when(rider(), Command::DeclineDelivery)
        .then([declined(rider_id(), DeclineReason::Rider), plain("delivery_offered")])
        .outstanding([release(rider_id())])
        .when(store(), assign(another_rider_id()))
        .then_names(&["rider_assigned"])
        .outstanding([hold(another_rider_id()), release(rider_id())])
        .when_told(note_released())
        .then([OrderEvent::RiderReleased(Rider { rider_id: rider_id() })])
        .outstanding([hold(another_rider_id())])
        .when_told(note_released())
        .then_nothing();
}

#[test]
fn a_rider_may_still_decline_after_a_yes_but_not_after_picking_up() {
    given(until(Preset::QuickService, "rider_accepted"))
        .when(rider(), Command::DeclineDelivery)
        .then_names(&["rider_declined", "delivery_offered"]);
    given(until(Preset::QuickService, "picked_up")).when(rider(), Command::DeclineDelivery).then_wrong_status();
    given(until(Preset::QuickService, "delivered")).when(rider(), Command::AcceptDelivery).then_wrong_status();
}

#[test]
fn who_gave_it_back_can_have_it_again_only_when_their_book_agrees() {
    assigned_by_desk()
        .when(rider(), Command::DeclineDelivery)
        .then_names(&["rider_declined", "delivery_offered"])
        .when(store(), assign(rider_id()))
        .then_rejected(Rejection::RiderAtCapacity)
        .when_told(note_released())
        .then_names(&["rider_released"])
        .when(store(), assign(rider_id()))
        .then_names(&["rider_assigned"]);
}

#[test]
fn the_desk_may_name_a_rider_while_the_food_cooks() {
    cooking_for_a_desk()
        .when(store(), assign(rider_id()))
        .then_names(&["rider_assigned"])
        .is(Status::Preparing)
        .when_told(note_held())
        .then_names(&["assignment_confirmed"])
        .when(rider(), Command::AcceptDelivery)
        .then_names(&["rider_accepted"])
        .is(Status::Preparing)
        .when(rider(), Command::DeclineDelivery)
        .then_names(&["rider_declined", "delivery_offered"])
        .is(Status::Preparing)
        .when(store(), Command::FinishPreparation)
        .then_names(&["preparation_finished"]);
}

#[test]
fn nobody_is_named_before_the_store_accepts_or_after_the_end() {
    for last in ["order_submitted", "delivered", "order_settled"] {
        given(until(Preset::QuickService, last)).when(store(), assign(rider_id())).then_wrong_status();
    }
}

#[test]
fn only_a_desk_assigns() {
    for preset in [Preset::FoodDelivery, Preset::Retail, Preset::Restaurant, Preset::StoreDelivered] {
        given(until(preset, "preparation_finished"))
            .when(store(), assign(rider_id()))
            .then_rejected(Rejection::NotByPolicy(CommandName::Assign));
    }
}

#[test]
fn the_store_s_own_rider_departs_at_once() {
    for preset in [Preset::Retail, Preset::Restaurant] {
        offered(preset)
            .outstanding([Request::FindRider])
            .when_told(Command::NoteRiderFound { rider: rider_id() })
            .then([super::assigned(&rider_id(), Assignment::Own)])
            .outstanding([hold(rider_id())])
            .when_told(note_held())
            .then([accepted(rider_id()), plain("picked_up")])
            .is(Status::PickedUp);
    }
}

#[test]
fn another_own_rider_is_looked_for_when_one_is_full() {
    offered(Preset::Retail)
        .when_told(Command::NoteRiderFound { rider: rider_id() })
        .then_names(&["rider_assigned"])
        .when_told(note_full())
        .then_names(&["rider_declined", "delivery_offered"])
        .outstanding([Request::FindRider]);
}

#[test]
fn a_rider_found_too_late_or_for_someone_else_is_no_news() {
    let found = || Command::NoteRiderFound { rider: another_rider_id() };
    given(until(Preset::Retail, "rider_assigned")).when_told(found()).then_nothing();
    given(until(Preset::Retail, "preparation_started")).when_told(found()).then_nothing();
    offered(Preset::FoodDelivery).when_told(found()).then_nothing();
    offered(Preset::Retail)
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled", "delivery_cancelled"])
        .when_told(found())
        .then_nothing();
}

#[test]
fn an_own_rider_who_gave_it_back_is_not_found_again_at_once() {
    let found = || Command::NoteRiderFound { rider: rider_id() };
    given(until(Preset::Retail, "rider_assigned"))
        .when(rider(), Command::DeclineDelivery)
        .then_names(&["rider_declined", "delivery_offered"])
        .when_told(found())
        .then_nothing()
        .when_told(note_released())
        .then_names(&["rider_released"])
        .when_told(found())
        .then_names(&["rider_assigned"]);
}

#[test]
fn a_book_s_yes_that_comes_after_the_end_moves_nothing() {
    for preset in [Preset::FoodDelivery, Preset::Retail] {
        given(until(preset, "rider_assigned"))
            .when(operator(), CANCEL)
            .then_names(&["order_cancelled"])
            .when_told(note_held())
            .then_nothing();
    }
}

#[test]
fn a_book_s_word_about_another_rider_is_no_news() {
    let other = another_rider_id;
    for answer in [
        Command::NoteRiderHeld { rider: other(), as_of: u32::MAX },
        Command::NoteRiderFull { rider: other(), as_of: u32::MAX },
        Command::NoteRiderReleased { rider: other() },
    ] {
        given(until(Preset::FoodDelivery, "rider_assigned")).when_told(answer).then_nothing();
    }
}

#[test]
fn a_rider_of_a_cancelled_order_is_stood_down_whatever_they_say() {
    assigned_by_desk()
        .when_told(Command::NoteCaptured { attempt: 1 })
        .then_nothing()
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .when(rider(), Command::AcceptDelivery)
        .then_wrong_status()
        .when(rider(), Command::DeclineDelivery)
        .then_wrong_status()
        .when_told(note_held())
        .then_nothing()
        .when_told(note_full())
        .then_nothing()
        .when_told(note_released())
        .then_names(&["delivery_cancelled"])
        .when_told(note_released())
        .then_nothing();
}
