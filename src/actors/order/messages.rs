//! What an order can be asked, and how it answers.

use std::sync::Arc;

use actix::Message;

use crate::actors::mailbox::Refusal;
use crate::order::{CommandId, CommandName, Order, OrderCommand, Party, Rejection};
use crate::store::{Answer, AnswerKey, Position};

/// Asks an order to carry out a command.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Receipt, ExecuteError>")]
pub struct Execute {
    /// Equal for every repeat of one request.
    pub id: CommandId,
    pub by: Party,
    pub command: OrderCommand,
    /// The idempotency key that the request came with.
    pub key: Option<AnswerKey>,
    /// The version that the caller has seen, if they insist on it.
    pub if_version: Option<u32>,
}

/// Asks for the answer to a command that the order has carried out before.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Receipt, ExecuteError>")]
pub struct Repeat {
    pub id: CommandId,
    pub command: CommandName,
    pub fingerprint: i64,
}

/// Asks for the order as it stands.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Arc<Order>>")]
pub struct Inspect;

/// The command holds: carried out now, or before.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub order: Arc<Order>,
    /// Where its last event stands; none if nothing had to happen.
    pub position: Option<Position>,
    /// This is what was answered to the same request before.
    pub replayed: bool,
}

/// Why a command was not carried out, or not for certain.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error("{rejection}")]
    Rejected { rejection: Rejection, order: Option<Arc<Order>> },
    #[error("the order is at version {}, not at the one you have seen", .0.version)]
    Stale(Arc<Order>),
    #[error("this idempotency key came with another request before")]
    KeyReused,
    #[error("this request was answered before")]
    AnsweredBefore(Answer),
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Definitely not written.
    #[error("the journal takes no writes at the moment")]
    Unwritable,
    #[error("whether the command was carried out is unknown")]
    Unknown,
    /// Our own rules contradict each other. Nothing was written.
    #[error("the order's rules failed")]
    Broken,
}
