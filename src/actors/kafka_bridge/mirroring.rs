//! The loop that mirrors: from the journal's rows to Kafka, one producer's life after the other.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use super::BridgeOrigin;
use super::mirror::{Rewind, distance, rewound};
use super::sender::Sender;
use super::shared::{Shared, Standing};
use super::topic;
use super::turn::Turn;
use super::window::{Limits, Window};
use crate::actors::mailbox::Reply;
use crate::actors::supervision::Part;
use crate::actors::world::Pace;
use crate::config::Kafka;
use crate::store::{Cursor, DbError, Reader, Readers, Recorded, Views};

/// How many rows one reading takes: 2 MB at the most usual size, 10 ms of work.
const PAGE: usize = 2_000;

/// How often the cursor is saved while events are acknowledged. Saving more often would only save repeats after a
/// crash.
const SAVE_EVERY: Duration = Duration::from_millis(250);

/// How often the gauges are set, and how old they may be.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// The first pause after a failure, and the longest: a broker's restart takes about this long.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// With so many on their way, acknowledgements come by the hundred: a moment's wait takes them together.
const BUSY: usize = 1_000;
const GATHER: Duration = Duration::from_millis(1);

/// Why a producer's life ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the journal cannot be read")]
    Journal(#[source] DbError),
    #[error("a producer cannot be made: {0}")]
    Producer(#[source] KafkaError),
    #[error("the topic cannot be looked for or made: {0}")]
    Topic(#[source] KafkaError),
    #[error("an event was not taken: {0}")]
    Event(#[source] KafkaError),
}

impl Failure {
    /// The topic may be gone: it is looked for again.
    fn doubts_the_topic(&self) -> bool {
        match self {
            Failure::Journal(_) | Failure::Producer(_) => false,
            Failure::Topic(_) => true,
            Failure::Event(error) => matches!(
                error.rdkafka_error_code(),
                Some(
                    RDKafkaErrorCode::UnknownTopic
                        | RDKafkaErrorCode::UnknownTopicOrPartition
                        | RDKafkaErrorCode::UnknownPartition
                )
            ),
        }
    }
}

enum Ending {
    Stopped,
    Rewound(Asked),
    Failed(Failure),
}

/// What an operator asked for, and the way back to them.
pub(super) type Asked = (Rewind, Reply<Rewind>);

pub(super) struct Mirroring {
    settings: Kafka,
    news: watch::Receiver<u64>,
    readers: Readers,
    views: Views,
    shared: Arc<Shared>,
    rewinds: mpsc::Receiver<Asked>,
    part: Part,
    /// Up to where Kafka has everything.
    cursor: Cursor,
    saved: Cursor,
    saved_at: Instant,
    topic_found: bool,
}

impl Mirroring {
    /// Begins where the cursor was saved; tries until that can be read, or until told to stop. Reaches no broker yet.
    pub(super) async fn begin(
        origin: BridgeOrigin,
        part: Part,
        rewinds: mpsc::Receiver<Asked>,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<Self> {
        let BridgeOrigin { settings, news, readers, views, shared, .. } = origin;
        let mut tries = 0;
        let cursor = loop {
            match views.cursor(Reader::KafkaBridge).await {
                Ok(cursor) => break cursor,
                Err(error) => shared.stuck(format!("its cursor cannot be read: {error}"), false),
            }
            tries += 1;
            tokio::select! {
                () = sleep(Pace::pause(PAUSE, LONGEST_PAUSE, tries)) => {}
                _ = stop.wait_for(|stop| *stop) => return None,
            }
        };
        let (saved, saved_at, topic_found) = (cursor.clone(), Instant::now(), false);
        Some(Self { settings, news, readers, views, shared, rewinds, part, cursor, saved, saved_at, topic_found })
    }

    /// Until told to stop; then it waits a moment for what is on its way, and saves the cursor.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut tries = 0;
        loop {
            let cursor_before = self.cursor.clone();
            match self.live(&mut stop).await {
                Ending::Stopped => return,
                Ending::Rewound(asked) => self.rewind(asked).await,
                Ending::Failed(failure) => {
                    self.topic_found &= !failure.doubts_the_topic();
                    let thrown_away = matches!(failure, Failure::Event(_));
                    self.shared.stuck(described(&failure), thrown_away);
                    tries = if self.cursor == cursor_before { tries + 1 } else { 0 };
                    if !self.rest(Pace::pause(PAUSE, LONGEST_PAUSE, tries), &mut stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// Says whether to go on afterwards.
    async fn rest(&mut self, pause: Duration, stop: &mut watch::Receiver<bool>) -> bool {
        let mut look_up = interval(LOOK_UP_EVERY);
        let over = sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return true,
                _ = stop.wait_for(|stop| *stop) => {
                    self.save().await;
                    return false;
                }
                Some(asked) = self.rewinds.recv() => self.rewind(asked).await,
                _ = look_up.tick() => self.measure(None).await,
            }
        }
    }

    /// One producer's life, from its making to its end.
    async fn live(&mut self, stop: &mut watch::Receiver<bool>) -> Ending {
        let sender = match Sender::open(&self.settings, self.shared.clone()) {
            Ok(sender) => sender,
            Err(error) => return Ending::Failed(Failure::Producer(error)),
        };
        let ending = match self.find_topic(&sender, stop).await {
            Some(ending) => ending,
            None => self.mirror(&sender, stop).await,
        };
        sender.abandon().await;
        ending
    }

    /// Looks for the topic until it is there. None: it is.
    async fn find_topic(&mut self, sender: &Sender, stop: &mut watch::Receiver<bool>) -> Option<Ending> {
        let mut tries = 0;
        while !self.topic_found {
            let found = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Some(Ending::Stopped),
                Some(asked) = self.rewinds.recv() => return Some(Ending::Rewound(asked)),
                found = topic::find_or_make(sender, &self.settings) => found,
            };
            match found {
                Ok(found) => self.has_topic(found),
                Err(error) => {
                    self.shared.stuck(described(&Failure::Topic(error)), false);
                    tries += 1;
                    if !self.rest(Pace::pause(PAUSE, LONGEST_PAUSE, tries), stop).await {
                        return Some(Ending::Stopped);
                    }
                }
            }
        }
        None
    }

    fn has_topic(&mut self, found: topic::Found) {
        self.topic_found = true;
        self.shared.topic_found(found.partitions);
        let events = distance(&Cursor::start(), &self.cursor);
        if found.made && events > 0 {
            tracing::warn!(
                topic = self.settings.topic,
                events,
                "the topic was new, but earlier events were mirrored before: `baedal bridge rewind`, or the rewind \
                 of a running server, sends them again"
            );
        }
    }

    /// Sends what comes after the cursor until something ends it.
    async fn mirror(&mut self, sender: &Sender, stop: &mut watch::Receiver<bool>) -> Ending {
        let limits = Limits { events: self.settings.window_events, bytes: self.settings.window_bytes };
        let mut turn = Turn::new(Window::new(self.cursor.clone(), limits));
        let mut look_up = interval(LOOK_UP_EVERY);
        look_up.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Whatever is committed from here on is news again.
            self.news.mark_unchanged();
            self.note(sender, &mut turn).await;
            if let Some(error) = sender.signals.failure() {
                return Ending::Failed(Failure::Event(error));
            }
            if let Err(error) = turn.send(sender) {
                return Ending::Failed(Failure::Event(error));
            }
            if turn.wants_more() {
                match self.readers.after(&turn.handed_out, PAGE).await {
                    Ok(rows) => turn.take(rows),
                    Err(error) => return Ending::Failed(Failure::Journal(error)),
                }
            }
            let (goes_on, at_the_end) = (turn.goes_on(), turn.wants_more());
            if at_the_end && turn.window.in_flight() == 0 {
                self.shared.nothing_waits();
            }
            if !goes_on && turn.window.in_flight() >= BUSY {
                sleep(GATHER).await;
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {
                    self.finish(sender, &mut turn).await;
                    return Ending::Stopped;
                }
                Some(asked) = self.rewinds.recv() => return Ending::Rewound(asked),
                _ = look_up.tick() => self.measure(Some(&turn.window)).await,
                () = std::future::ready(()), if goes_on => {}
                () = sender.signals.news() => {}
                Ok(()) = self.news.changed(), if at_the_end => {}
            }
        }
    }

    /// Takes the acknowledgements that came and saves the cursor if it is time.
    async fn note(&mut self, sender: &Sender, turn: &mut Turn) {
        sender.signals.take_acknowledged(&mut turn.acknowledged);
        if !turn.acknowledged.is_empty() {
            crate::crash::fail("kafka.acknowledged");
        }
        let mut newly_acknowledged = 0;
        for position in turn.acknowledged.drain(..) {
            newly_acknowledged += u64::from(turn.window.acknowledged(position));
        }
        let (window, cursor) = (&turn.window, turn.window.cursor());
        self.cursor.clone_from(cursor);
        let (oldest, in_flight) = (window.oldest(), window.in_flight());
        self.shared.stands(&Standing { cursor, oldest, in_flight, newly_acknowledged });
        if self.cursor != self.saved && self.saved_at.elapsed() >= SAVE_EVERY {
            self.save().await;
        }
    }

    /// Nothing counts as delivered that is not acknowledged by then.
    async fn finish(&mut self, sender: &Sender, turn: &mut Turn) {
        let until = Instant::now() + self.settings.flush_within_ms.duration();
        while turn.window.in_flight() > 0 && !sender.signals.failed() {
            // Only the waiting is given up in time, never a saving half-way.
            if timeout_at(until, sender.signals.news()).await.is_err() {
                let in_flight = turn.window.in_flight();
                tracing::info!(in_flight, "stopping before Kafka has acknowledged everything; it is sent again later");
                break;
            }
            self.note(sender, turn).await;
        }
        self.save().await;
    }

    /// What cannot be saved is saved later; until then a crash would send more again, and lose nothing.
    async fn save(&mut self) {
        self.saved_at = Instant::now();
        if self.cursor == self.saved {
            return;
        }
        crate::crash::point("kafka.before_cursor");
        match self.views.save_cursor(Reader::KafkaBridge, &self.cursor).await {
            Ok(()) => {
                self.saved.clone_from(&self.cursor);
                self.part.passed(&self.saved);
            }
            Err(error) => tracing::error!(%error, "the cursor of the Kafka mirror cannot be saved; trying again"),
        }
    }

    /// The producer is gone, so nothing is on its way from an earlier position.
    async fn rewind(&mut self, (Rewind { shard, from }, reply): Asked) {
        let outcome = rewound(&self.cursor, shard, from);
        if let Ok((to, events)) = outcome {
            self.cursor.set(to);
            self.save().await;
            tracing::warn!(shard = shard.number(), from, events, "the Kafka mirror was sent back by an operator");
        }
        reply.send(outcome.map(|(_, events)| events));
    }

    /// Sets the gauges. Without a window nothing is on its way.
    async fn measure(&self, window: Option<&Window>) {
        let Ok(head) = self.readers.head().await else { return };
        let lag_events = distance(&self.cursor, &head);
        let mut oldest = window.and_then(Window::oldest);
        if oldest.is_none()
            && lag_events > 0
            && let Ok(rows) = self.readers.after(&self.cursor, 1).await
        {
            oldest = rows.first().map(|row: &Recorded| row.at);
        }
        let in_flight = window.map_or(0, Window::in_flight);
        self.shared.stands(&Standing { cursor: &self.cursor, oldest, in_flight, newly_acknowledged: 0 });
        self.shared.show(lag_events);
    }
}

/// A failure and what is behind it, in one line.
fn described(failure: &Failure) -> String {
    match failure {
        Failure::Journal(error) => format!("{failure}: {error}"),
        Failure::Producer(_) | Failure::Topic(_) | Failure::Event(_) => failure.to_string(),
    }
}
