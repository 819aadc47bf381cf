//! Decides about preparation: when it may start and finish, and that a cancelled one has stopped.
//! The routes are `/start-preparation` and `/finish-preparation`.

use super::command::CommandName;
use super::event::{Nothing, OrderEvent};
use super::order::{Delivery, Order, OrderState as State, Preparation};
use super::policy::PreparationPolicy;
use super::rejection::Rejection;
use super::{dispatch, machine};

pub(super) fn start(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    reported_here(order, CommandName::StartPreparation)?;
    match &order.state {
        State::Accepted { .. } => Ok(vec![OrderEvent::PreparationStarted(Nothing {})]),
        State::Preparing { .. } | State::Ready { .. } | State::PickedUp { .. } | State::Delivered { .. } => {
            Ok(Vec::new())
        }
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::Completed
        | State::Rejected { .. }
        | State::Cancelled(_) => Err(machine::wrong_status(order, CommandName::StartPreparation)),
    }
}

pub(super) fn finish(order: &Order) -> Result<Vec<OrderEvent>, Rejection> {
    reported_here(order, CommandName::FinishPreparation)?;
    match &order.state {
        State::Preparing { .. } => {
            let mut events = vec![OrderEvent::PreparationFinished(Nothing {})];
            // A store that assigns may have found its rider while the food cooked.
            if matches!(order.delivery, Delivery::None) {
                events.extend(dispatch::once_ready(&order.placement.policy));
            }
            Ok(events)
        }
        State::Ready { .. } | State::PickedUp { .. } | State::Delivered { .. } => Ok(Vec::new()),
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::Accepted { .. }
        | State::Completed
        | State::Rejected { .. }
        | State::Cancelled(_) => Err(machine::wrong_status(order, CommandName::FinishPreparation)),
    }
}

/// The kitchen's word that it has stopped.
pub(super) fn note_stopped(order: &Order) -> Vec<OrderEvent> {
    match &order.state {
        State::Cancelled(ended) if ended.stop_preparation && order.preparation != Preparation::Cancelled => {
            vec![OrderEvent::PreparationCancelled(Nothing {})]
        }
        State::Cancelled(_)
        | State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::Accepted { .. }
        | State::Preparing { .. }
        | State::Ready { .. }
        | State::PickedUp { .. }
        | State::Delivered { .. }
        | State::Completed
        | State::Rejected { .. } => Vec::new(),
    }
}

fn reported_here(order: &Order, command: CommandName) -> Result<(), Rejection> {
    match order.placement.policy.preparation {
        PreparationPolicy::Reported | PreparationPolicy::WithAcceptance | PreparationPolicy::Automatic => Ok(()),
        PreparationPolicy::None => Err(Rejection::NotByPolicy(command)),
    }
}
