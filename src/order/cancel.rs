//! Decides whether an order may be cancelled, by whom, and whether the kitchen must be told to stop.
//!
//! Undoing the payment, standing the rider down and returning the stock are not decided here: they follow
//! from the cancelled state, see `outstanding`. The route is `/cancel`.

use super::command::CommandName;
use super::event::{Nothing, OrderEvent};
use super::machine;
use super::order::{Delivery, Order, OrderState as State};
use super::party::{EndReason, Ended, PartyRole};
use super::policy::{CancelUntil, PreparationPolicy};
use super::rejection::Rejection;
use super::text::Text;

pub(super) fn decide(order: &Order, by: PartyRole, note: Option<&Text<200>>) -> Result<Vec<OrderEvent>, Rejection> {
    let until = match by {
        PartyRole::Customer => order.placement.policy.cancel_until,
        // The operator may end what the policy no longer lets the customer end, until it is handed over.
        PartyRole::Operator => CancelUntil::Delivery,
        PartyRole::Store | PartyRole::Rider | PartyRole::System => {
            return Err(Rejection::WrongRole(CommandName::Cancel));
        }
    };
    let in_time = match &order.state {
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::Accepted { .. } => true,
        State::Preparing { .. } => match until {
            CancelUntil::PreparationStarts => false,
            CancelUntil::PickUp | CancelUntil::Delivery => true,
        },
        State::Ready { .. } => match until {
            CancelUntil::PreparationStarts => false,
            CancelUntil::PickUp | CancelUntil::Delivery => true,
        },
        State::PickedUp { .. } => match until {
            CancelUntil::PreparationStarts | CancelUntil::PickUp => false,
            CancelUntil::Delivery => true,
        },
        State::Cancelled(_) => return Ok(Vec::new()), // Asking twice is not an error.
        State::Delivered { .. } | State::Completed | State::Rejected { .. } => false,
    };
    if !in_time {
        return Err(machine::wrong_status(order, CommandName::Cancel));
    }
    let reason = match by {
        PartyRole::Operator => EndReason::Operator,
        PartyRole::Customer | PartyRole::Store | PartyRole::Rider | PartyRole::System => EndReason::Customer,
    };
    Ok(cancelled(order, by, reason, note.cloned()))
}

/// Ends the order, and says at once what needs no one's answer: a delivery that no rider holds is cancelled.
pub(super) fn cancelled(order: &Order, by: PartyRole, reason: EndReason, note: Option<Text<200>>) -> Vec<OrderEvent> {
    let ended = Ended { by, reason, note, stop_preparation: kitchen_must_stop(order) };
    let mut events = vec![OrderEvent::OrderCancelled(ended)];
    match &order.delivery {
        Delivery::Offered | Delivery::PickedUp { rider: None } => {
            events.push(OrderEvent::DeliveryCancelled(Nothing {}));
        }
        Delivery::None
        | Delivery::Assigned { .. }
        | Delivery::Accepted { .. }
        | Delivery::PickedUp { rider: Some(_) }
        | Delivery::Delivered { .. }
        | Delivery::Cancelled { .. } => {}
    }
    events
}

fn kitchen_must_stop(order: &Order) -> bool {
    if order.placement.policy.preparation == PreparationPolicy::None {
        return false;
    }
    match &order.state {
        State::Accepted { .. } | State::Preparing { .. } | State::Ready { .. } => true,
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::PickedUp { .. }
        | State::Delivered { .. }
        | State::Completed
        | State::Rejected { .. }
        | State::Cancelled(_) => false,
    }
}

#[cfg(test)]
#[path = "cancel_tests.rs"]
mod tests;
