//! Decides who carries an order: offering, assigning, claiming, accepting and declining a delivery.
//! The routes are `/assign`, `/claim`, `/accept-delivery` and `/decline-delivery`.
//!
//! How many deliveries a rider may hold is not decided here but in the rider's own book, `rider`: an
//! assignment is entered there, and comes back as `NoteRiderHeld` or `NoteRiderFull`. Until it does nobody accepts the
//! delivery and nobody leaves with it, or a rider would carry more than their book has room for.

use super::command::CommandName;
use super::event::{DeclineReason, Nothing, OrderEvent, Rider, RiderAssigned, RiderDeclined};
use super::id::RiderId;
use super::machine;
use super::order::{Assignment, Delivery, Order, OrderState as State};
use super::policy::{Dispatch, ServicePolicy};
use super::rejection::Rejection;

/// What follows when an order is ready to leave.
pub(super) fn once_ready(policy: &ServicePolicy) -> Vec<OrderEvent> {
    match policy.dispatch {
        Dispatch::RidersClaim | Dispatch::StoreAssigns | Dispatch::OwnRiders => {
            vec![OrderEvent::DeliveryOffered(Nothing {})]
        }
        Dispatch::StoreDeparts => Vec::new(),
    }
}

pub(super) fn assign(order: &Order, rider: &RiderId) -> Result<Vec<OrderEvent>, Rejection> {
    by_policy(order, CommandName::Assign, Dispatch::StoreAssigns)?;
    let wrong_status = || Err(machine::wrong_status(order, CommandName::Assign));
    match (&order.state, &order.delivery) {
        (
            State::Accepted { .. } | State::Preparing { .. } | State::Ready { .. },
            Delivery::None | Delivery::Offered,
        ) => {
            not_being_released(order, rider)?;
            Ok(vec![assigned(rider, Assignment::ByStore)])
        }
        (
            State::Accepted { .. } | State::Preparing { .. } | State::Ready { .. } | State::PickedUp { .. },
            Delivery::Assigned { .. } | Delivery::Accepted { .. } | Delivery::PickedUp { .. },
        ) => already_with(order, rider),
        (
            State::Placed { .. }
            | State::AwaitingPayment { .. }
            | State::AwaitingAcceptance { .. }
            | State::Accepted { .. }
            | State::Preparing { .. }
            | State::Ready { .. }
            | State::PickedUp { .. }
            | State::Delivered { .. }
            | State::Completed
            | State::Rejected { .. }
            | State::Cancelled(_),
            _,
        ) => wrong_status(),
    }
}

pub(super) fn claim(order: &Order, rider: &RiderId) -> Result<Vec<OrderEvent>, Rejection> {
    by_policy(order, CommandName::Claim, Dispatch::RidersClaim).map_err(|_| Rejection::DeliveryNotOffered)?;
    match (&order.state, &order.delivery) {
        (State::Ready { .. }, Delivery::Offered) => {
            not_being_released(order, rider)?;
            Ok(vec![assigned(rider, Assignment::Claimed)])
        }
        (
            State::Ready { .. } | State::PickedUp { .. } | State::Delivered { .. },
            Delivery::Assigned { .. }
            | Delivery::Accepted { .. }
            | Delivery::PickedUp { .. }
            | Delivery::Delivered { .. },
        ) => already_with(order, rider),
        (
            State::Placed { .. }
            | State::AwaitingPayment { .. }
            | State::AwaitingAcceptance { .. }
            | State::Accepted { .. }
            | State::Preparing { .. }
            | State::Ready { .. }
            | State::PickedUp { .. }
            | State::Delivered { .. }
            | State::Completed
            | State::Rejected { .. }
            | State::Cancelled(_),
            _,
        ) => Err(Rejection::DeliveryNotOffered),
    }
}

pub(super) fn accept_delivery(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    not_over(order, CommandName::AcceptDelivery)?;
    match &order.delivery {
        Delivery::Assigned { rider, how: Assignment::ByStore, confirmed: true, .. } => {
            Ok(vec![OrderEvent::RiderAccepted(Rider { rider_id: rider.clone() })])
        }
        Delivery::Assigned { how: Assignment::ByStore, confirmed: false, .. } => Err(Rejection::AssignmentPending),
        // The rider said yes by claiming, or belongs to the store: the answer is on its way or here.
        Delivery::Assigned { how: Assignment::Claimed | Assignment::Own, .. }
        | Delivery::Accepted { .. }
        | Delivery::PickedUp { .. } => Ok(Vec::new()),
        Delivery::None | Delivery::Offered | Delivery::Delivered { .. } | Delivery::Cancelled { .. } => {
            Err(machine::wrong_status(order, CommandName::AcceptDelivery))
        }
    }
}

