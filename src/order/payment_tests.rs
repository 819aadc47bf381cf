//! What the provider's answers mean, and above all what no answer means.

use super::super::testing::*;
use super::super::{OrderCommand as Command, Party, PaymentMethod, Preset, Request, Seconds, Status};
use super::*;

const UNASKED: bool = false;
const UNKNOWN: bool = true;

/// The three that authorize first and capture when the store approves.
const AUTHORIZE_FIRST: [Preset; 3] = [Preset::FoodDelivery, Preset::QuickService, Preset::StoreDelivered];

fn asked(preset: Preset) -> Given {
    given(until(preset, "payment_requested"))
}

fn not_paid_yet(sent: bool) -> Command {
    Command::NoteNotPaidYet { attempt: 1, sent, why: text("no answer") }
}

fn declined(attempt: u16) -> Command {
    Command::NoteDeclined { attempt, code: text("no_funds") }
}

fn pay_with(card: CardToken) -> Command {
    Command::Pay { token: Some(card) }
}

fn asks(operation: PaymentOperation, attempt: u16) -> Request {
    Request::Pay { operation, attempt }
}

const PAY: Command = Command::Pay { token: None };
const AUTHORIZED: Command = Command::NoteAuthorized { attempt: 1 };
const CAPTURED: Command = Command::NoteCaptured { attempt: 1 };

#[test]
fn authorized_money_brings_the_order_to_the_store() {
    for preset in AUTHORIZE_FIRST {
        asked(preset)
            .when_told(AUTHORIZED)
            .then([authorized(1), plain("order_submitted")])
            .is(Status::AwaitingAcceptance);
    }
}

#[test]
fn taken_money_brings_the_order_to_the_store() {
    asked(Preset::Retail)
        .outstanding([asks(PaymentOperation::Purchase, 1)])
        .when_told(CAPTURED)
        .then([captured(1), plain("order_submitted")])
        .is(Status::AwaitingAcceptance)
        .outstanding([]);
}

#[test]
fn a_declined_card_ends_the_order() {
    for preset in AUTHORIZE_FIRST {
        asked(preset)
            .when_told(declined(1))
            .then_names(&["payment_declined", "order_cancelled", "order_settled"])
            .is(Status::Cancelled);
    }
}

#[test]
fn a_declined_card_gives_the_goods_back() {
    asked(Preset::Retail)
        .when_told(declined(1))
        .then_names(&["payment_declined", "order_cancelled"])
        .outstanding([Request::ReturnStock])
        .when_told(Command::NoteStockReturned)
        .then_names(&["stock_returned", "order_settled"]);
}

#[test]
fn an_order_is_taken_although_the_provider_is_closed_and_paid_later() {
    for preset in AUTHORIZE_FIRST {
        asked(preset)
            .when_told(not_paid_yet(UNASKED))
            .then_names(&["payment_deferred"])
            .is(Status::AwaitingPayment)
            .outstanding([Request::RetryPayment])
            .when_told(PAY)
            .then([requested(1)])
            .is(Status::AwaitingPayment)
            .outstanding([asks(PaymentOperation::Authorize, 1)])
            .when_told(AUTHORIZED)
            .then_names(&["payment_authorized", "order_submitted"]);
    }
}

#[test]
fn a_deferred_payment_is_retried_as_often_as_it_takes() {
    let mut order = asked(Preset::Retail);
    for _ in 0..5 {
        order = order.when_told(not_paid_yet(UNASKED)).then_names(&["payment_deferred"]);
        order = order.when(customer(), PAY).then([requested(1)]);
    }
    order.when_told(CAPTURED).then_names(&["payment_captured", "order_submitted"]);
}

#[test]
fn no_answer_is_neither_paid_nor_declined_and_the_same_question_stands() {
    asked(Preset::FoodDelivery)
        .when_told(not_paid_yet(UNKNOWN))
        .then_names(&["payment_deferred"])
        .is(Status::AwaitingPayment)
        .outstanding([asks(PaymentOperation::Authorize, 1)])
        .when(customer(), PAY)
        .then_nothing()
        .outstanding([asks(PaymentOperation::Authorize, 1)]);
}

