//! Lag of the views: how far they are behind the journal before anybody brings them up to date, and whether their rows
//! are as new as their cursor says.
//!
//! Being behind at rest is no fault: a crash leaves them so, and the next start reads on. A row that is older than the
//! cursor says is one: whoever reads on from the cursor does not come by what it lacks.

use std::collections::HashSet;
use std::fmt;

use crate::order::OrderId;
use crate::store::{Cursor, DbError, Reader, Readers, StreamKind, Views};

use super::PAGE;

/// Looking at the rows costs a look for each order since the cursor, and memory for its name. Views that are further
/// behind are new, or as good as new.
const MAX_LAG: u64 = 200_000;

/// What was found before.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// How many events they had not dealt with.
    lists: u64,
    messages: u64,
    pub(super) stale: Vec<String>,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lists, messages, .. } = self;
        if *lists > 0 {
            writeln!(
                f,
                "the lists were {lists} events behind the journal: brought up to date before the rest was checked"
            )?;
        }
        if *messages > 0 {
            writeln!(f, "the messages are {messages} events behind the journal: they follow at the next start")?;
        }
        Ok(())
    }
}

/// To be called before the views are brought up to date.
pub(crate) async fn look_at_views(readers: &Readers, views: &Views) -> Result<Behind, DbError> {
    let head = readers.head().await?;
    let shown = views.cursor(Reader::OrderView).await?;
    let (lists, messages) = (lag(&shown, &head), lag(&views.cursor(Reader::Messages).await?, &head));
    let mut behind = Behind { lists, messages, stale: Vec::new() };
    if (1..=MAX_LAG).contains(&lists) {
        behind.stale = stale_rows(readers, views, shown).await?;
    }
    Ok(behind)
}

fn lag(cursor: &Cursor, head: &Cursor) -> u64 {
    head.marks().map(|mark| mark.position.saturating_sub(cursor.at(mark.shard))).sum()
}

/// Of the orders that have gone on since the cursor: of the others the check of all rows tells.
async fn stale_rows(readers: &Readers, views: &Views, mut cursor: Cursor) -> Result<Vec<String>, DbError> {
    let (mut seen, mut stale) = (HashSet::new(), Vec::new());
    loop {
        let rows = readers.after(&cursor, PAGE).await?;
        if rows.is_empty() {
            return Ok(stale);
        }
        for row in rows {
            cursor.advance(row.position);
            // Its first event since the cursor: the row stands at the one before.
            if row.stream.kind != StreamKind::Order || !seen.insert(row.stream.id) || row.version == 1 {
                continue;
            }
            let order = OrderId::new(row.stream.id);
            let (version, dealt_with) = (views.order(order).await?.map_or(0, |row| row.version), row.version - 1);
            if version < dealt_with {
                stale.push(format!(
                    "order {order} was at version {version} in the views, whose cursor had passed version {dealt_with}"
                ));
            }
        }
    }
}
