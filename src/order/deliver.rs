//! Decides about the way from the store to the customer: picking up, departing, delivering, confirming.
//! The routes are `/pick-up`, `/depart`, `/deliver` and `/confirm`.

use super::command::CommandName;
use super::event::{Nothing, OrderCompleted, OrderEvent, Rider};
use super::id::RiderId;
use super::machine;
use super::order::{Delivery, Order, OrderState as State};
use super::party::PartyRole;
use super::policy::Dispatch;
use super::rejection::Rejection;

pub(super) fn pick_up(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    match (&order.state, &order.delivery) {
        (State::Ready { .. }, Delivery::Accepted { .. }) => Ok(vec![OrderEvent::PickedUp(Nothing {})]),
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
        Delivery::Assigned { rider, .. } | Delivery::Accepted { rider } | Delivery::PickedUp { rider: Some(rider) }
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