#[test]
fn doubt_ends_only_with_a_definite_answer() {
    let in_doubt = || asked(Preset::FoodDelivery).when_told(not_paid_yet(UNKNOWN)).then_names(&["payment_deferred"]);
    // That the gate was closed this time says nothing about the time before.
    in_doubt().when_told(not_paid_yet(UNASKED)).then_nothing().outstanding([asks(PaymentOperation::Authorize, 1)]);
    in_doubt().when_told(AUTHORIZED).then_names(&["payment_authorized", "order_submitted"]);
    in_doubt().when_told(declined(1)).then_names(&["payment_declined", "order_cancelled", "order_settled"]);
}

#[test]
fn another_card_is_refused_while_the_first_may_have_been_charged() {
    asked(Preset::FoodDelivery)
        .when_told(not_paid_yet(UNKNOWN))
        .then_names(&["payment_deferred"])
        .when(customer(), pay_with(another_card()))
        .then_rejected(Rejection::PaymentInDoubt)
        .when(customer(), pay_with(card()))
        .then_nothing();
}

#[test]
fn another_card_is_another_attempt() {
    let with_another = OrderEvent::PaymentRequested(PaymentRequested { attempt: 2, token: Some(another_card()) });
    asked(Preset::FoodDelivery)
        .when_told(not_paid_yet(UNASKED))
        .then_names(&["payment_deferred"])
        .when(customer(), pay_with(another_card()))
        .then([with_another])
        .when(customer(), pay_with(another_card()))
        .then_nothing()
        .outstanding([asks(PaymentOperation::Authorize, 2)])
        .when_told(AUTHORIZED)
        .then_nothing() // Attempt 1 never left: this cannot be about attempt 2.
        .when_told(declined(1))
        .then_nothing()
        .when_told(Command::NoteAuthorized { attempt: 2 })
        .then([authorized(2), plain("order_submitted")]);
}

#[test]
fn money_in_doubt_is_not_voided_and_an_authorization_that_turns_up_after_the_end_is() {
    asked(Preset::FoodDelivery)
        .when_told(not_paid_yet(UNKNOWN))
        .then_names(&["payment_deferred"])
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .outstanding([asks(PaymentOperation::Authorize, 1)])
        .when_told(Command::NoteVoided)
        .then_nothing()
        .when_told(not_paid_yet(UNKNOWN))
        .then_nothing()
        .outstanding([asks(PaymentOperation::Authorize, 1)])
        .when_told(AUTHORIZED)
        .then([authorized(1)])
        .is(Status::Cancelled)
        .outstanding([asks(PaymentOperation::Void, 1)])
        .when_told(Command::NoteVoided)
        .then_names(&["payment_voided", "order_settled"]);
}

#[test]
fn money_that_turns_out_to_be_taken_after_the_end_is_refunded() {
    asked(Preset::Retail)
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .outstanding([Request::ReturnStock, asks(PaymentOperation::Purchase, 1)])
        .when_told(Command::NoteStockReturned)
        .then_names(&["stock_returned"])
        .when_told(CAPTURED)
        .then([captured(1)])
        .outstanding([asks(PaymentOperation::Refund, 1)])
        .when_told(Command::NoteRefunded)
        .then_names(&["payment_refunded", "order_settled"]);
}

#[test]
fn a_card_declined_after_the_end_settles_the_order() {
    asked(Preset::FoodDelivery)
        .when(customer(), CANCEL)
        .then_names(&["order_cancelled"])
        .when_told(declined(1))
        .then_names(&["payment_declined", "order_settled"]);
}

#[test]
fn money_is_taken_once_the_store_approves_and_only_once() {
    given(until(Preset::FoodDelivery, "order_accepted"))
        .outstanding([asks(PaymentOperation::Capture, 1)])
        .when_told(CAPTURED)
        .then([captured(1)])
        .outstanding([])
        .when_told(CAPTURED)
        .then_nothing()
        .when_told(declined(1))
        .then_nothing();
}

