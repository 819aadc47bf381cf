//! One producer of librdkafka, from its settings to its end.
//!
//! Its settings are what keeps the promise of the mirror: nothing is given up while the producer lives, and after
//! the first event that cannot be delivered nothing that comes later is.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig, ThreadedProducer};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::shared::Shared;
use super::signals::{Signals, Told, to_word};
use crate::config::Kafka;
use crate::order::{OrderId, PublicEvent};
use crate::store::{Position, Recorded, StreamKind};

/// What any client of librdkafka needs to reach the brokers.
pub(super) fn client(settings: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    let security = settings.security_protocol;
    config
        .set("bootstrap.servers", settings.bootstrap_servers.as_deref().unwrap_or_default())
        .set("client.id", "baedal-mirror")
        .set("security.protocol", security.as_str())
        .set("socket.keepalive.enable", "true")
        // A broker that is back is noticed within a second, however long it was away.
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "1000")
        // A topic is made by name and number below, never as a side effect of asking for it.
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    if security.signs_in() {
        config
            .set("sasl.mechanism", settings.sasl_mechanism.as_str())
            .set("sasl.username", settings.sasl_username.as_deref().unwrap_or_default())
            .set("sasl.password", settings.sasl_password.as_ref().map_or("", |password| password.reveal()));
    }
    let files = [
        ("ssl.ca.location", &settings.ca_location),
        ("ssl.certificate.location", &settings.certificate_location),
        ("ssl.key.location", &settings.key_location),
    ];
    for (name, file) in files {
        if let Some(file) = file {
            config.set(name, file.to_string_lossy());
        }
    }
    config
}

fn producer(settings: &Kafka) -> ClientConfig {
    let mut config = client(settings);
    // Twice the window: what librdkafka counts beside keys and values must not make its queue full before ours is.
    let queue_kib = settings.window_bytes / 512 + 1_024;
    config
        // A retry is not written twice, and the sequence within a partition is kept; waits for all replicas.
        .set("enable.idempotence", "true")
        // An event that is given up would leave a gap, with later ones already written: so none is ever given up.
        .set("message.timeout.ms", "0")
        // An event that a broker refuses for good stops the producer, as it leaves a gap too.
        .set("enable.gapless.guarantee", "true")
        // With more, the batch behind a refused one may be written before we hear of the refusal.
        .set("max.in.flight.requests.per.connection", "1")
        .set("queue.buffering.max.messages", (settings.window_events + 1).to_string())
        .set("queue.buffering.max.kbytes", queue_kib.to_string())
        .set("linger.ms", settings.linger_ms.0.to_string())
        .set("compression.type", "lz4")
        // As Java's clients place keys, so that other producers and stream processors agree with us.
        .set("partitioner", "murmur2_random")
        // A broker that hangs without closing its connections is left after this.
        .set("socket.timeout.ms", "15000")
        .set("request.timeout.ms", "10000")
        // A topic that was deleted is told after this, counted from the producer's first event; it was looked for before
        // that, so there is hardly a propagation to wait for.
        .set("topic.metadata.propagation.max.ms", "3000")
        // Tells that a broker is back although there is nothing to send.
        .set("statistics.interval.ms", "2000");
    config
}

pub(super) struct Sender {
    producer: Arc<ThreadedProducer<Told>>,
    pub(super) signals: Arc<Signals>,
    topic: String,
    shared: Arc<Shared>,
}

/// What became of handing an event over.
#[derive(Debug)]
pub(super) enum Handed {
    /// So many bytes of it.
    Over(usize),
    /// The producer's own queue is full: wait for acknowledgements and try again.
    Full,
    /// Nothing more can be handed to this producer.
    Refused(KafkaError),
}

impl Sender {
    /// Reaches no broker yet: that happens on the producer's own threads.
    pub(super) fn open(settings: &Kafka, shared: Arc<Shared>) -> Result<Self, KafkaError> {
        let signals = Signals::new(shared.clone());
        let producer = producer(settings).create_with_context(Told(signals.clone()))?;
        Ok(Self { producer: Arc::new(producer), signals, topic: settings.topic.clone(), shared })
    }

    pub(super) fn producer(&self) -> Arc<ThreadedProducer<Told>> {
        self.producer.clone()
    }

    /// Hands an order's event over. Never waits.
    pub(super) fn send(&self, row: &Recorded) -> Handed {
        if self.signals.failed() {
            return Handed::Refused(self.signals.failure().unwrap_or(KafkaError::Canceled));
        }
        let event = public(row);
        let (value, whole) = event.value();
        let attributes = event.attributes();
        let headers = attributes.headers();
        let mut written = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            written = written.insert(Header { key, value: Some(value) });
        }
        // Without a timestamp of its own: brokers refuse those too far from their own time. `ce_time` has it.
        let record = BaseRecord::with_opaque_to(&self.topic, to_word(row.position))
            .key(&attributes.subject)
            .payload(&value)
            .headers(written);
        match self.producer.send(record) {
            Ok(()) if whole => Handed::Over(value.len()),
            Ok(()) => {
                tracing::error!(position = %row.position, order.id = %row.stream.id, version = row.version,
                    event = row.name, "an event cannot be read: it is announced to Kafka without its data");
                self.shared.withheld();
                Handed::Over(value.len())
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Handed::Full,
            Err((error, _)) => Handed::Refused(error),
        }
    }

    /// Takes back what has not been written and lets the producer go.
    ///
    /// The taking back is waited for, so that nothing of the old follows upon what is sent anew; what is on the wire
    /// may still arrive, as a repeat of what will be sent again. The rest happens on a thread of its own: it may
    /// take seconds.
    pub(super) async fn abandon(self) {
        let (tell, told) = oneshot::channel();
        let producer = self.producer;
        let parting = std::thread::Builder::new().name("kafka parting".to_owned()).spawn(move || {
            producer.purge(PurgeConfig::default().queue().inflight());
            let _ = tell.send(());
            drop(producer);
        });
        match parting {
            Ok(_) => drop(timeout(TAKE_BACK_WITHIN, told).await),
            Err(error) => tracing::error!(%error, "no thread to end a producer on"),
        }
    }
}

/// Librdkafka's threads answer in milliseconds, unless one is stuck looking up a name: then it sends nothing either.
const TAKE_BACK_WITHIN: Duration = Duration::from_millis(500);

/// The row as everyone outside gets it.
fn public(row: &Recorded) -> PublicEvent<'_> {
    PublicEvent {
        order: OrderId::new(row.stream.id),
        version: row.version,
        name: &row.name,
        at: row.at,
        by: &row.by,
        command: row.command,
        data: &row.data,
    }
}

/// Where a row stands, if it is one that is mirrored.
pub(super) fn is_mirrored(row: &Recorded) -> Option<Position> {
    (row.stream.kind == StreamKind::Order).then_some(row.position)
}
