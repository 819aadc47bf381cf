//! The bridge against librdkafka's own stand-in for a cluster, which fails when it is told to.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};
use uuid::Uuid;

use super::*;
use crate::order::{CommandId, OrderId, StoreId, Timestamp};
use crate::store::{Append, DataPlace, Due, Engine, NewEvent, Shard, StreamId};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;

/// How long a test waits for what must come. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

fn settings(cluster: &Cluster) -> Kafka {
    Kafka {
        bootstrap_servers: Some(cluster.bootstrap_servers()),
        topic: TOPIC.into(),
        partitions: PARTITIONS as u16,
        ..Kafka::default()
    }
}

struct Journal {
    engine: Engine,
    tail: Tail,
    _directory: TempDir,
}

impl Journal {
    async fn fresh() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(&DataPlace::Directory(directory.path().to_owned())).await.unwrap();
        Self { engine, tail: Tail::default(), _directory: directory }
    }

    /// Orders in several shards take turns, and stores' books are between them.
    async fn with(orders: u128, events: u32) -> Self {
        Self::with_events_of(0, orders, events).await
    }

    /// Each event with so many bytes more.
    async fn with_events_of(bytes: usize, orders: u128, events: u32) -> Self {
        let mut journal = Self::fresh().await;
        for version in 0..events {
            let mut batch: Vec<Append> = (0..orders).map(|n| append(StreamId::order(order(n)), n, version)).collect();
            for event in batch.iter_mut().flat_map(|append| &mut append.events) {
                event.data = event.data.replace('{', &format!(r#"{{"more":"{}","#, "x".repeat(bytes)));
            }
            batch.push(append(StreamId::stock(StoreId::new(Uuid::from_u128(1))), 1, version));
            let outcome = journal.engine.writer.append(&batch).await.unwrap();
            assert!(outcome.iter().all(Result::is_ok));
        }
        journal.tail.push([]);
        journal
    }

    async fn head(&self) -> Cursor {
        self.engine.readers.head().await.unwrap()
    }

    async fn saved(&self) -> Cursor {
        self.engine.views.cursor(Reader::KafkaBridge).await.unwrap()
    }

    async fn bridge(&self, settings: Kafka) -> Running {
        let (readers, views) = (self.engine.readers.clone(), self.engine.views.clone());
        let (bridge, mirror) = Bridge::load(settings, &self.tail, readers, views, Clock::default()).await.unwrap();
        let (stop, stopping) = watch::channel(false);
        let task = tokio::task::spawn_local(bridge.run(stopping));
        Running { mirror, stop, task }
    }
}

fn order(n: u128) -> OrderId {
    OrderId::new(Uuid::from_u128(0x0bde_0000 + n))
}

fn append(stream: StreamId, n: u128, expected_version: u32) -> Append {
    Append {
        stream,
        shard: Shard::of_store(StoreId::new(Uuid::from_u128(n % 5))),
        expected_version,
        at: Timestamp::from_micros(1_795_262_400_000_000 + i64::from(expected_version)),
        by: "customer:alice".into(),
        command: CommandId::new(Uuid::from_u128(n << 32 | u128::from(expected_version))),
        fingerprint: None,
        answer: None,
        events: vec![NewEvent { name: "payment_captured", data: format!(r#"{{"attempt":{expected_version}}}"#) }],
        due: Due::Unchanged,
    }
}

struct Running {
    mirror: Mirror,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn until(&self, what: impl Fn(&MirrorReport) -> bool) -> MirrorReport {
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

    async fn until_all_is_mirrored(&self) -> MirrorReport {
        self.until(|report| report.lag_events() == 0).await
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap();
    }

    /// As a lost process would end: nothing is flushed or saved.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    key: String,
    version: u32,
    headers: BTreeMap<String, String>,
    value: String,
}

/// All that is in the topic, partition by partition.
async fn everything_in(cluster: &Cluster) -> Vec<Got> {
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
fn check(got: &[Got], orders: u128, events: u32) -> usize {
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

/// A bridge and a cluster that cannot leave their thread.
async fn here(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_backlog_is_mirrored_in_sequence() {
    here(async {
        let (cluster, journal) = (cluster(), Journal::with(20, 60).await);
        let bridge = journal.bridge(settings(&cluster)).await;
        let report = bridge.until_all_is_mirrored().await;
        assert_eq!((report.state, report.acknowledged), (MirrorState::Mirroring, 20 * 60), "and nothing of the stock");
        bridge.stop().await;
        assert_eq!(journal.saved().await, journal.head().await);
        let got = everything_in(&cluster).await;
        assert_eq!(check(&got, 20, 60), 0);
        let third = got.iter().find(|got| got.key == order(0).to_string() && got.version == 3).unwrap();
        assert_eq!(third.headers["ce_id"], format!("{}:3", order(0)));
        assert_eq!(third.headers["ce_type"], "baedal.order.payment_captured.v1");
        assert_eq!(third.headers["content-type"], "application/json");
        assert!(third.value.contains(r#""type":"payment_captured""#) && third.value.contains(r#""attempt":2}"#));
    })
    .await;
}

#[tokio::test]
async fn news_is_mirrored_without_being_asked_for() {
    here(async {
        let (cluster, mut journal) = (cluster(), Journal::with(3, 2).await);
        let bridge = journal.bridge(settings(&cluster)).await;
        bridge.until_all_is_mirrored().await;
        let more: Vec<Append> = (0..3).map(|n| append(StreamId::order(order(n)), n, 2)).collect();
        journal.engine.writer.append(&more).await.unwrap();
        journal.tail.push([]);
        bridge.until(|report| report.acknowledged == 9).await;
        bridge.stop().await;
        assert_eq!(check(&everything_in(&cluster).await, 3, 3), 0);
    })
    .await;
}

#[tokio::test]
async fn errors_of_the_brokers_leave_no_gap_and_turn_nothing_round() {
    use RDKafkaRespErr::*;
    here(async {
        // So large that a partition takes several requests, some of them behind the one that fails.
        let (cluster, journal) = (cluster(), Journal::with_events_of(60_000, 6, 30).await);
        cluster.broker_round_trip_time(1, Duration::from_millis(5)).unwrap();
        // The first ones pass if they are tried again; each of the others ends a producer.
        cluster.request_errors(
            RDKafkaApiKey::Produce,
            &[
                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                RD_KAFKA_RESP_ERR_NO_ERROR,
                RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                RD_KAFKA_RESP_ERR_NO_ERROR,
                RD_KAFKA_RESP_ERR_INVALID_RECORD,
                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                RD_KAFKA_RESP_ERR_NO_ERROR,
                RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
            ],
        );
        let bridge = journal.bridge(settings(&cluster)).await;
        let report = bridge.until_all_is_mirrored().await;
        assert!(report.restarts >= 3, "{report:?}");
        assert!(report.last_error.is_some_and(|error| error.what.contains("not taken")));
        bridge.stop().await;
        check(&everything_in(&cluster).await, 6, 30);
        assert_eq!(journal.saved().await, journal.head().await);
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_comes_late_gets_everything() {
    here(async {
        let (cluster, journal) = (cluster(), Journal::with(5, 20).await);
        cluster.broker_down(1).unwrap();
        let bridge = journal.bridge(settings(&cluster)).await;
        let report = bridge.until(|report| report.state == MirrorState::Broken).await;
        assert!(report.last_error.is_some_and(|error| error.what.contains("connection_lost")));
        assert_eq!(report.acknowledged, 0);
        cluster.broker_up(1).unwrap();
        let report = bridge.until_all_is_mirrored().await;
        assert_eq!(report.state, MirrorState::Mirroring);
        bridge.stop().await;
        assert_eq!(check(&everything_in(&cluster).await, 5, 20), 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_acknowledged_is_sent_again_and_is_at_most_a_window() {
    const WINDOW: usize = 50;
    here(async {
        let (cluster, journal) = (cluster(), Journal::with(20, 30).await);
        let settings = Kafka { window_events: WINDOW, flush_within_ms: crate::config::Millis(1), ..settings(&cluster) };
        cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
        let mut repeats = 0;
        for _ in 0..2 {
            let bridge = journal.bridge(settings.clone()).await;
            bridge.until(|report| report.in_flight > 0).await;
            bridge.stop().await;
            let bridge = journal.bridge(settings.clone()).await;
            bridge.until(|report| report.in_flight > 0).await;
            let (sent, saved) = (bridge.mirror.report().await.unwrap(), journal.saved().await);
            assert!(distance(&saved, &sent.cursor) as usize + sent.in_flight <= WINDOW + sent.acknowledged as usize);
            bridge.kill().await;
        }
        cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
        let bridge = journal.bridge(settings).await;
        bridge.until_all_is_mirrored().await;
        bridge.stop().await;
        repeats += check(&everything_in(&cluster).await, 20, 30);
        assert!(repeats <= 4 * WINDOW, "{repeats} repeats of four interruptions");
    })
    .await;
}

#[tokio::test]
async fn the_cursor_never_passes_what_kafka_does_not_have() {
    here(async {
        let (cluster, journal) = (cluster(), Journal::with(20, 30).await);
        cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
        let bridge = journal.bridge(Kafka { window_events: 30, ..settings(&cluster) }).await;
        bridge.until(|report| report.acknowledged > 60).await;
        bridge.kill().await;
        let saved = journal.saved().await;
        let got = everything_in(&cluster).await;
        let there: std::collections::HashSet<(String, u32)> =
            got.into_iter().map(|got| (got.key, got.version)).collect();
        let rows = journal.engine.readers.after(&Cursor::start(), 10_000).await.unwrap();
        for row in rows.iter().filter(|row| saved.has_passed(row.position) && is_mirrored(row).is_some()) {
            assert!(there.contains(&(row.stream.id.to_string(), row.version)), "{} is there", row.position);
        }
    })
    .await;
}

#[tokio::test]
async fn an_operator_sends_a_shard_again() {
    here(async {
        let (cluster, journal) = (cluster(), Journal::with(5, 10).await);
        let bridge = journal.bridge(settings(&cluster)).await;
        let report = bridge.until_all_is_mirrored().await;
        let mark = report.head.marks().find(|mark| mark.position > 5).unwrap();
        let ahead = Position { position: mark.position + 1, ..mark };
        assert_eq!(
            bridge.mirror.rewind(mark.shard, ahead.position).await,
            Err(RewindError::NotMirrored(ahead)),
            "nothing is skipped"
        );
        assert_eq!(bridge.mirror.rewind(mark.shard, 4).await, Ok(mark.position - 3));
        bridge.until(|report| report.lag_events() == 0 && report.acknowledged > 50).await;
        bridge.stop().await;
        let repeats = check(&everything_in(&cluster).await, 5, 10);
        assert!((1..=mark.position as usize - 3).contains(&repeats), "{repeats}");
        assert_eq!(journal.saved().await, journal.head().await);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_announced_without_its_data() {
    here(async {
        let (cluster, mut journal) = (cluster(), Journal::fresh().await);
        let unknown = NewEvent { name: "order_teleported", data: r#"{"note":"canary"}"#.into() };
        let append = Append { events: vec![unknown], ..append(StreamId::order(order(0)), 0, 0) };
        journal.engine.writer.append(&[append]).await.unwrap();
        let bridge = journal.bridge(settings(&cluster)).await;
        assert_eq!(bridge.until_all_is_mirrored().await.withheld, 1);
        bridge.stop().await;
        let got = everything_in(&cluster).await;
        assert_eq!(check(&got, 1, 1), 0);
        assert!(
            got[0]
                .value
                .ends_with(r#""type":"order_teleported","at":"2026-11-21T12:00:00Z","by":"customer:alice","data":{}}"#)
        );
    })
    .await;
}
