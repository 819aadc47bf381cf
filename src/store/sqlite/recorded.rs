//! Events on their way out of the database: a page of them as one text.
//!
//! Row by row, sqlx copies each column and wakes the reader each time: 4 us an event. One text for a whole page takes
//! less than half of that, and every reader of the journal pays it. Records and their fields stand between the separators
//! that ASCII has for them: no JSON holds those, so nothing needs to be escaped on the way out and back.
//!
//! A page holds events of many streams, and one that a disk has spoilt must not keep back the others: what is no UTF-8 any
//! more comes out as an event that nobody can read.

use std::borrow::Cow;
use std::slice::Split;
use std::str::FromStr;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::classify::definite;
use crate::order::{CommandId, Timestamp};
use crate::store::{DbError, Linked, Position, Recorded, Shard, StreamId, StreamKind};

const RECORD_SEPARATOR: u8 = 0x1e;
const UNIT_SEPARATOR: u8 = 0x1f;

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
pub(super) struct Fields<'r>(Split<'r, u8, fn(&u8) -> bool>);

impl<'r> Fields<'r> {
    fn bytes(&mut self) -> Result<&'r [u8], DbError> {
        self.0.next().ok_or_else(|| DbError::Corrupt("events: a field is missing".into()))
    }

    /// Begins with a character that no name and no JSON begins with, if it is not the text that was written.
    fn text(&mut self) -> Result<String, DbError> {
        Ok(match String::from_utf8_lossy(self.bytes()?) {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(spoilt) => format!("{}{spoilt}", char::REPLACEMENT_CHARACTER),
        })
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, DbError> {
        let bytes = self.bytes()?;
        let parsed = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        parsed
            .ok_or_else(|| DbError::Corrupt(format!("events: {:?} was never written", String::from_utf8_lossy(bytes))))
    }

    /// A number, or nothing.
    pub(super) fn number(&mut self) -> Result<Option<i64>, DbError> {
        if self.0.clone().next() == Some(b"") { self.bytes().map(|_| None) } else { self.parsed().map(Some) }
    }

    pub(super) fn linked(mut self) -> Result<Linked, DbError> {
        let id = self.parsed()?;
        let hash = self.bytes()?;
        // A hash of another length was not written here; it is none that anything follows on.
        let hash = match hash {
            [] => None,
            hex => Some(u128::from_str_radix(&String::from_utf8_lossy(hex), 16).unwrap_or_default().to_be_bytes()),
        };
        Ok(Linked { event: self.recorded()?, id, hash })
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
            by: self.text()?,
            command: CommandId::new(self.parsed()?),
            fingerprint: self.number()?,
            name: self.text()?,
            data: self.text()?,
        })
    }
}

/// The records in the one text of a page.
pub(super) fn page(row: &SqliteRow) -> Result<impl Iterator<Item = Fields<'_>>, DbError> {
    let text: Option<&[u8]> = row.try_get_unchecked(0).map_err(definite)?;
    let records = text.into_iter().flat_map(|text| text.split(|byte| *byte == RECORD_SEPARATOR));
    let is_unit_separator: fn(&u8) -> bool = |byte| *byte == UNIT_SEPARATOR;
    Ok(records.map(move |record| Fields(record.split(is_unit_separator))))
}
