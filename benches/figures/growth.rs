//! What the service does when much has happened already: lives, waiting, memory and a start, with ever more orders in the
//! journal.

use std::time::Instant;

use baedal::providers::payment::SandboxEntry;

use crate::engines::engines;
use crate::lifecycles::{self, Figures};
use crate::{RUN, memory, town};

/// Orders in the journal when it is looked at. As many as a small company has in a day, in a week, and in a year.
const MARKS: [u64; 3] = [10_000, 100_000, 1_000_000];

/// People at a time, as many as keep the disk busy.
const CONCURRENCY: u64 = 256;

pub(crate) fn measure() {
    for engine in engines() {
        let data = engine.fresh();
        let (mut lived, mut first) = (0, None);
        for mark in MARKS {
            actix_web::rt::System::new().block_on(async {
                let lived_before = lived;
                let began = Instant::now();
                let (system, threads) = town::start(&data.place(), &town::config()).await;
                let start = began.elapsed();
                let before = mark.saturating_sub(lived);
                if before > 0 {
                    lived += lifecycles::run(&system.orders, CONCURRENCY, lifecycles::Until::Lived(before)).await.lives;
                }
                let Figures { lives, took, commands } =
                    lifecycles::run(&system.orders, CONCURRENCY, lifecycles::Until::Over(RUN)).await;
                lived += lives;
                let rate = lives as f64 / took.as_secs_f64();
                let first = *first.get_or_insert(rate);
                let (resident, books) = (memory::resident_bytes(), books_bytes(lived - lived_before));
                drop(system);
                threads.stop();
                println!(
                    "with {mark:>9} orders in the journal     {:<11} {rate:>8.0} lives/s   {:.2} of the first   command p50 {:.1} ms  p99 {:.1} ms   started in {:.2} s   {} MB resident, and {} MB the provider's books",
                    engine.name(),
                    rate / first,
                    commands.value_at_quantile(0.5) as f64 / 1e3,
                    commands.value_at_quantile(0.99) as f64 / 1e3,
                    start.as_secs_f64(),
                    resident.saturating_sub(books) / 1_000_000,
                    books / 1_000_000,
                );
            });
        }
    }
}

/// What the sandbox remembers of so many lives, an authorization and a capture each: the payment provider lives in this
/// process, and forgets nothing. A hash table as std has it is filled to seven eighths at most, and doubles.
fn books_bytes(lives: u64) -> u64 {
    let entries = 2 * lives;
    let row = size_of::<(uuid::Uuid, SandboxEntry)>() as u64 + 1;
    let name = 16;
    (entries * 8 / 7).next_power_of_two() * row + entries * name
}
