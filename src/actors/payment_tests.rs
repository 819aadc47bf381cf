//! The gate in front of the payment provider, with a provider that does as the test says.

use std::sync::Mutex;

use uuid::Uuid;

use super::*;
use crate::actors::mailbox::{Mailbox, Refusal};
use crate::actors::probe::until;
use crate::order::{Currency, Money, OrderId, PaymentOperation};
use crate::providers::payment::{Answering, Looked};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Answers,
    Hangs,
    FailsAtOnce,
    HasSavedAFailure,
    Panics,
}

struct Moody {
    mood: Mutex<Mood>,
    calls: AtomicUsize,
}

impl Moody {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), calls: AtomicUsize::new(0) })
    }

    fn turns(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl PaymentProvider for Moody {
    /// Their books have what was asked for under even keys.
    fn look_up<'a>(&'a self, request: &'a PaymentRequest) -> Answering<'a, Looked> {
        let found = request.key.as_u128().is_multiple_of(2);
        Box::pin(std::future::ready(if found { Looked::Done } else { Looked::NotFound }))
    }

    fn ask<'a>(&'a self, _: &'a PaymentRequest) -> Answering<'a, PaymentAnswer> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock().unwrap();
        Box::pin(async move {
            match mood {
                Mood::Answers => PaymentAnswer::Done,
                Mood::Hangs => std::future::pending().await,
                Mood::HasSavedAFailure => PaymentAnswer::SavedFailure,
                Mood::FailsAtOnce => PaymentAnswer::Unknown { why: "provider_error" },
                Mood::Panics => panic!("the test wants a panic"),
            }
        })
    }
}

const PLACES: usize = 4;

fn open(provider: &Arc<Moody>, capacity: usize, call_timeout: Duration) -> (Mailbox<Charge>, PaymentGate) {
    let policy = GatePolicy {
        running: PLACES,
        slow_after: Duration::from_millis(20),
        call_timeout,
        first_penalty: Duration::from_millis(40),
        longest_penalty: Duration::from_millis(80),
    };
    let door = MailboxPolicy { name: "payment", capacity, reply_timeout: Duration::from_secs(5) };
    let (door, gate) = PaymentActor::open(provider.clone(), policy, door, &Supervision::default());
    (door.mailbox(), gate)
}

fn charge() -> Charge {
    let key = Uuid::now_v7();
    let request = PaymentRequest {
        order: OrderId::new(key),
        key,
        operation: PaymentOperation::Authorize,
        of: key,
        amount: Money::new(24_000, Currency::KRW).unwrap(),
        token: None,
    };
    Charge { request, look_up: false }
}

async fn all(mailbox: &Mailbox<Charge>, count: usize) -> Vec<Result<ChargeOutcome, Refusal>> {
    futures_util::future::join_all((0..count).map(|_| mailbox.ask(charge()))).await
}

const LONG: Duration = Duration::from_secs(30);

#[actix::test]
async fn a_provider_that_answers_keeps_the_gate_closed_however_many_come() {
    let provider = Moody::new(Mood::Answers);
    let (mailbox, gate) = open(&provider, 1_000, LONG);
    let outcomes = all(&mailbox, 500).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Ok(ChargeOutcome::Done)));
    assert_eq!(gate.state(), GateState::Closed);
}

#[actix::test]
async fn a_provider_that_hangs_opens_the_gate_and_who_waits_hears_that_nothing_was_sent() {
    let provider = Moody::new(Mood::Hangs);
    let (mailbox, gate) = open(&provider, 1_000, LONG);
    let waiting = actix::spawn({
        let mailbox = mailbox.clone();
        async move {
            futures_util::future::join_all(
                (0..PLACES + 6).map(|_| mailbox.ask_within(charge(), Duration::from_millis(600))),
            )
            .await
        }
    });
    until("the gate is open", async || gate.state() == GateState::Open).await;
    assert_eq!(mailbox.ask(charge()).await, Ok(ChargeOutcome::NotSent), "refused without waiting");

    let outcomes = waiting.await.unwrap();
    let not_sent = outcomes.iter().filter(|outcome| **outcome == Ok(ChargeOutcome::NotSent)).count();
    let unknown = outcomes.iter().filter(|outcome| **outcome == Err(Refusal::NoReply)).count();
    assert_eq!((not_sent, unknown), (6, PLACES), "only what was sent is in doubt");
    assert_eq!(provider.calls(), PLACES);
}

