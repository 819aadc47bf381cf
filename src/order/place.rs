//! Decides what becomes of an order that is being placed: whether the store delivers there, and what must
//! be settled before the store sees it. The route is `POST /v1/orders`.
//!
//! Not decided here: whether the store is open and what its items cost. The catalogue has answered that when
//! the [`Placement`](super::Placement) was made.

use super::event::{Nothing, OrderEvent};
use super::order::{Order, OrderState, SharedPlacement, StockHold};
use super::party::{EndReason, Ended, PartyRole};
use super::policy::{PaymentMethod, StockPolicy};
use super::rejection::Rejection;
use super::{accept, payment};

pub(super) fn decide(placement: &SharedPlacement) -> Result<Vec<OrderEvent>, Rejection> {
    let policy = &placement.policy;
    if !policy.offers(placement.payment_method) {
        return Err(Rejection::PaymentMethodNotOffered);
    }
    let mut events = vec![OrderEvent::OrderPlaced(placement.clone())];
    let covered =
        policy.service_area.as_ref().is_none_or(|area| area.covers(placement.store.point, placement.destination.point));
    if !covered {
        events.push(OrderEvent::UnavailableArea(Nothing {}));
        events.push(OrderEvent::OrderCancelled(Ended {
            by: PartyRole::System,
            reason: EndReason::UnavailableArea,
            note: None,
            stop_preparation: false,
        }));
        return Ok(events);
    }
    match policy.stock {
        StockPolicy::Tracked => {}
        StockPolicy::Untracked => events.extend(once_in_stock(placement)),
    }
    Ok(events)
}

/// What follows when the goods are there: payment is asked for, or is due on delivery and the store sees it.
fn once_in_stock(placement: &SharedPlacement) -> Vec<OrderEvent> {
    match placement.payment_method {
        PaymentMethod::Card => vec![payment::request(1, placement.card_token.clone())],
        PaymentMethod::OnDelivery => once_paid(placement),
    }
}

/// What follows when the money is safe: the store sees the order, and may accept it by policy alone.
pub(super) fn once_paid(placement: &SharedPlacement) -> Vec<OrderEvent> {
    let mut events = vec![OrderEvent::OrderSubmitted(Nothing {})];
    events.extend(accept::by_policy(&placement.policy));
    events
}

pub(super) fn note_stock_reserved(order: &Order) -> Vec<OrderEvent> {
    match (&order.state, order.stock) {
        (OrderState::Placed { .. } | OrderState::AwaitingPayment { .. }, StockHold::Wanted) => {
            let mut events = vec![OrderEvent::StockReserved(Nothing {})];
            events.extend(once_in_stock(&order.placement));
            events
        }
        // Known already, or the order has ended meanwhile: what is held is asked back, see `outstanding`.
        (
            OrderState::Placed { .. }
            | OrderState::AwaitingPayment { .. }
            | OrderState::AwaitingAcceptance { .. }
            | OrderState::Accepted { .. }
            | OrderState::Preparing { .. }
            | OrderState::Ready { .. }
            | OrderState::PickedUp { .. }
            | OrderState::Delivered { .. }
            | OrderState::Completed
            | OrderState::Rejected { .. }
            | OrderState::Cancelled(_),
            StockHold::None | StockHold::Wanted | StockHold::Reserved | StockHold::Ended,
        ) => Vec::new(),
    }
}

pub(super) fn note_out_of_stock(order: &Order, item: super::ItemId) -> Vec<OrderEvent> {
    if order.stock != StockHold::Wanted || order.is_closed() {
        return Vec::new();
    }
    vec![
        OrderEvent::OutOfStock(super::event::OutOfStock { item_id: item }),
        OrderEvent::OrderCancelled(Ended {
            by: PartyRole::System,
            reason: EndReason::OutOfStock,
            note: None,
            stop_preparation: false,
        }),
    ]
}

pub(super) fn note_stock_returned(order: &Order) -> Vec<OrderEvent> {
    match (order.ended_early(), order.stock) {
        (true, StockHold::Wanted | StockHold::Reserved) => vec![OrderEvent::StockReturned(Nothing {})],
        (true, StockHold::None | StockHold::Ended) | (false, _) => Vec::new(),
    }
}

pub(super) fn note_stock_sold(order: &Order) -> Vec<OrderEvent> {
    match (&order.state, order.stock) {
        (OrderState::Delivered { .. } | OrderState::Completed, StockHold::Reserved) => {
            vec![OrderEvent::StockSold(Nothing {})]
        }
        (_, StockHold::None | StockHold::Wanted | StockHold::Reserved | StockHold::Ended) => Vec::new(),
    }
}
