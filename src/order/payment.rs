//! Decides what an answer of the payment provider, or the lack of one, means for the order.
//!
//! An unanswered request is in doubt: neither paid nor declined, until the same request with the same key has
//! been answered for certain. That holds for closed orders too: what turns out to be taken is given back, see
//! `outstanding`. A provider forgets keys, and would charge anew: past that time the request is looked up, never
//! repeated, and if nothing is found it stays in doubt and a person has to look. The route is `/pay`.

use uuid::Uuid;

use super::cancel;
use super::command::CommandName;
use super::event::{Attempt, Nothing, OrderEvent, PaymentDeclined, PaymentDeferred, PaymentRequested};
use super::id::OrderId;
use super::machine;
use super::order::{CardToken, Order, OrderState as State, PaymentStatus, StockHold};
use super::party::{EndReason, PartyRole};
use super::place;
use super::policy::Capture;
use super::rejection::Rejection;
use super::text::Text;

/// What the provider is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentOperation {
    Authorize,
    /// Authorize and capture in one.
    Purchase,
    Capture,
    Void,
    Refund,
}

impl PaymentOperation {
    pub const fn as_str(self) -> &'static str {
        match self {
            PaymentOperation::Authorize => "authorize",
            PaymentOperation::Purchase => "purchase",
            PaymentOperation::Capture => "capture",
            PaymentOperation::Void => "void",
            PaymentOperation::Refund => "refund",
        }
    }
}

/// The key under which the provider does this at most once: a function of what is asked, so that a process
/// that has forgotten everything asks with the same key again.
pub fn provider_key(order: OrderId, operation: PaymentOperation, attempt: u16) -> Uuid {
    Uuid::new_v5(&order.uuid(), format!("{}:{attempt}", operation.as_str()).as_bytes())
}

/// What brings the money for this order: taken at once, or held until the store accepts.
pub(super) fn charge(order: &Order) -> PaymentOperation {
    match order.placement.policy.capture {
        Capture::AtPlacement => PaymentOperation::Purchase,
        Capture::AtAcceptance => PaymentOperation::Authorize,
    }
}

pub(super) fn request(attempt: u16, token: Option<CardToken>) -> OrderEvent {
    OrderEvent::PaymentRequested(PaymentRequested { attempt, token })
}

/// Tries a deferred payment again: the customer asked, or its time has come.
pub(super) fn pay(order: &Order, token: Option<&CardToken>) -> Result<Vec<OrderEvent>, Rejection> {
    match &order.state {
        State::AwaitingPayment { .. } => {}
        // It is being settled, or it is paid.
        State::Placed { .. }
        | State::AwaitingAcceptance { .. }
        | State::Accepted { .. }
        | State::Preparing { .. }
        | State::Ready { .. }
        | State::PickedUp { .. }
        | State::Delivered { .. } => return Ok(Vec::new()),
        State::Completed | State::Rejected { .. } | State::Cancelled(_) => {
            return Err(machine::wrong_status(order, CommandName::Pay));
        }
    }
    let payment = &order.payment;
    let another_card = token.is_some() && token != payment.token.as_ref();
    if payment.in_doubt {
        return if another_card { Err(Rejection::PaymentInDoubt) } else { Ok(Vec::new()) };
    }
    if order.stock == StockHold::Wanted {
        return Ok(Vec::new());
    }
    // The last attempt certainly never left, so its key may be used; another card is another attempt.
    let attempt = if another_card { payment.attempt.saturating_add(1) } else { payment.attempt.max(1) };
    Ok(vec![request(attempt, token.or(payment.token.as_ref()).cloned())])
}

pub(super) fn note_authorized(order: &Order, attempt: u16) -> Vec<OrderEvent> {
    if !order.payment.in_doubt || attempt != order.payment.attempt {
        return Vec::new();
    }
    once_safe(order, OrderEvent::PaymentAuthorized(Attempt { attempt }))
}

pub(super) fn note_captured(order: &Order, attempt: u16) -> Vec<OrderEvent> {
    if attempt != order.payment.attempt {
        return Vec::new();
    }
    let captured = OrderEvent::PaymentCaptured(Attempt { attempt });
    if order.payment.in_doubt {
        once_safe(order, captured)
    } else if captures_authorized(order) {
        vec![captured]
    } else {
        Vec::new()
    }
}

