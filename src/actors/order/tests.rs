//! An order's actor with a real journal, and probes for everyone else it talks to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::actors::clock::Clock;
use crate::actors::dispatch::FindRider;
use crate::actors::journal::JournalActor;
use crate::actors::ledger::{Enter, Entered};
use crate::actors::mailbox::Refusal;
use crate::actors::mailbox::{Door, Mailbox};
use crate::actors::orders::Orders;
use crate::actors::payment::{Charge, ChargeOutcome, PaymentGate};
use crate::actors::pressure::Pressure;
use crate::actors::probe::{POLICY, Probe, Record, until};
use crate::actors::registry::{Registry, Residency, TakeCensus, To};
use crate::actors::rider::RiderActor;
use crate::actors::store::{AttendDesk, KeepStock, StopPreparation, StoreActor};
use crate::actors::tail::Tail;
use crate::actors::world::{Pace, Reach};
use crate::order::{
    CustomerId, Line, Money, OwnerId, PaymentMethod, PaymentOperation, PaymentStatus, Place, Placement, Point, Preset,
    ServicePolicy, SharedPlacement, Status, StoreId, StoreRef, Subject, Text,
};
use crate::store::{AnswerKey, CommitFault, DataPlace, Engine, Readers};

/// Brings an order's actor down, where a bug in a rule would: see the commands below.
pub(super) fn sabotage(command: &OrderCommand) {
    match command {
        OrderCommand::Cancel { note: Some(note) } => assert_ne!(note.as_str(), "panic", "the test wants a panic"),
        OrderCommand::NoteDeclined { code, .. } => assert_ne!(code.as_str(), "panic", "the test wants a panic"),
        _ => {}
    }
}

/// What the provider answers, one after the other; the last one for ever.
type Answers = Arc<Mutex<Vec<ChargeOutcome>>>;

struct Town {
    orders: Orders,
    registry: Door<Registry<OrderActor>>,
    charges: Record<Charge>,
    answers: Answers,
    readers: Readers,
    faults: Mailbox<crate::actors::journal::Between>,
    _data: tempfile::TempDir,
}

impl Town {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        Self::in_directory(data).await
    }

    async fn in_directory(data: tempfile::TempDir) -> Self {
        let place = DataPlace::Directory(data.path().to_owned());
        let Engine { writer, readers, .. } = Engine::open(&place).await.unwrap();
        let journal =
            JournalActor::open(writer, Tail::default(), POLICY, Box::new(|_| {}), Pressure::default().gauge("appends"));
        let (charges, answers) = (Record::default(), Answers::default());
        let (noting, answering) = (charges.clone(), answers.clone());
        let payments = Probe::scripted(move |charge: Charge, reply| {
            noting.note(charge);
            let mut answers = answering.lock().unwrap();
            let answer = if answers.len() > 1 { Some(answers.remove(0)) } else { answers.first().cloned() };
            reply.send(answer.unwrap_or(ChargeOutcome::Done));
        });
        let clock = Clock::default();
        let world = World::new(Reach {
            clock: clock.clone(),
            journal: journal.mailbox(),
            readers: readers.clone(),
            stock: Probe::answering(|_: &To<StoreActor, KeepStock>| entered()),
            kitchen: Probe::answering(|_: &To<StoreActor, StopPreparation>| ()),
            riders: Probe::answering(|_: &To<RiderActor, Enter<crate::order::RiderBook>>| entered()),
            payments,
            gate: PaymentGate::new(4),
            dispatch: Probe::answering(|_: &FindRider| None),
            pace: Pace {
                answer_within: Duration::from_millis(200),
                first_pause: Duration::from_millis(5),
                longest_pause: Duration::from_millis(20),
                first_payment_pause: Duration::from_millis(5),
                longest_payment_pause: Duration::from_millis(20),
            },
        });
        let residency =
            Residency { door: POLICY, resident: POLICY, idle_after: Duration::from_millis(1), most: 1_000_000 };
        let registry = Registry::<OrderActor>::open(world, residency);
        let orders = Orders {
            execute: registry.mailbox(),
            repeat: registry.mailbox(),
            inspect: registry.mailbox(),
            desk: Probe::answering(|_: &To<StoreActor, AttendDesk>| ()),
            readers: readers.clone(),
            clock,
        };
        Self { orders, registry, charges, answers, readers, faults: journal.mailbox(), _data: data }
    }

    fn provider_answers(&self, answers: impl IntoIterator<Item = ChargeOutcome>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    async fn place(&self, key: u128) -> Result<Receipt, ExecuteError> {
        self.orders.place(placement(), customer(), answer_key(key)).await
    }

    async fn placed(&self, key: u128) -> OrderId {
        self.place(key).await.unwrap().order.id
    }

    async fn order(&self, id: OrderId) -> Arc<Order> {
        self.orders.order(id).await.unwrap().unwrap()
    }

    async fn execute(&self, id: OrderId, by: Party, command: OrderCommand) -> Result<Receipt, ExecuteError> {
        let execute = Execute { id: CommandId::new(Uuid::now_v7()), by, command, key: None, if_version: None };
        self.orders.execute(id, execute).await
    }

    async fn fail_next_commit(&self, fault: CommitFault) {
        let task: crate::actors::journal::WriterTask =
            Box::new(move |writer| Box::pin(async move { writer.fail_next_commit(fault) }));
        self.faults.ask(crate::actors::journal::Between(task)).await.unwrap();
    }

    async fn events(&self, id: OrderId) -> Vec<String> {
        let history = self.readers.stream(StreamId::order(id), 0).await.unwrap();
        history.into_iter().map(|row| row.name).collect()
    }
}

