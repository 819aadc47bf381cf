//! Power is cut (P1): at every moment in which a customer has just been told that their order is placed, and at every sync,
//! the disk is looked at as it would be found afterwards. What was acknowledged is on it.
//!
//! A killed process proves nothing of this, because the kernel keeps what it wrote. So a server runs under strace, which
//! writes down every write and every sync; from that the disk of any moment is made, with what was synced and a chance
//! part of what was not, torn at sectors.

mod disk;
mod trace;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use baedal::order::OrderId;
use baedal::store::{DataPlace, Engine, StreamId};
use futures_util::future::join_all;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use self::disk::Disk;
use self::trace::{Event, events, is_complete};
use crate::helpers::{Engine as Database, Life, Options, engine, wait_until};

/// Enough appends that the log is checkpointed now and then, the time at which the file itself is written.
const CUSTOMERS: usize = 4;
const ORDERS_EACH: usize = 45;

/// How many of the moments are looked at: each takes some hundredths of a second.
const CUTS: usize = 80;

#[tokio::test]
async fn what_was_acknowledged_is_on_the_disk_whenever_the_power_is_cut() {
    if engine() != Database::Sqlite {
        return; // The disk is PostgreSQL's own business.
    }
    let directory = tempfile::tempdir().unwrap();
    let written = directory.path().join("trace");
    let mut app = Options::default().traced_into(&written).start().await;
    let life = Life::at(&app, "store_delivered").await;
    join_all((0..CUSTOMERS).map(async |_| {
        for _ in 0..ORDERS_EACH {
            let order = app.placed(&life.customer, &life.shop.order_on_delivery()).await;
            app.accept(&life.shop.owner, &order).await.ok();
        }
    }))
    .await;
    let data = app.data_dir();
    app.kill();
    let read = || async { std::fs::read_to_string(&written).ok().filter(|trace| is_complete(trace)) };
    let events = events(&wait_until("everything is written down", read).await);
    let acknowledged = events.iter().filter(|event| matches!(event, Event::Acknowledged { .. })).count();
    assert_eq!(acknowledged, CUSTOMERS * ORDERS_EACH, "each was written down");
    let checkpointed =
        |event: &Event| matches!(event, Event::SyncEnds { file, .. } if file.ends_with("journal.sqlite3"));
    assert!(events.iter().any(checkpointed), "no checkpoint: the log alone was tried");

    let lost = cut_again_and_again(&events, &data, false).await;
    assert_eq!(lost, 0, "orders that were acknowledged are gone");
    let lost = cut_again_and_again(&events, &data, true).await;
    assert!(lost > 0, "a disk that syncs nothing loses nothing: nothing was tried");
    app.start_again();
}

/// How many acknowledged orders are missing, in all the moments that were looked at together.
async fn cut_again_and_again(events: &[Event], data: &Path, lies: bool) -> usize {
    let is_moment = |event: &Event| matches!(event, Event::Acknowledged { .. } | Event::SyncEnds { .. });
    let every = events.iter().filter(|event| is_moment(event)).count().div_ceil(CUTS);
    let mut dice = fastrand::Rng::with_seed(7);
    let mut disk = Disk::new(lies);
    let (mut acknowledged, mut moments, mut lost) = (Vec::new(), 0, 0);
    for event in events {
        // Cut before the sync ends, and after the answer has left: the worst of each.
        if is_moment(event) && !acknowledged.is_empty() {
            moments += 1;
            if moments % every == 0 {
                lost += missing(&disk.after_power_cut(&mut dice), data, &acknowledged, lies).await;
            }
        }
        disk.take(event);
        if let Event::Acknowledged { order } = event {
            acknowledged.push(order.parse().expect("an order's id"));
        }
    }
    lost
}

/// How many of the orders a server would not find on that disk. One that does not even open has lost all of them.
async fn missing(files: &HashMap<PathBuf, Vec<u8>>, data: &Path, acknowledged: &[OrderId], lies: bool) -> usize {
    let found = tempfile::tempdir().unwrap();
    for (file, content) in files {
        let Ok(name) = file.strip_prefix(data) else { continue };
        if name.to_str().is_some_and(|name| name.starts_with("journal.sqlite3")) {
            std::fs::write(found.path().join(name), content).unwrap();
        }
    }
    let opened = Engine::open(&DataPlace::Directory(found.path().to_owned())).await;
    let engine = match opened {
        Ok(engine) => engine,
        Err(_) if lies => return acknowledged.len(),
        Err(error) => panic!("the journal does not open after a power cut: {error:?}"),
    };
    let mut lost = 0;
    for order in acknowledged {
        let history = engine.readers.stream(StreamId::order(*order), 0).await;
        lost += usize::from(!history.is_ok_and(|history| !history.is_empty()));
    }
    drop(engine);
    let whole = is_whole(&found.path().join("journal.sqlite3")).await;
    assert!(whole || lies, "the journal is damaged after a power cut");
    lost
}

async fn is_whole(journal: &Path) -> bool {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", journal.display())).await.unwrap();
    let checked = sqlx::query("pragma integrity_check").fetch_one(&mut connection).await;
    checked.is_ok_and(|row| row.get::<String, _>(0) == "ok")
}
