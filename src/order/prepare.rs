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

#[cfg(test)]
mod tests {
    use super::super::order::Assignment;
    use super::super::testing::*;
    use super::super::{OrderCommand as Command, Preset, Request, Status};
    use super::*;

    #[test]
    fn the_owner_enters_cooking_started_and_cooking_finished() {
        given(until(Preset::FoodDelivery, "order_accepted"))
            .when(store(), Command::StartPreparation)
            .then_names(&["preparation_started"])
            .is(Status::Preparing)
            .when(store(), Command::FinishPreparation)
            .then_names(&["preparation_finished", "delivery_offered"])
            .is(Status::Ready);
    }

    #[test]
    fn what_the_store_carries_itself_is_offered_to_nobody() {
        given(until(Preset::StoreDelivered, "preparation_started"))
            .when(store(), Command::FinishPreparation)
            .then_names(&["preparation_finished"])
            .is(Status::Ready)
            .outstanding([]);
    }

    #[test]
    fn cooked_means_that_the_delivery_starts_by_itself() {
        for preset in [Preset::Retail, Preset::Restaurant] {
            given(until(preset, "preparation_started"))
                .when(store(), Command::FinishPreparation)
                .then_names(&["preparation_finished", "delivery_offered"])
                .outstanding([Request::FindRider]);
        }
    }

    #[test]
    fn cooking_does_not_start_before_the_order_is_accepted() {
        given(until(Preset::FoodDelivery, "order_submitted"))
            .when(store(), Command::StartPreparation)
            .then_wrong_status()
            .when(store(), Command::FinishPreparation)
            .then_wrong_status();
    }

    #[test]
    fn cooking_that_did_not_start_does_not_finish() {
        given(until(Preset::FoodDelivery, "payment_captured"))
            .is(Status::Accepted)
            .when(store(), Command::FinishPreparation)
            .then_wrong_status();
    }

    #[test]
    fn telling_twice_is_telling_once() {
        for last in ["preparation_started", "preparation_finished", "picked_up", "delivered"] {
            for preset in [Preset::FoodDelivery, Preset::Retail, Preset::Restaurant] {
                given(until(preset, last)).when(store(), Command::StartPreparation).then_nothing();
            }
        }
        for last in ["preparation_finished", "picked_up", "delivered"] {
            given(until(Preset::FoodDelivery, last)).when(store(), Command::FinishPreparation).then_nothing();
        }
    }

    #[test]
    fn a_courier_has_nothing_to_prepare() {
        let parcel = || given(until(Preset::QuickService, "order_accepted"));
        for command in [Command::StartPreparation, Command::FinishPreparation] {
            let name = command.name();
            parcel().when(store(), command).then_rejected(Rejection::NotByPolicy(name));
        }
    }

    #[test]
    fn a_rider_found_while_the_food_cooks_is_not_looked_for_again() {
        let policy = placement_under(r#"{"preset":"food_delivery","dispatch":"store_assigns"}"#);
        given([placed(policy), requested(1), authorized(1), plain("order_submitted"), plain("order_accepted")])
            .and([plain("preparation_started"), assigned(rider_id(), Assignment::ByStore)])
            .when(store(), Command::FinishPreparation)
            .then_names(&["preparation_finished"])
            .is(Status::Ready);
    }

    #[test]
    fn a_kitchen_is_done_with_a_cancelled_order_when_it_says_so() {
        let cancelled = given(until(Preset::Restaurant, "preparation_started"))
            .when(customer(), CANCEL)
            .then_names(&["order_cancelled"])
            .when_told(Command::NotePreparationStopped)
            .then_names(&["preparation_cancelled"]);
        assert_eq!(cancelled.order().preparation, Preparation::Cancelled);
        cancelled.when_told(Command::NotePreparationStopped).then_nothing();
    }

    #[test]
    fn a_kitchen_does_not_stop_of_itself() {
        given(until(Preset::FoodDelivery, "preparation_started"))
            .when_told(Command::NotePreparationStopped)
            .then_nothing();
    }

    #[test]
    fn nothing_is_cooked_for_an_order_that_has_ended() {
        given(until(Preset::FoodDelivery, "order_accepted"))
            .when(customer(), CANCEL)
            .then_names(&["order_cancelled"])
            .when(store(), Command::StartPreparation)
            .then_wrong_status();
    }
}
