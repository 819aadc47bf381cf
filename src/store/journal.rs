//! What the journal holds and promises, the same on every engine.
//!
//! A stream is the history of one thing: an order, a store's stock, a rider's deliveries. Its events carry
//! gapless versions from 1. A shard gathers the streams of some stores; its events carry gapless positions
//! from 1, in commit order. Both are given in the transaction that writes the event.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::order::{CommandId, OrderId, RiderId, StoreId, Timestamp};

/// How many shards there are, fixed for ever: the number is in every row.
///
/// 64 spreads over any number of nodes that a delivery company runs, and 64 cursors still fit one row.
pub const SHARDS: usize = 64;

/// Which of the [`SHARDS`] a stream belongs to, fixed when the stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard of everything that belongs to a store: its stock and its orders.
    pub fn of_store(store: StoreId) -> Self {
        Self::of(store.uuid())
    }

    pub fn of_rider(rider: &RiderId) -> Self {
        Self::of(rider.stream())
    }

    pub fn new(number: u8) -> Option<Self> {
        (usize::from(number) < SHARDS).then_some(Self(number))
    }

    pub const fn number(self) -> u8 {
        self.0
    }

    /// FNV-1a over the sixteen bytes: it must give the same shard on every machine and in every release,
    /// which the standard library's hasher does not promise.
    fn of(id: Uuid) -> Self {
        let hash = id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(((hash ^ (hash >> 32)) % SHARDS as u64) as u8)
    }
}

/// What a stream is the history of. The number is in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKind {
    Order = 1,
    Stock = 2,
    Rider = 3,
}

impl StreamKind {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Stock => "stock",
            Self::Rider => "rider's book",
        }
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        [Self::Order, Self::Stock, Self::Rider].into_iter().find(|&kind| kind as i64 == number)
    }
}

/// The name of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    pub kind: StreamKind,
    pub id: Uuid,
}

impl StreamId {
    pub fn order(order: OrderId) -> Self {
        Self { kind: StreamKind::Order, id: order.uuid() }
    }

    pub fn stock(store: StoreId) -> Self {
        Self { kind: StreamKind::Stock, id: store.uuid() }
    }

    pub fn rider(rider: &RiderId) -> Self {
        Self { kind: StreamKind::Rider, id: rider.stream() }
    }
}

/// An event on its way into the journal.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The wire name, such as `order_placed`.
    pub name: &'static str,
    /// Its body as JSON, at most 64 KiB ([`Append`] is refused above that: a Kafka broker would be stuck on it).
    pub data: Arc<str>,
}

/// All that one command writes, or nothing of it.
#[derive(Clone, Debug)]
pub struct Append {
    pub stream: StreamId,
    pub shard: Shard,
    /// The version of the stream's last event that the decision was made on; 0 for a new stream.
    pub expected_version: u32,
    pub at: Timestamp,
    /// Who caused it: `customer:alice`, `system`.
    pub by: Arc<str>,
    pub command: CommandId,
    /// A hash of the request's body, for a command that came with an idempotency key.
    pub fingerprint: Option<i64>,
    /// Refuses the append if the same key was answered before, by any stream. Only what makes a new stream
    /// needs it: a stream recognises its own commands by [`Recorded::command`].
    pub answer: Option<AnswerKey>,
    pub events: Vec<NewEvent>,
    pub due: Due,
}

/// What the append says about when the stream must be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The stream is none that is woken (stock, riders), or nothing changes.
    Unchanged,
    /// The stream stays open; wake it at this time, if any.
    Open(Option<Timestamp>),
    /// Nothing is left to do for it.
    Closed,
}

/// The idempotency key of a request, as a hash of principal, route and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    pub key: Uuid,
    /// A hash of the request's body: the same key with another body is the caller's mistake.
    pub fingerprint: i64,
}

/// What was answered to a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The state of this stream once its version was at least this.
    Stream { fingerprint: i64, id: Uuid, version: u32 },
    /// This status and JSON body.
    Body { fingerprint: i64, status: u16, body: String },
}

/// The answer to a request that no event of a stream carries, on its way into the database: nothing was changed, or the
/// answer was given before what would tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAnswer {
    pub key: AnswerKey,
    pub at: Timestamp,
    pub stream: Uuid,
    /// Exactly the version of the stream that was told.
    pub version: u32,
}

/// The answer to a request that makes no stream, on its way into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAnswer {
    pub key: AnswerKey,
    pub at: Timestamp,
    pub status: u16,
    /// JSON.
    pub body: String,
}

/// Where an event stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    pub shard: Shard,
    pub position: u64,
}

/// `shard:position`, as in the `Baedal-Position` header.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.shard.0, self.position)
    }
}

