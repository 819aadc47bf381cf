//! The cost of a long past: a journal that is filled in bulk with orders that have ended, and one store's book with a
//! million entries. Measured are a start after a crash, the first answers, the lists, and `baedal verify`.

use std::time::{Duration, Instant};

use baedal::actors::{Enter, Follower, Nearby, Projector, System, Tail, To};
use baedal::config::Config;
use baedal::order::{
    CommandId, CustomerId, OrderId, Party, PaymentMethod, Point, StockCommand, StockEvent, StoreId, Timestamp,
};
use baedal::store::{
    Answer, AnswerKey, Append, DataPlace, Due, Engine, NewEvent, Position, Reader, Recorded, Shard, StreamId, Writer,
};
use hdrhistogram::Histogram;
use uuid::Uuid;

use crate::engines::{self, engines};
use crate::{cpu_seconds, lifecycles, memory, town};

/// Orders, unless `BAEDAL_BENCH_ORDERS` says otherwise.
const MANY: u64 = 1_000_000;

/// Entries of the book.
const BOOK: u64 = 1_000_000;

/// Orders of one commit while the journal is filled: some thousand events.
const FILL: u64 = 64;

/// Entries of the book in one append.
const ENTRIES: u64 = 1_000;

const STORE: StoreId = StoreId::new(Uuid::from_u128(0xb00c));

pub(crate) fn measure() {
    let given = std::env::var("BAEDAL_BENCH_ORDERS").ok();
    let many = given.map_or(MANY, |number| number.parse().expect("BAEDAL_BENCH_ORDERS is a number"));
    for engine in engines() {
        let data = engine.fresh();
        let told = |what: &str, figure: String| println!("{what:<52}  {:<11} {figure}", engine.name());
        actix_web::rt::System::new().block_on(async {
            let life = one_life(&data.place()).await;
            fill(&data.place(), &life, many, &told).await;
            catch_up(&data.place(), &told).await;
            first_start(&data.place(), &told).await;
            lose_the_views(&data.place()).await;
            second_start(&data.place(), &told).await;
        });
        let (began, cpu) = (Instant::now(), cpu_seconds());
        let report = baedal::maintenance::verify(&config(&data), None).expect("every promise is kept");
        told("verify", format!("{:.1} s, {:.1} s of cpu, {}", seconds(began), cpu_seconds() - cpu, resident()));
        println!("{report}");
    }
}

