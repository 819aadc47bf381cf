//! Until when who may cancel, and everything that is given back when they do.

use super::super::testing::*;
use super::super::{OrderCommand as Command, PaymentOperation, PaymentStatus, Preset, Request, Status};
use super::*;

/// The statuses of a happy life in which `by` may cancel.
fn window(preset: Preset, by: fn() -> super::super::Party) -> Vec<Status> {
    let history = happy(preset);
    let mut window = Vec::new();
    for length in 1..=history.len() {
        let order = given(history[..length].iter().cloned());
        let status = order.order().status();
        if super::super::step(Some(&order.order().clone().into()), ORDER, &by(), &CANCEL, NOON).is_ok() {
            window.push(status);
        }
    }
    window.dedup();
    window
}

fn pay(operation: PaymentOperation) -> Request {
    Request::Pay { operation, attempt: 1 }
}

fn release() -> Request {
    Request::ReleaseRider { rider: rider_id() }
}

fn note_released() -> Command {
    Command::NoteRiderReleased { rider: rider_id() }
}

#[test]
fn food_can_be_cancelled_only_while_cooking_has_not_started() {
    for preset in [Preset::FoodDelivery, Preset::StoreDelivered] {
        assert_eq!(
            window(preset, customer),
            [Status::Placed, Status::AwaitingAcceptance, Status::Accepted],
            "{preset:?}"
        );
    }
}

#[test]
fn an_appliance_can_be_cancelled_even_when_it_is_on_its_way() {
    let until_handed_over = [
        Status::Placed,
        Status::AwaitingAcceptance,
        // Taking the order is packing it.
        Status::Accepted,
        Status::Preparing,
        Status::Ready,
        Status::PickedUp,
    ];
    assert_eq!(window(Preset::Retail, customer), until_handed_over);
}

#[test]
fn a_parcel_can_be_cancelled_until_it_is_picked_up() {
    let until_picked_up = [Status::Placed, Status::AwaitingAcceptance, Status::Ready];
    assert_eq!(window(Preset::QuickService, customer), until_picked_up);
}

#[test]
fn a_restaurant_s_order_can_be_cancelled_until_it_is_picked_up() {
    let until_picked_up =
        [Status::Placed, Status::AwaitingAcceptance, Status::Accepted, Status::Preparing, Status::Ready];
    assert_eq!(window(Preset::Restaurant, customer), until_picked_up);
}

#[test]
fn the_operator_can_cancel_whatever_is_not_handed_over() {
    for preset in Preset::ALL {
        let window = window(preset, operator);
        assert_eq!(window.last(), Some(&Status::PickedUp), "{preset:?}");
        assert!(window.contains(&Status::Ready), "{preset:?}");
    }
}

#[test]
fn stores_and_riders_do_not_cancel() {
    for by in [store(), rider(), super::super::Party::System] {
        given(until(Preset::Retail, "rider_accepted"))
            .when(by, CANCEL)
            .then_rejected(Rejection::WrongRole(CommandName::Cancel));
    }
}

#[test]
fn a_deferred_payment_can_be_cancelled() {
    given([placed(placement(Preset::FoodDelivery)), requested(1)])
        .when_told(Command::NoteNotPaidYet { attempt: 1, sent: false, why: text("gate closed") })
        .then_names(&["payment_deferred"])
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled", "order_settled"]);
}

#[test]
fn cancelling_twice_is_cancelling_once() {
    given(until(Preset::Retail, "rider_accepted"))
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .when(customer(), CANCEL)
        .then_nothing()
        .when(operator(), CANCEL)
        .then_nothing();
}

#[test]
fn a_rejected_or_completed_order_cannot_be_cancelled() {
    given(happy(Preset::Retail)).when(customer(), CANCEL).then_wrong_status();
    given(until(Preset::Retail, "order_submitted"))
        .and([plain("order_rejected")])
        .when(customer(), CANCEL)
        .then_wrong_status()
        .when(operator(), CANCEL)
        .then_wrong_status();
}

#[test]
fn what_people_say_about_it_is_kept() {
    let ended = |by, reason| {
        OrderEvent::OrderCancelled(Ended { by, reason, note: Some(text("too slow")), stop_preparation: false })
    };
    let cancel = || Command::Cancel { note: Some(text("too slow")) };
    given(until(Preset::FoodDelivery, "order_submitted"))
        .when(customer(), cancel())
        .then([ended(PartyRole::Customer, EndReason::Customer)]);
    given(until(Preset::FoodDelivery, "order_submitted"))
        .when(operator(), cancel())
        .then([ended(PartyRole::Operator, EndReason::Operator)]);
}