#[test]
fn a_capture_that_is_declined_ends_the_order_while_it_is_still_here() {
    given(until(Preset::FoodDelivery, "order_accepted"))
        .and([plain("preparation_started")])
        .when_told(declined(1))
        .then_names(&["payment_declined", "order_cancelled"])
        .outstanding([Request::StopPreparation]);
}

#[test]
fn a_capture_that_is_declined_when_the_order_has_left_is_shown_to_the_operator() {
    let mut history = until(Preset::FoodDelivery, "picked_up");
    history.retain(|event| event.name() != "payment_captured");
    let unpaid = given(history).when_told(declined(1)).then_names(&["payment_declined"]).is(Status::PickedUp);
    assert_eq!(unpaid.order().attention(), Some("delivered_unpaid"));
}

#[test]
fn an_authorized_order_that_is_accepted_by_itself_is_captured_by_itself() {
    let policy = r#"{"preset":"food_delivery","acceptance":"automatic"}"#;
    given([placed(placement_under(policy)), requested(1)])
        .when_told(AUTHORIZED)
        .then_names(&["payment_authorized", "order_submitted", "order_accepted"])
        .outstanding([asks(PaymentOperation::Capture, 1)]);
}

#[test]
fn payment_waits_for_goods_that_are_not_set_aside_yet() {
    let why = || text("the store is slow");
    given([placed(placement(Preset::Retail))])
        .when_told(Command::NoteNotPaidYet { attempt: 0, sent: UNASKED, why: why() })
        .then([OrderEvent::PaymentDeferred(PaymentDeferred { attempt: 0, in_doubt: false, why: why() })])
        .is(Status::AwaitingPayment)
        .outstanding([Request::ReserveStock])
        .when(customer(), PAY)
        .then_nothing()
        .when_told(Command::NoteStockReserved)
        .then([plain("stock_reserved"), requested(1)])
        .is(Status::AwaitingPayment);
}

#[test]
fn paying_again_changes_nothing_while_it_is_settled_or_paid() {
    asked(Preset::FoodDelivery).when(customer(), PAY).then_nothing();
    for last in ["order_submitted", "order_accepted", "preparation_started", "picked_up", "delivered"] {
        given(until(Preset::FoodDelivery, last)).when(customer(), pay_with(another_card())).then_nothing();
    }
    given(happy(Preset::FoodDelivery)).when(customer(), PAY).then_wrong_status();
}

#[test]
fn money_is_given_back_only_to_orders_that_ended_early() {
    for told in [Command::NoteVoided, Command::NoteRefunded] {
        given(until(Preset::FoodDelivery, "order_submitted")).when_told(told.clone()).then_nothing();
        given(until(Preset::Retail, "order_submitted")).when_told(told.clone()).then_nothing();
        given(until(Preset::FoodDelivery, "order_completed")).when_told(told).then_nothing();
    }
}

#[test]
fn a_provider_has_no_part_in_an_order_paid_on_delivery() {
    let cash = || given([placed(paid_on_delivery(placement(Preset::QuickService))), plain("order_submitted")]);
    assert_eq!(cash().order().payment.method, PaymentMethod::OnDelivery);
    for told in [AUTHORIZED, CAPTURED, declined(0), declined(1), Command::NoteVoided, Command::NoteRefunded] {
        cash().when_told(told).then_nothing();
    }
    cash().when(store(), Command::Accept).then_names(&["order_accepted", "delivery_offered"]).outstanding([]);
}

#[test]
fn the_same_request_has_the_same_key_after_any_restart_and_no_other_has() {
    use PaymentOperation::{Authorize, Capture, Void};
    assert_eq!(
        provider_key(ORDER, Authorize, 1).to_string(),
        "c094618a-e5d7-52b5-b786-c7143b27a28d",
        "a released key never changes: money would be taken twice"
    );
    let another_order = OrderId::new(Uuid::from_u128(2));
    let keys = [
        provider_key(ORDER, Authorize, 1),
        provider_key(ORDER, Authorize, 2),
        provider_key(ORDER, Capture, 1),
        provider_key(ORDER, Void, 1),
        provider_key(another_order, Authorize, 1),
    ];
    for (n, key) in keys.iter().enumerate() {
        assert!(!keys[..n].contains(key));
    }
}

