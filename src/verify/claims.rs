//! Claims of open orders and books on each other.
//!
//! Compared at the end, because an order may come long before or after the book that it stands in. What is under way stands
//! on one side only, and is not in here.

use std::collections::HashSet;

use uuid::Uuid;

use crate::order::OrderId;

#[derive(Default)]
pub(super) struct Claims {
    /// The rider's stream and the order.
    pub(super) carried: HashSet<(Uuid, OrderId)>,
    pub(super) in_books: HashSet<(Uuid, OrderId)>,
    pub(super) reserved: HashSet<OrderId>,
    pub(super) set_aside: HashSet<OrderId>,
}

impl Claims {
    /// An order that is with a rider is in that rider's book, and goods that are aside for an order are aside in the store's.
    pub(super) fn unmet(&self) -> Vec<String> {
        let carried = self.carried.difference(&self.in_books);
        let carried =
            carried.map(|(rider, order)| format!("order {order} is with rider {rider}, whose book does not hold it"));
        let reserved = self.reserved.difference(&self.set_aside);
        let reserved = reserved
            .map(|order| format!("order {order} has goods set aside, of which its store's stock knows nothing"));
        carried.chain(reserved).collect()
    }
}
