//! A hash chain for each stream: every event carries a hash of itself and of the hash before it.
//!
//! Who changes an event behind the product's back breaks the chain there; who makes the chain again from there on changes
//! the stream's tip, which shows against a digest of all tips that was kept elsewhere. The hash covers what the event means:
//! whose it is, its version, time, cause and body, as the stored texts have them. It does not cover where the event stands in
//! its shard, which PostgreSQL only knows when it writes it.
//!
//! The writer remembers the tips of the streams that it writes to, so that an append needs no read for its chain: only
//! the first one to each stream after a start does, for all of a batch in one statement.

mod check;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use super::{Append, Recorded, StreamId};
pub use check::{BadTips, ChainCheck, Chains, TipsDigest};

/// The first half of a SHA-256. Another event for a given hash takes 2^127 tries to find, and the whole would make each
/// row a tenth larger instead of a twentieth.
pub(super) type Hash = [u8; 16];

/// What the first event of a stream follows on, and the first one that was written after the events before it had no hash.
const NOTHING: Hash = [0; 16];

/// The layout of what is hashed. Another one would be another number, and told by it.
const LAYOUT: u8 = 1;

/// Tips are remembered in two generations of so many; the older goes when the younger is full. 10 MB, and enough for all the
/// orders that are under way in a large city.
const REMEMBERED: usize = 100_000;

/// What is hashed of an event.
struct Link<'e> {
    stream: StreamId,
    shard: u8,
    version: u32,
    at: i64,
    command: Uuid,
    fingerprint: Option<i64>,
    by: &'e str,
    name: &'e str,
    data: &'e str,
}

impl Link<'_> {
    /// Each part has a fixed length or its length before it: no two events give the same bytes.
    fn hash(&self, before: Hash, bytes: &mut Vec<u8>) -> Hash {
        bytes.clear();
        bytes.push(LAYOUT);
        bytes.extend(before);
        bytes.push(self.stream.kind as u8);
        bytes.extend(self.stream.id.as_bytes());
        bytes.push(self.shard);
        bytes.extend(self.version.to_be_bytes());
        bytes.extend(self.at.to_be_bytes());
        bytes.extend(self.command.as_bytes());
        bytes.push(u8::from(self.fingerprint.is_some()));
        bytes.extend(self.fingerprint.unwrap_or_default().to_be_bytes());
        for text in [self.by, self.name, self.data] {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        half(digest(&SHA256, bytes).as_ref())
    }
}

fn half(digest: &[u8]) -> Hash {
    std::array::from_fn(|n| digest[n])
}

/// The ends of the chains that were written to last. A tip is named by its version too, and an event never changes, so
/// one that is remembered cannot be wrong, and none need be forgotten.
#[derive(Default)]
pub(super) struct Tips {
    younger: HashMap<Uuid, Tip>,
    older: HashMap<Uuid, Tip>,
    /// Of the batch that is being written: true once it is.
    expected: HashMap<Uuid, Tip>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Tip {
    version: u32,
    hash: Hash,
}

impl Tips {
    fn at(&self, stream: Uuid, version: u32) -> Option<Hash> {
        let tip = self.younger.get(&stream).or_else(|| self.older.get(&stream))?;
        (tip.version == version).then_some(tip.hash)
    }

    /// Begins with another batch, or the same once more. Says what must be read before it can be chained: the versions of
    /// streams that its members were decided on.
    pub(super) fn unknown<'b>(&mut self, appends: impl Iterator<Item = &'b Append>) -> Vec<(Uuid, u32)> {
        self.expected.clear();
        let mut seen = HashSet::new();
        appends
            .filter(|append| seen.insert(append.stream.id))
            .filter(|append| append.expected_version > 0)
            .map(|append| (append.stream.id, append.expected_version))
            .filter(|(stream, version)| self.at(*stream, *version).is_none())
            .collect()
    }

    /// As the row of that version has it; none for a row from before there were hashes.
    pub(super) fn learn(&mut self, stream: Uuid, version: u32, hash: Option<Hash>) {
        if self.younger.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(stream, Tip { version, hash: hash.unwrap_or(NOTHING) });
    }

    /// The hashes of an append's events. What it was decided on is known, or does not exist: then the tables refuse it.
    pub(super) fn chain(&mut self, append: &Append) -> Vec<Hash> {
        let expected = self.expected.get(&append.stream.id).filter(|tip| tip.version == append.expected_version);
        let known = expected.map(|tip| tip.hash).or_else(|| self.at(append.stream.id, append.expected_version));
        let mut tip = known.unwrap_or(NOTHING);
        let mut version = append.expected_version;
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut hashes = Vec::with_capacity(append.events.len());
        for event in &append.events {
            version += 1;
            let link = Link {
                stream: append.stream,
                shard: append.shard.number(),
                version,
                at: append.at.as_micros(),
                command: append.command.uuid(),
                fingerprint: append.fingerprint,
                by: &append.by,
                name: event.name,
                data: &event.data,
            };
            tip = link.hash(tip, &mut bytes);
            hashes.push(tip);
        }
        self.bytes = bytes;
        self.expected.insert(append.stream.id, Tip { version, hash: tip });
        hashes
    }

    /// The batch is written.
    pub(super) fn written(&mut self) {
        let mut expected = std::mem::take(&mut self.expected);
        for (stream, tip) in expected.drain() {
            self.learn(stream, tip.version, Some(tip.hash));
        }
        self.expected = expected;
    }
}

/// A row as it came out of the database.
pub(super) fn read(bytes: Option<&[u8]>) -> Option<Hash> {
    bytes.and_then(|bytes| bytes.try_into().ok())
}

/// An event with its hash, for whoever checks the chains.
#[derive(Clone, Debug)]
pub struct Linked {
    pub event: Recorded,
    /// The place in commit order.
    pub id: u64,
    /// None: written before there were hashes, or taken away.
    pub hash: Option<[u8; 16]>,
}
