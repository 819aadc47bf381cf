//! A payment provider that lives in this process, keeps books like a real one and can be told to misbehave.
//!
//! A card's token says how it behaves: none or `ok`, `declined`, `slow:<ms>`, `hang`, `error` (refused at once
//! with a failure of theirs), `reset` (the connection breaks before anything is done), `apply_then_reset` (it
//! breaks after), `apply_late:<ms>` (no answer at all, and it is done so much later, when the caller has given up). The last
//! three behave so only on the first try of a key. `saved_error` is done and answered with a failure, which is saved
//! and answers every later try. The sandbox as a whole can be slowed or broken too.
//!
//! Its ledger is what tests believe instead of the server's opinion: see `ledger`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{FileLedger, Ledger, LedgerFailed, SandboxEntry};
use super::{Answering, Looked, PaymentAnswer, PaymentProvider, PaymentRequest};
use crate::order::{PaymentOperation, Text};

/// How the sandbox as a whole behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxMood {
    /// Every answer takes between so many milliseconds and so many.
    #[serde(default)]
    pub latency_ms: (u64, u64),
    #[serde(default)]
    pub failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    Error,
    Hang,
}

pub struct Sandbox {
    ledger: Arc<dyn Ledger>,
    mood: Mutex<SandboxMood>,
    /// Keys whose first try was met with a broken connection, or with silence.
    tried: Mutex<HashSet<Uuid>>,
}

/// With books that nobody keeps.
impl Default for Sandbox {
    fn default() -> Self {
        Self::on(Arc::new(FileLedger::default()))
    }
}

enum Behaviour {
    Good,
    Declined,
    Slow(Duration),
    Hang,
    Error,
    Reset,
    ApplyThenReset,
    ApplyLate(Duration),
    SavedError,
    UnknownCard,
}

impl Sandbox {
    pub fn on(ledger: Arc<dyn Ledger>) -> Self {
        Self { ledger, mood: Mutex::default(), tried: Mutex::default() }
    }

    pub fn set_mood(&self, mood: SandboxMood) {
        *lock(&self.mood) = mood;
    }

    pub fn mood(&self) -> SandboxMood {
        *lock(&self.mood)
    }

    /// What was done, for whoever asks the provider and not us.
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// Whether this is the first time that the key is seen. Forgotten when the process ends.
    fn is_first_try(&self, key: Uuid) -> bool {
        lock(&self.tried).insert(key)
    }

