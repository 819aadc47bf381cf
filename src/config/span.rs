//! Spans of time whose unit is in the name of the setting, so that a file never says a bare `5`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! span {
    ($(#[$doc:meta])* $name:ident, $unit:literal, $to_duration:path) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            pub const fn duration(self) -> Duration {
                $to_duration(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
    };
}

span!(
    /// Milliseconds: the waits inside one request.
    Millis, "ms", Duration::from_millis
);
span!(
    /// Seconds: everything a person notices.
    Secs, "s", Duration::from_secs
);
