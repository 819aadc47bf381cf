//! What an order's answer looks like over HTTP: the order itself, or the refusal that belongs to it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderName, HeaderValue};

use crate::actors::{ExecuteError, Receipt, Refusal};
use crate::order::{CommandName, EndReason, Order, OrderState, Party, Timestamp};

use super::code::Code;
use super::error::ApiError;

pub(super) const POSITION: HeaderName = HeaderName::from_static("baedal-position");
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Who is looking, and when: what they may do next depends on both.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) party: &'a Party,
    pub(super) now: Timestamp,
}

impl Reader<'_> {
    fn allowed(self, order: &Order) -> Vec<CommandName> {
        order.allowed(self.party, self.now)
    }

    pub(super) fn allowed_words(self, order: &Order) -> Vec<&'static str> {
        self.allowed(order).into_iter().map(CommandName::as_str).collect()
    }

    /// The order as this reader sees it.
    pub(super) fn json(self, order: &Order) -> String {
        serde_json::to_string(&order.document(self.allowed(order))).expect("a document has string keys")
    }
}

/// The answer to a command, or to reading an order.
pub(super) fn reply(status: StatusCode, receipt: &Receipt, reader: Reader<'_>) -> HttpResponse {
    let order = &receipt.order;
    let mut answer = HttpResponse::build(status);
    answer.content_type("application/json").insert_header((ETAG, etag(order.version)));
    if let Some(position) = receipt.position {
        answer.insert_header((POSITION, position.to_string()));
    }
    if receipt.replayed {
        answer.insert_header((REPLAYED, HeaderValue::from_static("true")));
    }
    answer.body(reader.json(order))
}

pub(super) fn etag(version: u32) -> String {
    format!("\"{version}\"")
}

/// A placement that ended at once: there is an order, and it is over.
pub(super) fn ended_at_once(order: &Order) -> Option<ApiError> {
    let OrderState::Cancelled(ended) = &order.state else { return None };
    let code = match ended.reason {
        EndReason::UnavailableArea => Code::UnavailableArea,
        EndReason::OutOfStock => Code::OutOfStock,
        EndReason::PaymentDeclined => Code::PaymentDeclined,
        // Ended by someone, later than at once: a repeated request is still told of the order.
        EndReason::Customer
        | EndReason::PaymentNotCompleted
        | EndReason::StoreRejected
        | EndReason::StoreDidNotAnswer
        | EndReason::NoRider
        | EndReason::Operator => return None,
    };
    Some(ApiError::new(code).about_order(order.id))
}

/// THE table from what an actor says to what a client hears.
pub(super) fn refused(error: ExecuteError, reader: Reader<'_>) -> ApiError {
    match error {
        ExecuteError::Rejected { rejection, order } => {
            let code = Code::of_rejection(&rejection);
            let refusal = ApiError::from(rejection);
            match order {
                // What the caller may not know of shows neither its status nor itself.
                Some(order) if code.status() == StatusCode::CONFLICT => {
                    refusal.about_order(order.id).in_state(order.status().as_str(), reader.allowed_words(&order))
                }
                Some(_) | None => refusal,
            }
        }
        ExecuteError::Stale(order) => ApiError::new(Code::Stale)
            .detail(format!("the order is at version {}", order.version))
            .about_order(order.id),
        ExecuteError::KeyReused => ApiError::new(Code::IdempotencyKeyReused),
        ExecuteError::Refused(refusal) => refusal.into(),
        ExecuteError::Unwritable => ApiError::new(Code::ServiceUnavailable),
        ExecuteError::Unknown => ApiError::new(Code::OutcomeUnknown),
        // The way to the orders has turned the first two into what they mean.
        ExecuteError::AnsweredBefore(_) | ExecuteError::NotAnswered | ExecuteError::Broken => {
            ApiError::new(Code::Internal)
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        ApiError::new(match refusal {
            Refusal::Full => Code::ServiceFull,
            Refusal::Paused | Refusal::Restarting => Code::ServiceUnavailable,
            Refusal::Quarantined => Code::Quarantined,
            Refusal::NoReply | Refusal::Stopped => Code::OutcomeUnknown,
        })
    }
}
