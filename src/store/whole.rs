//! That nothing is missing of what a database gave back, whichever it is.
//!
//! Whoever reads events folds them, or moves a cursor past them: with a hole in between, both would be wrong for ever.

use super::{Cursor, DbError, OpenStream, Recorded};
use crate::order::Timestamp;

/// The events of one stream, from the one after `after_version` on.
pub(super) fn history(
    after_version: u32,
    events: impl Iterator<Item = Result<Recorded, DbError>>,
) -> Result<Vec<Recorded>, DbError> {
    let mut history: Vec<Recorded> = Vec::new();
    for event in events {
        let event = event?;
        check_next(&event, after_version + history.len() as u32)?;
        history.push(event);
    }
    Ok(history)
}

/// Whole streams, one after the other, each event with the deadline of its stream.
pub(super) fn histories(
    events: impl Iterator<Item = Result<(Option<Timestamp>, Recorded), DbError>>,
) -> Result<Vec<(OpenStream, Vec<Recorded>)>, DbError> {
    let mut histories: Vec<(OpenStream, Vec<Recorded>)> = Vec::new();
    for event in events {
        let (due, event) = event?;
        match histories.last_mut() {
            Some((last, events)) if last.stream == event.stream => {
                check_next(&event, events.len() as u32)?;
                events.push(event);
            }
            _ => {
                check_next(&event, 0)?;
                histories.push((OpenStream { stream: event.stream, due }, vec![event]));
            }
        }
    }
    Ok(histories)
}

/// The events after the cursor, of all streams.
pub(super) fn following(
    cursor: &Cursor,
    events: impl Iterator<Item = Result<Recorded, DbError>>,
) -> Result<Vec<Recorded>, DbError> {
    let mut passed = cursor.clone();
    let mut following = Vec::new();
    for event in events {
        let event = event?;
        if event.position.position != passed.at(event.position.shard) + 1 {
            // A reader that was handed this would move its cursor past what it never saw.
            return Err(DbError::Corrupt(format!("events: one is missing before {}", event.position)));
        }
        passed.advance(event.position);
        following.push(event);
    }
    Ok(following)
}

fn check_next(event: &Recorded, version_before: u32) -> Result<(), DbError> {
    if event.version == version_before + 1 {
        return Ok(());
    }
    let stream = event.stream.id;
    Err(DbError::Corrupt(format!("events: {stream} has version {} after version {version_before}", event.version)))
}
