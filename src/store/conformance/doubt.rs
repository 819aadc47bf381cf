//! What holds when a commit's outcome is unknown, and when another writer has taken over.

use super::{Place, append, append_one, id, on_every_engine, whole_journal};
use crate::store::{AnswerKey, CommitFault, DbError, NotAppended, StreamAnswer};

on_every_engine!(
    a_commit_whose_answer_was_lost_is_found,
    a_journal_proves_that_it_can_be_written_without_changing,
    a_lost_commit_is_told_and_never_happens,
    someone_elses_event_at_the_same_version_is_not_ours,
    a_recovery_whose_own_commit_was_lost_can_be_repeated,
    a_writer_that_was_replaced_writes_nothing_more,
    a_writer_that_was_replaced_cannot_recover_its_epoch,
    a_writer_that_was_replaced_proves_nothing_any_more,
    a_writer_that_was_replaced_learns_it_without_writing,
    a_writer_that_was_replaced_remembers_no_answer,
    a_writer_that_was_replaced_forgets_no_answer,
);

async fn a_journal_proves_that_it_can_be_written_without_changing(place: Place) {
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    engine.writer.prove_writable().await.unwrap();
    append_one(&mut engine.writer, append(1, 1, 1)).await;
    assert_eq!(whole_journal(&engine.readers).await.len(), 2);
}

async fn a_commit_whose_answer_was_lost_is_found(place: Place) {
    let mut engine = place.open().await;
    let batch = [append(1, 0, 2), append(2, 0, 1)];
    engine.writer.fail_next_commit(CommitFault::LostAfter);
    assert!(matches!(engine.writer.append(&batch).await, Err(DbError::Unknown(_))));

    let outcomes = engine.writer.recover(&batch).await.unwrap();
    let events = whole_journal(&engine.readers).await;
    for (append, outcome) in batch.iter().zip(outcomes) {
        let of_it: Vec<_> = events.iter().filter(|event| event.stream == append.stream).collect();
        let committed = outcome.unwrap();
        assert_eq!((committed.first, committed.last), (of_it[0].position, of_it[of_it.len() - 1].position));
    }
    append_one(&mut engine.writer, append(1, 2, 1)).await;
}

async fn a_lost_commit_is_told_and_never_happens(place: Place) {
    let mut engine = place.open().await;
    let batch = [append(1, 0, 2), append(2, 0, 0)];
    engine.writer.fail_next_commit(CommitFault::LostBefore);
    assert!(matches!(engine.writer.append(&batch).await, Err(DbError::Unknown(_))));

    let outcomes = engine.writer.recover(&batch).await.unwrap();
    assert_eq!(outcomes, [Err(NotAppended::DidNotHappen), Err(NotAppended::Empty)]);
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    assert_eq!(whole_journal(&engine.readers).await.len(), 1);
}

async fn someone_elses_event_at_the_same_version_is_not_ours(place: Place) {
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    let outcomes = engine.writer.recover(&[append(1, 0, 1)]).await.unwrap();
    assert_eq!(outcomes, [Err(NotAppended::DidNotHappen)]);
}

async fn a_recovery_whose_own_commit_was_lost_can_be_repeated(place: Place) {
    let mut engine = place.open().await;
    for fault in [CommitFault::LostAfter, CommitFault::LostBefore] {
        engine.writer.fail_next_commit(fault);
        assert!(matches!(engine.writer.recover(&[]).await, Err(DbError::Unknown(_))));
        assert_eq!(engine.writer.recover(&[]).await.unwrap(), []);
    }
    append_one(&mut engine.writer, append(1, 0, 1)).await;
}

async fn a_writer_that_was_replaced_writes_nothing_more(place: Place) {
    let mut old = place.open().await;
    append_one(&mut old.writer, append(1, 0, 1)).await;
    let mut new = place.break_in().await;
    assert!(matches!(old.writer.append(&[append(1, 1, 1)]).await, Err(DbError::Fenced)));
    append_one(&mut new.writer, append(1, 1, 1)).await;
    // Also a stale decision does not hide from the old writer that it is one.
    assert!(matches!(old.writer.append(&[append(1, 1, 1)]).await, Err(DbError::Fenced)));
    assert_eq!(whole_journal(&new.readers).await.len(), 2);
}

async fn a_writer_that_was_replaced_cannot_recover_its_epoch(place: Place) {
    let mut old = place.open().await;
    let mut new = place.break_in().await;
    assert!(matches!(old.writer.recover(&[]).await, Err(DbError::Fenced)));
    append_one(&mut new.writer, append(1, 0, 1)).await;
}

async fn a_writer_that_was_replaced_proves_nothing_any_more(place: Place) {
    let mut old = place.open().await;
    old.writer.prove_writable().await.unwrap();
    let mut new = place.break_in().await;
    assert!(matches!(old.writer.prove_writable().await, Err(DbError::Fenced)));
    assert!(old.writer.is_fenced());
    new.writer.prove_writable().await.unwrap();
}

async fn a_writer_that_was_replaced_learns_it_without_writing(place: Place) {
    let mut old = place.open().await;
    old.writer.check_ownership().await.unwrap();
    assert!(!old.writer.is_fenced());
    let mut new = place.break_in().await;
    assert!(matches!(old.writer.check_ownership().await, Err(DbError::Fenced)));
    assert!(old.writer.is_fenced());
    assert!(matches!(old.writer.append(&[append(1, 0, 1)]).await, Err(DbError::Fenced)));
    new.writer.check_ownership().await.unwrap();
}

async fn a_writer_that_was_replaced_remembers_no_answer(place: Place) {
    let mut old = place.open().await;
    let new = place.break_in().await;
    assert!(matches!(old.writer.remember_answers(&[answer(1)]).await, Err(DbError::Fenced)));
    assert_eq!(new.readers.answer(answer(1).key.key).await.unwrap(), None);
}

async fn a_writer_that_was_replaced_forgets_no_answer(place: Place) {
    let mut old = place.open().await;
    assert_eq!(old.writer.remember_answers(&[answer(1)]).await.unwrap(), [Ok(())]);
    let new = place.break_in().await;
    let all = crate::order::Timestamp::from_micros(i64::MAX);
    assert!(matches!(old.writer.forget_answers(all, 10).await, Err(DbError::Fenced)));
    assert!(new.readers.answer(answer(1).key.key).await.unwrap().is_some());
}

fn answer(key: u128) -> StreamAnswer {
    let at = crate::order::Timestamp::from_micros(1);
    StreamAnswer { key: AnswerKey { key: id(key), fingerprint: 3 }, at, stream: id(7), version: 1 }
}
