//! What we need of a payment provider, whoever it is.
//!
//! An answer is done, declined or unknown. Unknown covers everything that does not prove one of the others: no
//! answer, a broken connection, a failure on their side. It is settled by asking the same with the same key, for as long as
//! the provider keeps keys; after that it is looked up, because the same key would be a new request.

mod ledger;
mod sandbox;

use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

pub use self::ledger::{FileLedger, Kept, Ledger, LedgerFailed, SandboxEntry};
pub use self::sandbox::{Failure, Sandbox, SandboxMood};
use crate::order::{CardToken, Money, OrderId, PaymentOperation, Text};

/// One thing asked of the provider. Equal keys are the same request.
#[derive(Clone, Debug)]
pub struct PaymentRequest {
    pub order: OrderId,
    pub key: Uuid,
    pub operation: PaymentOperation,
    /// The key of the authorization or purchase that this is about; the request's own for those two.
    pub of: Uuid,
    pub amount: Money,
    pub token: Option<CardToken>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentAnswer {
    Done,
    /// Definitely not done, and it never will be under this key.
    Declined {
        code: Text<80>,
    },
    Unknown {
        why: &'static str,
    },
    /// A failure of theirs that they have saved for this key and give again, however often they are asked. It says nothing
    /// about what was done; only looking does.
    SavedFailure,
}

/// What the provider's books say of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    Done,
    /// Definitely not done, and it never will be under this key.
    Declined {
        code: Text<80>,
    },
    /// They have nothing. That is no proof that nothing comes: what was asked may still stand in a queue of theirs.
    NotFound,
    Unknown {
        why: &'static str,
    },
}

/// Boxed so that providers can be chosen at start.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub trait PaymentProvider: Send + Sync + 'static {
    /// Never takes longer than its caller's patience plus nothing: the caller puts the time limit around it and
    /// treats its end as unknown.
    fn ask<'a>(&'a self, request: &'a PaymentRequest) -> Answering<'a, PaymentAnswer>;

    /// Looks for what became of it, by the reference that it carried. Changes nothing.
    fn look_up<'a>(&'a self, request: &'a PaymentRequest) -> Answering<'a, Looked>;
}
