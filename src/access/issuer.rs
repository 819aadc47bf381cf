//! Signs tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

use crate::config::Access;
use crate::order::{Subject, Timestamp};

use super::{Role, SigningKey, TOKEN_TYPE, Verifier};

/// Gives tokens to whoever has the right to ask for them; that right is not checked here.
pub struct Issuer {
    key: EncodingKey,
    header: Header,
    issuer: String,
    audience: String,
}

/// What our tokens say (RFC 9068). The times are in seconds since 1970.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    role: Role,
    exp: u64,
    iat: u64,
    nbf: u64,
    /// Names this one token, so that two issued in the same second differ.
    jti: Uuid,
}

/// A token, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    pub token: String,
    pub expires_at: Timestamp,
}

/// Signing or checking does not work in this build: nobody could come in.
#[derive(Debug, thiserror::Error)]
#[error("a token that was just signed is not accepted")]
pub struct SelfTestFailed;

impl Issuer {
    pub fn new(key: &SigningKey, settings: &Access) -> Self {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.into());
        header.kid = Some(key.kid().into());
        Self { key: key.encoding(), header, issuer: settings.issuer.clone(), audience: settings.audience.clone() }
    }

    /// A token that is good from now for `lifetime`.
    pub fn issue(&self, role: Role, subject: &Subject, lifetime: Duration) -> IssuedToken {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let exp = now.saturating_add(lifetime.as_secs());
        let claims = Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: subject.as_str(),
            role,
            exp,
            iat: now,
            nbf: now,
            jti: Uuid::now_v7(),
        };
        let token = jsonwebtoken::encode(&self.header, &claims, &self.key)
            .expect("the key was read as an Ed25519 key and the claims are plain text and numbers");
        IssuedToken { token, expires_at: super::verifier::at_second(exp) }
    }

    /// Signs one token and checks it, before anyone depends on it: the library finds its cryptography only at
    /// first use, and panics when a build has none.
    pub fn self_test(&self, verifier: &Verifier) -> Result<(), SelfTestFailed> {
        let subject: Subject = "self-test".parse().expect("it is made of letters");
        let issued = self.issue(Role::Rider, &subject, Duration::from_secs(60));
        match verifier.verify(&issued.token) {
            Ok(caller) if caller.subject == subject && caller.role == Role::Rider => Ok(()),
            _ => Err(SelfTestFailed),
        }
    }
}
