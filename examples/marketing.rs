//! A marketing department that joins by subscribing, and by nothing else: every third order that a customer completes
//! earns a coupon.
//!
//! It knows three things about the service: the topic, the headers and the JSON of two events. Nothing in the service
//! knows about it. It may be down for a week, crash between any two lines, or run as several members of one group: it
//! misses nothing, and gives no coupon twice. Two rules do that, and both are needed:
//!
//! 1. The place in the topic moves *after* the work is durable. Moved before, a crash in between would lose an event;
//!    moved after, the event comes again.
//! 2. So events do come again, also when the service is not sure that Kafka has one and repeats it. A repeat is known
//!    by (order, version): versions of an order count up, and its first occurrences arrive in that sequence, because
//!    the order is the key and a key has one partition. The highest version seen is all there is to remember. It is
//!    written in the same transaction as the effect, so there is no moment at which only one of the two is known.
//!
//! Try it: `cargo run -- serve --demo --kafka HOST:PORT`, then `cargo run --example marketing -- --kafka HOST:PORT`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::signal::unix::{SignalKind, signal};

/// Gives a coupon for every third order that a customer completes.
///
/// Reads the events of the service from Kafka, from the first one, and goes on where it stopped. Start it twice with the
/// same group and state to share the work. Ends on SIGTERM or Ctrl-C.
#[derive(Debug, Parser)]
struct Arguments {
    /// Brokers to ask first: HOST:PORT,...
    #[arg(long, value_name = "BROKERS")]
    kafka: String,
    /// Where the service writes its events
    #[arg(long, default_value = "baedal.orders.v1")]
    topic: String,
    /// Members of one group share the events; another group gets all of them again
    #[arg(long, default_value = "marketing")]
    group: String,
    /// The file that keeps who has earned what; one for the whole group
    #[arg(long, value_name = "FILE", default_value = "marketing.sqlite3")]
    state: PathBuf,
}

const ORDERS_FOR_A_COUPON: i64 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut state = open(&arguments.state).await?;
    let consumer = subscribe(&arguments)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    loop {
        let received = tokio::select! {
            received = consumer.recv() => received,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        match received {
            Ok(message) => {
                let event = Event::read(&message).with_context(|| describe(&message))?;
                work(&mut state, &event).await.with_context(|| describe(&message))?;
                move_on(&consumer, &message)?;
            }
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
            // A broker that is away, a topic that nobody has made yet: librdkafka keeps trying, so all there is to do is
            // to say it.
            Err(error) => eprintln!("waiting: {error}"),
        }
    }
    // Not needed for being right, only for having less to drop after the next start.
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => eprintln!("the last events will come again: {error}"),
    }
    Ok(())
}

fn subscribe(arguments: &Arguments) -> anyhow::Result<StreamConsumer> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.kafka)
        .set("group.id", &arguments.group)
        // A new group begins with the first event, not with the next one.
        .set("auto.offset.reset", "earliest")
        // What may be committed is said by `move_on`; that it is then committed every few seconds is good as it is.
        .set("enable.auto.offset.store", "false")
        // When a member joins or leaves, only the partitions that move are interrupted.
        .set("partition.assignment.strategy", "cooperative-sticky")
        // How soon a member that crashed is missed, and the others get its partitions. One that stops well says so.
        .set("session.timeout.ms", "10000")
        // How soon a topic is found that is made after we started; usually minutes.
        .set("topic.metadata.refresh.interval.ms", "3000")
        .create()?;
    consumer.subscribe(&[&arguments.topic])?;
    Ok(consumer)
}

/// Rule 1: after the work.
fn move_on(consumer: &StreamConsumer, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
    match consumer.store_offset_from_message(message) {
        // The partition has gone to another member meanwhile, who gets this event again, and knows it by rule 2.
        Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => Ok(()),
        stored => Ok(stored?),
    }
}

/// What the headers say, and the bytes of the body.
struct Event<'m> {
    order: &'m str,
    version: i64,
    kind: &'m str,
    body: &'m [u8],
}

/// Whatever else is in there is none of our business, and may grow.
#[derive(Deserialize)]
struct Placed {
    data: PlacedData,
}

#[derive(Deserialize)]
struct PlacedData {
    customer_id: String,
}

