//! Tokens that must not let anyone in, each wrong in one way.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::config::{Access, Limits};

use super::{Issuer, Role, SigningKey, Unauthorized, Verifier};

struct Desk {
    key: SigningKey,
    verifier: Verifier,
    issuer: Issuer,
}

fn desk() -> Desk {
    let key = SigningKey::generate().unwrap();
    let settings = Access::default();
    let verifier = Verifier::new(&key, &settings, &Limits::default());
    let issuer = Issuer::new(&key, &settings);
    Desk { key, verifier, issuer }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn good_claims() -> Value {
    json!({"iss": "baedal", "aud": "baedal", "sub": "alice", "role": "customer",
           "exp": now() + 600, "iat": now(), "nbf": now(), "jti": "1"})
}

impl Desk {
    fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".into());
        header.kid = Some(self.key.kid().into());
        header
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key.encoding()).unwrap()
    }

    /// What comes of a good token with some claims changed; `null` takes a claim out.
    fn with_claims(&self, changes: Value) -> Result<super::Caller, Unauthorized> {
        let mut claims = good_claims();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                _ => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        self.verifier.verify(&self.sign(&self.header(), &claims))
    }
}

#[test]
fn a_token_of_ours_names_its_caller_and_its_end() {
    let desk = desk();
    desk.issuer.self_test(&desk.verifier).unwrap();
    let issued = desk.issuer.issue(Role::Owner, &"mario@pizza".parse().unwrap(), Duration::from_secs(900));
    for _first_and_remembered in 0..2 {
        let caller = desk.verifier.verify(&issued.token).unwrap();
        assert_eq!(caller.to_string(), "owner:mario@pizza");
        assert_eq!(caller.expires_at, issued.expires_at);
    }
}

#[test]
fn the_claims_that_the_other_tests_spoil_are_good() {
    assert!(desk().with_claims(json!({})).is_ok());
}

#[test]
fn two_tokens_of_one_second_differ() {
    let desk = desk();
    let issue = || desk.issuer.issue(Role::Rider, &"r".parse().unwrap(), Duration::from_secs(9)).token;
    assert_ne!(issue(), issue());
}

#[test]
fn an_unsigned_token_is_refused() {
    let desk = desk();
    for alg in ["none", "None", "NONE"] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": desk.key.kid()});
        let [header, claims] = [header, good_claims()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        for signature in ["", "AA"] {
            let token = format!("{header}.{claims}.{signature}");
            assert_eq!(desk.verifier.verify(&token), Err(Unauthorized::Invalid));
        }
    }
}

#[test]
fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
    let desk = desk();
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some("at+jwt".into());
    header.kid = Some(desk.key.kid().into());
    let x = desk.key.jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
    for secret in [URL_SAFE_NO_PAD.decode(&x).unwrap(), x.into_bytes()] {
        let token = jsonwebtoken::encode(&header, &good_claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(desk.verifier.verify(&token), Err(Unauthorized::Invalid));
    }
}

#[test]
fn a_token_of_another_key_is_refused_whatever_it_says_about_its_key() {
    let (desk, other) = (desk(), desk());
    let named_as_ours = other.sign(&desk.header(), &good_claims());
    assert_eq!(desk.verifier.verify(&named_as_ours), Err(Unauthorized::Invalid));

    let mut points_elsewhere = desk.header();
    points_elsewhere.jku = Some("http://127.0.0.1:9/keys".into());
    points_elsewhere.x5u = Some("http://127.0.0.1:9/cert".into());
    points_elsewhere.jwk = Some(serde_json::from_value(other.key.jwks()["keys"][0].clone()).unwrap());
    let token = other.sign(&points_elsewhere, &good_claims());
    assert_eq!(desk.verifier.verify(&token), Err(Unauthorized::Invalid));
}

#[test]
fn a_key_that_is_not_named_or_not_ours_is_refused() {
    let desk = desk();
    for kid in [None, Some(""), Some("../../issuer-key.der"), Some("' or 1=1 --")] {
        let mut header = desk.header();
        header.kid = kid.map(Into::into);
        assert_eq!(desk.verifier.verify(&desk.sign(&header, &good_claims())), Err(Unauthorized::Invalid), "{kid:?}");
    }
}

#[test]
fn a_token_that_is_no_access_token_is_refused() {
    let desk = desk();
    for typ in [None, Some("JWT"), Some("id+jwt"), Some("")] {
        let mut header = desk.header();
        header.typ = typ.map(Into::into);
        assert_eq!(desk.verifier.verify(&desk.sign(&header, &good_claims())), Err(Unauthorized::Invalid), "{typ:?}");
    }
}

#[test]
fn times_are_kept_to_within_half_a_minute() {
    let desk = desk();
    assert_eq!(desk.with_claims(json!({"exp": now() - 40})), Err(Unauthorized::Expired));
    assert!(desk.with_claims(json!({"exp": now() - 10})).is_ok());
    assert_eq!(desk.with_claims(json!({"nbf": now() + 60})), Err(Unauthorized::Invalid));
    assert!(desk.with_claims(json!({"nbf": now() + 10})).is_ok());
}

#[test]
fn a_claim_that_is_missing_or_of_the_wrong_kind_is_refused() {
    let desk = desk();
    for claim in ["exp", "iss", "aud", "sub", "role"] {
        assert_eq!(desk.with_claims(json!({claim: null})), Err(Unauthorized::Invalid), "without {claim}");
    }
    for wrong in [
        json!({"exp": (now() + 600).to_string()}),
        json!({"exp": (now() + 600) as f64 + 0.5}),
        json!({"exp": -1}),
        json!({"nbf": "yesterday"}),
        json!({"iss": "someone-else"}),
        json!({"aud": "another-service"}),
        json!({"sub": "a b"}),
        json!({"sub": ""}),
        json!({"role": "root"}),
        json!({"role": ["customer", "admin"]}),
    ] {
        assert_eq!(desk.with_claims(wrong.clone()), Err(Unauthorized::Invalid), "{wrong}");
    }
}

#[test]
fn a_claim_that_stands_twice_is_refused() {
    let desk = desk();
    let twice = good_claims().to_string().replace("\"role\":", "\"role\":\"admin\",\"role\":");
    let twice: Box<serde_json::value::RawValue> = serde_json::from_str(&twice).unwrap();
    let token = jsonwebtoken::encode(&desk.header(), &twice, &desk.key.encoding()).unwrap();
    assert_eq!(desk.verifier.verify(&token), Err(Unauthorized::Invalid));
}

#[test]
fn a_token_that_was_cut_or_changed_is_refused() {
    let desk = desk();
    let token = desk.sign(&desk.header(), &good_claims());
    let (head, signature) = token.rsplit_once('.').unwrap();
    for spoiled in [
        format!("{head}.{}", &signature[..40]),
        format!("{head}."),
        head.to_owned(),
        format!("{head}.{signature}.x"),
        token.replacen('.', "x.", 1),
        String::new(),
        "..".into(),
        "not a token".into(),
    ] {
        assert_eq!(desk.verifier.verify(&spoiled), Err(Unauthorized::Invalid), "{spoiled}");
    }
}

#[test]
fn a_token_that_is_too_long_is_not_even_decoded() {
    let desk = desk();
    assert_eq!(desk.with_claims(json!({"padding": "x".repeat(6_100)})), Err(Unauthorized::Invalid));
    assert!(desk.with_claims(json!({"padding": "x".repeat(4_000)})).is_ok());
}
