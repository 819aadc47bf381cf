//! Checks tokens. The only place that turns a text from outside into a [`Caller`].

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::config::{Access, Limits};
use crate::order::Timestamp;

use super::seen::SeenTokens;
use super::{Caller, SigningKey, Unauthorized};

/// Our tokens have some 400 bytes; nothing is decoded that is longer than this.
const LONGEST_TOKEN: usize = 8 * 1024;

/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 30;

/// The `typ` of an access token (RFC 9068): a ticket of another kind, signed with the same key, is none.
const TOKEN_TYPES: [&str; 2] = [super::TOKEN_TYPE, "application/at+jwt"];

/// What is read of a token once its signature, its issuer, its audience and its times are good.
#[derive(Deserialize)]
struct GoodClaims {
    sub: String,
    role: String,
    exp: u64,
}

/// Checks tokens against the keys of our own configuration and against nothing that a token says about itself:
/// of its header only `kid` and `typ` are looked at, never `jku`, `jwk` or `x5u`.
pub struct Verifier {
    kid: String,
    key: DecodingKey,
    checks: Validation,
    seen: SeenTokens,
}

impl Verifier {
    pub fn new(key: &SigningKey, settings: &Access, limits: &Limits) -> Self {
        let mut checks = Validation::new(Algorithm::EdDSA);
        checks.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        checks.set_issuer(&[&settings.issuer]);
        checks.set_audience(&[&settings.audience]);
        checks.validate_nbf = true;
        checks.leeway = LEEWAY;
        Self { kid: key.kid().into(), key: key.decoding(), checks, seen: SeenTokens::new(limits.verified_tokens) }
    }

    /// Says who sends this token.
    pub fn verify(&self, token: &str) -> Result<Caller, Unauthorized> {
        if token.len() > LONGEST_TOKEN {
            return Err(Unauthorized::Invalid);
        }
        let digest = SeenTokens::digest(token);
        if let Some(caller) = self.seen.get(&digest, now()) {
            return Ok(caller);
        }
        let caller = self.check(token)?;
        self.seen.put(digest, caller.clone());
        Ok(caller)
    }

    fn check(&self, token: &str) -> Result<Caller, Unauthorized> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Unauthorized::Invalid)?;
        let ours = header.kid.as_deref() == Some(self.kid.as_str());
        let access_token = header.typ.as_deref().is_some_and(|typ| {
            // A media type: without regard to case, and `application/` may be left out (RFC 7515).
            TOKEN_TYPES.iter().any(|ours| typ.eq_ignore_ascii_case(ours))
        });
        if !ours || !access_token {
            return Err(Unauthorized::Invalid);
        }
        let claims = jsonwebtoken::decode::<GoodClaims>(token, &self.key, &self.checks)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => Unauthorized::Expired,
                _ => Unauthorized::Invalid,
            })?
            .claims;
        Ok(Caller {
            subject: claims.sub.parse().map_err(|_| Unauthorized::Invalid)?,
            role: claims.role.parse().map_err(|_| Unauthorized::Invalid)?,
            expires_at: at_second(claims.exp),
        })
    }
}

/// The moment of a claim, which counts in seconds since 1970.
pub(super) fn at_second(seconds: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

/// Tokens expire by the calendar, so this one clock is not the domain's, which a demonstration may set ahead.
fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}