impl<'m> Event<'m> {
    fn read(message: &'m BorrowedMessage<'_>) -> anyhow::Result<Self> {
        let headers = message.headers().context("has no headers")?;
        let header = |name: &'static str| {
            let found = headers.iter().find(|header| header.key == name).and_then(|header| header.value);
            std::str::from_utf8(found.with_context(|| format!("has no {name}"))?).context(name)
        };
        Ok(Self {
            order: header("ce_subject")?,
            version: header("ce_sequence")?.parse().context("ce_sequence")?,
            kind: header("ce_type")?,
            body: message.payload().unwrap_or_default(),
        })
    }
}

fn describe(message: &BorrowedMessage<'_>) -> String {
    format!("partition {}, offset {}", message.partition(), message.offset())
}

/// Rule 2: the mark and the effect in one transaction.
async fn work(state: &mut SqliteConnection, event: &Event<'_>) -> anyhow::Result<()> {
    // Immediate: the other member writes to the same file, and nobody may decide on what the other is changing.
    let mut transaction = state.begin_with("begin immediate").await?;
    let marked = sqlx::query(
        "insert into seen (order_id, version) values (?, ?)
         on conflict do update set version = excluded.version where excluded.version > seen.version",
    )
    .bind(event.order)
    .bind(event.version)
    .execute(&mut *transaction)
    .await?;
    if marked.rows_affected() == 0 {
        return Ok(transaction.rollback().await?);
    }
    let coupon = match event.kind {
        "baedal.order.placed.v1" => {
            let placed: Placed = serde_json::from_slice(event.body)?;
            remember(&mut transaction, event.order, &placed.data.customer_id).await?;
            None
        }
        "baedal.order.completed.v1" => reward(&mut transaction, event.order).await?,
        // Of no interest to us, or newer than us.
        _ => None,
    };
    transaction.commit().await?;
    if let Some((customer, number)) = coupon {
        println!("coupon {number} for {customer}");
    }
    Ok(())
}

/// The event of completion does not say whose order it is; the one of placing does, and came before it.
async fn remember(state: &mut SqliteConnection, order: &str, customer: &str) -> sqlx::Result<()> {
    let insert = sqlx::query("insert into placed (order_id, customer_id) values (?, ?)");
    insert.bind(order).bind(customer).execute(state).await.map(drop)
}

/// Counts a completed order; the customer and the number of the coupon if that earns one.
async fn reward(state: &mut SqliteConnection, order: &str) -> sqlx::Result<Option<(String, i64)>> {
    let counted: Option<(String, i64)> = sqlx::query_as(
        "insert into loyalty (customer_id, completed) select customer_id, 1 from placed where order_id = ?
         on conflict do update set completed = completed + 1 returning customer_id, completed",
    )
    .bind(order)
    .fetch_optional(&mut *state)
    .await?;
    // None: it was placed so long ago that Kafka no longer had the event when we joined.
    let Some((customer, completed)) = counted else { return Ok(None) };
    if completed % ORDERS_FOR_A_COUPON != 0 {
        return Ok(None);
    }
    let number = completed / ORDERS_FOR_A_COUPON;
    let insert = sqlx::query("insert into coupons (customer_id, number, order_id) values (?, ?, ?)");
    insert.bind(&customer).bind(number).bind(order).execute(state).await?;
    Ok(Some((customer, number)))
}

async fn open(file: &Path) -> anyhow::Result<SqliteConnection> {
    let mut state = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // On disk before the place moves: else a power loss would take what Kafka believes we have.
        .synchronous(SqliteSynchronous::Full)
        // How long to wait while the other member writes.
        .busy_timeout(std::time::Duration::from_secs(30))
        .connect()
        .await
        .with_context(|| format!("cannot open {}", file.display()))?;
    sqlx::raw_sql(
        "create table if not exists seen (order_id text primary key, version integer not null) strict, without rowid;
         create table if not exists placed (order_id text primary key, customer_id text not null) strict, without rowid;
         create table if not exists loyalty (customer_id text primary key, completed integer not null) strict;
         create table if not exists coupons (
             customer_id text not null, number integer not null, order_id text not null unique,
             primary key (customer_id, number)) strict;",
    )
    .execute(&mut state)
    .await?;
    Ok(state)
}