pub(super) fn decline_delivery(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    not_over(order, CommandName::DeclineDelivery)?;
    match &order.delivery {
        Delivery::Assigned { rider, .. } | Delivery::Accepted { rider, .. } => {
            Ok(unassigned(rider, DeclineReason::Rider))
        }
        Delivery::None
        | Delivery::Offered
        | Delivery::PickedUp { .. }
        | Delivery::Delivered { .. }
        | Delivery::Cancelled { .. } => Err(machine::wrong_status(order, CommandName::DeclineDelivery)),
    }
}

/// The store's free rider, found for an order that is ready.
pub(super) fn note_found(order: &Order, rider: &RiderId) -> Vec<OrderEvent> {
    match (order.placement.policy.dispatch, &order.state, &order.delivery) {
        (Dispatch::OwnRiders, State::Ready { .. }, Delivery::Offered) if !order.releasing.contains(rider) => {
            vec![assigned(rider, Assignment::Own)]
        }
        (Dispatch::OwnRiders | Dispatch::RidersClaim | Dispatch::StoreAssigns | Dispatch::StoreDeparts, _, _) => {
            Vec::new()
        }
    }
}

/// The assignment stands in the rider's book, which was asked when the order was at version `as_of`.
pub(super) fn note_held(order: &Order, holder: &RiderId, as_of: u32) -> Vec<OrderEvent> {
    if !awaits_word_of(order, holder, as_of) {
        return Vec::new();
    }
    let accepted = || OrderEvent::RiderAccepted(Rider { rider_id: holder.clone() });
    let confirmed = || OrderEvent::AssignmentConfirmed(Rider { rider_id: holder.clone() });
    match &order.delivery {
        Delivery::Assigned { how: Assignment::Claimed, .. } => vec![accepted()],
        Delivery::Assigned { how: Assignment::Own, .. } => vec![accepted(), OrderEvent::PickedUp(Nothing {})],
        Delivery::Assigned { how: Assignment::ByStore, .. } | Delivery::Accepted { .. } => vec![confirmed()],
        Delivery::None
        | Delivery::Offered
        | Delivery::PickedUp { .. }
        | Delivery::Delivered { .. }
        | Delivery::Cancelled { .. } => Vec::new(),
    }
}

/// The rider's book is full: someone else must carry it.
pub(super) fn note_full(order: &Order, full: &RiderId, as_of: u32) -> Vec<OrderEvent> {
    if awaits_word_of(order, full, as_of) { unassigned(full, DeclineReason::AtCapacity) } else { Vec::new() }
}

/// Whether the book's answer to a question of that version decides about the assignment as it stands. The same rider may
/// have been named, struck out and named again since, and then it says nothing about the entry that is asked for now.
fn awaits_word_of(order: &Order, rider: &RiderId, as_of: u32) -> bool {
    let since = match &order.delivery {
        Delivery::Assigned { version, .. } => *version,
        // Only a journal of an earlier release leads here, and it had one assignment at a time in question.
        Delivery::Accepted { .. } => 0,
        Delivery::None
        | Delivery::Offered
        | Delivery::PickedUp { .. }
        | Delivery::Delivered { .. }
        | Delivery::Cancelled { .. } => return false,
    };
    order.awaits_riders_book() && order.rider() == Some(rider) && since <= as_of
}

/// The order waits for a rider again.
pub(super) fn unassigned(rider: &RiderId, why: DeclineReason) -> Vec<OrderEvent> {
    vec![
        OrderEvent::RiderDeclined(RiderDeclined { rider_id: rider.clone(), why }),
        OrderEvent::DeliveryOffered(Nothing {}),
    ]
}

fn assigned(rider: &RiderId, how: Assignment) -> OrderEvent {
    OrderEvent::RiderAssigned(RiderAssigned { rider_id: rider.clone(), how })
}

/// The rider gave this very delivery back, and their book has not confirmed that yet: entering it again now
/// could be undone by the answer.
fn not_being_released(order: &Order, rider: &RiderId) -> Result<(), Rejection> {
    if order.releasing.contains(rider) { Err(Rejection::RiderAtCapacity) } else { Ok(()) }
}

/// A rider who has not been stood down yet may still answer for an order that has ended.
fn not_over(order: &Order, command: CommandName) -> Result<(), Rejection> {
    if order.is_closed() { Err(machine::wrong_status(order, command)) } else { Ok(()) }
}

fn already_with(order: &Order, rider: &RiderId) -> Result<Vec<OrderEvent>, Rejection> {
    if order.rider() == Some(rider) { Ok(Vec::new()) } else { Err(Rejection::DeliveryTaken) }
}

fn by_policy(order: &Order, command: CommandName, dispatch: Dispatch) -> Result<(), Rejection> {
    if order.placement.policy.dispatch == dispatch { Ok(()) } else { Err(Rejection::NotByPolicy(command)) }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