fn once_safe(order: &Order, safe: OrderEvent) -> Vec<OrderEvent> {
    let mut events = vec![safe];
    match &order.state {
        State::Placed { .. } | State::AwaitingPayment { .. } => events.extend(place::once_paid(&order.placement)),
        // Too late: the order has ended, and the money goes back.
        State::AwaitingAcceptance { .. }
        | State::Accepted { .. }
        | State::Preparing { .. }
        | State::Ready { .. }
        | State::PickedUp { .. }
        | State::Delivered { .. }
        | State::Completed
        | State::Rejected { .. }
        | State::Cancelled(_) => {}
    }
    events
}

/// A capture of what was authorized is asked for and not answered.
pub(super) fn captures_authorized(order: &Order) -> bool {
    order.payment.capture_due && order.payment.status == PaymentStatus::Authorized
}

pub(super) fn note_declined(order: &Order, attempt: u16, code: &Text<80>) -> Vec<OrderEvent> {
    let awaited = order.payment.in_doubt || captures_authorized(order);
    if !awaited || attempt != order.payment.attempt {
        return Vec::new();
    }
    let mut events = vec![OrderEvent::PaymentDeclined(PaymentDeclined { attempt, code: code.clone() })];
    match &order.state {
        State::Placed { .. }
        | State::AwaitingPayment { .. }
        | State::AwaitingAcceptance { .. }
        | State::Accepted { .. }
        | State::Preparing { .. }
        | State::Ready { .. } => {
            events.extend(cancel::cancelled(order, PartyRole::System, EndReason::PaymentDeclined, None));
        }
        // It has left the store: the operator sees an unpaid order, see `Order::attention`.
        State::PickedUp { .. }
        | State::Delivered { .. }
        | State::Completed
        | State::Rejected { .. }
        | State::Cancelled(_) => {}
    }
    events
}

/// There is no certain answer. An order that is being placed is taken all the same, and paid later.
pub(super) fn note_not_paid_yet(order: &Order, attempt: u16, sent: bool, why: &Text<80>) -> Vec<OrderEvent> {
    let deferred =
        |in_doubt| vec![OrderEvent::PaymentDeferred(PaymentDeferred { attempt, in_doubt, why: why.clone() })];
    if attempt != order.payment.attempt {
        return Vec::new();
    }
    match (&order.state, order.payment.status) {
        // Stock is not settled, so payment has not been asked for at all.
        (State::Placed { .. }, PaymentStatus::None) => deferred(false),
        (State::Placed { .. } | State::AwaitingPayment { .. }, PaymentStatus::Pending) => deferred(sent),
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
        ) => Vec::new(),
    }
}

/// Something is asked of the provider and not answered.
pub(super) fn is_asked(order: &Order) -> bool {
    let goes_back = matches!(order.payment.status, PaymentStatus::Authorized | PaymentStatus::Captured);
    order.payment.in_doubt || captures_authorized(order) || (order.ended_early() && goes_back)
}

/// The provider's books have nothing of it. That is no decline: what was asked may have been done and be listed elsewhere.
pub(super) fn note_not_found(order: &Order, attempt: u16) -> Vec<OrderEvent> {
    let news = is_asked(order) && attempt == order.payment.attempt && !order.payment.unresolved;
    if news { vec![OrderEvent::PaymentUnresolved(Attempt { attempt })] } else { Vec::new() }
}

pub(super) fn note_voided(order: &Order) -> Vec<OrderEvent> {
    let due = order.ended_early() && order.payment.status == PaymentStatus::Authorized;
    if due { vec![OrderEvent::PaymentVoided(Nothing {})] } else { Vec::new() }
}

pub(super) fn note_refunded(order: &Order) -> Vec<OrderEvent> {
    let due = order.ended_early() && order.payment.status == PaymentStatus::Captured;
    if due { vec![OrderEvent::PaymentRefunded(Nothing {})] } else { Vec::new() }
}

#[cfg(test)]
#[path = "payment_tests.rs"]
mod tests;
