//! The world of one order: a real journal, and probes for everyone else it talks to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use super::super::*;
use crate::actors::catalogue::Stores;
use crate::actors::clock::Clock;
use crate::actors::dispatch::FindRider;
use crate::actors::journal::JournalActor;
use crate::actors::ledger::{Enter, Entered};
use crate::actors::mailbox::{Door, Mailbox};
use crate::actors::orders::Orders;
use crate::actors::payment::{Charge, ChargeOutcome, PaymentGate};
use crate::actors::probe::{POLICY, Probe, Record};
use crate::actors::registry::{Registry, Residency, To};
use crate::actors::rider::RiderActor;
use crate::actors::store::{AttendDesk, KeepStock, StopPreparation, StoreActor};
use crate::actors::world::{KeyLife, Pace, Reach};
use crate::order::{
    CustomerId, Line, Money, OwnerId, PaymentMethod, Place, Placement, Point, Preset, RiderBook, RiderId,
    ServicePolicy, SharedPlacement, StoreId, StoreRef, Subject, Text,
};
use crate::store::{AnswerKey, Catalogue, CommitFault, DataPlace, Engine, Readers};

/// What the provider answers, one after the other; the last one for ever.
pub(super) type Answers = Arc<Mutex<Vec<ChargeOutcome>>>;

/// Questions without an answer yet; none while every question is answered at once.
type Held<M> = Arc<Mutex<Option<Vec<Reply<M>>>>>;

type AskBook = To<RiderActor, Enter<RiderBook>>;

pub(super) struct Town {
    pub(super) orders: Orders,
    pub(super) registry: Door<Registry<OrderActor>>,
    pub(super) charges: Record<Charge>,
    pub(super) answers: Answers,
    held: Held<Charge>,
    books: Held<AskBook>,
    /// The store's own rider who is found when one is looked for.
    free: Arc<Mutex<Option<RiderId>>>,
    pub(super) searches: Record<OrderId>,
    pub(super) readers: Readers,
    pub(super) clock: Clock,
    pub(super) faults: Mailbox<crate::actors::journal::Between>,
    pub(super) _data: tempfile::TempDir,
}

impl Town {
    pub(super) async fn new() -> Self {
        Self::keeping_idle_orders(Duration::from_millis(1)).await
    }

    pub(super) async fn keeping_idle_orders(idle_after: Duration) -> Self {
        let data = tempfile::tempdir().unwrap();
        let place = DataPlace::Directory(data.path().to_owned());
        let Engine { writer, readers, .. } = Engine::open(&place).await.unwrap();
        let journal = JournalActor::of_test(writer);
        let (charges, answers) = (Record::default(), Answers::default());
        let (held, books, free) = (Held::default(), Held::default(), Arc::<Mutex<Option<RiderId>>>::default());
        let searches = Record::default();
        let (found, slow, searching) = (free.clone(), books.clone(), searches.clone());
        let (noting, answering, holding) = (charges.clone(), answers.clone(), held.clone());
        let payments = Probe::scripted(move |charge: Charge, reply| {
            noting.note(charge);
            if let Some(held) = &mut *holding.lock().unwrap() {
                return held.push(reply);
            }
            let mut answers = answering.lock().unwrap();
            let answer = if answers.len() > 1 { Some(answers.remove(0)) } else { answers.first().cloned() };
            reply.send(answer.unwrap_or(ChargeOutcome::Done));
        });
        let clock = Clock::default();
        let world = World::new(Reach {
            clock: clock.clone(),
            journal: journal.mailbox(),
            settle: journal.mailbox(),
            readers: readers.clone(),
            stores: Stores::new(Catalogue::default(), journal.mailbox()),
            stock: Probe::answering(|_: &To<StoreActor, KeepStock>| entered()),
            kitchen: Probe::answering(|_: &To<StoreActor, StopPreparation>| ()),
            riders: Probe::scripted(move |_: AskBook, reply| match &mut *slow.lock().unwrap() {
                Some(held) => held.push(reply),
                None => reply.send(entered()),
            }),
            payments,
            gate: PaymentGate::new(4),
            dispatch: Probe::answering(move |find: &FindRider| {
                searching.note(find.order);
                found.lock().unwrap().clone()
            }),
            pace: Pace {
                answer_within: Duration::from_millis(200),
                first_pause: Duration::from_millis(5),
                longest_pause: Duration::from_millis(20),
                first_payment_pause: Duration::from_millis(5),
                longest_payment_pause: Duration::from_millis(20),
                keys: KeyLife::of(Duration::from_secs(24 * 3_600), Duration::from_secs(600)),
            },
        });
        let after = Duration::from_millis(1);
        let residency =
            Residency { door: POLICY, resident: POLICY, idle_after, finished_after: after, most: 1_000_000 };
        let registry = Registry::<OrderActor>::open(world, residency);
        let orders = Orders {
            execute: registry.mailbox(),
            repeat: registry.mailbox(),
            inspect: registry.mailbox(),
            desk: Probe::answering(|_: &To<StoreActor, AttendDesk>| ()),
            readers: readers.clone(),
            clock: clock.clone(),
        };
        let faults = journal.mailbox();
        Self { orders, registry, charges, answers, held, books, free, searches, readers, clock, faults, _data: data }
    }

