//! Decides what happens when nobody does anything: every waiting state has a deadline with a declared outcome.
//!
//! A deadline is a function of the state, so it is the same after a restart. A timer only says `NoteTime`; what
//! is due is decided here, by the time that is handed in.

use super::cancel;
use super::deliver;
use super::dispatch;
use super::event::{DeclineReason, OrderEvent, ReminderGiven};
use super::order::{Delivery, Order, OrderState as State};
use super::party::{EndReason, PartyRole};
use super::time::{Seconds, Timestamp};

/// A rider's book that has not answered by then is not there, and the delivery is offered to others. Far above what a
/// commit takes on a slow disk, even where the store gives riders only a second to answer; far below what a meal can wait.
const BOOK_ANSWERS_WITHIN: Seconds = Seconds(30);

/// When the order stops waiting, and what happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    pub at: Timestamp,
    pub then: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Cancelled(EndReason),
    /// Nothing ends; the operator is told that it is late.
    ShownAsLate,
    Completed,
}

impl Outcome {
    /// The word of `deadline.then` in an order's JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Cancelled(reason) => reason.as_str(),
            Outcome::ShownAsLate => "shown_as_late",
            Outcome::Completed => "completed",
        }
    }
}

/// A wait: when it ends and how, and who is told on the way.
struct Wait {
    deadline: Option<Deadline>,
    reminder: Option<(Timestamp, PartyRole)>,
}

impl Order {
    /// The deadline that people see.
    pub fn deadline(&self) -> Option<Deadline> {
        self.wait().deadline
    }

    /// When this order must be looked at again even if nobody touches it: its deadline, a reminder on the way
    /// to it, or an assigned rider who does not answer, whichever is first.
    pub fn next_due(&self) -> Option<Timestamp> {
        let wait = self.wait();
        let rider = self.rider_answers_by();
        [wait.deadline.map(|deadline| deadline.at), wait.reminder.map(|(at, _)| at), rider].into_iter().flatten().min()
    }

    fn rider_answers_by(&self) -> Option<Timestamp> {
        match &self.delivery {
            Delivery::Assigned { since, confirmed, .. } if !self.is_closed() => {
                let within = self.placement.policy.rider_answers_within;
                Some(*since + if *confirmed { within } else { within.max(BOOK_ANSWERS_WITHIN) })
            }
            Delivery::Assigned { .. }
            | Delivery::None
            | Delivery::Offered
            | Delivery::Accepted { .. }
            | Delivery::PickedUp { .. }
            | Delivery::Delivered { .. }
            | Delivery::Cancelled { .. } => None,
        }
    }

    fn wait(&self) -> Wait {
        let policy = &self.placement.policy;
        match &self.state {
            // The customer waits from the moment of placing, however often it was tried meanwhile. Goods that the
            // store could not set aside by then end the same way: the payment was never completed.
            State::Placed { .. } | State::AwaitingPayment { .. } => {
                Wait::ends(self.placed_at, policy.payment_within, Outcome::Cancelled(EndReason::PaymentNotCompleted))
            }
            State::AwaitingAcceptance { since, reminded } => Wait::ends(
                *since,
                policy.accept_within,
                Outcome::Cancelled(EndReason::StoreDidNotAnswer),
            )
            .reminding(*since, policy.accept_within, PartyRole::Store, *reminded),
            State::Accepted { since, late } | State::Preparing { accepted_at: since, late } => {
                Wait::late(*since, policy.prepare_within, *late)
            }
            State::Ready { since, reminded } => match &self.delivery {
                Delivery::None | Delivery::Offered | Delivery::Assigned { .. } => Wait::ends(
                    *since,
                    policy.rider_within,
                    Outcome::Cancelled(EndReason::NoRider),
                )
                .reminding(*since, policy.rider_within, PartyRole::Operator, *reminded),
                // Someone is on the way: the order does not end, but the operator hears if they never come.
                Delivery::Accepted { .. }
                | Delivery::PickedUp { .. }
                | Delivery::Delivered { .. }
                | Delivery::Cancelled { .. } => Wait::late(*since, policy.deliver_within, *reminded),
            },
            State::PickedUp { since, late } => Wait::late(*since, policy.deliver_within, *late),
            State::Delivered { since, reminded } => Wait::ends(*since, policy.complete_after, Outcome::Completed)
                .reminding(*since, policy.complete_after, PartyRole::Customer, *reminded),
            State::Completed | State::Rejected { .. } | State::Cancelled(_) => Wait { deadline: None, reminder: None },
        }
    }
}

impl Wait {
    fn ends(since: Timestamp, within: Seconds, then: Outcome) -> Self {
        Self { deadline: Some(Deadline { at: since + within, then }), reminder: None }
    }

    fn late(since: Timestamp, within: Seconds, told: bool) -> Self {
        let deadline = Deadline { at: since + within, then: Outcome::ShownAsLate };
        Self { deadline: (!told).then_some(deadline), reminder: None }
    }

    fn reminding(mut self, since: Timestamp, within: Seconds, whom: PartyRole, reminded: bool) -> Self {
        self.reminder = (!reminded).then_some((since + within.half(), whom));
        self
    }
}

/// What is due at `now`. One thing at a time: the state after it says what is due next.
pub(super) fn note_time(order: &Order, now: Timestamp) -> Vec<OrderEvent> {
    let wait = order.wait();
    if let Some(deadline) = wait.deadline.filter(|deadline| deadline.at <= now) {
        return match deadline.then {
            Outcome::Cancelled(reason) => cancel::cancelled(order, PartyRole::System, reason, None),
            Outcome::ShownAsLate => vec![reminder_for(PartyRole::Operator)],
            Outcome::Completed => vec![deliver::completed(PartyRole::System)],
        };
    }
    if order.rider_answers_by().is_some_and(|by| by <= now)
        && let Some(rider) = order.rider()
    {
        return dispatch::unassigned(rider, DeclineReason::DidNotAnswer);
    }
    match wait.reminder {
        Some((at, whom)) if at <= now => vec![reminder_for(whom)],
        Some(_) | None => Vec::new(),
    }
}

fn reminder_for(whom: PartyRole) -> OrderEvent {
    OrderEvent::ReminderGiven(ReminderGiven { to: whom })
}

#[cfg(test)]
#[path = "deadline_tests.rs"]
mod tests;
