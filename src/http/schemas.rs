//! Shapes of answers that other folders render, described for readers of the interface.
#![expect(dead_code, reason = "these types are only described, never built: see `order::OrderDocument`")]

use utoipa::ToSchema;

/// An amount in the minor unit of its currency: won for KRW, cents for USD.
#[derive(ToSchema)]
pub(super) struct MoneyBody {
    amount: i64,
    #[schema(example = "KRW")]
    currency: String,
}

#[derive(ToSchema)]
pub(super) struct PlaceOnEarth {
    text: String,
    lat: f64,
    lng: f64,
    phone: Option<String>,
}

/// An order as it stands, for the one who reads it.
#[derive(ToSchema)]
pub(super) struct OrderBody {
    id: String,
    /// Counts what happened to the order; also its ETag
    version: u32,
    #[schema(example = "awaiting_acceptance")]
    status: String,
    store: StoreSummaryBody,
    customer_id: String,
    rider_id: Option<String>,
    lines: Vec<OrderLineBody>,
    #[schema(value_type = Option<Object>)]
    parcel: Option<()>,
    total: MoneyBody,
    destination: PlaceOnEarth,
    note: Option<String>,
    payment: PaymentStatusBody,
    preparation: PreparationStatusBody,
    delivery: DeliveryStatusBody,
    cancellation: Option<CancellationBody>,
    deadline: Option<DeadlineBody>,
    /// The commands that the reader may issue now
    allowed: Vec<String>,
    #[schema(format = DateTime)]
    placed_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(ToSchema)]
pub(super) struct StoreSummaryBody {
    id: String,
    name: String,
}

#[derive(ToSchema)]
pub(super) struct OrderLineBody {
    item_id: String,
    name: String,
    quantity: u32,
    unit_price: MoneyBody,
    total: MoneyBody,
}

#[derive(ToSchema)]
pub(super) struct PaymentStatusBody {
    method: String,
    status: String,
    failure: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct PreparationStatusBody {
    status: String,
}

#[derive(ToSchema)]
pub(super) struct DeliveryStatusBody {
    status: String,
    rider_id: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct CancellationBody {
    by: String,
    reason: String,
    note: Option<String>,
    /// Money, stock and rider have all been given back
    settled: bool,
}

/// When the order stops waiting, and what happens then.
#[derive(ToSchema)]
pub(super) struct DeadlineBody {
    #[schema(format = DateTime)]
    at: String,
    then: String,
}

/// A page of orders.
#[derive(ToSchema)]
pub(super) struct OrderPage {
    items: Vec<OrderBody>,
    /// Gives the next page; null on the last
    next_cursor: Option<String>,
}