fn config(data: &engines::Data) -> Config {
    let mut config = Config::default();
    match data {
        engines::Data::Directory(directory) => config.data_dir = directory.path().to_owned(),
        engines::Data::Database(database) => {
            let url = serde_json::from_value(serde_json::json!(database.url)).expect("an address is a text");
            config.database.url = Some(url);
        }
    }
    config
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

fn resident() -> String {
    format!("{} MB resident", memory::resident_bytes() / 1_000_000)
}

/// What a real order writes, from the menu to its end.
async fn one_life(place: &DataPlace) -> Vec<Recorded> {
    let (system, threads) = town::start(place, &town::config()).await;
    town::open_stores(&system).await;
    let mut commands = Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
    lifecycles::live(&system.orders, &town::policy(), 0, &mut commands).await;
    let head = system.readers.head().await.expect("the journal can be read");
    let first = system.readers.after(&baedal::store::Cursor::start(), 1).await.expect("the journal can be read");
    let order = first.first().expect("there is an order").stream;
    let settled = async || {
        let history = system.readers.stream(order, 0).await.expect("the journal can be read");
        history.last().is_some_and(|event| event.name == "order_settled").then_some(history)
    };
    let history = loop {
        match settled().await {
            Some(history) => break history,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    wait_for_views(&system, &head).await;
    drop(system);
    threads.stop();
    history
}

async fn wait_for_views(system: &System, head: &baedal::store::Cursor) {
    while !system.progress.lists.cursor().includes(head) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn fill(place: &DataPlace, life: &[Recorded], many: u64, told: &impl Fn(&str, String)) {
    let Engine { mut writer, .. } = Engine::open(place).await.expect("it opens");
    let events: Vec<NewEvent> = life.iter().map(new_event).collect();
    let began = Instant::now();
    let mut written = 0;
    while written < many {
        let batch: Vec<Append> = (0..FILL.min(many - written))
            .map(|_| append(StreamId::order(OrderId::new(Uuid::now_v7())), life[0].position.shard, 0, events.clone()))
            .collect();
        written += batch.len() as u64;
        write(&mut writer, &batch).await;
    }
    let all = (written * events.len() as u64) as f64;
    told(&format!("{written} ended orders are written"), format!("{:.0} events/s", all / seconds(began)));
    fill_book(&mut writer).await;
}

async fn fill_book(writer: &mut Writer) {
    let set = StockEvent::LevelSet { item: town::item(), available: Some(1_000) };
    let more = StockEvent::Restocked { item: town::item(), quantity: 1 };
    let entry = |event: &StockEvent| NewEvent { name: event.name(), data: event.data().into() };
    let (shard, stream) = (Shard::of_store(STORE), StreamId::stock(STORE));
    write(writer, &[append(stream, shard, 0, vec![entry(&set)])]).await;
    let mut version = 1;
    while u64::from(version) < BOOK {
        let entries = vec![entry(&more); ENTRIES as usize];
        write(writer, &[append(stream, shard, version, entries)]).await;
        version += ENTRIES as u32;
    }
}

/// The name of an event is known for as long as the program runs.
fn new_event(row: &Recorded) -> NewEvent {
    NewEvent { name: row.name.clone().leak(), data: row.data.as_str().into() }
}

fn append(stream: StreamId, shard: Shard, expected_version: u32, events: Vec<NewEvent>) -> Append {
    Append {
        stream,
        shard,
        expected_version,
        at: Timestamp::from_micros(1_795_262_400_000_000),
        by: "system".into(),
        command: CommandId::new(Uuid::now_v7()),
        fingerprint: None,
        answer: None,
        events,
        due: Due::Closed,
    }
}

async fn write(writer: &mut Writer, batch: &[Append]) {
    let outcome = writer.append(batch).await.expect("the journal takes it");
    assert!(outcome.iter().all(Result::is_ok));
}

/// What the projector has to do when it has everything before it.
async fn catch_up(place: &DataPlace, told: &impl Fn(&str, String)) {
    let Engine { readers, views, .. } = Engine::open(place).await.expect("it opens");
    let cursor = views.cursor(Reader::OrderView).await.expect("the views can be read");
    let events: u64 = {
        let head = readers.head().await.expect("the journal can be read");
        head.marks().map(|mark| mark.position - cursor.at(mark.shard)).sum()
    };
    let began = Instant::now();
    let projector = Projector::at_rest(Follower::new(Tail::default(), readers, cursor), views);
    projector.catch_up().await.expect("the views can be written");
    told("the lists are made of all of it", format!("{:.0} events/s", events as f64 / seconds(began)));
}

/// As after a crash: the views are behind by the last entry of the book.
async fn lose_the_views(place: &DataPlace) {
    let Engine { readers, views, .. } = Engine::open(place).await.expect("it opens");
    let shard = Shard::of_store(STORE);
    let mut cursor = readers.head().await.expect("the journal can be read");
    cursor.set(Position { shard, position: cursor.at(shard) - 1 });
    views.save_cursor(Reader::OrderView, &cursor).await.expect("the views can be written");
}

/// Nobody has ever taken a snapshot of the book.
async fn first_start(place: &DataPlace, told: &impl Fn(&str, String)) {
    let (system, threads, began) = start(place, told, "the first start").await;
    let asked = Instant::now();
    restock(&system).await;
    told("the first restock, without a snapshot", format!("{:.2} s", seconds(asked)));
    let stream = StreamId::stock(STORE);
    while system.readers.snapshot(stream, u32::MAX).await.expect("the journal can be read").is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    told("a snapshot of the book is there", format!("{:.2} s after the start", seconds(began)));
    drop(system);
    threads.stop();
}

async fn second_start(place: &DataPlace, told: &impl Fn(&str, String)) {
    let (system, threads, _) = start(place, told, "a start after a crash").await;
    let asked = Instant::now();
    restock(&system).await;
    told("a restock", format!("{:.1} ms", seconds(asked) * 1e3));
    let customer = Party::Customer(CustomerId(town::subject("customer-0")));
    let placement = town::placement(0, PaymentMethod::OnDelivery, &town::policy());
    let (asked, key) = (Instant::now(), AnswerKey { key: Uuid::now_v7(), fingerprint: 1 });
    system.orders.place(placement, customer, key).await.expect("the order is taken");
    told("an order", format!("{:.1} ms", seconds(asked) * 1e3));
    let head = system.readers.head().await.expect("the journal can be read");
    wait_for_views(&system, &head).await;
    told("it is on the lists", format!("{:.1} ms after it was asked for, {}", seconds(asked) * 1e3, resident()));
    drop(system);
    threads.stop();
}

/// Until the riders' board and the lists answer.
async fn start(
    place: &DataPlace,
    told: &impl Fn(&str, String),
    which: &str,
) -> (System, baedal::actors::Threads, Instant) {
    let began = Instant::now();
    let (system, threads) = town::start(place, &town::config()).await;
    let ready = seconds(began);
    let around = Point::new(37.566, 126.978).expect("in Seoul");
    let board = async || {
        let nearby = Nearby { around, radius_m: 1_000.0, limit: 10 };
        system.riders.nearby.ask(nearby).await.ok().flatten().is_some()
    };
    while !board().await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let board = seconds(began);
    let head = system.readers.head().await.expect("the journal can be read");
    wait_for_views(&system, &head).await;
    let lists = seconds(began);
    told(
        which,
        format!(
            "takes commands after {ready:.2} s, the board answers after {board:.2} s, the lists after {lists:.2} s"
        ),
    );
    (system, threads, began)
}

/// Until it is taken: the book may have to be read first, and is for longer than anyone waits for an answer.
async fn restock(system: &System) {
    let key = AnswerKey { key: Uuid::now_v7(), fingerprint: 1 };
    loop {
        let command = StockCommand::Restock { item: town::item(), quantity: 1 };
        let enter = Enter { id: CommandId::new(key.key), by: "store:mario".into(), command, key: Some(key) };
        match system.stock.ask(To { id: STORE, origin: None, message: enter }).await {
            Ok(Ok(_)) => return,
            Ok(Err(baedal::actors::EnterError::AnsweredBefore(Answer::Stream { .. }))) => return,
            Ok(Err(_)) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