#[actix::test]
async fn a_call_that_runs_out_of_time_is_unknown_and_never_declined() {
    let provider = Moody::new(Mood::Hangs);
    let (mailbox, _) = open(&provider, 1_000, Duration::from_millis(30));
    assert_eq!(mailbox.ask(charge()).await, Ok(ChargeOutcome::Unknown { why: "provider_timeout" }));
}

#[actix::test]
async fn a_provider_that_fails_at_once_opens_the_gate_as_one_that_hangs_does() {
    let provider = Moody::new(Mood::FailsAtOnce);
    let (mailbox, gate) = open(&provider, 1_000, LONG);
    let outcomes = all(&mailbox, 50).await;
    let failed = outcomes.iter().filter(|outcome| matches!(outcome, Ok(ChargeOutcome::Unknown { .. }))).count();
    assert_eq!(failed, PLACES, "one failure a place, the rest is not sent");
    assert_eq!(provider.calls(), PLACES);
    assert_eq!(gate.state(), GateState::Open);
}

#[actix::test]
async fn the_gate_closes_again_by_itself_when_the_provider_is_back() {
    let provider = Moody::new(Mood::FailsAtOnce);
    let (mailbox, gate) = open(&provider, 1_000, LONG);
    all(&mailbox, 50).await;
    provider.turns(Mood::Answers);
    until("a place is free for a probe", async || gate.state() != GateState::Open).await;
    until("a probe goes through", async || mailbox.ask(charge()).await == Ok(ChargeOutcome::Done)).await;
    until("the gate is closed", async || gate.state() == GateState::Closed).await;
}

#[actix::test]
async fn a_provider_that_panics_leaves_its_own_call_in_doubt_and_no_other() {
    let provider = Moody::new(Mood::Panics);
    let (mailbox, gate) = open(&provider, 1_000, LONG);
    assert_eq!(mailbox.ask(charge()).await, Ok(ChargeOutcome::Unknown { why: "provider_panicked" }));
    provider.turns(Mood::Answers);
    assert_eq!(mailbox.ask(charge()).await, Ok(ChargeOutcome::Done));
    until("its place comes home", async || gate.places() == (0, 0, PLACES)).await;
}

#[actix::test]
async fn every_place_comes_home() {
    let provider = Moody::new(Mood::FailsAtOnce);
    let (mailbox, gate) = open(&provider, 1_000, LONG);
    all(&mailbox, 20).await;
    until("penalties are over", async || gate.places() == (0, 0, PLACES)).await;
    assert_eq!(mailbox.load().in_use(), 0);
}

fn with_key(key: u128) -> Charge {
    let mut charge = charge();
    charge.request.key = Uuid::from_u128(key);
    charge
}

#[actix::test]
async fn what_is_only_to_be_looked_up_is_never_sent_again() {
    let provider = Moody::new(Mood::Answers);
    let (mailbox, gate) = open(&provider, 10, LONG);
    let look = async |key| mailbox.ask(Charge { look_up: true, ..with_key(key) }).await;
    assert_eq!(look(2).await, Ok(ChargeOutcome::Done));
    assert_eq!(look(3).await, Ok(ChargeOutcome::NotFound));
    assert_eq!((provider.calls(), gate.state()), (0, GateState::Closed));
}

#[actix::test]
async fn a_saved_failure_is_looked_up_and_not_taken_for_an_answer() {
    let provider = Moody::new(Mood::HasSavedAFailure);
    let (mailbox, _) = open(&provider, 10, LONG);
    assert_eq!(mailbox.ask(with_key(2)).await, Ok(ChargeOutcome::Done));
    assert_eq!(mailbox.ask(with_key(3)).await, Ok(ChargeOutcome::Unknown { why: "saved_failure" }));
}