fn entered<B: Default, R>() -> Result<Entered<B>, crate::actors::ledger::EnterError<R>> {
    Ok(Entered { book: Arc::default(), committed: None })
}

fn subject(name: &str) -> Subject {
    name.parse().unwrap()
}

fn customer() -> Party {
    Party::Customer(CustomerId(subject("alice")))
}

fn owner() -> Party {
    Party::Store(OwnerId(subject("mario")))
}

fn answer_key(key: u128) -> AnswerKey {
    AnswerKey { key: Uuid::from_u128(key), fingerprint: 7 }
}

fn placement() -> SharedPlacement {
    let price = Money::new(12_000, crate::order::Currency::KRW).unwrap();
    let point = Point::new(37.5, 127.0).unwrap();
    let text = |text: &'static str| Text::literal(text);
    Arc::new(Placement {
        store: StoreRef {
            id: StoreId::new(Uuid::from_u128(1)),
            name: Text::literal("Noodles"),
            owner: OwnerId(subject("mario")),
            point,
        },
        customer_id: CustomerId(subject("alice")),
        policy: Arc::new(ServicePolicy::preset(Preset::FoodDelivery)),
        lines: Box::new([Line {
            item_id: crate::order::ItemId::new(Uuid::from_u128(2)),
            name: Text::literal("Naengmyeon"),
            quantity: 2,
            unit_price: price,
            total: price.times(2).unwrap(),
        }]),
        total: price.times(2).unwrap(),
        destination: Place { text: text("1 Sejong-daero"), point, phone: None },
        parcel: None,
        note: None,
        payment_method: PaymentMethod::Card,
        card_token: None,
    })
}

fn declined(code: &'static str) -> ChargeOutcome {
    ChargeOutcome::Declined { code: Text::literal(code) }
}

const NO_ANSWER: ChargeOutcome = ChargeOutcome::Unknown { why: "provider_timeout" };

#[actix::test]
async fn a_paid_order_is_answered_as_submitted_to_the_store() {
    let town = Town::new().await;
    let receipt = town.place(1).await.unwrap();
    assert_eq!(receipt.order.status(), Status::AwaitingAcceptance);
    assert_eq!(
        town.events(receipt.order.id).await,
        ["order_placed", "payment_requested", "payment_authorized", "order_submitted"]
    );
    assert_eq!(town.charges.len(), 1, "the provider is asked once");
}

#[actix::test]
async fn the_same_placement_again_is_the_same_order() {
    let town = Town::new().await;
    let first = town.place(1).await.unwrap();
    town.execute(first.order.id, owner(), OrderCommand::Accept).await.unwrap();

    let again = town.place(1).await.unwrap();

    assert!(again.replayed);
    assert_eq!(again.order, first.order, "as it was answered, not as it stands now");
    let other_body = AnswerKey { fingerprint: 8, ..answer_key(1) };
    let reused = town.orders.place(placement(), customer(), other_body).await;
    assert!(matches!(reused, Err(ExecuteError::KeyReused)), "{reused:?}");
}

