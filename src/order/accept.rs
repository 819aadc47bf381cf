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
