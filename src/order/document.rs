//! An order as JSON, for replies, lists and feeds alike.

use serde::Serialize;

use super::command::CommandName;
use super::id::{CustomerId, OrderId, RiderId, StoreId};
use super::money::Money;
use super::order::{DeliveryStatus, Line, Order, OrderState, Parcel, PaymentStatus, Preparation, Status};
use super::party::{EndReason, PartyRole};
use super::place_on_earth::Place;
use super::policy::PaymentMethod;
use super::text::Text;
use super::time::Timestamp;

#[derive(Debug, Serialize)]
pub struct OrderDocument<'a> {
    pub id: OrderId,
    pub version: u32,
    pub status: Status,
    pub store: StoreSummary<'a>,
    pub customer_id: &'a CustomerId,
    pub rider_id: Option<&'a RiderId>,
    pub lines: &'a [Line],
    pub parcel: Option<&'a Parcel>,
    pub total: Money,
    pub destination: &'a Place,
    pub note: Option<&'a Text<500>>,
    pub payment: PaymentSummary<'a>,
    pub preparation: PreparationSummary,
    pub delivery: DeliverySummary<'a>,
    pub cancellation: Option<CancellationSummary<'a>>,
    pub deadline: Option<DeadlineSummary>,
    pub allowed: Vec<CommandName>,
    pub placed_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Serialize)]
pub struct StoreSummary<'a> {
    pub id: StoreId,
    pub name: &'a Text<80>,
}

#[derive(Debug, Serialize)]
pub struct PaymentSummary<'a> {
    pub method: PaymentMethod,
    pub status: PaymentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<&'a Text<80>>,
}

#[derive(Debug, Serialize)]
pub struct PreparationSummary {
    pub status: Preparation,
}

#[derive(Debug, Serialize)]
pub struct DeliverySummary<'a> {
    pub status: DeliveryStatus,
    pub rider_id: Option<&'a RiderId>,
}

#[derive(Debug, Serialize)]
pub struct CancellationSummary<'a> {
    pub by: PartyRole,
    pub reason: EndReason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'a Text<200>>,
    /// Everything that the order held has been given back.
    pub settled: bool,
}

#[derive(Debug, Serialize)]
pub struct DeadlineSummary {
    pub at: Timestamp,
    pub then: &'static str,
}

impl Serialize for CommandName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Order {
    /// The order as JSON for someone who may issue `allowed` now.
    pub fn document(&self, allowed: Vec<CommandName>) -> OrderDocument<'_> {
        let placement = &*self.placement;
        OrderDocument {
            id: self.id,
            version: self.version,
            status: self.status(),
            store: StoreSummary { id: placement.store.id, name: &placement.store.name },
            customer_id: &placement.customer_id,
            rider_id: self.rider(),
            lines: &placement.lines,
            parcel: placement.parcel.as_deref(),
            total: placement.total,
            destination: &placement.destination,
            note: placement.note.as_ref(),
            payment: PaymentSummary {
                method: self.payment.method,
                status: self.payment.status,
                failure: self.payment.failure.as_ref(),
            },
            preparation: PreparationSummary { status: self.preparation },
            delivery: DeliverySummary { status: self.delivery.status(), rider_id: self.rider() },
            cancellation: self.cancellation(),
            deadline: self.deadline().map(|due| DeadlineSummary { at: due.at, then: due.then.as_str() }),
            allowed,
            placed_at: self.placed_at,
            updated_at: self.updated_at,
        }
    }

    fn cancellation(&self) -> Option<CancellationSummary<'_>> {
        let settled = self.settled;
        match &self.state {
            OrderState::Cancelled(ended) => {
                Some(CancellationSummary { by: ended.by, reason: ended.reason, note: ended.note.as_ref(), settled })
            }
            OrderState::Rejected { reason } => Some(CancellationSummary {
                by: PartyRole::Store,
                reason: EndReason::StoreRejected,
                note: reason.as_ref(),
                settled,
            }),
            OrderState::Placed { .. }
            | OrderState::AwaitingPayment { .. }
            | OrderState::AwaitingAcceptance { .. }
            | OrderState::Accepted { .. }
            | OrderState::Preparing { .. }
            | OrderState::Ready { .. }
            | OrderState::PickedUp { .. }
            | OrderState::Delivered { .. }
            | OrderState::Completed => None,
        }
    }
}