#[actix::test]
async fn a_command_repeated_after_its_moment_gets_its_first_answer() {
    let town = Town::new().await;
    let id = town.placed(1).await;
    let accept = Execute {
        id: CommandId::new(Uuid::from_u128(9)),
        by: owner(),
        command: OrderCommand::Accept,
        key: Some(answer_key(9)),
        if_version: None,
    };
    let first = town.orders.execute(id, accept.clone()).await.unwrap();
    let cancel = OrderCommand::Cancel { note: None };
    town.execute(id, customer(), cancel).await.unwrap();

    let again = town.orders.execute(id, accept.clone()).await.unwrap();

    assert!(again.replayed);
    assert_eq!(again.order, first.order);
    let mut other = accept;
    other.key = Some(AnswerKey { fingerprint: 8, ..answer_key(9) });
    assert!(matches!(town.orders.execute(id, other).await, Err(ExecuteError::KeyReused)));
}

#[actix::test]
async fn a_provider_without_an_answer_leaves_the_order_waiting_and_is_asked_with_the_same_key() {
    let town = Town::new().await;
    town.provider_answers([NO_ANSWER, NO_ANSWER, ChargeOutcome::Done]);
    let receipt = town.place(1).await.unwrap();
    assert_eq!(receipt.order.status(), Status::AwaitingPayment);
    assert!(receipt.order.payment.in_doubt, "no answer is no decline");

    let id = receipt.order.id;
    until("the payment is settled", async || town.order(id).await.status() == Status::AwaitingAcceptance).await;
    let keys: std::collections::HashSet<Uuid> = town.charges.all().iter().map(|charge| charge.key).collect();
    assert_eq!((town.charges.len(), keys.len()), (3, 1));
}

#[actix::test]
async fn a_provider_that_was_not_asked_leaves_no_doubt() {
    let town = Town::new().await;
    town.provider_answers([ChargeOutcome::NotSent, ChargeOutcome::Done]);
    let receipt = town.place(1).await.unwrap();
    assert_eq!(receipt.order.status(), Status::AwaitingPayment);
    assert!(!receipt.order.payment.in_doubt);

    let id = receipt.order.id;
    until("the payment is tried again", async || town.order(id).await.status() == Status::AwaitingAcceptance).await;
    let requested = town.events(id).await.iter().filter(|name| *name == "payment_requested").count();
    assert_eq!(requested, 2, "each time it may go out, the intent is written first");
}

#[actix::test]
async fn an_order_cancelled_in_doubt_finds_out_and_gives_the_money_back() {
    let town = Town::new().await;
    town.provider_answers([NO_ANSWER]);
    let id = town.placed(1).await;
    let cancelled = town.execute(id, customer(), OrderCommand::Cancel { note: None }).await.unwrap();
    assert_eq!(cancelled.order.status(), Status::Cancelled);
    assert!(!cancelled.order.settled);

    town.provider_answers([ChargeOutcome::Done]);
    until("it is settled", async || town.order(id).await.settled).await;
    assert_eq!(town.order(id).await.payment.status, PaymentStatus::Voided);
    let operations: Vec<_> = town.charges.all().iter().map(|charge| charge.operation).collect();
    assert_eq!(operations.last(), Some(&PaymentOperation::Void));
}

#[actix::test]
async fn a_commit_that_was_lost_but_stands_is_answered_as_done() {
    let town = Town::new().await;
    let id = town.placed(1).await;
    town.fail_next_commit(CommitFault::LostAfter).await;
    let receipt = town.execute(id, owner(), OrderCommand::Accept).await.unwrap();
    assert_eq!(receipt.order.status(), Status::Accepted);
    assert_eq!(town.events(id).await.iter().filter(|name| *name == "order_accepted").count(), 1);
}

#[actix::test]
async fn a_commit_that_was_lost_and_does_not_stand_leaves_the_order_as_it_was() {
    let town = Town::new().await;
    let id = town.placed(1).await;
    town.fail_next_commit(CommitFault::LostBefore).await;
    let lost = town.execute(id, owner(), OrderCommand::Accept).await;
    assert!(matches!(lost, Err(ExecuteError::Unwritable)), "settled by reading the journal: {lost:?}");
    assert_eq!(town.order(id).await.status(), Status::AwaitingAcceptance, "not half changed");
    town.execute(id, owner(), OrderCommand::Accept).await.unwrap();
}

