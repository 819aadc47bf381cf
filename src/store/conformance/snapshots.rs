//! Promises of snapshots: the right one is found, and there are never many.

use super::{Place, id, on_every_engine};
use crate::order::Timestamp;
use crate::store::{Engine, SNAPSHOT_EVERY, Snapshot, StreamId, StreamKind};

on_every_engine!(
    the_newest_snapshot_that_is_old_enough_is_found,
    a_snapshot_of_the_same_version_takes_the_place_of_the_first,
    a_long_book_has_few_snapshots_and_the_newest_are_close_together,
);

const BOOK: StreamId = StreamId { kind: StreamKind::Stock, id: id(1) };

fn snapshot(version: u32) -> Snapshot {
    let state = format!(r#"{{"version":{version},"name":"국"}}"#).into();
    Snapshot { stream: BOOK, version, at: Timestamp::from_micros(i64::from(version)), state }
}

async fn save(engine: &mut Engine, snapshots: impl IntoIterator<Item = Snapshot>) {
    for snapshot in snapshots {
        engine.writer.save_snapshot(&snapshot).await.unwrap();
    }
}

async fn the_newest_snapshot_that_is_old_enough_is_found(place: Place) {
    let mut engine = place.open().await;
    let another = Snapshot { stream: StreamId { id: id(2), ..BOOK }, ..snapshot(1_500) };
    save(&mut engine, [snapshot(1_000), another, snapshot(2_000)]).await;
    let found = async |at| engine.readers.snapshot(BOOK, at).await.unwrap();
    assert_eq!(found(999).await, None);
    assert_eq!(found(1_000).await, Some(snapshot(1_000)));
    assert_eq!(found(1_999).await, Some(snapshot(1_000)));
    assert_eq!(found(u32::MAX).await, Some(snapshot(2_000)));
    assert_eq!(engine.readers.snapshot_after(BOOK, 0).await.unwrap(), Some(snapshot(1_000)));
    assert_eq!(engine.readers.snapshot_after(BOOK, 1_000).await.unwrap(), Some(snapshot(2_000)));
    assert_eq!(engine.readers.snapshot_after(BOOK, 2_000).await.unwrap(), None);
}

async fn a_snapshot_of_the_same_version_takes_the_place_of_the_first(place: Place) {
    let mut engine = place.open().await;
    let again = Snapshot { state: "{}".into(), ..snapshot(100) };
    save(&mut engine, [snapshot(100), again.clone()]).await;
    assert_eq!(engine.readers.snapshot(BOOK, 100).await.unwrap(), Some(again));
}

async fn a_long_book_has_few_snapshots_and_the_newest_are_close_together(place: Place) {
    let mut engine = place.open().await;
    let other = Snapshot { stream: StreamId { id: id(2), ..BOOK }, ..snapshot(100) };
    // Groups of entries end a little after each thousand.
    save(&mut engine, std::iter::once(other.clone()).chain((1..=300).map(|n| snapshot(n * SNAPSHOT_EVERY + n % 90))))
        .await;

    let mut kept = Vec::new();
    while let Some(next) = engine.readers.snapshot_after(BOOK, kept.last().copied().unwrap_or(0)).await.unwrap() {
        kept.push(next.version);
    }
    assert!(kept.len() < 60, "{kept:?}");
    let newest = 300 * SNAPSHOT_EVERY + 300 % 90;
    assert_eq!(kept.last(), Some(&newest));
    for (older, newer) in kept.iter().zip(&kept[1..]) {
        let (gap, ago) = (newer - older, newest - older);
        assert!(gap <= 2 * SNAPSHOT_EVERY + ago / 4, "{gap} entries lie before one of {ago} entries ago: {kept:?}");
    }
    assert_eq!(engine.readers.snapshot(other.stream, 100).await.unwrap(), Some(other), "of another book");
}
