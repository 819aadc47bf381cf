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

#[cfg(test)]
mod tests {
    use super::super::event::OutOfStock;
    use super::super::testing::*;
    use super::super::{OrderCommand as Command, PaymentOperation, PaymentStatus, Preset, Request, StockHold};
    use super::super::{PartyRole, Status};
    use super::*;

    fn ended(reason: EndReason) -> OrderEvent {
        OrderEvent::OrderCancelled(Ended { by: PartyRole::System, reason, note: None, stop_preparation: false })
    }

    #[test]
    fn a_card_is_asked_before_the_store_sees_the_order() {
        for preset in [Preset::FoodDelivery, Preset::QuickService, Preset::StoreDelivered] {
            nothing_yet()
                .when(customer(), place(placement(preset)))
                .then([placed(placement(preset)), requested(1)])
                .is(Status::Placed)
                .outstanding([Request::Pay { operation: PaymentOperation::Authorize, attempt: 1 }]);
        }
    }

    #[test]
    fn counted_goods_are_set_aside_before_payment_is_asked_for() {
        for preset in [Preset::Retail, Preset::Restaurant] {
            nothing_yet()
                .when(customer(), place(placement(preset)))
                .then([placed(placement(preset))])
                .outstanding([Request::ReserveStock])
                .when_told(Command::NoteStockReserved)
                .then([plain("stock_reserved"), requested(1)])
                .outstanding([Request::Pay { operation: PaymentOperation::Purchase, attempt: 1 }]);
        }
    }

    #[test]
    fn an_order_paid_on_delivery_goes_to_the_store_at_once() {
        let order = nothing_yet()
            .when(customer(), place(paid_on_delivery(placement(Preset::QuickService))))
            .then_names(&["order_placed", "order_submitted"])
            .is(Status::AwaitingAcceptance)
            .outstanding([]);
        assert_eq!(order.order().payment.status, PaymentStatus::DueOnDelivery);
    }

    #[test]
    fn counted_goods_paid_on_delivery_go_to_the_store_once_set_aside() {
        let counted = placement_under(r#"{"preset":"food_delivery","stock":"tracked"}"#);
        nothing_yet()
            .when(customer(), place(paid_on_delivery(counted)))
            .then_names(&["order_placed"])
            .when_told(Command::NoteStockReserved)
            .then_names(&["stock_reserved", "order_submitted"]);
    }

    /// The restaurant's automatic chain: paid, submitted, accepted and cooking in one step.
    #[test]
    fn a_restaurant_starts_cooking_by_itself() {
        given(until(Preset::Restaurant, "payment_requested"))
            .when_told(Command::NoteCaptured { attempt: 1 })
            .then_names(&["payment_captured", "order_submitted", "order_accepted", "preparation_started"])
            .is(Status::Preparing);
    }

    #[test]
    fn an_address_outside_the_area_ends_the_order() {
        let mut far = placement(Preset::FoodDelivery);
        far.destination.point = super::super::Point::new(37.6, 127.0).unwrap();
        nothing_yet()
            .when(customer(), place(far.clone()))
            .then([placed(far), plain("unavailable_area"), ended(EndReason::UnavailableArea), plain("order_settled")])
            .is(Status::Cancelled);
    }

    #[test]
    fn a_store_without_an_area_delivers_anywhere() {
        let mut far = placement(Preset::Retail);
        far.destination.point = super::super::Point::new(-37.6, -127.0).unwrap();
        nothing_yet().when(customer(), place(far)).then_names(&["order_placed"]);
    }

    #[test]
    fn short_stock_ends_the_order_before_any_payment() {
        for preset in [Preset::Retail, Preset::Restaurant] {
            let order = given([placed(placement(preset))])
                .when_told(Command::NoteOutOfStock { item: ITEM })
                .then([OrderEvent::OutOfStock(OutOfStock { item_id: ITEM }), ended(EndReason::OutOfStock)])
                .is(Status::Cancelled);
            assert_eq!(order.order().payment.status, PaymentStatus::None);
            // A second request for the same goods may have succeeded after more had come in.
            order
                .outstanding([Request::ReturnStock])
                .when_told(Command::NoteStockReturned)
                .then([plain("stock_returned"), plain("order_settled")]);
        }
    }

    #[test]
    fn goods_set_aside_after_the_end_are_asked_back() {
        given([placed(placement(Preset::Retail))])
            .when(customer(), CANCEL)
            .then_names(&["order_cancelled"])
            .when_told(Command::NoteStockReserved)
            .then_nothing()
            .outstanding([Request::ReturnStock])
            .when_told(Command::NoteOutOfStock { item: ITEM })
            .then_nothing()
            .when_told(Command::NoteStockReturned)
            .then_names(&["stock_returned", "order_settled"]);
    }

    #[test]
    fn goods_are_sold_when_they_are_handed_over_and_only_then() {
        given(until(Preset::Retail, "picked_up")).when_told(Command::NoteStockSold).then_nothing();
        let sold =
            given(until(Preset::Retail, "delivered")).when_told(Command::NoteStockSold).then_names(&["stock_sold"]);
        assert_eq!(sold.order().stock, StockHold::Ended);
        sold.when_told(Command::NoteStockSold).then_nothing().when_told(Command::NoteStockReturned).then_nothing();
    }

    #[test]
    fn goods_of_an_order_under_way_are_not_returned() {
        given(until(Preset::Retail, "order_submitted")).when_told(Command::NoteStockReturned).then_nothing();
    }

    #[test]
    fn a_method_of_payment_that_the_store_does_not_take_is_refused() {
        nothing_yet()
            .when(customer(), place(paid_on_delivery(placement(Preset::Retail))))
            .then_rejected(Rejection::PaymentMethodNotOffered);
    }

    #[test]
    fn an_order_is_placed_once() {
        given(until(Preset::FoodDelivery, "payment_requested"))
            .when(customer(), place(placement(Preset::FoodDelivery)))
            .then_rejected(Rejection::AlreadyPlaced);
    }

    #[test]
    fn before_it_is_placed_there_is_no_order() {
        nothing_yet().when(customer(), CANCEL).then_rejected(Rejection::NotFound);
    }
}