#[actix::test]
async fn a_panic_in_one_order_hurts_nobody_else_and_the_order_comes_back() {
    let town = Town::new().await;
    let (broken, sound) = (town.placed(1).await, town.placed(2).await);
    let panics = OrderCommand::Cancel { note: Some(Text::literal("panic")) };

    let outcome = town.execute(broken, customer(), panics).await;

    assert!(matches!(outcome, Err(ExecuteError::Refused(Refusal::Stopped | Refusal::Quarantined))), "{outcome:?}");
    town.execute(sound, owner(), OrderCommand::Accept).await.unwrap();
}

#[actix::test]
async fn three_panics_on_one_command_quarantine_that_order_alone() {
    let town = Town::new().await;
    let (broken, sound) = (town.placed(1).await, town.placed(2).await);
    let panics = OrderCommand::Cancel { note: Some(Text::literal("panic")) };
    // The way to the orders sends a command that got no answer again, with the same id: that makes three.
    let _ = town.execute(broken, customer(), panics).await;

    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("it is quarantined", async || !census.ask(TakeCensus).await.unwrap().quarantined.is_empty()).await;
    let refused = town.execute(broken, owner(), OrderCommand::Accept).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::Quarantined))), "{refused:?}");
    town.execute(sound, owner(), OrderCommand::Accept).await.unwrap();

    let pardon: Mailbox<crate::actors::registry::Pardon<OrderActor>> = town.registry.mailbox();
    assert!(pardon.ask(crate::actors::registry::Pardon(broken)).await.unwrap());
    town.execute(broken, owner(), OrderCommand::Accept).await.unwrap();
}

#[actix::test]
async fn a_panic_over_an_answer_of_the_world_ends_in_quarantine_too() {
    let town = Town::new().await;
    town.provider_answers([declined("panic")]);
    let _ = town.place(1).await;
    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("it is quarantined", async || census.ask(TakeCensus).await.unwrap().quarantined.len() == 1).await;
    town.provider_answers([ChargeOutcome::Done]);
    town.place(2).await.unwrap();
}

#[actix::test]
async fn retiring_idle_orders_loses_no_command() {
    let town = Town::new().await;
    let mut ids = Vec::new();
    for key in 0..50 {
        ids.push(town.placed(key).await);
    }
    // Idle after a millisecond: each is retired and read back many times in between.
    let notes = (0..20).flat_map(|_| ids.clone());
    let outcomes = futures_util::future::join_all(notes.map(|id| town.orders.order(id))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Some(_)))));
    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("all are retired", async || census.ask(TakeCensus).await.unwrap().live == 0).await;
    for id in ids {
        town.execute(id, owner(), OrderCommand::Accept).await.unwrap();
    }
}

#[actix::test]
async fn an_order_that_does_not_exist_is_not_kept() {
    let town = Town::new().await;
    let nobody = OrderId::new(Uuid::from_u128(77));
    assert!(town.orders.order(nobody).await.unwrap().is_none());
    let refused = town.execute(nobody, customer(), OrderCommand::Confirm).await;
    assert!(
        matches!(refused, Err(ExecuteError::Rejected { rejection: crate::order::Rejection::NotFound, .. })),
        "{refused:?}"
    );
    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("it is gone", async || census.ask(TakeCensus).await.unwrap().live == 0).await;
}

#[actix::test]
async fn what_was_outstanding_before_a_restart_is_asked_again_with_the_same_key() {
    let first = Town::new().await;
    first.provider_answers([NO_ANSWER]);
    let id = first.placed(1).await;
    let asked_before = first.charges.all()[0].key;
    let history = first.readers.stream(StreamId::order(id), 0).await.unwrap();

    // The same order in a town that has never heard of it: its history is all it has.
    let second = Town::new().await;
    let wake: Mailbox<crate::actors::registry::Wake<OrderActor>> = second.registry.mailbox();
    wake.ask(crate::actors::registry::Wake { id, origin: Some(Origin::History(history)) }).await.unwrap();

    until("it asks again", async || second.charges.len() > 0).await;
    assert_eq!(second.charges.all()[0].key, asked_before);
}
