//! The rows of the list views: what stands in them, worked out from the orders alone.
//!
//! A row is a function of one order's history and of nothing else, not even of the time: whoever makes it again from
//! the journal gets the same bytes.

use std::collections::HashMap;
use std::sync::Arc;

use super::tail::{Entry, News};
use crate::order::{CommandName, ItemId, Order, OrderDocument, OrderId, Party, StoreId};
use crate::store::{OrderRow, StockRow};

/// What a stretch of the journal leaves behind in the views.
pub(super) struct Rows {
    pub(super) orders: Vec<OrderRow>,
    pub(super) stock: Vec<StockRow>,
}

impl Rows {
    /// Coalesced: of all that an order did only where it stands at the end.
    pub(super) fn of(entries: &[Arc<Entry>]) -> Self {
        let mut orders: HashMap<OrderId, &Arc<Order>> = HashMap::new();
        let mut stock: HashMap<(StoreId, ItemId), StockRow> = HashMap::new();
        for entry in entries {
            match &entry.news {
                News::Order { after, .. } => {
                    orders.insert(after.id, after);
                }
                News::Stock { store, levels, .. } => {
                    for (item, level) in levels {
                        let available = level.map(|level| level.available);
                        let row = StockRow { store: *store, item: *item, available, version: entry.version };
                        stock.insert((*store, *item), row);
                    }
                }
                News::Rider { .. } => {}
            }
        }
        Self { orders: orders.into_values().map(|order| row(order)).collect(), stock: stock.into_values().collect() }
    }

    pub(super) fn count(&self) -> u64 {
        (self.orders.len() + self.stock.len()) as u64
    }
}

/// A row of the list views.
pub fn row(order: &Order) -> OrderRow {
    OrderRow {
        order: order.id,
        version: order.version,
        customer: order.placement.customer_id.clone(),
        store: order.placement.store.id,
        rider: order.rider().cloned(),
        status: order.status().as_str().to_owned(),
        submitted: order.is_shown_to_store(),
        live: !order.is_closed(),
        delivery_status: order.delivery.status().as_str().to_owned(),
        attention: order.attention().map(str::to_owned),
        placed_at: order.placed_at,
        document: ListedOrder::of(order),
    }
}

/// An order in a list: the document, and what each side may do with it.
#[derive(serde::Serialize)]
struct ListedOrder<'a> {
    #[serde(flatten)]
    order: OrderDocument<'a>,
    allowed_to: AllowedTo,
}

#[derive(serde::Serialize)]
struct AllowedTo {
    customer: Vec<CommandName>,
    store: Vec<CommandName>,
}

impl ListedOrder<'_> {
    fn of(order: &Order) -> String {
        let allowed = |party| order.allowed(&party, order.updated_at);
        let allowed_to = AllowedTo {
            customer: allowed(Party::Customer(order.placement.customer_id.clone())),
            store: allowed(Party::Store(order.placement.store.owner.clone())),
        };
        let listed = ListedOrder { order: order.document(Vec::new()), allowed_to };
        serde_json::to_string(&listed).expect("an order's document has string keys and finite numbers")
    }
}
