//! Time as the domain sees it: a value handed in, never read from a clock here.

use std::fmt;
use std::ops::Add;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::parsed;

/// A moment, in whole microseconds since 1970 UTC.
///
/// Microseconds because both engines and RFC 3339 carry them without loss: a replayed order must equal
/// the live one to the digit. In JSON it is an RFC 3339 string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How far `self` lies behind `later`, nothing if it does not.
    pub fn until(self, later: Timestamp) -> std::time::Duration {
        std::time::Duration::from_micros(later.0.saturating_sub(self.0).max(0).unsigned_abs())
    }
}

impl Add<Seconds> for Timestamp {
    type Output = Timestamp;

    fn add(self, span: Seconds) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::from(span.0).saturating_mul(1_000_000)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let moment: jiff::Timestamp = parsed(deserializer)?;
        Ok(Self(moment.as_microsecond()))
    }
}

/// A span of whole seconds, the unit of every time in a service policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u32);

impl Seconds {
    pub const fn half(self) -> Seconds {
        Seconds(self.0 / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_its_json_to_the_microsecond() {
        let noon = Timestamp::from_micros(1_795_262_400_123_456);
        let json = serde_json::to_string(&noon).unwrap();
        assert_eq!(json, "\"2026-11-21T12:00:00.123456Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), noon);
    }
}
