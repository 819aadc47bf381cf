//! Events on their way out of the database: a page of them as one text.
//!
//! Row by row, sqlx copies each column and wakes the reader each time: 4 us an event. One text for a whole page takes
//! less than half of that, and every reader of the journal pays it. Records and their fields stand between the separators
//! that ASCII has for them: no JSON holds those, so nothing needs to be escaped on the way out and back.

use std::str::{FromStr, Split};

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::classify::definite;
use crate::order::{CommandId, Timestamp};
use crate::store::{DbError, Position, Recorded, Shard, StreamId, StreamKind};

const RECORD_SEPARATOR: char = '\u{1e}';
const UNIT_SEPARATOR: char = '\u{1f}';

/// An event of the table `e` as [`Fields::recorded`] reads it. Null, which `concat_ws` leaves out, is written as nothing.
macro_rules! line {
    () => {
        "concat_ws(char(31), e.shard, e.position, e.kind, hex(e.stream), e.version, e.at, e.by_whom, hex(e.command),
                   coalesce(e.fingerprint, ''), e.name, e.data)"
    };
}
pub(super) use line;

/// The lines of some rows as the one text that [`page`] takes apart; null if there are none.
macro_rules! lines {
    () => {
        "group_concat(line, char(30))"
    };
}
pub(super) use lines;

/// The fields of one record, from left to right.
pub(super) struct Fields<'r>(Split<'r, char>);

impl<'r> Fields<'r> {
    fn text(&mut self) -> Result<&'r str, DbError> {
        self.0.next().ok_or_else(|| DbError::Corrupt("events: a field is missing".into()))
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, DbError> {
        let text = self.text()?;
        text.parse().map_err(|_| DbError::Corrupt(format!("events: {text:?} was never written")))
    }

    /// A number, or nothing.
    pub(super) fn number(&mut self) -> Result<Option<i64>, DbError> {
        if self.0.clone().next() == Some("") { self.text().map(|_| None) } else { self.parsed().map(Some) }
    }

    pub(super) fn recorded(mut self) -> Result<Recorded, DbError> {
        let (shard, position, kind) = (self.parsed()?, self.parsed()?, self.parsed()?);
        let (stream, version): (Uuid, u32) = (self.parsed()?, self.parsed()?);
        let nonsense = || DbError::Corrupt(format!("events: {stream} version {version} is of no known shard or kind"));
        Ok(Recorded {
            stream: StreamId { kind: StreamKind::from_number(kind).ok_or_else(nonsense)?, id: stream },
            version,
            position: Position { shard: Shard::new(shard).ok_or_else(nonsense)?, position },
            at: Timestamp::from_micros(self.parsed()?),
            by: self.text()?.to_owned(),
            command: CommandId::new(self.parsed()?),
            fingerprint: self.number()?,
            name: self.text()?.to_owned(),
            data: self.text()?.to_owned(),
        })
    }
}

/// The records in the one text of a page.
pub(super) fn page(row: &SqliteRow) -> Result<impl Iterator<Item = Fields<'_>>, DbError> {
    let text: Option<&str> = row.try_get_unchecked(0).map_err(definite)?;
    let records = text.into_iter().flat_map(|text| text.split(RECORD_SEPARATOR));
    Ok(records.map(|record| Fields(record.split(UNIT_SEPARATOR))))
}
