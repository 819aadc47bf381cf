//! A disk that is full: what is refused, what is still read, and when it is believed to have room again.

use super::*;

#[tokio::test]
async fn a_full_disk_refuses_appends_and_still_reads() {
    let place = Place::fresh();
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    limit_pages(&mut engine.writer, 1).await;

    let mut large = append(2, 0, 1);
    large.events[0].data = "x".repeat(60_000).into();
    let outcome = engine.writer.append(&[append(3, 0, 1), large.clone()]).await;
    assert!(matches!(outcome, Err(DbError::Full(_))), "{outcome:?}");
    assert_eq!(whole_journal(&engine.readers).await.len(), 1, "nothing of the batch happened");

    limit_pages(&mut engine.writer, 1_000_000).await;
    assert!(engine.writer.append(&[append(3, 0, 1), large]).await.unwrap().iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_full_disk_is_not_proved_writable_before_a_page_can_be_written() {
    let place = Place::fresh();
    let mut engine = place.open().await;
    limit_pages(&mut engine.writer, 1).await;
    let outcome = engine.writer.prove_writable().await;
    assert!(matches!(outcome, Err(DbError::Full(_))), "{outcome:?}");
    engine.writer.check_ownership().await.unwrap();

    limit_pages(&mut engine.writer, 1_000_000).await;
    engine.writer.prove_writable().await.unwrap();
}

#[tokio::test]
async fn every_proof_writes_its_pages_and_takes_no_more_room() {
    let place = Place::fresh();
    let mut engine = place.open().await;
    let log = || fs::metadata(place.path().join("journal.sqlite3-wal")).unwrap().len();
    let mut pages = Vec::new();
    for _ in 0..3 {
        let before = log();
        engine.writer.prove_writable().await.unwrap();
        assert!(log() >= before + PROOF_BYTES as u64, "{before} and {}", log());
        let mut connection = engine.writer.sqlite().begin().await.unwrap();
        let count: i64 = sqlx::query_scalar("pragma page_count").fetch_one(&mut connection).await.unwrap();
        engine.writer.sqlite().give_back(connection, true).await;
        pages.push(count);
    }
    assert_eq!(pages[1], pages[2]);
}
