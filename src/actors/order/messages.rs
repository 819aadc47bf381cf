//! What an order can be asked, and how it answers.

use std::sync::Arc;

use actix::{Context, Handler, Message};

use super::OrderActor;
use crate::actors::mailbox::{Admitted, Refusal};
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

/// Asks for the answer to a command with a key that the order has answered before; [`ExecuteError::NotAnswered`] if it has
/// not.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<Receipt, ExecuteError>")]
pub struct Repeat {
    pub command: CommandName,
    pub key: AnswerKey,
}

/// Asks for the order as it stands.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<Arc<Order>>")]
pub struct Inspect;

/// The command holds: carried out now, or before.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub order: Arc<Order>,
    /// Where the last event of this state stands; none where nobody may come back with it.
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
    #[error("this request was not answered before")]
    NotAnswered,
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

impl Handler<Admitted<Execute>> for OrderActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Execute>, ctx: &mut Context<Self>) {
        match asked.start() {
            Some((execute, reply)) => self.execute(execute, reply, ctx),
            None => self.leave_if_nobody(),
        }
    }
}

impl Handler<Admitted<Repeat>> for OrderActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Repeat>, ctx: &mut Context<Self>) {
        let Some((Repeat { command, key }, reply)) = asked.start() else { return };
        self.find_answer(command, key, ctx, move |actor, found, ctx| match found {
            Ok(Some(answered)) => actor.answer_again(answered, command, key, reply.hand_on(), ctx),
            Ok(None) => {
                reply.send(Err(ExecuteError::NotAnswered));
                actor.leave_if_nobody();
            }
            Err(error) => reply.send(Err(error)),
        });
    }
}

impl Handler<Admitted<Inspect>> for OrderActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Inspect>, _: &mut Context<Self>) {
        let Some((Inspect, reply)) = asked.start() else { return };
        reply.send(self.order.clone());
        self.leave_if_nobody();
    }
}
