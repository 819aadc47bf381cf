//! The one table: which rule decides about a command, and what state follows an event.
//!
//! `step` is what callers use: decide, fold, and say whether anything is left to give back. It is the same live
//! and on replay; an event that does not fit is an assertion on our rules live, and a damaged journal on replay.

use std::sync::Arc;

use super::command::{CommandName, OrderCommand};
use super::event::{Nothing, OrderEvent};
use super::fold;
use super::id::OrderId;
use super::order::Order;
use super::party::Party;
use super::rejection::Rejection;
use super::time::Timestamp;
use super::{accept, access, cancel, deadline, deliver, dispatch, payment, place, prepare};

/// An event that cannot follow the state it was folded into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow version {version} of an order that is {status}")]
pub struct IllegalEvent {
    pub event: &'static str,
    pub version: u32,
    pub status: &'static str,
}

/// What follows from a command: nothing (it already holds), or events and the state after them.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub events: Vec<OrderEvent>,
    pub next: Arc<Order>,
}

/// Why there is no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStep {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Our own rules contradict each other. Nothing was changed.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

/// Decides and folds. `order` is none only for an order that does not exist yet.
///
/// When an ended order holds nothing any more, `order_settled` is added: it is the last event of every order.
pub fn step(
    order: Option<&Arc<Order>>,
    id: OrderId,
    by: &Party,
    command: &OrderCommand,
    now: Timestamp,
) -> Result<Step, NoStep> {
    let (mut events, mut next) = match (order, command) {
        (None, OrderCommand::Place(placement)) => {
            access::check_placing(placement, by)?;
            let mut events = place::decide(placement)?.into_iter();
            let first = events.next().ok_or(Rejection::NotFound)?;
            let mut all = vec![first];
            let mut next = fold::first(id, &all[0], now)?;
            for event in events {
                next = next.after(&event, now)?;
                all.push(event);
            }
            (all, next)
        }
        (None, _) => return Err(Rejection::NotFound.into()),
        (Some(order), command) => {
            let events = order.decide(by, command, now)?;
            if events.is_empty() {
                return Ok(Step { events, next: order.clone() });
            }
            let mut next = Order::clone(order);
            for event in &events {
                next = next.after(event, now)?;
            }
            (events, next)
        }
    };
    if next.is_closed() && !next.settled && next.outstanding().is_empty() {
        let settled = OrderEvent::OrderSettled(Nothing {});
        next = next.after(&settled, now)?;
        events.push(settled);
    }
    Ok(Step { events, next: Arc::new(next) })
}

impl Order {
    /// Says what follows from `command`, or why it may not happen. Changes nothing. No events mean that what
    /// the command asks for already holds.
    pub fn decide(&self, by: &Party, command: &OrderCommand, now: Timestamp) -> Result<Vec<OrderEvent>, Rejection> {
        use OrderCommand as Command;
        access::check(self, by, command.name())?;
        match command {
            Command::Place(_) => Err(Rejection::AlreadyPlaced),
            Command::Pay { token } => payment::pay(self, token.as_ref()),
            Command::Cancel { note } => cancel::decide(self, by.role(), note.as_ref()),
            Command::Confirm => deliver::confirm(self),
            Command::Accept => accept::accept(self),
            Command::Reject { reason } => accept::reject(self, reason.as_ref()),
            Command::StartPreparation => prepare::start(self),
            Command::FinishPreparation => prepare::finish(self),
            Command::Assign { rider } => dispatch::assign(self, rider),
            Command::Depart => deliver::depart(self),
            Command::Claim => match by {
                Party::Rider(rider) => dispatch::claim(self, rider),
                Party::Customer(_) | Party::Store(_) | Party::Operator(_) | Party::System => {
                    Err(Rejection::WrongRole(CommandName::Claim))
                }
            },
            Command::AcceptDelivery => dispatch::accept_delivery(self),
            Command::DeclineDelivery => dispatch::decline_delivery(self),
            Command::PickUp => deliver::pick_up(self),
            Command::Deliver => deliver::deliver(self),
            Command::NoteStockReserved => Ok(place::note_stock_reserved(self)),
            Command::NoteOutOfStock { item } => Ok(place::note_out_of_stock(self, *item)),
            Command::NoteStockReturned => Ok(place::note_stock_returned(self)),
            Command::NoteStockSold => Ok(place::note_stock_sold(self)),
            Command::NotePreparationStopped => Ok(prepare::note_stopped(self)),
            Command::NoteAuthorized { attempt } => Ok(payment::note_authorized(self, *attempt)),
            Command::NoteCaptured { attempt } => Ok(payment::note_captured(self, *attempt)),
            Command::NoteDeclined { attempt, code } => Ok(payment::note_declined(self, *attempt, code)),
            Command::NoteNotPaidYet { attempt, sent, why } => {
                Ok(payment::note_not_paid_yet(self, *attempt, *sent, why))
            }
            Command::NotePaymentNotFound { attempt } => Ok(payment::note_not_found(self, *attempt)),
            Command::NoteVoided => Ok(payment::note_voided(self)),
            Command::NoteRefunded => Ok(payment::note_refunded(self)),
            Command::NoteRiderFound { rider } => Ok(dispatch::note_found(self, rider)),
            Command::NoteRiderHeld { rider, as_of } => Ok(dispatch::note_held(self, rider, *as_of)),
            Command::NoteRiderFull { rider, as_of } => Ok(dispatch::note_full(self, rider, *as_of)),
            Command::NoteRiderReleased { rider } => Ok(deliver::note_released(self, rider)),
            Command::NoteTime => Ok(deadline::note_time(self, now)),
        }
    }
}

pub(super) fn wrong_status(order: &Order, command: CommandName) -> Rejection {
    Rejection::WrongStatus { command, status: order.status() }
}
