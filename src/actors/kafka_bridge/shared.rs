//! What the bridge and librdkafka's threads write down about the mirror, and what that adds up to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::mirror::{MirrorError, MirrorReport, MirrorState};
use crate::actors::clock::Clock;
use crate::actors::mailbox::Refusal;
use crate::order::Timestamp;
use crate::store::Cursor;

/// How old the oldest event that Kafka lacks may be before the mirror counts as behind: well beyond a batch, a
/// broker's restart or a new leader, well within what a consumer notices.
const BEHIND_AFTER: Duration = Duration::from_secs(10);

enum Connection {
    Unknown,
    Up,
    /// With the words for what was wrong since: each is worth one line in the log.
    Down(Vec<&'static str>),
}

/// What the bridge and librdkafka's threads write down and anyone may read.
pub(super) struct Shared {
    topic: String,
    clock: Clock,
    inner: Mutex<Inner>,
}

struct Inner {
    connection: Connection,
    /// The bridge itself cannot go on: the topic cannot be made, events are refused.
    stuck: bool,
    last_error: Option<MirrorError>,
    partitions: Option<usize>,
    cursor: Cursor,
    oldest: Option<Timestamp>,
    in_flight: usize,
    acknowledged: u64,
    restarts: u64,
    broker_errors: u64,
    withheld: u64,
}

/// Where the bridge stands, written down after each of its turns.
pub(super) struct Standing<'a> {
    pub(super) cursor: &'a Cursor,
    pub(super) oldest: Option<Timestamp>,
    pub(super) in_flight: usize,
    pub(super) newly_acknowledged: u64,
}

