//! What the service does when much has happened already: lives, waiting, memory and a start, with ever more orders in the
//! journal.

use std::sync::Arc;
use std::time::Instant;

use baedal::providers::payment::Sandbox;

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
                let began = Instant::now();
                let sandbox = Arc::new(Sandbox::default());
                let (system, threads) = town::start_with(&data.place(), &town::config(), sandbox.clone()).await;
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
                let resident = memory::resident_bytes();
                drop(system);
                threads.stop();
                // What the payment provider remembers lives in this process and nowhere else.
                let after_us = memory::resident_bytes();
                drop(sandbox);
                let books = after_us.saturating_sub(memory::resident_bytes());
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
