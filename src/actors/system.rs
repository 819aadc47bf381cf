//! Starts the actors and the journal's readers, each on the thread where it belongs, and stops them in reverse.
//!
//! Three threads: the journal's writer, which mostly waits for the disk; the orders with everyone they talk to, so
//! that a message between them costs no wake-up; and the readers, so that a slow view never delays an order. The
//! Kafka bridge, if there is one, has a fourth.

use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use anyhow::Context as _;
use tokio::sync::watch;

use super::catalogue::Stores;
use super::clock::Clock;
use super::dispatch::{DispatchActor, FindRider, Nearby, NotePresence, PresenceOf};
use super::feed::Hub;
use super::follow::{FollowError, Unreadable};
use super::health::ReaderHealth;
use super::heartbeat::Heartbeats;
use super::journal::{Between, Commits, JournalActor, Settle, Write, WriteReport};
use super::kafka_bridge::{BridgeOrigin, BridgeThread, Mirror};
use super::ledger::{BookError, LedgerWorld, ReadBook, read_book};
use super::mailbox::{Door, Mailbox, MailboxLoad, MailboxPolicy};
use super::order::OrderActor;
use super::orders::Orders;
use super::payment::{GatePolicy, PaymentActor, PaymentGate};
use super::pressure::Pressure;
use super::projector::Shown;
use super::readers::Reading;
use super::rebuild::ViewRebuild;
use super::registry::{Dismiss, Pardon, Pause, Registry, Residency, TakeCensus, To};
use super::rider::RiderActor;
use super::store::{KeepStock, StoreActor};
use super::supervision::{Guarded, LEAVE_WITHIN, PartThread, Supervision, on};
use super::tail::Tail;
use super::world::{KeyLife, Pace, Reach, World};
use crate::config::{self, Config};
use crate::order::{RiderBook, Stock, StoreId};
use crate::providers::payment::Sandbox;
use crate::store::{Engine, Readers, StreamId, Views};

/// How long a finished order stays in memory, for those who look at what they have just done and for repeats of it. With
/// 4,000 a second, and the ten seconds that a round of the registry's looks takes, some 80,000 are there in vain: 120 MB.
const FINISHED_AFTER: Duration = Duration::from_secs(10);

/// Everything that runs, as the outside reaches it.
#[derive(Clone)]
pub struct System {
    pub orders: Orders,
    pub stores: Stores,
    pub stock: Mailbox<To<StoreActor, KeepStock>>,
    pub stock_levels: Mailbox<To<StoreActor, ReadBook<Stock>>>,
    pub riders: RiderDesk,
    pub feed: Hub,
    pub views: Views,
    pub readers: Readers,
    pub progress: Shown,
    /// None: no broker is named.
    pub mirror: Option<Mirror>,
    pub operations: Operations,
    pub clock: Clock,
    /// How long work waits; the edge adds its own threads to it.
    pub pressure: Pressure,
    /// The parts of which there is one each, and how they stand.
    pub parts: Supervision,
    /// Whether the threads turn.
    pub heartbeats: Heartbeats,
}

/// What riders ask.
#[derive(Clone)]
pub struct RiderDesk {
    pub presence: Mailbox<NotePresence>,
    pub presence_of: Mailbox<PresenceOf>,
    pub nearby: Mailbox<Nearby>,
    pub books: Mailbox<To<RiderActor, ReadBook<RiderBook>>>,
    pub capacity: usize,
}

/// What operators look at and turn.
#[derive(Clone)]
pub struct Operations {
    pub mailboxes: Vec<MailboxLoad>,
    pub gate: PaymentGate,
    pub sandbox: Option<Arc<Sandbox>>,
    pub orders: Mailbox<TakeCensus>,
    pub stores: Mailbox<TakeCensus>,
    pub riders: Mailbox<TakeCensus>,
    pub pause_stores: Mailbox<Pause>,
    pub views: ViewRebuild,
    pub readers: ReaderHealth,
    pub pardon_order: Mailbox<Pardon<OrderActor>>,
    pub pardon_store: Mailbox<Pardon<StoreActor>>,
    pub pardon_rider: Mailbox<Pardon<RiderActor>>,
    dismiss_orders: Mailbox<Dismiss>,
}

/// The threads, for whoever stops them.
pub struct Threads {
    journal: Arbiter,
    orders: Arbiter,
    readers: PartThread,
    bridge: Option<BridgeThread>,
}

struct Doors {
    orders: Door<Registry<OrderActor>>,
    stores: Door<Registry<StoreActor>>,
    riders: Door<Registry<RiderActor>>,
    dispatch: Door<Guarded<DispatchActor>>,
    boards: watch::Receiver<u64>,
    payment: Door<Guarded<PaymentActor>>,
    gate: PaymentGate,
}

