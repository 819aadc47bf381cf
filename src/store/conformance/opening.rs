//! What is refused at the door.

use super::{Place, append, append_one, on_every_engine, whole_journal};
use crate::store::OpenError;

on_every_engine!(a_second_process_is_refused, a_journal_that_was_closed_opens_with_all_it_had);

async fn a_second_process_is_refused(place: Place) {
    let engine = place.open().await;
    assert!(matches!(place.try_open().await, Err(OpenError::InUse { .. })));
    let views = engine.views.clone();
    drop(engine);
    assert!(matches!(place.try_open().await, Err(OpenError::InUse { .. })), "someone still looks at the views");
    drop(views);
    place.open().await;
}

async fn a_journal_that_was_closed_opens_with_all_it_had(place: Place) {
    for version in 0..3 {
        let mut engine = place.open().await;
        append_one(&mut engine.writer, append(1, version, 1)).await;
        assert_eq!(whole_journal(&engine.readers).await.len(), version as usize + 1);
    }
}
