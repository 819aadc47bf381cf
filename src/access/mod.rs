//! Who is asking: our own tokens, and what a checked one says.
//!
//! Owned here: the key that signs, the claims of a token, how a token is checked. Not here: what a caller may
//! touch (each order, store and list decides that), and how a token comes in over HTTP (`http::caller`).

mod issuer;
mod key;
mod seal;
mod seen;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::order::{CustomerId, OwnerId, Party, RiderId, Subject, Timestamp};

pub use issuer::{IssuedToken, Issuer, SelfTestFailed};
pub use key::{KeyError, SigningKey};
pub use seal::Seal;
pub use verifier::Verifier;

/// What someone may do at all. What they may do to one order depends on the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Customer,
    Owner,
    Rider,
    Admin,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Owner => "owner",
            Self::Rider => "rider",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is customer, owner, rider or admin")]
pub struct BadRole;

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        [Self::Customer, Self::Owner, Self::Rider, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(BadRole)
    }
}

/// Someone whose token was checked. Can only come out of [`Verifier::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub subject: Subject,
    pub role: Role,
    /// When the token ends. A live feed is closed then.
    pub expires_at: Timestamp,
}

impl Caller {
    /// The side of an order that this caller stands on.
    pub fn party(&self) -> Party {
        let subject = self.subject.clone();
        match self.role {
            Role::Customer => Party::Customer(CustomerId(subject)),
            Role::Owner => Party::Store(OwnerId(subject)),
            Role::Rider => Party::Rider(RiderId(subject)),
            Role::Admin => Party::Operator(subject),
        }
    }
}

/// `customer:alice`, for people.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.role, self.subject)
    }
}

/// Why a token says nothing about who is asking.
///
/// Which check failed is not told apart further: it would only help whoever is trying keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    #[error("no token was sent")]
    Missing,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not one of ours")]
    Invalid,
}

/// The `typ` of our tokens.
const TOKEN_TYPE: &str = "at+jwt";
