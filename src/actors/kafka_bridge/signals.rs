//! What librdkafka tells from its own threads: acknowledgements, failures, and whether a broker can be reached.
//!
//! Its log goes into ours at debug level: what matters to an operator is said here, once per change.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::statistics::Statistics;
use tokio::sync::Notify;

use super::shared::Shared;
use crate::store::{Position, Shard};

/// What one producer has told so far. A new producer gets new ones, so that the old one's last words move nothing.
pub(super) struct Signals {
    /// Not taken yet, in the sequence in which they came.
    acknowledged: Mutex<Vec<Position>>,
    /// The first thing that went wrong for good.
    failure: Mutex<Option<KafkaError>>,
    failed: AtomicBool,
    news: Notify,
    shared: Arc<Shared>,
}

impl Signals {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            acknowledged: Mutex::default(),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
            news: Notify::new(),
            shared,
        })
    }

    /// Waits until there is something to take.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Exchanges `taken`, which is empty, for what was acknowledged since the last time.
    pub(super) fn take_acknowledged(&self, taken: &mut Vec<Position>) {
        mem::swap(taken, &mut *lock(&self.acknowledged));
    }

    /// Whether nothing more may be handed to this producer.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn failure(&self) -> Option<KafkaError> {
        lock(&self.failure).clone()
    }

    fn fail(&self, error: KafkaError) {
        lock(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
        self.news.notify_one();
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can panic while it is held, so poisoned or not, what is inside is whole.
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where an event stands, as the word that librdkafka carries with a message: the shard in the upper byte.
pub(super) fn to_word(position: Position) -> usize {
    usize::from(position.shard.number()) << POSITION_BITS | position.position as usize
}

fn from_word(word: usize) -> Option<Position> {
    let shard = Shard::new((word >> POSITION_BITS) as u8)?;
    Some(Position { shard, position: (word & ((1 << POSITION_BITS) - 1)) as u64 })
}

/// 2^56 events of one shard are 2,000 years at a million a second.
const POSITION_BITS: u32 = 56;
const _: () = assert!(usize::BITS == 64, "a word holds a shard and a position");

/// Lets a producer's callbacks write into its signals.
pub(super) struct Told(pub(super) Arc<Signals>);

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                // What is fatal to a producer is not to the mirror: it goes on with another one.
                tracing::warn!(facility, message, "librdkafka");
            }
            _ => tracing::debug!(facility, message, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.0.shared.broker_error(code_name(code), reason, means_lost(code));
        if code == RDKafkaErrorCode::Fatal {
            self.0.fail(error);
        }
    }

    fn stats(&self, statistics: Statistics) {
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.0.shared.reached();
        }
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, word: usize) {
        match (result, from_word(word)) {
            (Ok(_), Some(position)) => {
                let mut acknowledged = lock(&self.0.acknowledged);
                acknowledged.push(position);
                let is_first = acknowledged.len() == 1;
                drop(acknowledged);
                if is_first {
                    self.0.news.notify_one();
                }
            }
            (Err((error, message)), _) => {
                tracing::debug!(%error, partition = message.partition(), "an event was not delivered");
                self.0.fail(error.clone());
            }
            (Ok(_), None) => self.0.fail(KafkaError::Canceled),
        }
    }
}

/// What no broker would answer differently, so that nothing arrives until someone mends it.
fn means_lost(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::SSL
            | RDKafkaErrorCode::Fatal
    )
}

/// One word, for the log and for telling one trouble from another.
fn code_name(code: RDKafkaErrorCode) -> &'static str {
    match code {
        RDKafkaErrorCode::AllBrokersDown => "all_brokers_down",
        RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::SaslAuthenticationFailed
        | RDKafkaErrorCode::UnsupportedSASLMechanism => "sign_in_refused",
        RDKafkaErrorCode::SSL => "tls",
        RDKafkaErrorCode::Resolve => "name_not_resolved",
        RDKafkaErrorCode::BrokerTransportFailure => "connection_lost",
        RDKafkaErrorCode::Fatal => "fatal",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_carries_a_position_there_and_back() {
        for (shard, position) in [(0, 1), (63, (1 << POSITION_BITS) - 1), (7, 42)] {
            let position = Position { shard: Shard::new(shard).unwrap(), position };
            assert_eq!(from_word(to_word(position)), Some(position));
        }
    }
}
