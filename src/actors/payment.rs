//! Stands between the orders and the payment provider: the gate that replaces a circuit breaker.
//!
//! So many calls run at once, so many wait, the rest is refused at the door. A call that ends without a certain
//! answer keeps its place for a growing penalty, so that a provider that fails at once closes the gate as surely as
//! one that hangs. Open, closed and half-open are not switched but read off the places, see [`GateState`].
//!
//! What is called was journaled before, by the order. A call that runs out of time is unknown, never declined.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};
use futures_util::FutureExt;

use super::mailbox::{Admitted, Door, MailboxPolicy, Reply};
use super::supervision::{Guarded, Life, Supervised, Supervision};
use crate::providers::payment::{Looked, PaymentAnswer, PaymentProvider, PaymentRequest};

/// Asks the provider. Dropped without an answer if its deadline passes before its turn.
#[derive(Clone, Debug, Message)]
#[rtype(result = "ChargeOutcome")]
pub struct Charge {
    pub request: PaymentRequest,
    /// Only to look what became of it: its key is so old that the provider may have forgotten it, and would charge anew.
    pub look_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    Done,
    Declined {
        code: crate::order::Text<80>,
    },
    /// The provider may have done it.
    Unknown {
        why: &'static str,
    },
    /// The provider looked and has nothing. Only where it was asked to look.
    NotFound,
    /// The provider was not asked, for certain.
    NotSent,
}

/// The gate's numbers, from the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct GatePolicy {
    /// How many calls run at a time.
    pub running: usize,
    /// After this a call counts as slow and its place as lost, though it runs on.
    pub slow_after: Duration,
    /// After this a call is given up as unknown.
    pub call_timeout: Duration,
    /// How long a failed call keeps its place: doubles with each failure in a row.
    pub first_penalty: Duration,
    pub longest_penalty: Duration,
}

/// Read off the places: who is slow or being punished, and whether anyone else is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateState {
    Closed,
    /// Some places are lost, and what comes through the others shows whether the provider is back.
    HalfOpen,
    /// Every place is held by a slow or a failed call: nothing is sent.
    Open,
}

impl GateState {
    pub const fn as_str(self) -> &'static str {
        match self {
            GateState::Closed => "closed",
            GateState::HalfOpen => "half_open",
            GateState::Open => "open",
        }
    }
}

/// The gate as others see it.
#[derive(Clone, Debug)]
pub struct PaymentGate {
    places: usize,
    /// Calls that run and are not slow yet.
    healthy: Arc<AtomicUsize>,
    /// Places held by slow calls and penalties.
    lost: Arc<AtomicUsize>,
    failures_in_a_row: Arc<AtomicU32>,
}

impl PaymentGate {
    pub(super) fn new(places: usize) -> Self {
        Self { places, healthy: Arc::default(), lost: Arc::default(), failures_in_a_row: Arc::default() }
    }

    pub fn state(&self) -> GateState {
        match self.lost.load(Ordering::Relaxed) {
            0 => GateState::Closed,
            lost if lost >= self.places => GateState::Open,
            _ => GateState::HalfOpen,
        }
    }

    pub fn is_open(&self) -> bool {
        self.state() == GateState::Open
    }

    /// (running and healthy, slow or punished, places)
    pub fn places(&self) -> (usize, usize, usize) {
        (self.healthy.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed), self.places)
    }

    fn free(&self) -> usize {
        self.places.saturating_sub(self.healthy.load(Ordering::Relaxed) + self.lost.load(Ordering::Relaxed))
    }
}

/// What outlives the actor, should it have to be made anew.
#[derive(Clone)]
pub(super) struct PaymentOrigin {
    provider: Arc<dyn PaymentProvider>,
    policy: GatePolicy,
    gate: PaymentGate,
}

pub(super) struct PaymentActor {
    life: Life,
    provider: Arc<dyn PaymentProvider>,
    policy: GatePolicy,
    gate: PaymentGate,
    waiting: VecDeque<Admitted<Charge>>,
}

impl PaymentActor {
    pub(super) fn open(
        provider: Arc<dyn PaymentProvider>,
        policy: GatePolicy,
        door: MailboxPolicy,
        supervision: &Supervision,
    ) -> (Door<Guarded<Self>>, PaymentGate) {
        let gate = PaymentGate::new(policy.running);
        let origin = PaymentOrigin { provider, policy, gate: gate.clone() };
        (Guarded::open(origin, door, supervision), gate)
    }