#[test]
fn held_money_is_let_go() {
    given(until(Preset::FoodDelivery, "order_submitted"))
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .outstanding([pay(PaymentOperation::Void)])
        .when_told(Command::NoteVoided)
        .then_names(&["payment_voided", "order_settled"]);
}

#[test]
fn a_capture_under_way_is_awaited_and_then_refunded() {
    given(until(Preset::FoodDelivery, "order_accepted"))
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .outstanding([pay(PaymentOperation::Capture), Request::StopPreparation])
        .when_told(Command::NoteCaptured { attempt: 1 })
        .then_names(&["payment_captured"])
        .outstanding([pay(PaymentOperation::Refund), Request::StopPreparation])
        .when_told(Command::NoteRefunded)
        .then_names(&["payment_refunded"])
        .when_told(Command::NotePreparationStopped)
        .then_names(&["preparation_cancelled", "order_settled"]);
}

/// Cancelling the order and cancelling the cooking happen together: the answer waits for the kitchen.
#[test]
fn a_kitchen_is_told_to_stop_and_its_word_is_awaited() {
    for last in ["order_accepted", "preparation_started", "preparation_finished"] {
        let cancelled =
            given(until(Preset::Restaurant, last)).when(customer(), CANCEL).then_names(&["order_cancelled"]);
        assert!(cancelled.order().outstanding().contains(&Request::StopPreparation), "{last}");
        assert!(!cancelled.order().has_answer_for(CommandName::Cancel), "{last}");
        let told = cancelled.when_told(Command::NotePreparationStopped).then_names(&["preparation_cancelled"]);
        assert!(told.order().has_answer_for(CommandName::Cancel), "{last}");
    }
}

#[test]
fn a_kitchen_that_knew_nothing_or_is_done_is_left_alone() {
    for (preset, last) in [
        (Preset::Restaurant, "payment_requested"),
        (Preset::FoodDelivery, "order_submitted"),
        (Preset::QuickService, "order_accepted"),
        (Preset::Retail, "picked_up"),
    ] {
        let cancelled = given(until(preset, last)).when(customer(), CANCEL).then_names(&["order_cancelled"]);
        assert!(!cancelled.order().outstanding().contains(&Request::StopPreparation), "{preset:?}");
    }
}

#[test]
fn an_offer_that_nobody_took_is_withdrawn_at_once() {
    given(until(Preset::QuickService, "payment_captured"))
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled", "delivery_cancelled"])
        .outstanding([pay(PaymentOperation::Refund)]);
}

#[test]
fn an_assigned_rider_is_stood_down() {
    for last in ["rider_assigned", "rider_accepted"] {
        given(until(Preset::QuickService, last))
            .when(customer(), CANCEL)
            .then_names(&["order_cancelled"])
            .outstanding([pay(PaymentOperation::Refund), release()])
            .when_told(Command::NoteRefunded)
            .then_names(&["payment_refunded"])
            .when_told(note_released())
            .then_names(&["delivery_cancelled", "order_settled"]);
    }
}

#[test]
fn a_delivery_under_way_comes_back_with_money_and_goods() {
    let cancelled = given(until(Preset::Retail, "picked_up"))
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .outstanding([Request::ReturnStock, pay(PaymentOperation::Refund), release()])
        .when_told(note_released())
        .then_names(&["delivery_cancelled"])
        .when_told(Command::NoteRefunded)
        .then_names(&["payment_refunded"])
        .outstanding([Request::ReturnStock])
        .when_told(Command::NoteStockReturned)
        .then_names(&["stock_returned", "order_settled"]);
    assert_eq!(cancelled.order().payment.status, PaymentStatus::Refunded);
}

#[test]
fn a_store_that_carries_it_itself_is_called_back_by_the_operator() {
    given(until(Preset::StoreDelivered, "picked_up"))
        .when(operator(), CANCEL)
        .then_names(&["order_cancelled", "delivery_cancelled"])
        .when_told(Command::NoteRefunded)
        .then_names(&["payment_refunded", "order_settled"]);
}

#[test]
fn money_that_was_never_asked_for_is_not_given_back() {
    given([placed(paid_on_delivery(placement(Preset::QuickService))), plain("order_submitted")])
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled", "order_settled"]);
}

#[test]
fn a_declined_rider_s_book_is_cleared_after_the_end_too() {
    given(until(Preset::QuickService, "rider_assigned"))
        .when(rider(), Command::DeclineDelivery)
        .then_names(&["rider_declined", "delivery_offered"])
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled", "delivery_cancelled"])
        .when_told(Command::NoteRefunded)
        .then_names(&["payment_refunded"])
        .outstanding([release()])
        .when_told(note_released())
        .then_names(&["rider_released", "order_settled"]);
}
