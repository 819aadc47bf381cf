//! Checking the chains, and the digest of their tips.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};

use super::{Hash, Link, Linked, NOTHING};
use crate::store::StreamId;

/// The tips of all streams after so many events of the journal, to be kept elsewhere: `events:digest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TipsDigest {
    pub events: u64,
    /// SHA-256 over streams, versions and hashes, as hex.
    pub digest: String,
}

impl fmt::Display for TipsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.events, self.digest)
    }
}

/// The text is no digest of tips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tips are events:digest, as `baedal verify` printed them")]
pub struct BadTips;

impl FromStr for TipsDigest {
    type Err = BadTips;

    fn from_str(text: &str) -> Result<Self, BadTips> {
        let (events, digest) = text.split_once(':').ok_or(BadTips)?;
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let events = events.parse().ok().filter(|_| is_digest).ok_or(BadTips)?;
        Ok(Self { events, digest: digest.to_ascii_lowercase() })
    }
}

/// The tips of streams that end one after the other, and their digest.
struct TipsSoFar {
    until: u64,
    digest: Context,
    tip: Option<(StreamId, u32, Hash)>,
}

impl TipsSoFar {
    fn new(until: u64) -> Self {
        Self { until, digest: Context::new(&SHA256), tip: None }
    }

    fn add(&mut self, linked: &Linked) {
        if linked.id > self.until {
            return;
        }
        if self.tip.is_some_and(|(stream, ..)| stream != linked.event.stream) {
            self.end_of_stream();
        }
        self.tip = Some((linked.event.stream, linked.event.version, linked.hash.unwrap_or(NOTHING)));
    }

    fn end_of_stream(&mut self) {
        if let Some((stream, version, hash)) = self.tip.take() {
            self.digest.update(stream.id.as_bytes());
            self.digest.update(&version.to_be_bytes());
            self.digest.update(&hash);
        }
    }

    fn end(mut self) -> String {
        self.end_of_stream();
        self.digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Checks the chains of streams whose events come in sequence, stream after stream in the sequence of their ids.
pub struct ChainCheck {
    tip: Option<(StreamId, Option<Hash>)>,
    tips: TipsSoFar,
    /// The tips of earlier that they are compared with, and as they are found now.
    expected: Option<(TipsDigest, TipsSoFar)>,
    chained: u64,
    unchained: u64,
    /// Of the first event in commit order that has a hash, and the last one that has none.
    first_chained: Option<u64>,
    last_unchained: Option<(u64, String)>,
    bytes: Vec<u8>,
}

/// What is to be said about all chains together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains {
    pub chained: u64,
    /// Events from before there were hashes: nobody can say whether they are as they were written.
    pub unchained: u64,
    /// As they are now. Kept elsewhere, they show later whether what was there then still is.
    pub tips: TipsDigest,
    /// What only shows over all streams.
    pub broken: Vec<String>,
}

impl ChainCheck {
    /// Compares with the tips of earlier, if some are given.
    pub fn new(expected: Option<TipsDigest>) -> Self {
        Self {
            tip: None,
            tips: TipsSoFar::new(u64::MAX),
            expected: expected.map(|expected| {
                let found = TipsSoFar::new(expected.events);
                (expected, found)
            }),
            chained: 0,
            unchained: 0,
            first_chained: None,
            last_unchained: None,
            bytes: Vec::new(),
        }
    }

    /// What is wrong with this event, if anything is. The ones behind it are checked against what it says.
    pub fn next(&mut self, linked: &Linked) -> Option<String> {
        self.tips.add(linked);
        if let Some((_, found)) = &mut self.expected {
            found.add(linked);
        }
        let Linked { event, id, hash } = linked;
        let before = self.tip.filter(|(stream, _)| *stream == event.stream).and_then(|(_, hash)| hash);
        self.tip = Some((event.stream, *hash));
        let name = || format!("{} {} version {}", event.stream.kind.name(), event.stream.id, event.version);
        let Some(hash) = hash else {
            self.unchained += 1;
            if self.last_unchained.as_ref().is_none_or(|(last, _)| last < id) {
                self.last_unchained = Some((*id, name()));
            }
            return before.map(|_| format!("{} has lost its hash", name()));
        };
        self.chained += 1;
        self.first_chained = Some(self.first_chained.map_or(*id, |first| first.min(*id)));
        let link = Link {
            stream: event.stream,
            shard: event.position.shard.number(),
            version: event.version,
            at: event.at.as_micros(),
            command: event.command.uuid(),
            fingerprint: event.fingerprint,
            by: &event.by,
            name: &event.name,
            data: &event.data,
        };
        let follows = link.hash(before.unwrap_or(NOTHING), &mut self.bytes) == *hash;
        (!follows).then(|| format!("{} is not what was written, or does not follow on what stands before it", name()))
    }

    pub fn end(self) -> Chains {
        let mut broken = Vec::new();
        if let (Some(first), Some((last, name))) = (self.first_chained, self.last_unchained)
            && last > first
        {
            broken.push(format!("{name} has no hash, and events that were written before it do"));
        }
        let events = self.chained + self.unchained;
        if let Some((expected, found)) = self.expected {
            let found = found.end();
            if events < expected.events || found != expected.digest {
                broken.push(format!("the first {} events are not those whose tips were {expected}", expected.events));
            }
        }
        let tips = TipsDigest { events, digest: self.tips.end() };
        Chains { chained: self.chained, unchained: self.unchained, tips, broken }
    }
}
