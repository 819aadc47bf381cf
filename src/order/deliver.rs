//! Decides about the way from the store to the customer: picking up, departing, delivering, confirming.
//! The routes are `/pick-up`, `/depart`, `/deliver` and `/confirm`.

use super::command::CommandName;
use super::event::{Nothing, OrderCompleted, OrderEvent, Rider};
use super::id::RiderId;
use super::machine;
use super::order::{Assignment, Delivery, Order, OrderState as State};
use super::party::PartyRole;
use super::policy::Dispatch;
use super::rejection::Rejection;

pub(super) fn pick_up(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    match (&order.state, &order.delivery) {
        (State::Ready { .. }, Delivery::Accepted { confirmed: true, .. }) => Ok(vec![OrderEvent::PickedUp(Nothing {})]),
        (
            State::Ready { .. },
            Delivery::Accepted { confirmed: false, .. } | Delivery::Assigned { how: Assignment::Claimed, .. },
        ) => Err(Rejection::AssignmentPending),
        (State::PickedUp { .. } | State::Delivered { .. }, _) => Ok(Vec::new()),
        (
            State::Placed { .. }
            | State::AwaitingPayment { .. }
            | State::AwaitingAcceptance { .. }
            | State::Accepted { .. }
            | State::Preparing { .. }
            | State::Ready { .. }
            | State::Completed
            | State::Rejected { .. }
            | State::Cancelled(_),
            _,
        ) => Err(machine::wrong_status(order, CommandName::PickUp)),
    }
}

/// The store leaves with it: no rider is involved.
pub(super) fn depart(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    if order.placement.policy.dispatch != Dispatch::StoreDeparts {
        return Err(Rejection::NotByPolicy(CommandName::Depart));
    }
    match &order.state {
        State::Ready { .. } => Ok(vec![OrderEvent::PickedUp(Nothing {})]),
        State::PickedUp { .. } | State::Delivered { .. } => Ok(Vec::new()),
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::Accepted { .. }
        | State::Preparing { .. }
        | State::Completed
        | State::Rejected { .. }
        | State::Cancelled(_) => Err(machine::wrong_status(order, CommandName::Depart)),
    }
}

pub(super) fn deliver(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    match &order.state {
        State::PickedUp { .. } => Ok(vec![OrderEvent::Delivered(Nothing {})]),
        State::Delivered { .. } | State::Completed => Ok(Vec::new()),
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::Accepted { .. }
        | State::Preparing { .. }
        | State::Ready { .. }
        | State::Rejected { .. }
        | State::Cancelled(_) => Err(machine::wrong_status(order, CommandName::Deliver)),
    }
}

/// The customer has it. Where the store carries it itself, that is also the word that it arrived.
pub(super) fn confirm(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    match (&order.state, &order.delivery) {
        (State::Delivered { .. }, _) => Ok(vec![completed(PartyRole::Customer)]),
        (State::PickedUp { .. }, Delivery::PickedUp { rider: None }) => {
            Ok(vec![OrderEvent::Delivered(Nothing {}), completed(PartyRole::Customer)])
        }
        (State::Completed, _) => Ok(Vec::new()),
        (
            State::Placed { .. }
            | State::AwaitingPayment { .. }
            | State::AwaitingAcceptance { .. }
            | State::Accepted { .. }
            | State::Preparing { .. }
            | State::Ready { .. }
            | State::PickedUp { .. }
            | State::Rejected { .. }
            | State::Cancelled(_),
            _,
        ) => Err(machine::wrong_status(order, CommandName::Confirm)),
    }
}

pub(super) fn completed(by: PartyRole) -> OrderEvent {
    OrderEvent::OrderCompleted(OrderCompleted { by })
}

