//! Idempotency keys: how one is read, what it is called inside, and that two requests with one key are never
//! worked on at the same time.
//!
//! What was answered to a key is kept by the journal. A key belongs to a caller and a route; the route is the
//! path with its ids, so that one key sent to two orders is two wishes.

use std::collections::HashSet;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderValue;
use actix_web::{FromRequest, HttpRequest};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::access::Caller;

use super::code::Code;
use super::error::ApiError;

const HEADER: &str = "idempotency-key";

/// Characters of a key: a UUID has 36, and some clients send a signed text.
const LONGEST_KEY: usize = 255;

/// The key of a request, and the route that it belongs to.
///
/// As an argument of a handler: `IdempotencyKey` where a key is required, `Option<IdempotencyKey>` is not to be used
/// (it would swallow a malformed key): take [`MaybeIdempotencyKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: String,
    method: String,
    path: String,
}

impl IdempotencyKey {
    /// What this wish of this caller is called inside: the first 128 bits of a SHA-256, as a UUIDv8 (RFC 9562).
    pub fn id_for(&self, caller: &Caller) -> Uuid {
        let mut hash = Sha256::new();
        for part in [caller.role.as_str(), caller.subject.as_str(), &self.method, &self.path, &self.key] {
            // The length stands before each part: no two lists of parts give the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Builder::from_custom_bytes(digest[..16].try_into().expect("a SHA-256 has 32 bytes")).into_uuid()
    }

    fn of(request: &HttpRequest) -> Result<Option<Self>, ApiError> {
        let mut given = request.headers().get_all(HEADER);
        let key = match (given.next(), given.next()) {
            (None, _) => return Ok(None),
            (Some(value), None) => parse(value),
            (Some(_), Some(_)) => None,
        };
        let key = key.ok_or_else(|| ApiError::new(Code::IdempotencyKeyMalformed))?;
        Ok(Some(Self { key, method: request.method().to_string(), path: request.path().to_owned() }))
    }
}

/// A quoted text (RFC 8941, as the draft for this header asks for) or the bare key that most clients send.
fn parse(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?.trim();
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted.strip_suffix('"')?)?,
        None => text.to_owned(),
    };
    let fits = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    fits.then_some(key)
}

/// Inside quotes only `\"` and `\\` are escapes.
fn unquoted(text: &str) -> Option<String> {
    let mut characters = text.chars();
    let mut key = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            '"' => return None,
            _ => key.push(character),
        }
    }
    Some(key)
}

impl FromRequest for IdempotencyKey {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).and_then(|key| key.ok_or_else(|| ApiError::new(Code::IdempotencyKeyRequired))))
    }
}

/// The key of a request that may come without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaybeIdempotencyKey(pub Option<IdempotencyKey>);

impl FromRequest for MaybeIdempotencyKey {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(IdempotencyKey::of(request).map(Self))
    }
}

/// Wishes that are being worked on now, by the id of their key.
///
/// Only a courtesy: it spares the second of two racing requests the work. That a wish is carried out once is the
/// journal's promise, which holds without this and across restarts.
pub struct Running {
    bound: usize,
    ids: Mutex<HashSet<Uuid>>,
}

impl Running {
    pub fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self { bound, ids: Mutex::default() })
    }

    /// Enters a wish for as long as the guard lives. Refused while the same one is entered.
    pub fn enter(self: &Arc<Self>, id: Uuid) -> Result<Entered, ApiError> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.contains(&id) {
            return Err(ApiError::new(Code::RequestInProgress));
        }
        if ids.len() >= self.bound {
            return Err(ApiError::new(Code::ServiceFull));
        }
        ids.insert(id);
        Ok(Entered { running: Arc::clone(self), id })
    }
}

/// A wish is being worked on until this is dropped, which also happens when its client hangs up.
pub struct Entered {
    running: Arc<Running>,
    id: Uuid,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.running.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use crate::order::Timestamp;
    use actix_web::test::TestRequest;

    fn read(value: &str) -> Result<Option<IdempotencyKey>, Code> {
        let request = TestRequest::post().uri("/v1/orders").insert_header((HEADER, value)).to_http_request();
        IdempotencyKey::of(&request).map_err(|error| error.code())
    }

    fn caller(role: Role, name: &str) -> Caller {
        Caller { subject: name.parse().unwrap(), role, expires_at: Timestamp::from_micros(0) }
    }

    #[test]
    fn a_key_in_quotes_and_the_bare_key_are_the_same() {
        let bare = read("8e03978e-40d5-43dd-bc93-6894a57f9324").unwrap().unwrap();
        assert_eq!(read("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"").unwrap().unwrap(), bare);
        assert_eq!(read(r#""a\"b\\c""#).unwrap().unwrap().key, r#"a"b\c"#);
    }

    #[test]
    fn a_key_that_is_empty_too_long_or_not_plain_is_refused() {
        let long = "k".repeat(256);
        for bad in ["", "\"\"", "\"open", "a b", "\"a\"b\"", r#""a\n""#, "ключ", long.as_str()] {
            assert_eq!(read(bad), Err(Code::IdempotencyKeyMalformed), "{bad:?}");
        }
        assert!(read(&"k".repeat(255)).is_ok());
    }

    #[test]
    fn two_keys_in_one_request_are_refused() {
        let request = TestRequest::post().append_header((HEADER, "a")).append_header((HEADER, "b")).to_http_request();
        assert_eq!(IdempotencyKey::of(&request).unwrap_err().code(), Code::IdempotencyKeyMalformed);
    }

    #[test]
    fn a_key_belongs_to_a_caller_and_a_route() {
        let of = |path: &str| {
            let request = TestRequest::post().uri(path).insert_header((HEADER, "k")).to_http_request();
            IdempotencyKey::of(&request).unwrap().unwrap()
        };
        let alice = caller(Role::Customer, "alice");
        let mine = of("/v1/orders").id_for(&alice);
        assert_eq!(of("/v1/orders").id_for(&alice), mine);
        assert_ne!(of("/v1/orders").id_for(&caller(Role::Customer, "bob")), mine);
        assert_ne!(of("/v1/orders").id_for(&caller(Role::Owner, "alice")), mine);
        assert_ne!(of("/v1/orders/7/cancel").id_for(&alice), of("/v1/orders/8/cancel").id_for(&alice));
    }

    #[test]
    fn the_second_of_two_racing_requests_is_told_to_come_back() {
        let running = Running::new(2);
        let id = Uuid::from_u128(1);
        let first = running.enter(id).unwrap();
        assert_eq!(running.enter(id).map(drop).unwrap_err().code(), Code::RequestInProgress);
        drop(first);
        assert!(running.enter(id).is_ok());
    }

    #[test]
    fn no_more_requests_than_the_bound_are_worked_on() {
        let running = Running::new(2);
        let _both = [1, 2].map(|n| running.enter(Uuid::from_u128(n)).unwrap());
        assert_eq!(running.enter(Uuid::from_u128(3)).map(drop).unwrap_err().code(), Code::ServiceFull);
    }
}
