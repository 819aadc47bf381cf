//! What [`Readers`](crate::store::Readers) promises.

use super::{Place, append, append_one, id, on_every_engine, whole_journal};
use crate::store::{Append, Cursor, Due, Linked, Position, StreamKind};

on_every_engine!(
    a_cursor_misses_nothing_while_others_append,
    a_page_begins_with_the_oldest_whatever_its_shard,
    a_cursor_that_left_a_shard_behind_still_misses_nothing,
    a_reading_from_far_behind_is_told_from_a_near_one,
    open_orders_come_with_their_histories,
    all_streams_are_read_one_after_the_other,
    a_history_longer_than_a_page_is_read_whole,
);

async fn a_cursor_misses_nothing_while_others_append(place: Place) {
    let engine = place.open().await;
    let (mut writer, readers) = (engine.writer, engine.readers);
    let writing = tokio::spawn(async move {
        for round in 0..60 {
            let batch: Vec<Append> = (0..20).map(|n| append(n, round, 1)).collect();
            writer.append(&batch).await.unwrap();
        }
    });
    let mut cursor = Cursor::start();
    let mut seen = 0;
    while seen < 1_200 {
        for event in readers.after(&cursor, 50).await.unwrap() {
            assert_eq!(event.position.position, cursor.at(event.position.shard) + 1, "nothing is left out");
            cursor.advance(event.position);
            seen += 1;
        }
    }
    writing.await.unwrap();
    assert_eq!(whole_journal(&readers).await.len(), seen);
}

async fn a_page_begins_with_the_oldest_whatever_its_shard(place: Place) {
    let mut engine = place.open().await;
    let batch: Vec<Append> = (0..10).map(|n| append(n, 0, 1)).collect();
    engine.writer.append(&batch).await.unwrap();
    let mut cursor = Cursor::start();
    for append in batch {
        let page = engine.readers.after(&cursor, 1).await.unwrap();
        assert_eq!(page.iter().map(|event| event.stream).collect::<Vec<_>>(), [append.stream]);
        cursor.advance(page[0].position);
    }
}

/// One that deals with the shards one by one, each to its end, over more events than lie between milestones.
async fn a_cursor_that_left_a_shard_behind_still_misses_nothing(place: Place) {
    let mut engine = place.open().await;
    for round in 0..40 {
        let batch: Vec<Append> = (0..50).map(|n| append(n, round, 1)).collect();
        engine.writer.append(&batch).await.unwrap();
    }
    let head = engine.readers.head().await.unwrap();
    let mut cursor = Cursor::start();
    for mark in head.marks() {
        while !cursor.has_passed(mark) {
            let page = engine.readers.after(&cursor, 300).await.unwrap();
            for event in page.iter().filter(|event| event.position.shard == mark.shard) {
                assert_eq!(event.position.position, cursor.at(mark.shard) + 1, "nothing is left out");
                cursor.advance(event.position);
            }
            if page.iter().all(|event| event.position.shard != mark.shard) {
                let all = engine.readers.after(&cursor, 10_000).await.unwrap();
                all.iter()
                    .filter(|event| event.position.shard == mark.shard)
                    .for_each(|event| cursor.advance(event.position));
            }
        }
    }
    assert_eq!(cursor, head);
    assert_eq!(engine.readers.after(&cursor, 10).await.unwrap(), []);
}

async fn a_reading_from_far_behind_is_told_from_a_near_one(place: Place) {
    let mut engine = place.open().await;
    assert_eq!(engine.readers.span(&Cursor::start(), 0).await.unwrap(), Some(0), "there is nothing to look at");
    let mut middle = Cursor::start();
    for round in 0..20 {
        let batch: Vec<Append> = (0..50).map(|n| append(n, round, 1)).collect();
        engine.writer.append(&batch).await.unwrap();
        if round == 9 {
            middle = engine.readers.head().await.unwrap();
        }
    }
    let head = engine.readers.head().await.unwrap();
    let span = async |cursor: &Cursor, at_most| engine.readers.span(cursor, at_most).await.unwrap();
    assert_eq!(span(&Cursor::start(), 1_000).await, Some(1_000));
    assert_eq!(span(&Cursor::start(), 999).await, None);
    let near = span(&head, 1_000).await.unwrap();
    assert!(near <= 256 + 50, "at most one milestone and a batch lie behind the end: {near}");
    let half = span(&middle, 1_000).await.unwrap();
    assert!((500..=500 + 256 + 50).contains(&half), "{half}");
    assert_eq!(span(&middle, 499).await, None);

    // It has passed all but a few events, and a reading would look at every one.
    let mut odd = head.clone();
    let first = head.marks().find(|mark| mark.position > 0).unwrap();
    odd.set(Position { position: 0, ..first });
    assert_eq!(span(&odd, 1_000).await, Some(1_000));
    assert_eq!(span(&odd, 500).await, None);
}

async fn open_orders_come_with_their_histories(place: Place) {
    let mut engine = place.open().await;
    let mut stock = append(7, 0, 1);
    stock.stream.kind = StreamKind::Stock;
    let batch = [
        append(3, 0, 2),
        Append { due: Due::Closed, ..append(2, 0, 1) },
        append(1, 0, 1),
        stock,
        append(5, 0, 1),
        append(1, 1, 2),
    ];
    engine.writer.append(&batch).await.unwrap();

    let first = engine.readers.open_histories(None, 2).await.unwrap();
    let next = engine.readers.open_histories(Some(id(3)), 2).await.unwrap();
    let found: Vec<(_, usize)> =
        first.iter().chain(&next).map(|(open, events)| (open.stream.id, events.len())).collect();
    assert_eq!(found, [(id(1), 3), (id(3), 2), (id(5), 1)]);
    assert_eq!(first[0].1, engine.readers.stream(first[0].0.stream, 0).await.unwrap());
}

async fn all_streams_are_read_one_after_the_other(place: Place) {
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(2, 0, 3)).await;
    append_one(&mut engine.writer, Append { due: Due::Closed, ..append(1, 0, 1) }).await;
    let mut stock = append(3, 0, 1);
    stock.stream.kind = StreamKind::Stock;
    append_one(&mut engine.writer, stock).await;
    append_one(&mut engine.writer, append(1, 1, 1)).await;

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = engine.readers.stream_by_stream(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.event.stream.id, last.event.version));
        seen.extend(
            page.iter().map(|Linked { event, .. }| (event.stream.kind, event.stream.id.as_u128(), event.version)),
        );
    }
    let (order, stock) = (StreamKind::Order, StreamKind::Stock);
    assert_eq!(seen, [(order, 1, 1), (order, 1, 2), (order, 2, 1), (order, 2, 2), (order, 2, 3), (stock, 3, 1)]);
}

async fn a_history_longer_than_a_page_is_read_whole(place: Place) {
    let mut engine = place.open().await;
    let batch = [append(1, 0, 2_000), append(1, 2_000, 1_500), append(2, 0, 1)];
    assert!(engine.writer.append(&batch).await.unwrap().iter().all(Result::is_ok));
    let versions = async |after| {
        let history = engine.readers.stream(batch[0].stream, after).await.unwrap();
        history.iter().map(|event| event.version).collect::<Vec<_>>()
    };
    assert_eq!(versions(0).await, (1..=3_500).collect::<Vec<_>>());
    assert_eq!(versions(1_500).await, (1_501..=3_500).collect::<Vec<_>>());
    assert_eq!(versions(3_500).await, [0_u32; 0]);
}
