//! What the disk and the bare journal do, to compare everything else with.

use std::io::Write;
use std::time::Instant;

use baedal::order::{CommandId, Timestamp};
use baedal::store::{Append, Due, Engine, NewEvent, Shard, StreamId, StreamKind};
use uuid::Uuid;

use crate::engines::engines;
use crate::{RUN, scratch};

pub(crate) fn measure() {
    println!("append of 4 KiB and fdatasync             median {:.2} ms   p99 {:.2} ms", fsync(0.5), fsync(0.99));
    for group in [1, 16, 64, 256] {
        for engine in engines() {
            let events = actix_web::rt::System::new().block_on(appends(engine, group));
            println!("bare journal, groups of {group:>3}  {:<11}  {events:>8.0} events/s", engine.name());
        }
    }
    println!();
}

fn fsync(quantile: f64) -> f64 {
    let data = scratch();
    let mut file = std::fs::File::create(data.path().join("probe")).expect("a file can be made");
    let mut took: Vec<f64> = (0..500)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("the disk takes it");
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[(took.len() as f64 * quantile) as usize]
}

/// Events of 250 bytes to 10,000 streams over all shards.
async fn appends(engine: crate::engines::Engine, group: usize) -> f64 {
    let data = engine.fresh();
    let mut engine = Engine::open(&data.place()).await.expect("it opens");
    let mut versions = vec![0_u32; 10_000];
    let body = format!("{{\"note\":\"{}\"}}", "x".repeat(238));
    let (started, mut events, mut next) = (Instant::now(), 0_usize, 0);
    while started.elapsed() < RUN / 2 {
        let batch: Vec<Append> = (0..group)
            .map(|_| {
                next = (next + 7_919) % versions.len();
                versions[next] += 1;
                append(next, versions[next] - 1, &body)
            })
            .collect();
        let outcome = engine.writer.append(&batch).await.expect("the journal takes it");
        assert!(outcome.iter().all(Result::is_ok));
        events += group;
    }
    events as f64 / started.elapsed().as_secs_f64()
}

fn append(stream: usize, expected_version: u32, body: &str) -> Append {
    let id = Uuid::from_u128((0x0190_0000_0000_7000_8000_u128 << 48) + stream as u128);
    Append {
        stream: StreamId { kind: StreamKind::Order, id },
        shard: Shard::new((stream % 64) as u8).expect("one of 64"),
        expected_version,
        at: Timestamp::from_micros(1),
        by: "system".into(),
        command: CommandId::new(Uuid::now_v7()),
        fingerprint: None,
        answer: None,
        events: vec![NewEvent { name: "order_accepted", data: body.into() }],
        due: Due::Unchanged,
    }
}