/// The rider's book no longer holds this order: the rider of a cancelled one has been stood down.
pub(super) fn note_released(order: &Order, released: &RiderId) -> Vec<OrderEvent> {
    if order.releasing.contains(released) {
        return vec![OrderEvent::RiderReleased(Rider { rider_id: released.clone() })];
    }
    match &order.delivery {
        Delivery::Assigned { rider, .. }
        | Delivery::Accepted { rider, .. }
        | Delivery::PickedUp { rider: Some(rider) }
            if rider == released && order.is_closed() =>
        {
            vec![OrderEvent::DeliveryCancelled(Nothing {})]
        }
        Delivery::None
        | Delivery::Offered
        | Delivery::Assigned { .. }
        | Delivery::Accepted { .. }
        | Delivery::PickedUp { .. }
        | Delivery::Delivered { .. }
        | Delivery::Cancelled { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{OrderCommand as Command, PaymentStatus, Preset, Request, Status};
    use super::*;

    fn completed_by_customer() -> OrderEvent {
        completed(PartyRole::Customer)
    }

    #[test]
    fn a_rider_picks_up_delivers_and_is_free_again() {
        for preset in [Preset::FoodDelivery, Preset::QuickService] {
            given(until(preset, "rider_accepted"))
                .when(rider(), Command::PickUp)
                .then_names(&["picked_up"])
                .is(Status::PickedUp)
                .outstanding([])
                .when(rider(), Command::Deliver)
                .then_names(&["delivered"])
                .is(Status::Delivered)
                .outstanding([Request::ReleaseRider { rider: rider_id() }])
                .when_told(Command::NoteRiderReleased { rider: rider_id() })
                .then_names(&["rider_released"])
                .outstanding([]);
        }
    }

    #[test]
    fn a_rider_who_has_not_said_yes_cannot_pick_up() {
        for last in ["rider_assigned", "assignment_confirmed"] {
            given(until(Preset::QuickService, last)).when(rider(), Command::PickUp).then_wrong_status();
        }
    }

    #[test]
    fn nobody_picks_up_what_their_book_has_not_confirmed() {
        given(until(Preset::FoodDelivery, "rider_assigned"))
            .when(rider(), Command::PickUp)
            .then_rejected(Rejection::AssignmentPending)
            .when_told(Command::NoteRiderHeld { rider: rider_id(), as_of: u32::MAX })
            .then_names(&["rider_accepted"])
            .when(rider(), Command::PickUp)
            .then_names(&["picked_up"]);
    }

    #[test]
    fn what_is_not_ready_cannot_be_picked_up() {
        let policy = placement_under(r#"{"preset":"food_delivery","dispatch":"store_assigns"}"#);
        given([placed(policy), requested(1), authorized(1), plain("order_submitted"), plain("order_accepted")])
            .and([plain("preparation_started"), assigned(rider_id(), Assignment::ByStore)])
            .and([confirmed(rider_id()), OrderEvent::RiderAccepted(Rider { rider_id: rider_id() })])
            .when(rider(), Command::PickUp)
            .then_wrong_status();
    }

    #[test]
    fn telling_twice_is_telling_once() {
        let with_rider = |last| given(until(Preset::FoodDelivery, last));
        with_rider("picked_up").when(rider(), Command::PickUp).then_nothing();
        with_rider("delivered").when(rider(), Command::Deliver).then_nothing();
        with_rider("order_completed").when(rider(), Command::Deliver).then_nothing();
        with_rider("order_completed").when(customer(), Command::Confirm).then_nothing();
        given(until(Preset::StoreDelivered, "picked_up")).when(store(), Command::Depart).then_nothing();
    }

    #[test]
    fn a_store_departs_itself_and_the_customer_s_word_completes_it() {
        given(until(Preset::StoreDelivered, "preparation_finished"))
            .when(store(), Command::Depart)
            .then_names(&["picked_up"])
            .when(customer(), Command::Confirm)
            .then([plain("delivered"), completed_by_customer(), plain("order_settled")])
            .is(Status::Completed);
    }

    #[test]
    fn a_store_that_departs_itself_can_say_that_it_arrived() {
        given(until(Preset::StoreDelivered, "picked_up"))
            .when(store(), Command::Deliver)
            .then_names(&["delivered"])
            .outstanding([]);
    }

    #[test]
    fn only_who_carries_it_can_say_that_it_arrived() {
        given(until(Preset::FoodDelivery, "picked_up"))
            .when(store(), Command::Deliver)
            .then_rejected(Rejection::WrongRole(CommandName::Deliver))
            .when(another_rider(), Command::Deliver)
            .then_rejected(Rejection::NotYours)
            .when(customer(), Command::Confirm)
            .then_wrong_status();
    }

    #[test]
    fn a_store_departs_only_where_the_policy_says_so_and_when_it_is_ready() {
        for preset in [Preset::FoodDelivery, Preset::Retail, Preset::Restaurant] {
            given(until(preset, "preparation_finished"))
                .when(store(), Command::Depart)
                .then_rejected(Rejection::NotByPolicy(CommandName::Depart));
        }
        for last in ["order_submitted", "order_accepted", "preparation_started", "order_completed"] {
            given(until(Preset::StoreDelivered, last)).when(store(), Command::Depart).then_wrong_status();
        }
    }

    #[test]
    fn an_order_is_not_delivered_before_it_left() {
        for last in ["rider_assigned", "rider_accepted"] {
            given(until(Preset::FoodDelivery, last)).when(rider(), Command::Deliver).then_wrong_status();
        }
    }

    #[test]
    fn the_customer_s_word_completes_the_order_and_the_last_answer_settles_it() {
        for preset in [Preset::FoodDelivery, Preset::QuickService] {
            given(until(preset, "delivered"))
                .when(customer(), Command::Confirm)
                .then([completed_by_customer()])
                .is(Status::Completed)
                .when_told(Command::NoteRiderReleased { rider: rider_id() })
                .then_names(&["rider_released", "order_settled"]);
        }
        given(until(Preset::Retail, "rider_released"))
            .when(customer(), Command::Confirm)
            .then([completed_by_customer()])
            .outstanding([Request::SellStock])
            .when_told(Command::NoteStockSold)
            .then_names(&["stock_sold", "order_settled"]);
    }

    #[test]
    fn nothing_can_be_confirmed_before_it_arrived() {
        for last in ["order_placed", "order_submitted", "order_accepted", "preparation_finished", "picked_up"] {
            given(until(Preset::Retail, last)).when(customer(), Command::Confirm).then_wrong_status();
        }
    }

    #[test]
    fn money_due_on_delivery_is_collected_with_it() {
        let cash = placed(paid_on_delivery(placement(Preset::StoreDelivered)));
        let delivered = given([cash, plain("order_submitted"), plain("order_accepted"), plain("preparation_started")])
            .and([plain("preparation_finished"), plain("picked_up")])
            .when(store(), Command::Deliver)
            .then_names(&["delivered"]);
        assert_eq!(delivered.order().payment.status, PaymentStatus::Collected);
    }
}
