//! The mirror to Kafka beside a bare producer that sends the same bytes with the same care, and beside orders that go on
//! meanwhile.
//!
//! The broker is the one that `BAEDAL_TEST_KAFKA` names, or one of our own. It shares the cores with everything else.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use baedal::actors::{MirrorReport, Orders, System};
use baedal::order::{Attributes, OrderId, PublicEvent};
use baedal::store::{Cursor, DataPlace, Engine, Reader, Recorded, StreamKind};
use hdrhistogram::Histogram;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use crate::{lifecycles, scratch, town};

/// Events of orders in the journal before the mirror begins.
const BACKLOG: usize = 200_000;

/// Orders that go on at a time.
const CONCURRENCY: u64 = 64;

/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn measure() {
    let Some(broker) = Broker::find() else { return };
    let data = scratch();
    let address = broker.address.clone();
    actix_web::rt::System::new().block_on(async move {
        let alone = fill(data.path()).await;
        let events = events(data.path()).await;
        // The first run teaches the broker's virtual machine what it is about to do.
        bare(&address, &events).await;
        let bare = bare(&address, &events).await;
        println!("bare producer, {BACKLOG} events           {bare:>8.0} events/s");
        let (mirrored, _) = mirror(data.path(), &address, 0).await;
        println!("mirror of the same backlog               {mirrored:>8.0} events/s   {:.2} of bare", mirrored / bare);
        let (mirrored, lives) = mirror(data.path(), &address, CONCURRENCY).await;
        println!(
            "mirror of it while orders go on          {mirrored:>8.0} events/s   {lives:.0} lifecycles/s meanwhile, {:.2} of those without Kafka\n",
            lives / alone
        );
    });
}

/// Lives orders until the journal has the backlog; the lives per second.
async fn fill(directory: &Path) -> f64 {
    let (system, threads) = town::start(&DataPlace::Directory(directory.to_owned()), &town::config()).await;
    let lives = Lives::begin(&system.orders, CONCURRENCY);
    while system.readers.head().await.map_or(0, |head| head.marks().map(|mark| mark.position).sum())
        < BACKLOG as u64 * 5 / 4
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rate = lives.end().await;
    drop(system);
    threads.stop();
    rate
}

/// The events of orders, in the journal's sequence, as many as count.
async fn events(directory: &Path) -> Vec<Recorded> {
    let engine = Engine::open(&DataPlace::Directory(directory.to_owned())).await.expect("it opens");
    let (mut cursor, mut events) = (Cursor::start(), Vec::new());
    while events.len() < BACKLOG {
        let rows = engine.readers.after(&cursor, 2_000).await.expect("the journal can be read");
        assert!(!rows.is_empty(), "the journal is shorter than it was filled");
        rows.iter().for_each(|row| cursor.advance(row.position));
        events.extend(rows.into_iter().filter(|row| row.stream.kind == StreamKind::Order));
    }
    events.truncate(BACKLOG);
    events
}