impl Shared {
    pub(super) fn new(topic: String, clock: Clock, cursor: Cursor) -> Arc<Self> {
        let inner = Inner {
            connection: Connection::Unknown,
            stuck: false,
            last_error: None,
            partitions: None,
            cursor,
            oldest: None,
            in_flight: 0,
            acknowledged: 0,
            restarts: 0,
            broker_errors: 0,
            withheld: 0,
        };
        Arc::new(Self { topic, clock, inner: Mutex::new(inner) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing can panic while it is held, so poisoned or not, what is inside is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A broker has answered.
    pub(super) fn reached(&self) {
        let mut inner = self.lock();
        if !matches!(inner.connection, Connection::Up) {
            inner.connection = Connection::Up;
            drop(inner);
            tracing::info!("Kafka can be reached");
        }
    }

    /// One of several brokers may fail without harm; `lost` says that none is left. Before the first contact
    /// every error counts.
    pub(super) fn broker_error(&self, code: &'static str, reason: &str, lost: bool) {
        metrics::counter!("baedal_kafka_broker_errors_total").increment(1);
        let mut inner = self.lock();
        inner.broker_errors += 1;
        // "All brokers are down" follows upon the error that says why, and would hide it.
        if code != "all_brokers_down" || inner.last_error.is_none() {
            inner.last_error = Some(MirrorError { at: self.clock.now(), what: format!("{code}: {reason}") });
        }
        let is_new = match &mut inner.connection {
            // "All brokers are down" says less than what came before it.
            Connection::Down(said) if said.contains(&code) || code == "all_brokers_down" => false,
            Connection::Down(said) => {
                said.push(code);
                true
            }
            Connection::Up if !lost => false,
            Connection::Up | Connection::Unknown => {
                inner.connection = Connection::Down(vec![code]);
                true
            }
        };
        drop(inner);
        if is_new {
            tracing::warn!(code, reason, "Kafka cannot be reached; orders go on, their events are mirrored later");
        }
    }

    /// The bridge cannot go on and tries again later.
    pub(super) fn stuck(&self, what: String, thrown_away: bool) {
        let mut inner = self.lock();
        inner.stuck = true;
        inner.in_flight = 0;
        if thrown_away {
            inner.restarts += 1;
            metrics::counter!("baedal_kafka_restarts_total").increment(1);
        }
        let is_new = inner.last_error.as_ref().is_none_or(|last| last.what != what);
        // Without a connection its error says more than what follows from it.
        let is_down = matches!(inner.connection, Connection::Down(_));
        if !is_down {
            inner.last_error = Some(MirrorError { at: self.clock.now(), what: what.clone() });
        }
        drop(inner);
        if is_new && !is_down {
            tracing::warn!(error = what, "the Kafka mirror cannot go on and tries again; orders go on");
        }
    }

    pub(super) fn topic_found(&self, partitions: usize) {
        self.reached();
        let mut inner = self.lock();
        inner.partitions = Some(partitions);
        inner.stuck = false;
    }

    /// Everything has been read, sent and acknowledged.
    pub(super) fn nothing_waits(&self) {
        self.lock().stuck = false;
    }

    pub(super) fn withheld(&self) {
        metrics::counter!("baedal_kafka_withheld_total").increment(1);
        self.lock().withheld += 1;
    }

    pub(super) fn stands(&self, standing: &Standing<'_>) {
        let mut inner = self.lock();
        inner.cursor.clone_from(standing.cursor);
        inner.oldest = standing.oldest;
        inner.in_flight = standing.in_flight;
        if standing.newly_acknowledged == 0 {
            return;
        }
        inner.acknowledged += standing.newly_acknowledged;
        inner.stuck = false;
        drop(inner);
        metrics::counter!("baedal_kafka_acknowledged_total").increment(standing.newly_acknowledged);
        self.reached();
    }

    /// Sets the gauges.
    pub(super) fn show(&self, lag_events: u64) {
        let report = self.report(self.clock.now());
        let up = matches!(report.state, MirrorState::Mirroring | MirrorState::Behind);
        metrics::gauge!("baedal_kafka_up").set(f64::from(u8::from(up)));
        metrics::gauge!("baedal_kafka_lag_events").set(lag_events as f64);
        metrics::gauge!("baedal_kafka_lag_seconds").set(report.lag.as_secs_f64());
        metrics::gauge!("baedal_kafka_in_flight").set(report.in_flight as f64);
    }

    /// How the bridge stood when it failed. Nothing arrives until there is another one.
    pub(super) fn last_report(&self, now: Timestamp, why: &Refusal) -> MirrorReport {
        let report = self.report(now);
        let what = format!("the bridge does not answer: {why}");
        MirrorReport { state: MirrorState::Broken, last_error: Some(MirrorError { at: now, what }), ..report }
    }

    /// Without the head, which is looked up elsewhere.
    pub(super) fn report(&self, now: Timestamp) -> MirrorReport {
        let inner = self.lock();
        let lag = inner.oldest.map_or(Duration::ZERO, |oldest| oldest.until(now));
        let state = match inner.connection {
            Connection::Down(_) => MirrorState::Broken,
            _ if inner.stuck => MirrorState::Broken,
            Connection::Unknown => MirrorState::Connecting,
            Connection::Up if lag > BEHIND_AFTER => MirrorState::Behind,
            Connection::Up => MirrorState::Mirroring,
        };
        MirrorReport {
            state,
            topic: self.topic.clone(),
            partitions: inner.partitions,
            last_error: inner.last_error.clone(),
            cursor: inner.cursor.clone(),
            head: Cursor::start(),
            lag,
            in_flight: inner.in_flight,
            acknowledged: inner.acknowledged,
            restarts: inner.restarts,
            broker_errors: inner.broker_errors,
            withheld: inner.withheld,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Arc<Shared> {
        Shared::new("t".into(), Clock::default(), Cursor::start())
    }

    fn state(shared: &Shared) -> MirrorState {
        shared.report(shared.clock.now()).state
    }

    fn last_error(shared: &Shared) -> String {
        shared.report(shared.clock.now()).last_error.expect("something went wrong").what
    }

    #[test]
    fn the_error_that_says_why_is_not_hidden_by_what_follows() {
        let shared = shared();
        assert_eq!(state(&shared), MirrorState::Connecting);
        shared.broker_error("sign_in_refused", "invalid username or password", true);
        shared.broker_error("all_brokers_down", "1/1 brokers are down", true);
        assert_eq!(state(&shared), MirrorState::Broken);
        assert_eq!(last_error(&shared), "sign_in_refused: invalid username or password");
        shared.reached();
        assert_eq!(state(&shared), MirrorState::Mirroring);
    }

    #[test]
    fn settings_that_cannot_work_are_told_before_any_broker_is_asked() {
        let shared = shared();
        shared.stuck("a producer cannot be made: no such file".into(), false);
        assert_eq!(state(&shared), MirrorState::Broken);
        assert!(last_error(&shared).contains("no such file"));
        shared.topic_found(12);
        assert_eq!(state(&shared), MirrorState::Mirroring);
    }

    #[test]
    fn one_broker_of_several_may_fail() {
        let shared = shared();
        shared.reached();
        shared.broker_error("connection_lost", "broker 2 went away", false);
        assert_eq!(state(&shared), MirrorState::Mirroring);
        shared.broker_error("all_brokers_down", "3/3 brokers are down", true);
        assert_eq!(state(&shared), MirrorState::Broken);
        assert_eq!(last_error(&shared), "connection_lost: broker 2 went away");
    }

    #[test]
    fn an_old_event_that_kafka_lacks_means_behind() {
        let shared = shared();
        shared.reached();
        let cursor = Cursor::start();
        let oldest = Some(shared.clock.now());
        shared.stands(&Standing { cursor: &cursor, oldest, in_flight: 1, newly_acknowledged: 0 });
        assert_eq!(state(&shared), MirrorState::Mirroring);
        shared.clock.advance(BEHIND_AFTER + Duration::from_secs(1));
        assert_eq!(state(&shared), MirrorState::Behind);
    }
}