    /// Starts as many calls as there are places; while the gate is open, tells those who wait so.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.gate.is_open() {
            for asked in self.waiting.drain(..) {
                if let Some((_, reply)) = asked.start() {
                    reply.send(ChargeOutcome::NotSent);
                }
            }
        }
        while self.gate.free() > 0 {
            let Some(asked) = self.waiting.pop_front() else { break };
            if let Some((charge, reply)) = asked.start() {
                self.call(charge, reply, ctx);
            }
        }
        metrics::gauge!("payment_gate_lost_places").set(self.gate.lost.load(Ordering::Relaxed) as f64);
        let state = match self.gate.state() {
            GateState::Closed => 0.0,
            GateState::HalfOpen => 1.0,
            GateState::Open => 2.0,
        };
        metrics::gauge!("payment_gate_state").set(state);
    }

    fn call(&self, charge: Charge, reply: Reply<Charge>, ctx: &mut Context<Self>) {
        let (provider, policy) = (self.provider.clone(), self.policy);
        // Taken here and not when the call is first polled: the next one must see it.
        let mut place = Place::taken(self.gate.clone());
        let calling = async move {
            let operation = if charge.look_up { "look_up" } else { charge.request.operation.as_str() };
            crate::crash::fail("payment.call");
            let answer = call_within(outcome_of(&*provider, &charge), &policy, &mut place).await;
            crate::crash::fail("payment.answer");
            let failed = matches!(answer, ChargeOutcome::Unknown { .. });
            let outcome = match &answer {
                ChargeOutcome::Unknown { .. } => "unknown",
                ChargeOutcome::NotFound => "not_found",
                ChargeOutcome::Done | ChargeOutcome::Declined { .. } | ChargeOutcome::NotSent => "answered",
            };
            reply.send(answer);
            metrics::counter!("payment_calls_total", "operation" => operation, "outcome" => outcome).increment(1);
            (place, failed)
        };
        ctx.spawn(calling.into_actor(self).map(|(mut place, failed), actor, ctx| {
            if failed {
                place.lose();
                let penalty = penalty(&actor.gate, &actor.policy);
                ctx.run_later(penalty, |actor, ctx| {
                    drop(place);
                    actor.go_on(ctx);
                });
            } else {
                actor.gate.failures_in_a_row.store(0, Ordering::Relaxed);
                drop(place);
            }
            actor.life.part().progressed();
            // Now, not when the penalty is over: if that was the last place, those who wait must hear of it.
            actor.go_on(ctx);
        }));
    }
}

async fn outcome_of(provider: &dyn PaymentProvider, Charge { request, look_up }: &Charge) -> ChargeOutcome {
    if !look_up {
        match provider.ask(request).await {
            PaymentAnswer::Done => return ChargeOutcome::Done,
            PaymentAnswer::Declined { code } => return ChargeOutcome::Declined { code },
            PaymentAnswer::Unknown { why } => return ChargeOutcome::Unknown { why },
            // Asking again would bring the same for as long as the key lives.
            PaymentAnswer::SavedFailure => {}
        }
    }
    match provider.look_up(request).await {
        Looked::Done => ChargeOutcome::Done,
        Looked::Declined { code } => ChargeOutcome::Declined { code },
        Looked::NotFound if *look_up => ChargeOutcome::NotFound,
        // It may stand in a queue of theirs: too early to conclude anything.
        Looked::NotFound => ChargeOutcome::Unknown { why: "saved_failure" },
        Looked::Unknown { why } => ChargeOutcome::Unknown { why },
    }
}

async fn call_within(
    call: impl Future<Output = ChargeOutcome>,
    policy: &GatePolicy,
    place: &mut Place,
) -> ChargeOutcome {
    // A provider's adapter that panics harms the one call, of which nobody knows then whether it arrived.
    let call = AssertUnwindSafe(call).catch_unwind();
    let call = call.map(|answer| answer.unwrap_or(ChargeOutcome::Unknown { why: "provider_panicked" }));
    tokio::pin!(call);
    if let Ok(answer) = tokio::time::timeout(policy.slow_after, &mut call).await {
        return answer;
    }
    place.lose();
    let rest = policy.call_timeout.saturating_sub(policy.slow_after);
    tokio::time::timeout(rest, call).await.unwrap_or(ChargeOutcome::Unknown { why: "provider_timeout" })
}

/// Doubles with each failure in a row, and differs by up to half so that places do not come free together.
fn penalty(gate: &PaymentGate, policy: &GatePolicy) -> Duration {
    let failures = gate.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
    // One broken provider fails on every place: count rounds, not calls.
    let rounds = failures / u32::try_from(gate.places.max(1)).unwrap_or(u32::MAX);
    super::world::Pace::pause(policy.first_penalty, policy.longest_penalty, rounds)
}

/// One place at the provider, given back when dropped, whatever became of the call.
struct Place {
    gate: PaymentGate,
    lost: bool,
}

impl Place {
    fn taken(gate: PaymentGate) -> Self {
        gate.healthy.fetch_add(1, Ordering::Relaxed);
        Self { gate, lost: false }
    }

    fn lose(&mut self) {
        if !std::mem::replace(&mut self.lost, true) {
            self.gate.healthy.fetch_sub(1, Ordering::Relaxed);
            self.gate.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let count = if self.lost { &self.gate.lost } else { &self.gate.healthy };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Supervised for PaymentActor {
    type Origin = PaymentOrigin;

    const NAME: &'static str = "payment";

    /// The places of calls that were under way came home with them. What became of those calls is unknown to whoever asked:
    /// they ask again under the same key.
    fn begin(origin: &mut PaymentOrigin, life: Life) -> Self {
        let PaymentOrigin { provider, policy, gate } = origin.clone();
        Self { life, provider, policy, gate, waiting: VecDeque::new() }
    }
}

impl Actor for PaymentActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // Places become lost while nothing is asked: those who wait must hear that the gate has opened.
        ctx.run_interval(Duration::from_millis(100), |actor, ctx| actor.go_on(ctx));
    }
}

impl Handler<Admitted<Charge>> for PaymentActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<Charge>, ctx: &mut Context<Self>) {
        if self.gate.is_open() {
            if let Some((_, reply)) = asked.start() {
                reply.send(ChargeOutcome::NotSent);
            }
            return;
        }
        self.waiting.push_back(asked);
        self.go_on(ctx);
    }
}

#[cfg(test)]
#[path = "payment_tests.rs"]
mod tests;