/// The text is no position of this journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position is shard:position, as a reply gave it")]
pub struct BadPosition;

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let (shard, position) = text.split_once(':').ok_or(BadPosition)?;
        let shard = shard.parse().ok().and_then(Shard::new).ok_or(BadPosition)?;
        Ok(Self { shard, position: position.parse().map_err(|_| BadPosition)? })
    }
}

/// How far a reader has read: the position of the last event it has dealt with, shard by shard.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Box<[u64; SHARDS]>);

impl Cursor {
    pub fn start() -> Self {
        Self(Box::new([0; SHARDS]))
    }

    pub fn at(&self, shard: Shard) -> u64 {
        self.0[usize::from(shard.0)]
    }

    /// Moves the shard's mark forward; a position behind it changes nothing.
    pub fn advance(&mut self, to: Position) {
        let mark = &mut self.0[usize::from(to.shard.0)];
        *mark = (*mark).max(to.position);
    }

    /// Moves the shard's mark wherever it shall be, back too: what lies after it will be read again.
    pub fn set(&mut self, to: Position) {
        self.0[usize::from(to.shard.0)] = to.position;
    }

    pub fn has_passed(&self, position: Position) -> bool {
        self.at(position.shard) >= position.position
    }

    /// Has passed everything that `other` has.
    pub fn includes(&self, other: &Cursor) -> bool {
        other.marks().all(|mark| self.has_passed(mark))
    }

    /// How many events it has passed: no milestone beyond that number can be behind it in every shard.
    pub(super) fn latest_milestone(&self) -> i64 {
        let passed = self.marks().fold(0_u64, |sum, mark| sum.saturating_add(mark.position));
        i64::try_from(passed).unwrap_or(i64::MAX)
    }

    pub fn marks(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().enumerate().map(|(shard, &position)| Position { shard: Shard(shard as u8), position })
    }
}

impl Cursor {
    /// The marks that are not zero, each the shard and the position as a variable-length number (LEB128).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SHARDS * 4);
        for mark in self.marks().filter(|mark| mark.position > 0) {
            bytes.push(mark.shard.0);
            let mut rest = mark.position;
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        bytes
    }

    /// None for bytes that are no cursor.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Self::start();
        let mut rest = bytes.iter();
        while let Some(shard) = rest.next() {
            let shard = Shard::new(*shard)?;
            let (mut position, mut shift) = (0_u64, 0);
            loop {
                let byte = *rest.next()?;
                position |= u64::from(byte & 0x7f).checked_shl(shift)?;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
            cursor.advance(Position { shard, position });
        }
        Some(cursor)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.marks().filter(|mark| mark.position > 0).map(|mark| mark.to_string())).finish()
    }
}

/// Where a committed append came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Of its first event; the others follow without a gap.
    pub first: Position,
    /// Of its last event.
    pub last: Position,
}

/// Why one append of a batch definitely did not happen. The others of the batch are not touched by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAppended {
    #[error("the stream has moved on from the version that the decision was made on")]
    VersionConflict,
    #[error("the idempotency key was answered before")]
    AnsweredBefore(Answer),
    #[error("the event {name} has {bytes} bytes, more than may be written")]
    TooLarge { name: &'static str, bytes: usize },
    #[error("an append needs an event")]
    Empty,
    /// Only a recovery says this, about an append whose outcome was unknown.
    #[error("the append did not happen")]
    DidNotHappen,
}

/// An event as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub stream: StreamId,
    pub version: u32,
    pub position: Position,
    pub at: Timestamp,
    pub by: String,
    pub command: CommandId,
    pub fingerprint: Option<i64>,
    pub name: String,
    pub data: String,
}

/// A stream that is not finished: it must be woken at start, and when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenStream {
    pub stream: StreamId,
    pub due: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_a_store_never_changes() {
        let shard = |n: u128| Shard::of(Uuid::from_u128(n)).number();
        assert_eq!([shard(0), shard(1), shard(u128::MAX)], [shard(0), shard(1), shard(u128::MAX)]);
        let spread: std::collections::HashSet<u8> = (0..2_000).map(shard).collect();
        assert_eq!(spread.len(), SHARDS, "every shard is used");
    }

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let mut cursor = Cursor::start();
        assert_eq!(Cursor::from_bytes(&cursor.to_bytes()), Some(cursor.clone()));
        for (shard, position) in [(0, 1), (7, 127), (8, 128), (63, u64::MAX >> 1)] {
            cursor.advance(Position { shard: Shard(shard), position });
        }
        assert_eq!(Cursor::from_bytes(&cursor.to_bytes()), Some(cursor));
        for bad in [&[64][..], &[7], &[7, 0x80], &[0xff; 12]] {
            assert_eq!(Cursor::from_bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_position_reads_back_as_it_was_written() {
        let position = Position { shard: Shard(7), position: 42 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "7", "64:1", "x:1", "1:-1"] {
            assert_eq!(bad.parse::<Position>(), Err(BadPosition), "{bad:?}");
        }
    }
}