    pub(super) fn provider_thinks(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    /// Ends its thinking, and answers all that it was asked meanwhile.
    pub(super) fn provider_has_thought(&self, answer: &ChargeOutcome) {
        let held = self.held.lock().unwrap().take().unwrap_or_default();
        held.into_iter().for_each(|reply| reply.send(answer.clone()));
    }

    pub(super) fn rider_is_free(&self, rider: &RiderId) {
        *self.free.lock().unwrap() = Some(rider.clone());
    }

    pub(super) fn books_are_slow(&self) {
        *self.books.lock().unwrap() = Some(Vec::new());
    }

    pub(super) fn waits_for_books(&self) -> bool {
        self.books.lock().unwrap().as_ref().is_some_and(|held| !held.is_empty())
    }

    /// Says yes to all that riders' books were asked meanwhile.
    pub(super) fn books_are_quick(&self) {
        let held = self.books.lock().unwrap().take().unwrap_or_default();
        held.into_iter().for_each(|reply| reply.send(entered()));
    }

    pub(super) fn provider_answers(&self, answers: impl IntoIterator<Item = ChargeOutcome>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    pub(super) async fn place(&self, key: u128) -> Result<Receipt, ExecuteError> {
        self.orders.place(placement(), customer(), answer_key(key)).await
    }

    /// An order at a store of that kind, commanded by its owner as far as it goes.
    pub(super) async fn placed_at(&self, preset: Preset, then: impl IntoIterator<Item = OrderCommand>) -> OrderId {
        let mut placement = Placement::clone(&placement());
        placement.policy = Arc::new(ServicePolicy::preset(preset));
        let receipt = self.orders.place(Arc::new(placement), customer(), answer_key(1)).await.unwrap();
        let id = receipt.order.id;
        for command in then {
            self.execute(id, owner(), command).await.unwrap();
        }
        id
    }

    pub(super) async fn placed(&self, key: u128) -> OrderId {
        self.place(key).await.unwrap().order.id
    }

    pub(super) async fn order(&self, id: OrderId) -> Arc<Order> {
        self.orders.order(id).await.unwrap().unwrap()
    }

    pub(super) async fn execute(&self, id: OrderId, by: Party, command: OrderCommand) -> Result<Receipt, ExecuteError> {
        let execute = Execute { id: CommandId::new(Uuid::now_v7()), by, command, key: None, if_version: None };
        self.orders.execute(id, execute).await
    }

    pub(super) async fn fail_next_commit(&self, fault: CommitFault) {
        let task: crate::actors::journal::WriterTask =
            Box::new(move |writer| Box::pin(async move { writer.fail_next_commit(fault) }));
        self.faults.ask(crate::actors::journal::Between(task)).await.unwrap();
    }

    pub(super) async fn events(&self, id: OrderId) -> Vec<String> {
        let history = self.readers.stream(StreamId::order(id), 0).await.unwrap();
        history.into_iter().map(|row| row.name).collect()
    }
}

pub(super) fn entered<B: Default, R>() -> Result<Entered<B>, crate::actors::ledger::EnterError<R>> {
    Ok(Entered { book: Arc::default(), position: None })
}

pub(super) fn subject(name: &str) -> Subject {
    name.parse().unwrap()
}

pub(super) fn customer() -> Party {
    Party::Customer(CustomerId(subject("alice")))
}

pub(super) fn owner() -> Party {
    Party::Store(OwnerId(subject("mario")))
}

pub(super) fn rider() -> RiderId {
    RiderId(subject("ravi"))
}

pub(super) fn answer_key(key: u128) -> AnswerKey {
    AnswerKey { key: Uuid::from_u128(key), fingerprint: 7 }
}

pub(super) fn placement() -> SharedPlacement {
    let price = Money::new(12_000, crate::order::Currency::KRW).unwrap();
    let point = Point::new(37.5, 127.0).unwrap();
    let text = |text: &'static str| Text::literal(text);
    Arc::new(Placement {
        store: Arc::new(StoreRef {
            id: StoreId::new(Uuid::from_u128(1)),
            name: Text::literal("Noodles"),
            owner: OwnerId(subject("mario")),
            point,
        }),
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

pub(super) fn declined(code: &'static str) -> ChargeOutcome {
    ChargeOutcome::Declined { code: Text::literal(code) }
}

pub(super) const NO_ANSWER: ChargeOutcome = ChargeOutcome::Unknown { why: "provider_timeout" };