/// Starts everything. Commands are served as soon as this returns; open orders wake meanwhile.
pub async fn start(
    config: &Config,
    engine: Engine,
    clock: Clock,
    sandbox: Arc<Sandbox>,
    report: WriteReport,
) -> anyhow::Result<(System, Threads)> {
    let Engine { writer, readers, views } = engine;
    let parts = Supervision::default();
    let readers_thread = PartThread::new(parts.clone());
    let mut threads =
        Threads { journal: Arbiter::new(), orders: Arbiter::new(), readers: readers_thread, bridge: None };
    let tail = Tail::default();
    let catalogue = readers.catalogue().await.context("the catalogue cannot be read")?;
    clock.start(&readers).await.context("the time of the last event cannot be read")?;

    let pressure = Pressure::default();
    threads.journal.spawn(pressure.clone().feel("journal"));
    threads.orders.spawn(pressure.clone().feel("orders"));
    let heartbeats = Heartbeats::new(config.http.stalled_after_s.duration());
    threads.journal.spawn(heartbeats.beat("journal"));
    threads.orders.spawn(heartbeats.beat("orders"));
    threads.readers.spawn(heartbeats.beat("readers"));
    let policy = mailbox("journal", config.mailboxes.journal);
    let (tail_of_writer, appends) = (tail.clone(), pressure.gauge("appends"));
    let commits = Commits::from(&config.database);
    let opening = move || JournalActor::open(writer, tail_of_writer, policy, commits, report, appends);
    let journal = on(&threads.journal, opening).await?;
    let stores = Stores::new(catalogue, journal.mailbox::<Between>());

    let opening = Opening {
        config: config.clone(),
        journal: journal.mailbox(),
        settle: journal.mailbox(),
        between: journal.mailbox(),
        readers: readers.clone(),
        clock: clock.clone(),
        sandbox: sandbox.clone(),
        stores: stores.clone(),
        parts: parts.clone(),
    };
    let doors = on(&threads.orders, move || opening.open()).await?;

    let orders = Orders {
        execute: doors.orders.mailbox(),
        repeat: doors.orders.mailbox(),
        inspect: doors.orders.mailbox(),
        desk: doors.stores.mailbox(),
        readers: readers.clone(),
        clock: clock.clone(),
    };
    let mut mirror = None;
    if config.kafka.bootstrap_servers.is_some() {
        let (readers, views, clock) = (readers.clone(), views.clone(), clock.clone());
        let origin = BridgeOrigin::new(config.kafka.clone(), &tail, readers, views, clock).await?;
        let (thread, reached) = BridgeThread::start(origin, parts.clone()).await?;
        (threads.bridge, mirror) = (Some(thread), Some(reached));
    }
    let health = ReaderHealth::default();
    let reading = Reading {
        tail,
        readers: readers.clone(),
        views: views.clone(),
        clock: clock.clone(),
        stores: stores.clone(),
        execute: doors.orders.mailbox(),
        wake: doors.orders.mailbox(),
        board: doors.dispatch.mailbox(),
        boards: doors.boards.clone(),
        wake_concurrency: config.orders.wake_concurrency,
        // The other half of the connections is for those who read one order.
        replays: config.database.readers / 2,
        health: health.clone(),
    };
    let (feed, progress, rebuild) = reading.start(&threads.readers).await?;
    let loads = vec![journal.load(), doors.orders.load(), doors.stores.load(), doors.riders.load()];
    let system = System {
        stock: doors.stores.mailbox(),
        stock_levels: doors.stores.mailbox(),
        riders: RiderDesk {
            presence: doors.dispatch.mailbox(),
            presence_of: doors.dispatch.mailbox(),
            nearby: doors.dispatch.mailbox(),
            books: doors.riders.mailbox(),
            capacity: config.orders.rider_capacity,
        },
        operations: Operations {
            mailboxes: [loads, vec![doors.dispatch.load(), doors.payment.load()]].concat(),
            gate: doors.gate.clone(),
            sandbox: Some(sandbox),
            orders: doors.orders.mailbox(),
            stores: doors.stores.mailbox(),
            riders: doors.riders.mailbox(),
            pause_stores: doors.stores.mailbox(),
            views: rebuild,
            readers: health,
            pardon_order: doors.orders.mailbox(),
            pardon_store: doors.stores.mailbox(),
            pardon_rider: doors.riders.mailbox(),
            dismiss_orders: doors.orders.mailbox(),
        },
        orders,
        stores,
        feed,
        views,
        readers,
        progress,
        mirror,
        clock,
        pressure,
        parts,
        heartbeats,
    };
    Ok((system, threads))
}

/// What the orders' thread is opened with.
struct Opening {
    config: Config,
    journal: Mailbox<Write>,
    settle: Mailbox<Settle>,
    between: Mailbox<Between>,
    readers: Readers,
    clock: Clock,
    sandbox: Arc<Sandbox>,
    stores: Stores,
    parts: Supervision,
}