/// Mirrors all there is from the beginning, while so many orders are lived at a time; events and lives per second.
async fn mirror(directory: &Path, broker: &str, concurrency: u64) -> (f64, f64) {
    let engine = Engine::open(&DataPlace::Directory(directory.to_owned())).await.expect("it opens");
    engine.views.save_cursor(Reader::KafkaBridge, &Cursor::start()).await.expect("it can be written");
    drop(engine);
    let mut config = town::config();
    config.kafka.bootstrap_servers = Some(broker.to_owned());
    config.kafka.topic = make_topic(broker, usize::from(config.kafka.partitions)).await;
    let started = Instant::now();
    let (system, threads) = town::start(&DataPlace::Directory(directory.to_owned()), &config).await;
    let lives = Lives::begin(&system.orders, concurrency);
    // With orders going on there is always something on its way: caught up is what it began with.
    let enough =
        |report: &MirrorReport| report.acknowledged >= BACKLOG as u64 && (concurrency > 0 || report.lag_events() == 0);
    let report = loop {
        let report = report_of(&system).await;
        if enough(&report) {
            break report;
        }
        assert!(started.elapsed() < PATIENCE, "the mirror does not get on: {report:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let rate = report.acknowledged as f64 / started.elapsed().as_secs_f64();
    let lived = lives.end().await;
    drop(system);
    threads.stop();
    (rate, lived)
}

async fn report_of(system: &System) -> MirrorReport {
    let mirror = system.mirror.as_ref().expect("it was asked for");
    mirror.report().await.expect("the journal can be read")
}

/// Orders that are lived one after the other by so many people, until they are told to stop.
struct Lives {
    people: Vec<actix_web::rt::task::JoinHandle<u64>>,
    goes_on: Rc<Cell<bool>>,
    since: Instant,
}

impl Lives {
    fn begin(orders: &Orders, concurrency: u64) -> Self {
        let goes_on = Rc::new(Cell::new(true));
        let policy = town::policy();
        let people = (0..concurrency).map(|person| {
            let (orders, policy, goes_on) = (orders.clone(), policy.clone(), goes_on.clone());
            actix_web::rt::spawn(async move {
                let mut commands = Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
                let mut lived = 0;
                while goes_on.get() {
                    lifecycles::live(&orders, &policy, person, &mut commands).await;
                    lived += 1;
                }
                lived
            })
        });
        Self { people: people.collect(), goes_on, since: Instant::now() }
    }

    /// Lives per second.
    async fn end(self) -> f64 {
        self.goes_on.set(false);
        let mut lived = 0;
        for person in self.people {
            lived += person.await.expect("nobody panics");
        }
        lived as f64 / self.since.elapsed().as_secs_f64()
    }
}

/// Counts what has been acknowledged.
#[derive(Default)]
struct Acknowledged(AtomicU64);

struct Counting(Arc<Acknowledged>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "the broker takes it");
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends the events with nothing around it, with the settings of the mirror that cost something; events per second.
async fn bare(broker: &str, events: &[Recorded]) -> f64 {
    let config = town::config().kafka;
    let topic = make_topic(broker, usize::from(config.partitions)).await;
    let records: Vec<(Attributes, String)> = events.iter().map(public).collect();
    let started = Instant::now();
    let acknowledged = Arc::new(Acknowledged::default());
    let producer: ThreadedProducer<Counting> = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", config.linger_ms.0.to_string())
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", config.window_events.to_string())
        .create_with_context(Counting(acknowledged.clone()))
        .expect("the settings are good");
    for (attributes, value) in &records {
        let mut headers = OwnedHeaders::new_with_capacity(9);
        for (key, value) in attributes.headers() {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record = BaseRecord::to(&topic).key(&attributes.subject).payload(value).headers(headers);
        while let Err((error, refused)) = producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            std::thread::sleep(Duration::from_millis(1));
            record = refused;
        }
    }
    producer.flush(PATIENCE).expect("the broker takes them");
    let took = started.elapsed();
    assert_eq!(acknowledged.0.load(Ordering::Relaxed), records.len() as u64);
    records.len() as f64 / took.as_secs_f64()
}

fn public(row: &Recorded) -> (Attributes, String) {
    let event = PublicEvent {
        order: OrderId::new(row.stream.id),
        version: row.version,
        name: &row.name,
        at: row.at,
        by: &row.by,
        command: row.command,
        data: &row.data,
    };
    (event.attributes(), event.value().0)
}

async fn make_topic(broker: &str, partitions: usize) -> String {
    let name = format!("baedal.figures.{}", uuid::Uuid::now_v7());
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker).create().expect("the settings are good");
    let topic = NewTopic::new(&name, partitions as i32, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let made = admin.create_topics(&[topic], &options).await.expect("the broker answers");
    made.into_iter().for_each(|made| drop(made.expect("it takes the topic")));
    name
}

/// The broker; one of our own ends with us.
struct Broker {
    address: String,
    own: Option<(PathBuf, tempfile::TempDir)>,
}

impl Broker {
    fn find() -> Option<Self> {
        if let Ok(address) = std::env::var("BAEDAL_TEST_KAFKA") {
            return Some(Self { address, own: None });
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let data = scratch();
        let said = Command::new(&script).arg("start").arg(data.path()).stderr(Stdio::inherit()).output();
        match said {
            Ok(said) if said.status.success() => {
                let address = String::from_utf8_lossy(&said.stdout).trim().to_owned();
                Some(Self { address, own: Some((script, data)) })
            }
            _ => {
                println!("the mirror is left out: there is no broker\n");
                None
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some((script, data)) = &self.own {
            Command::new(script).arg("stop").arg(data.path()).status().ok();
        }
    }
}