    async fn answer(&self, request: &PaymentRequest) -> PaymentAnswer {
        let mood = self.mood();
        let (least, most) = mood.latency_ms;
        if most > 0 {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(least.min(most)..=most))).await;
        }
        match mood.failure {
            Some(Failure::Hang) => return std::future::pending().await,
            Some(Failure::Error) => return PaymentAnswer::Unknown { why: "provider_error" },
            None => {}
        }
        match behaviour(request) {
            Behaviour::Good => apply(&*self.ledger, request).await,
            Behaviour::Slow(pause) => {
                tokio::time::sleep(pause).await;
                apply(&*self.ledger, request).await
            }
            Behaviour::Declined => PaymentAnswer::Declined { code: Text::literal("card_declined") },
            Behaviour::UnknownCard => PaymentAnswer::Declined { code: Text::literal("unknown_card") },
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Error => PaymentAnswer::Unknown { why: "provider_error" },
            Behaviour::Reset if self.is_first_try(request.key) => PaymentAnswer::Unknown { why: "connection_reset" },
            Behaviour::ApplyThenReset if self.is_first_try(request.key) => {
                apply(&*self.ledger, request).await;
                PaymentAnswer::Unknown { why: "connection_reset" }
            }
            Behaviour::ApplyLate(pause) if self.is_first_try(request.key) => {
                let (ledger, request) = (self.ledger.clone(), request.clone());
                // Apart from the call: that is given up long before.
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    apply(&*ledger, &request).await;
                });
                std::future::pending().await
            }
            Behaviour::SavedError if self.is_first_try(request.key) => {
                apply(&*self.ledger, request).await;
                PaymentAnswer::Unknown { why: "provider_error" }
            }
            Behaviour::SavedError => PaymentAnswer::SavedFailure,
            // Real ones say that the first request with this key is still being worked on.
            Behaviour::ApplyLate(_) => match self.ledger.holds(request.key).await {
                Ok(true) => PaymentAnswer::Done,
                Ok(false) => PaymentAnswer::Unknown { why: "still_processing" },
                Err(LedgerFailed) => PaymentAnswer::Unknown { why: "provider_error" },
            },
            Behaviour::Reset | Behaviour::ApplyThenReset => apply(&*self.ledger, request).await,
        }
    }

    async fn looked_up(&self, request: &PaymentRequest) -> Looked {
        match self.mood().failure {
            Some(Failure::Hang) => return std::future::pending().await,
            Some(Failure::Error) => return Looked::Unknown { why: "provider_error" },
            None => {}
        }
        match self.ledger.holds(request.key).await {
            Ok(true) => Looked::Done,
            Ok(false) => Looked::NotFound,
            Err(LedgerFailed) => Looked::Unknown { why: "provider_error" },
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cards misbehave when they are charged; giving money back always works.
fn behaviour(request: &PaymentRequest) -> Behaviour {
    match request.operation {
        PaymentOperation::Authorize | PaymentOperation::Purchase => {}
        PaymentOperation::Capture | PaymentOperation::Void | PaymentOperation::Refund => return Behaviour::Good,
    }
    match request.token.as_ref().map_or("ok", |token| token.0.as_str()) {
        "ok" => Behaviour::Good,
        "declined" => Behaviour::Declined,
        "hang" => Behaviour::Hang,
        "error" => Behaviour::Error,
        "reset" => Behaviour::Reset,
        "apply_then_reset" => Behaviour::ApplyThenReset,
        "saved_error" => Behaviour::SavedError,
        token => {
            let so_long = |prefix| token.strip_prefix(prefix)?.parse().ok().map(Duration::from_millis);
            let slow = so_long("slow:").map(Behaviour::Slow);
            slow.or_else(|| so_long("apply_late:").map(Behaviour::ApplyLate)).unwrap_or(Behaviour::UnknownCard)
        }
    }
}

/// At most once per key, and only on what the earlier entries allow.
async fn apply(ledger: &dyn Ledger, request: &PaymentRequest) -> PaymentAnswer {
    let entry = SandboxEntry {
        key: request.key,
        of: request.of,
        order_id: request.order,
        operation: request.operation.as_str().to_owned(),
        amount: request.amount.amount,
    };
    match ledger.enter(entry).await {
        Ok(true) => PaymentAnswer::Done,
        Ok(false) => PaymentAnswer::Declined { code: Text::literal("nothing_on_hold") },
        Err(LedgerFailed) => PaymentAnswer::Unknown { why: "provider_error" },
    }
}

impl PaymentProvider for Sandbox {
    fn ask<'a>(&'a self, request: &'a PaymentRequest) -> Answering<'a, PaymentAnswer> {
        Box::pin(self.answer(request))
    }

    fn look_up<'a>(&'a self, request: &'a PaymentRequest) -> Answering<'a, Looked> {
        Box::pin(self.looked_up(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{CardToken, Currency, Money, OrderId};

    fn request(order: u128, operation: PaymentOperation, token: &str) -> PaymentRequest {
        let of = Uuid::from_u128(order);
        let key = match operation {
            PaymentOperation::Authorize | PaymentOperation::Purchase => of,
            PaymentOperation::Capture | PaymentOperation::Void | PaymentOperation::Refund => Uuid::now_v7(),
        };
        PaymentRequest {
            order: OrderId::new(of),
            key,
            operation,
            of,
            amount: Money::new(24_000, Currency::KRW).unwrap(),
            token: Some(CardToken(token.parse().unwrap())),
        }
    }

    /// The first caller never hears; how long they wait makes no difference.
    async fn give_up_on(sandbox: &Sandbox, request: &PaymentRequest) {
        let given_up = tokio::time::timeout(Duration::from_millis(5), sandbox.ask(request)).await;
        assert!(given_up.is_err(), "{given_up:?}");
    }

    #[tokio::test]
    async fn what_is_yet_to_be_applied_is_not_found_and_not_declined() {
        let sandbox = Sandbox::default();
        let late = request(1, PaymentOperation::Authorize, "apply_late:1000000");
        give_up_on(&sandbox, &late).await;
        assert_eq!(sandbox.look_up(&late).await, Looked::NotFound);
        assert_eq!(sandbox.ask(&late).await, PaymentAnswer::Unknown { why: "still_processing" });
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_applied_all_the_same() {
        let sandbox = Sandbox::default();
        let late = request(1, PaymentOperation::Authorize, "apply_late:20");
        give_up_on(&sandbox, &late).await;
        while sandbox.look_up(&late).await != Looked::Done {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(sandbox.ask(&late).await, PaymentAnswer::Done);
        assert_eq!(sandbox.ledger().of_order(late.order).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn nothing_is_captured_that_is_not_on_hold() {
        let sandbox = Sandbox::default();
        let nothing = PaymentAnswer::Declined { code: Text::literal("nothing_on_hold") };
        assert_eq!(sandbox.ask(&request(1, PaymentOperation::Capture, "ok")).await, nothing);
        assert_eq!(sandbox.ask(&request(1, PaymentOperation::Authorize, "ok")).await, PaymentAnswer::Done);
        assert_eq!(sandbox.ask(&request(1, PaymentOperation::Capture, "ok")).await, PaymentAnswer::Done);
    }

    #[tokio::test]
    async fn a_ledger_is_read_in_pages_of_whole_orders() {
        let sandbox = Sandbox::default();
        for order in 1..=3 {
            sandbox.ask(&request(order, PaymentOperation::Authorize, "ok")).await;
            sandbox.ask(&request(order, PaymentOperation::Capture, "ok")).await;
        }
        let page = async |after| sandbox.ledger().page(OrderId::new(Uuid::from_u128(after)), 2).await.unwrap();
        let orders = |entries: Vec<SandboxEntry>| entries.into_iter().map(|entry| entry.order_id.uuid().as_u128());
        assert_eq!(orders(page(0).await).collect::<Vec<_>>(), [1, 1, 2, 2]);
        assert_eq!(orders(page(2).await).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(page(3).await, []);
    }
}