impl Opening {
    /// On the orders' own thread: residents live where their registry does.
    fn open(self) -> Doors {
        let Opening { config, journal, settle, between, readers, clock, sandbox, stores, parts } = self;
        let boxes = &config.mailboxes;
        let idle_after = config.orders.idle_after_s.duration();
        let registry = |name, resident: MailboxPolicy, most| Residency {
            door: mailbox(name, boxes.registry),
            resident,
            idle_after,
            finished_after: FINISHED_AFTER.min(idle_after),
            most,
        };
        let books = LedgerWorld {
            clock: clock.clone(),
            journal: journal.clone(),
            settle: settle.clone(),
            between,
            readers: readers.clone(),
            rider_capacity: config.orders.rider_capacity,
        };
        let most = config.limits.live_actors;
        let store_door =
            Registry::<StoreActor>::open(books.clone(), registry("stores", mailbox("store", boxes.store), most));
        let rider_door = Registry::<RiderActor>::open(books, registry("riders", mailbox("rider", boxes.rider), most));
        let (dispatch, boards) = DispatchActor::open(
            Arc::new(stores.clone()),
            config.orders.rider_capacity,
            clock.clone(),
            config.orders.presence_expires_s.duration(),
            mailbox("dispatch", boxes.dispatch),
            &parts,
        );
        let (payment, gate) = PaymentActor::open(sandbox, gate_policy(&config), payment_mailbox(&config), &parts);
        let world = World::new(Reach {
            clock,
            journal,
            settle,
            readers,
            stores,
            stock: store_door.mailbox(),
            kitchen: store_door.mailbox(),
            riders: rider_door.mailbox(),
            payments: payment.mailbox(),
            gate: gate.clone(),
            dispatch: dispatch.mailbox::<FindRider>(),
            pace: pace(&config),
        });
        let orders = Registry::<OrderActor>::open(world, registry("orders", mailbox("order", boxes.order), most));
        Doors { orders, stores: store_door, riders: rider_door, dispatch, boards, payment, gate }
    }
}

impl System {
    /// A store's stock as it stood at a version of its book.
    pub async fn stock_at(&self, store: StoreId, version: u32) -> Result<Stock, FollowError> {
        let stream = StreamId::stock(store);
        match read_book(&self.readers, stream, Some(version)).await {
            Ok(read) => Ok(read.book),
            Err(BookError::Db(error)) => Err(error.into()),
            Err(BookError::Unreadable { position, what, .. }) => Err(Unreadable { stream, position, what }.into()),
        }
    }
}

impl Operations {
    /// Lets all orders go; what they were doing is in the journal.
    pub async fn dismiss(&self) {
        // Whether it answers or not, the thread is stopped next.
        let _ = self.dismiss_orders.ask_within(Dismiss, Duration::from_secs(1)).await;
    }
}

impl Threads {
    /// Tells all who read the journal to end, the bridge first: what they would do from now on, another process does.
    pub fn tell_readers_to_end(&self) {
        if let Some(bridge) = &self.bridge {
            drop(bridge.tell_to_end());
        }
        self.readers.tell_to_end();
    }

    /// In reverse: whoever asks goes before whoever answers.
    pub fn stop(self) {
        let bridge = self.bridge.map(|bridge| ("kafka bridge", bridge.stop()));
        let readers = self.readers.stop(LEAVE_WITHIN);
        let others = [("readers", readers), ("orders", self.orders), ("journal", self.journal)];
        for (name, thread) in bridge.into_iter().chain(others) {
            thread.stop();
            if thread.join().is_err() {
                tracing::error!(thread = name, "a thread ended in a panic");
            }
        }
    }
}

fn mailbox(name: &'static str, settings: config::Mailbox) -> MailboxPolicy {
    let reply_timeout = settings.reply_timeout_ms.duration();
    MailboxPolicy { name, capacity: settings.capacity, reply_timeout }
}

fn payment_mailbox(config: &Config) -> MailboxPolicy {
    let payment = &config.mailboxes.payment;
    let reply_timeout = payment.reply_timeout_ms.duration();
    MailboxPolicy { name: "payment", capacity: payment.capacity, reply_timeout }
}

fn gate_policy(config: &Config) -> GatePolicy {
    GatePolicy {
        running: config.mailboxes.payment.running,
        slow_after: config.payments.slow_after_ms.duration(),
        call_timeout: config.payments.call_timeout_ms.duration(),
        first_penalty: config.payments.penalty_first_ms.duration(),
        longest_penalty: config.payments.penalty_at_most_ms.duration(),
    }
}

fn pace(config: &Config) -> Pace {
    Pace {
        answer_within: config.orders.placement_answer_within_ms.duration(),
        first_pause: config.orders.ask_again_first_ms.duration(),
        longest_pause: config.orders.ask_again_at_most_ms.duration(),
        first_payment_pause: config.payments.retry_first_ms.duration(),
        longest_payment_pause: config.payments.retry_at_most_ms.duration(),
        keys: KeyLife::of(config.payments.key_window_s.duration(), config.payments.settles_within_s.duration()),
    }
}