const NOT_FOUND: Command = Command::NotePaymentNotFound { attempt: 1 };

#[test]
fn what_the_provider_does_not_find_stays_in_doubt_and_goes_to_a_person() {
    let doubtful = asked(Preset::FoodDelivery).when_told(not_paid_yet(UNKNOWN)).then_names(&["payment_deferred"]);
    let unresolved = doubtful.when_told(NOT_FOUND).then_names(&["payment_unresolved"]);
    assert!(unresolved.order().payment.in_doubt);
    assert_eq!(unresolved.order().attention(), Some("payment_unresolved"));
    unresolved
        .outstanding([asks(PaymentOperation::Authorize, 1)])
        .when(customer(), pay_with(another_card()))
        .then_rejected(Rejection::PaymentInDoubt)
        .when_told(NOT_FOUND)
        .then_nothing();
}

#[test]
fn what_is_found_after_all_is_as_good_as_an_answer() {
    let ended = || {
        asked(Preset::FoodDelivery)
            .when(customer(), CANCEL)
            .then_first("order_cancelled")
            .when_told(NOT_FOUND)
            .then_names(&["payment_unresolved"])
    };
    let found = ended().when_told(AUTHORIZED).then_names(&["payment_authorized"]);
    assert_eq!(found.order().attention(), None);
    found
        .outstanding([asks(PaymentOperation::Void, 1)])
        .when_told(Command::NoteVoided)
        .then_names(&["payment_voided", "order_settled"]);
    ended().when_told(declined(1)).then_names(&["payment_declined", "order_settled"]);
}

#[test]
fn money_that_cannot_be_seen_to_go_back_goes_to_a_person_too() {
    let going_back = given(until(Preset::Retail, "order_submitted"))
        .when(customer(), CANCEL)
        .then_first("order_cancelled")
        .when_told(Command::NoteStockReturned)
        .then_names(&["stock_returned"]);
    let unresolved = going_back.when_told(NOT_FOUND).then_names(&["payment_unresolved"]);
    assert_eq!(unresolved.order().attention(), Some("payment_unresolved"));
    unresolved.when_told(Command::NoteRefunded).then_names(&["payment_refunded", "order_settled"]);
}

#[test]
fn nothing_is_looked_for_that_is_not_asked() {
    for last in ["order_submitted", "payment_captured", "order_settled"] {
        given(until(Preset::FoodDelivery, last)).when_told(NOT_FOUND).then_nothing();
    }
    asked(Preset::FoodDelivery).when_told(Command::NotePaymentNotFound { attempt: 2 }).then_nothing();
}

#[test]
fn a_key_ages_from_the_moment_it_may_first_have_been_sent() {
    let later = |seconds| NOON + Seconds(seconds);
    let since = |order: &Given| order.order().payment.asked_since;
    // Certainly not sent, so the same key is as good as new.
    let again = asked(Preset::FoodDelivery)
        .when_told(not_paid_yet(UNASKED))
        .then_names(&["payment_deferred"])
        .when_at(later(60), customer(), PAY)
        .then_names(&["payment_requested"]);
    assert_eq!(since(&again), later(60));
    let doubtful = again.when_at(later(70), Party::System, not_paid_yet(UNKNOWN)).then_names(&["payment_deferred"]);
    // What is in doubt goes on being asked for, whatever becomes of the order.
    let ended = doubtful.when_at(later(80), customer(), CANCEL).then_first("order_cancelled");
    assert_eq!(since(&ended), later(60));
    // Giving back is another request, with a key of its own.
    let taken = ended.when_at(later(90), Party::System, AUTHORIZED).then_names(&["payment_authorized"]);
    assert_eq!(since(&taken), later(90));
    let accepted = given(until(Preset::FoodDelivery, "order_submitted"))
        .when_at(later(100), store(), Command::Accept)
        .then_names(&["order_accepted"]);
    assert_eq!(since(&accepted), later(100));
    let rejected = given(until(Preset::FoodDelivery, "order_submitted"))
        .when_at(later(100), store(), Command::Reject { reason: None })
        .then_first("order_rejected");
    assert_eq!(since(&rejected), later(100));
}
