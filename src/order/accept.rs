//! Decides about the store's answer: accepting and rejecting. The routes are `/accept` and `/reject`.
//!
//! What accepting sets going besides depends on the policy: preparation, or straight to a rider.

use super::command::CommandName;
use super::event::{Nothing, OrderEvent, OrderRejected};
use super::order::{Order, OrderState as State};
use super::policy::{Acceptance, PreparationPolicy, ServicePolicy};
use super::rejection::Rejection;
use super::text::Text;
use super::{dispatch, machine};

pub(super) fn accept(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    match &order.state {
        State::AwaitingAcceptance { .. } => Ok(accepted(&order.placement.policy)),
        // Accepting twice is not an error.
        State::Accepted { .. }
        | State::Preparing { .. }
        | State::Ready { .. }
        | State::PickedUp { .. }
        | State::Delivered { .. } => Ok(Vec::new()),
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::Completed
        | State::Rejected { .. }
        | State::Cancelled(_) => Err(machine::wrong_status(order, CommandName::Accept)),
    }
}

pub(super) fn reject(order: &Order, reason: Option<&Text<200>>) -> Result<Vec<OrderEvent>, Rejection> {
    match &order.state {
        State::AwaitingAcceptance { .. } => {
            Ok(vec![OrderEvent::OrderRejected(OrderRejected { reason: reason.cloned() })])
        }
        State::Rejected { .. } => Ok(Vec::new()),
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::Accepted { .. }
        | State::Preparing { .. }
        | State::Ready { .. }
        | State::PickedUp { .. }
        | State::Delivered { .. }
        | State::Completed
        | State::Cancelled(_) => Err(machine::wrong_status(order, CommandName::Reject)),
    }
}

/// What a submitted order goes through by policy alone.
pub(super) fn by_policy(policy: &ServicePolicy) -> Vec<OrderEvent> {
    match policy.acceptance {
        Acceptance::Manual => Vec::new(),
        Acceptance::Automatic => accepted(policy),
    }
}

fn accepted(policy: &ServicePolicy) -> Vec<OrderEvent> {
    let mut events = vec![OrderEvent::OrderAccepted(Nothing {})];
    match policy.preparation {
        PreparationPolicy::Reported => {}
        PreparationPolicy::WithAcceptance | PreparationPolicy::Automatic => {
            events.push(OrderEvent::PreparationStarted(Nothing {}));
        }
        PreparationPolicy::None => events.extend(dispatch::once_ready(policy)),
    }
    events
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{OrderCommand as Command, PaymentOperation, Preset, Request, Status};
    use super::*;

    const REJECT: Command = Command::Reject { reason: None };

    fn submitted(preset: Preset) -> Given {
        given(until(preset, "order_submitted")).is(Status::AwaitingAcceptance)
    }

    #[test]
    fn a_kitchen_accepts_first_and_reports_the_cooking_later() {
        for preset in [Preset::FoodDelivery, Preset::StoreDelivered] {
            submitted(preset)
                .when(store(), Command::Accept)
                .then_names(&["order_accepted"])
                .is(Status::Accepted)
                .outstanding([Request::Pay { operation: PaymentOperation::Capture, attempt: 1 }]);
        }
    }

    #[test]
    fn shop_staff_take_the_order_and_pack_in_the_same_act() {
        submitted(Preset::Retail)
            .when(store(), Command::Accept)
            .then_names(&["order_accepted", "preparation_started"])
            .is(Status::Preparing)
            .outstanding([]);
    }

    #[test]
    fn a_courier_s_desk_approves_and_the_parcel_waits_for_a_rider() {
        submitted(Preset::QuickService)
            .when(store(), Command::Accept)
            .then_names(&["order_accepted", "delivery_offered"])
            .is(Status::Ready);
    }

    #[test]
    fn what_needs_neither_preparation_nor_rider_waits_for_the_store_to_depart() {
        let policy = r#"{"preset":"store_delivered","preparation":"none","cancel_until":"pick_up"}"#;
        given([placed(placement_under(policy)), requested(1), authorized(1), plain("order_submitted")])
            .when(store(), Command::Accept)
            .then_names(&["order_accepted"])
            .is(Status::Ready);
    }

    #[test]
    fn nothing_is_captured_before_the_store_approves() {
        for preset in [Preset::FoodDelivery, Preset::QuickService, Preset::StoreDelivered] {
            submitted(preset).outstanding([]).when_told(Command::NoteCaptured { attempt: 1 }).then_nothing();
        }
    }

    #[test]
    fn accepting_twice_is_accepting_once() {
        for last in ["order_accepted", "preparation_started", "preparation_finished", "picked_up", "delivered"] {
            given(until(Preset::FoodDelivery, last)).when(store(), Command::Accept).then_nothing();
        }
    }

    #[test]
    fn an_order_that_has_ended_cannot_be_accepted() {
        submitted(Preset::FoodDelivery)
            .when(customer(), CANCEL)
            .then_names(&["order_cancelled"])
            .when(store(), Command::Accept)
            .then_wrong_status()
            .when(store(), REJECT)
            .then_wrong_status();
        given(happy(Preset::FoodDelivery)).when(store(), Command::Accept).then_wrong_status();
    }

    #[test]
    fn rejecting_gives_the_held_money_back() {
        submitted(Preset::FoodDelivery)
            .when(store(), Command::Reject { reason: Some(text("the oven broke")) })
            .then([OrderEvent::OrderRejected(OrderRejected { reason: Some(text("the oven broke")) })])
            .is(Status::Rejected)
            .outstanding([Request::Pay { operation: PaymentOperation::Void, attempt: 1 }])
            .when(store(), REJECT)
            .then_nothing()
            .when_told(Command::NoteVoided)
            .then_names(&["payment_voided", "order_settled"]);
    }

    #[test]
    fn rejecting_gives_taken_money_and_goods_back() {
        submitted(Preset::Retail)
            .when(store(), REJECT)
            .then_names(&["order_rejected"])
            .outstanding([Request::ReturnStock, Request::Pay { operation: PaymentOperation::Refund, attempt: 1 }])
            .when_told(Command::NoteRefunded)
            .then_names(&["payment_refunded"])
            .when_told(Command::NoteStockReturned)
            .then_names(&["stock_returned", "order_settled"]);
    }

    #[test]
    fn an_order_paid_on_delivery_is_rejected_without_a_trace_of_money() {
        given([placed(paid_on_delivery(placement(Preset::FoodDelivery))), plain("order_submitted")])
            .when(store(), REJECT)
            .then_names(&["order_rejected", "order_settled"]);
    }

    #[test]
    fn what_was_accepted_cannot_be_rejected() {
        for last in ["order_accepted", "preparation_started", "preparation_finished", "picked_up", "delivered"] {
            given(until(Preset::FoodDelivery, last)).when(store(), REJECT).then_wrong_status();
        }
    }
}
