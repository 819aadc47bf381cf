//! Every way an order says no, each with a stable code that clients may match on.

use super::command::CommandName;
use super::order::Status;

/// Why a command may not happen. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no such order")]
    NotFound,
    #[error("this order exists already")]
    AlreadyPlaced,
    #[error("the order is {status}: it is too early or too late to {}", command.as_str())]
    WrongStatus { command: CommandName, status: Status },
    #[error("this order is not yours")]
    NotYours,
    #[error("your role may not {}", .0.as_str())]
    WrongRole(CommandName),
    #[error("this store does not work that way: its policy has no {}", .0.as_str())]
    NotByPolicy(CommandName),
    #[error("another rider has taken this delivery")]
    DeliveryTaken,
    #[error("this delivery is not offered to riders now")]
    DeliveryNotOffered,
    #[error("the rider carries as many deliveries as a rider may")]
    RiderAtCapacity,
    #[error("the rider's book has not confirmed this delivery yet")]
    AssignmentPending,
    #[error("an earlier payment has not been answered yet: another card could be charged twice")]
    PaymentInDoubt,
    #[error("the store does not take this method of payment")]
    PaymentMethodNotOffered,
}

impl Rejection {
    /// Part of the public interface: never changes once released.
    pub const fn code(&self) -> &'static str {
        match self {
            Rejection::NotFound => "order_not_found",
            Rejection::AlreadyPlaced => "already_placed",
            Rejection::WrongStatus { .. } => "wrong_status",
            Rejection::NotYours => "order_not_found",
            Rejection::WrongRole(_) => "wrong_role",
            Rejection::NotByPolicy(_) => "not_by_policy",
            Rejection::DeliveryTaken => "delivery_taken",
            Rejection::DeliveryNotOffered => "delivery_not_offered",
            Rejection::RiderAtCapacity => "rider_at_capacity",
            Rejection::AssignmentPending => "assignment_pending",
            Rejection::PaymentInDoubt => "payment_in_doubt",
            Rejection::PaymentMethodNotOffered => "payment_method_not_offered",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
