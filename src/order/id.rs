//! Names of things, one type per noun, so that no two of them can be mixed up in a signature.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::text::parsed;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// One order, and the stream of events that is its history. A UUIDv7, made where the order is taken.
    OrderId
);
uuid_id!(
    /// One shop.
    StoreId
);
uuid_id!(
    /// One line of a shop's menu, or one service of a courier.
    ItemId
);
uuid_id!(
    /// One attempt to change something. Equal ids are the same attempt, however often it arrives.
    CommandId
);

/// Who someone is, as the token issuer names them: the `sub` of their token.
///
/// 1 to 64 characters out of `A-Z a-z 0-9 . _ : @ -`, so that it is safe in a path, a log line and a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Subject(Arc<str>);

/// The text is not a name that can be given to anyone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 64 characters out of letters, digits and . _ : @ -")]
pub struct BadSubject;

impl Subject {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'@' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) { Ok(Self(text.into())) } else { Err(BadSubject) }
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! subject_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Subject);

        impl $name {
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadSubject;

            fn from_str(text: &str) -> Result<Self, BadSubject> {
                text.parse().map(Self)
            }
        }
    };
}

subject_id!(
    /// Who ordered.
    CustomerId
);
subject_id!(
    /// Who created a store and runs it.
    OwnerId
);
subject_id!(
    /// Who carries a delivery.
    RiderId
);

impl RiderId {
    /// The key of the rider's own stream: UUIDv5 (RFC 9562) of the rider's name, so that it needs no table.
    pub fn stream(&self) -> Uuid {
        Uuid::new_v5(&RIDERS, self.as_str().as_bytes())
    }
}

/// The name space of rider streams: an arbitrary constant that must never change.
const RIDERS: Uuid = Uuid::from_u128(0x6d1c_58f0_3f0c_4a5e_9a7b_2f6d_6b61_6471);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_line_break_or_a_slash_is_refused() {
        for bad in ["", "a\nb", "a/b", "a b", "ümit", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Subject>(), Err(BadSubject), "{bad:?}");
        }
        assert!("rider-7@coop.example".parse::<Subject>().is_ok());
    }
}
