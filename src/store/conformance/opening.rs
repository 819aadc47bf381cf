//! What is there when a database is opened again.

use super::{Place, append, append_one, on_every_engine, whole_journal};

on_every_engine!(a_journal_that_was_closed_opens_with_all_it_had);

async fn a_journal_that_was_closed_opens_with_all_it_had(place: Place) {
    for version in 0..3 {
        let mut engine = place.open().await;
        append_one(&mut engine.writer, append(1, version, 1)).await;
        assert_eq!(whole_journal(&engine.readers).await.len(), version as usize + 1);
    }
}
