//! The address of a database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The address of a database, which may hold a password: shown and logged without it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(pub(super) String);

impl DatabaseUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address with `***` for everything between the user's name and the last `@` before the host, and for what
    /// comes after a `?`: a password may stand there too.
    fn without_password(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else { return "***".into() };
        let host_from = rest.find('/').unwrap_or(rest.len());
        let shown = match rest[..host_from].rfind('@') {
            Some(at) => {
                let user = rest[..at].split(':').next().unwrap_or_default();
                format!("{scheme}://{user}:***{}", &rest[at..])
            }
            None => self.0.clone(),
        };
        match shown.split_once('?') {
            Some((address, _)) => format!("{address}?***"),
            None => shown,
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_password())
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.without_password())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_the_database_is_never_shown() {
        for url in [
            "postgres://app:s3cret@db:5432/orders",
            "postgres://app:s3c@ret@db/orders",
            "postgres://db/orders?user=app&password=s3cret",
            "postgres://app:s3c?ret@db/orders",
            "s3cret",
        ] {
            let shown = format!("{:?}", DatabaseUrl(url.into()));
            assert!(!shown.contains("s3c") && !shown.contains("ret@"), "{shown}");
        }
        assert_eq!(format!("{:?}", DatabaseUrl("postgres://db/orders".into())), "postgres://db/orders");
    }
}
