//! What a live order costs in memory, and how fast orders wake: after a start, and one by one.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use baedal::order::{CustomerId, OrderId, Party, PaymentMethod};
use baedal::store::{AnswerKey, DataPlace};
use futures_util::StreamExt;
use futures_util::stream;
use uuid::Uuid;

use crate::{cpu_seconds, scratch, town};

/// What is measured unless `BAEDAL_BENCH_ORDERS` says otherwise. A million takes some minutes to place and 2 GB of disk.
const ORDERS: u64 = 100_000;

fn orders() -> u64 {
    let given = std::env::var("BAEDAL_BENCH_ORDERS").ok();
    given.map_or(ORDERS, |number| number.parse().expect("BAEDAL_BENCH_ORDERS is a number"))
}

pub(crate) fn measure() {
    let data = scratch();
    actix_web::rt::System::new().block_on(place_all(data.path()));
    // Another process, so that nothing of the placing is in its memory.
    let this = std::env::current_exe().expect("the program has a path");
    let status = Command::new(this).arg("--awake").arg(data.path()).status().expect("it starts");
    assert!(status.success(), "waking failed");
}

async fn place_all(directory: &Path) {
    let (system, threads) = town::start(&DataPlace::Directory(directory.to_owned()), &town::config()).await;
    town::open_stores(&system).await;
    let policy = town::policy();
    stream::iter(0..orders())
        .for_each_concurrent(512, |number| {
            let (orders, policy) = (system.orders.clone(), policy.clone());
            async move {
                let customer = Party::Customer(CustomerId(town::subject(&format!("customer-{}", number % 50_000))));
                let placement = town::placement(number, PaymentMethod::OnDelivery, &policy);
                let key = AnswerKey { key: Uuid::now_v7(), fingerprint: 1 };
                // Among so many one may meet a disk that stalls for seconds: the same key again is the same order.
                let mut tries = 1;
                while let Err(error) = orders.place(placement.clone(), customer.clone(), key).await {
                    assert!(tries < 10, "the order is not taken: {error}");
                    tries += 1;
                }
            }
        })
        .await;
    // What the views are behind at the end would be caught up with while the orders wake.
    let head = system.readers.head().await.expect("the journal can be read");
    while !system.progress.lists.cursor().includes(&head) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(system);
    threads.stop();
}

/// Opens a directory full of open orders and watches them wake.
pub(crate) fn awake(directory: &Path) {
    actix_web::rt::System::new().block_on(async {
        let orders = orders();
        let (before, cpu_before) = (resident_bytes(), cpu_seconds());
        let started = Instant::now();
        let mut config = town::config();
        // Longer than waking all of them takes, short enough to wait for.
        config.orders.idle_after_s = baedal::config::Secs(15.max(orders / 10_000));
        let (system, threads) = town::start(&DataPlace::Directory(directory.to_owned()), &config).await;
        let (ready, resident_when_ready) = (started.elapsed(), resident_bytes());
        let live =
            async || system.operations.orders.ask(baedal::actors::TakeCensus).await.map_or(0, |census| census.live);
        while (live().await as u64) < orders {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (took, cpu) = (started.elapsed(), cpu_seconds() - cpu_before);
        let resident = resident_bytes();
        println!(
            "start with {orders} open orders           ready in {:.2} s, all awake in {:.2} s, {cpu:.2} s of cpu   {:>8.0} orders/s",
            ready.as_secs_f64(),
            took.as_secs_f64(),
            orders as f64 / took.as_secs_f64()
        );
        println!(
            "one live order, registry included          {:>8} bytes; {} of them were there before it woke",
            resident.saturating_sub(before) / orders,
            resident_when_ready.saturating_sub(before) / orders,
        );
        if orders > ORDERS {
            // A million take a while to go.
            drop(system);
            return threads.stop();
        }

        while live().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ids = open_orders(&system, 20_000).await;
        let started = Instant::now();
        stream::iter(&ids)
            .for_each_concurrent(64, |id| {
                let orders = system.orders.clone();
                async move { assert!(orders.order(*id).await.expect("it answers").is_some()) }
            })
            .await;
        let rate = ids.len() as f64 / started.elapsed().as_secs_f64();
        println!("retired orders asked for one by one        {rate:>8.0} orders/s");
        drop(system);
        threads.stop();
    });
}

async fn open_orders(system: &baedal::actors::System, limit: usize) -> Vec<OrderId> {
    let page = system.readers.open_streams(None, limit).await.expect("the journal can be read");
    page.into_iter().map(|open| OrderId::new(open.stream.id)).collect()
}

/// VmRSS of this process (Linux).
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    kib * 1024
}
