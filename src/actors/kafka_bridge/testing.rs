//! What the tests of the bridge stand on: a cluster that fails when it is told to, a journal with something in it, and
//! a consumer that reads everything.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tempfile::TempDir;
use tokio::time::sleep;
use uuid::Uuid;

use super::{BridgeOrigin, BridgeThread, Mirror, MirrorReport};
use crate::actors::clock::Clock;
use crate::actors::supervision::Supervision;
use crate::actors::tail::Tail;
use crate::config::Kafka;
use crate::order::{CommandId, OrderId, StoreId, Timestamp};
use crate::store::{Append, Cursor, DataPlace, Due, Engine, NewEvent, Reader, Shard, StreamId};

pub(super) const TOPIC: &str = "orders";
pub(super) const PARTITIONS: i32 = 3;

/// How long a test waits for what must come. Only a test that fails waits so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) type Cluster = MockCluster<'static, DefaultProducerContext>;

pub(super) fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

pub(super) fn settings(cluster: &Cluster) -> Kafka {
    Kafka {
        bootstrap_servers: Some(cluster.bootstrap_servers()),
        topic: TOPIC.into(),
        partitions: PARTITIONS as u16,
        ..Kafka::default()
    }
}

pub(super) struct Journal {
    pub(super) engine: Engine,
    pub(super) tail: Tail,
    _directory: TempDir,
}

impl Journal {
    pub(super) async fn fresh() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(&DataPlace::Directory(directory.path().to_owned())).await.unwrap();
        Self { engine, tail: Tail::default(), _directory: directory }
    }

    /// Orders in several shards take turns, and stores' books are between them.
    pub(super) async fn with(orders: u128, events: u32) -> Self {
        Self::with_events_of(0, orders, events).await
    }

    /// Each event with so many bytes more.
    pub(super) async fn with_events_of(bytes: usize, orders: u128, events: u32) -> Self {
        let mut journal = Self::fresh().await;
        for version in 0..events {
            let mut batch: Vec<Append> = (0..orders).map(|n| append(StreamId::order(order(n)), n, version)).collect();
            for event in batch.iter_mut().flat_map(|append| &mut append.events) {
                event.data = event.data.replace('{', &format!(r#"{{"more":"{}","#, "x".repeat(bytes))).into();
            }
            batch.push(append(StreamId::stock(StoreId::new(Uuid::from_u128(1))), 1, version));
            let outcome = journal.engine.writer.append(&batch).await.unwrap();
            assert!(outcome.iter().all(Result::is_ok));
        }
        journal.tail.push([]);
        journal
    }

    pub(super) async fn head(&self) -> Cursor {
        self.engine.readers.head().await.unwrap()
    }

    pub(super) async fn saved(&self) -> Cursor {
        self.engine.views.cursor(Reader::KafkaBridge).await.unwrap()
    }

    pub(super) async fn bridge(&self, settings: Kafka) -> Running {
        let (readers, views) = (self.engine.readers.clone(), self.engine.views.clone());
        let origin = BridgeOrigin::new(settings, &self.tail, readers, views, Clock::default()).await.unwrap();
        let (thread, mirror) = BridgeThread::start(origin, Supervision::default()).await.unwrap();
        Running { mirror, thread }
    }
}

pub(super) fn order(n: u128) -> OrderId {
    OrderId::new(Uuid::from_u128(0x0bde_0000 + n))
}

pub(super) fn append(stream: StreamId, n: u128, expected_version: u32) -> Append {
    Append {
        stream,
        shard: Shard::of_store(StoreId::new(Uuid::from_u128(n % 5))),
        expected_version,
        at: Timestamp::from_micros(1_795_262_400_000_000 + i64::from(expected_version)),
        by: "customer:alice".into(),
        command: CommandId::new(Uuid::from_u128(n << 32 | u128::from(expected_version))),
        fingerprint: None,
        answer: None,
        events: vec![NewEvent {
            name: "payment_captured",
            data: format!(r#"{{"attempt":{expected_version}}}"#).into(),
        }],
        due: Due::Unchanged,
    }
}

pub(super) struct Running {
    pub(super) mirror: Mirror,
    thread: BridgeThread,
}

impl Running {
    pub(super) async fn until(&self, what: impl Fn(&MirrorReport) -> bool) -> MirrorReport {
        let there = async {
            loop {
                let report = self.mirror.report().await.unwrap();
                if what(&report) {
                    return report;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, there).await {
            Ok(report) => report,
            Err(_) => panic!("it does not come: {:?}", self.mirror.report().await.unwrap()),
        }
    }

    pub(super) async fn until_all_is_mirrored(&self) -> MirrorReport {
        self.until(|report| report.lag_events() == 0).await
    }

    pub(super) async fn stop(self) {
        end(self.thread.stop());
    }

    /// As a lost process would end: nothing is flushed or saved.
    pub(super) async fn kill(self) {
        end(self.thread.thread);
    }

    /// The same, though there are some who hold its mailbox.
    pub(super) fn thread_ends(self) -> Mirror {
        end(self.thread.thread);
        self.mirror
    }
}

fn end(thread: actix::Arbiter) {
    thread.stop();
    thread.join().unwrap();
}

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) key: String,
    pub(super) version: u32,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) value: String,
}

/// All that is in the topic, partition by partition.
pub(super) async fn everything_in(cluster: &Cluster) -> Vec<Got> {
    let brokers = cluster.bootstrap_servers();
    tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "test").set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(TOPIC, partition, rdkafka::Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        let (mut got, mut ended) = (Vec::new(), 0);
        while ended < PARTITIONS {
            match consumer.poll(PATIENCE).expect("a record or the end") {
                Ok(record) => got.push(read(&record)),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        got
    })
    .await
    .unwrap()
}

fn read(record: &rdkafka::message::BorrowedMessage<'_>) -> Got {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_owned()).unwrap();
    let headers = record.headers().unwrap();
    let headers = headers.iter().map(|header| (header.key.to_owned(), text(header.value)));
    let (headers, value) = (headers.collect::<BTreeMap<_, _>>(), text(record.payload()));
    Got { key: text(record.key()), version: headers["ce_sequence"].parse().unwrap(), headers, value }
}

/// Every order's events are there, first occurrences in sequence, and a repeat is the same to the byte. Says how many
/// were repeats.
pub(super) fn check(got: &[Got], orders: u128, events: u32) -> usize {
    let mut first: HashMap<(&str, u32), &Got> = HashMap::new();
    let mut reached: HashMap<&str, u32> = HashMap::new();
    let mut repeats = 0;
    for record in got {
        match first.get(&(record.key.as_str(), record.version)) {
            Some(before) => {
                assert_eq!(*before, record, "a repeat is the same");
                repeats += 1;
            }
            None => {
                let reached = reached.entry(&record.key).or_insert(0);
                assert_eq!(record.version, *reached + 1, "{} goes on without a gap", record.key);
                *reached += 1;
                first.insert((&record.key, record.version), record);
            }
        }
    }
    for n in 0..orders {
        assert_eq!(reached.get(order(n).to_string().as_str()), Some(&events), "all of order {n}");
    }
    assert_eq!(first.len(), orders as usize * events as usize, "nothing that is not in the journal");
    repeats
}
