//! How one of the people speaks to the service: over HTTP, as anyone would, and patiently.
//!
//! A refusal that says "come back" is taken at its word: the same request is sent again with the same
//! Idempotency-Key, so that nothing happens twice however often it is sent.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::access::{Issuer, Role};
use crate::order::Subject;

/// How often one request is sent before its sender gives up until the next round.
const SENT_AT_MOST: u32 = 4;

/// How long an answer is waited for: longer than the server's own limit, so that it is the server who says so.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long to wait when the answer does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// Longer than any demonstration: the token never leaves this process.
const TOKEN_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The service, as people find it.
#[derive(Clone)]
pub(super) struct Door {
    http: reqwest::Client,
    base: String,
    issuer: Arc<Issuer>,
}

impl Door {
    pub(super) fn new(mut address: SocketAddr, issuer: Arc<Issuer>) -> reqwest::Result<Self> {
        // "Listen everywhere" is no address that one can call.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { http, base: format!("http://{address}"), issuer })
    }

    pub(super) fn enter(&self, role: Role, name: &'static str) -> Client {
        let subject: Subject = name.parse().expect("the names of the demonstration are plain");
        let token = self.issuer.issue(role, &subject, TOKEN_LIFETIME).token;
        Client { door: self.clone(), token, name }
    }
}

/// Someone with a token.
pub(super) struct Client {
    door: Door,
    token: String,
    pub(super) name: &'static str,
}

/// What the service said instead of doing it.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// 0 without an answer.
    pub(super) status: u16,
    pub(super) code: String,
    detail: String,
    /// The order that this refusal ended, or that it is about.
    pub(super) order_id: Option<Uuid>,
}

impl Refused {
    /// Full, unavailable and unknown pass; so does a repeat that met itself, and a server that was not there.
    fn passes(&self) -> bool {
        matches!(self.status, 0 | 429 | 503 | 504) || self.code == "request_in_progress"
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.status, self.code, self.detail)
    }
}

/// The part of a problem (RFC 9457) that people go by.
#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    order_id: Option<Uuid>,
}

struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: String,
}

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refused> {
        self.send(Method::GET, path, None, None).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Result<(), Refused> {
        self.send::<Value>(Method::PUT, path, Some(&body), None).await.map(drop)
    }

    /// Every call is a wish of its own, and a repeat of it the same wish.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Refused> {
        self.post_as(&Uuid::now_v7().to_string(), path, body).await
    }

    pub(super) async fn post_as<T: DeserializeOwned>(&self, key: &str, path: &str, body: Value) -> Result<T, Refused> {
        self.send(Method::POST, path, Some(&body), Some(key)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<T, Refused> {
        let mut sent = 0;
        loop {
            sent += 1;
            let (refused, pause) = match self.send_once(method.clone(), path, body, key).await {
                Ok(answer) if answer.status < 300 => return read(&answer),
                Ok(answer) => (problem(&answer), answer.retry_after.unwrap_or(PAUSE)),
                Err(error) => (no_answer(&error), PAUSE),
            };
            if sent == SENT_AT_MOST || !refused.passes() {
                return Err(refused);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.door.http.request(method, format!("{}{path}", self.door.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send().await?;
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        let status = response.status().as_u16();
        Ok(Answer { status, retry_after, body: response.text().await? })
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Refused> {
    // Some routes answer without a body.
    let body = if answer.body.is_empty() { "null" } else { &answer.body };
    serde_json::from_str(body).map_err(|error| Refused {
        status: answer.status,
        code: "not_understood".into(),
        detail: error.to_string(),
        order_id: None,
    })
}

fn no_answer(error: &reqwest::Error) -> Refused {
    Refused { code: "no_answer".into(), detail: error.to_string(), ..Refused::default() }
}

fn problem(answer: &Answer) -> Refused {
    let status = answer.status;
    match serde_json::from_str::<Problem>(&answer.body) {
        Ok(Problem { code, detail, order_id }) => {
            Refused { status, code, detail: detail.unwrap_or_default(), order_id }
        }
        Err(_) => Refused { status, code: "not_understood".into(), ..Refused::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: None, body: body.into() }
    }

    #[test]
    fn a_full_service_is_come_back_to_and_a_no_is_not() {
        let full = problem(&answer(503, r#"{"code":"service_full","status":503}"#));
        assert!(full.passes());
        let running = problem(&answer(409, r#"{"code":"request_in_progress"}"#));
        assert!(running.passes());
        let late = problem(&answer(409, r#"{"code":"wrong_status"}"#));
        assert!(!late.passes());
    }

    #[test]
    fn the_order_that_a_refusal_ended_is_known() {
        let id = Uuid::from_u128(7);
        let declined =
            problem(&answer(402, &format!(r#"{{"code":"payment_declined","order_id":"{id}","title":"x"}}"#)));
        assert_eq!((declined.order_id, declined.code.as_str()), (Some(id), "payment_declined"));
    }

    #[test]
    fn no_body_is_read_as_nothing_and_nonsense_is_said_to_be() {
        assert!(read::<Option<u8>>(&answer(204, "")).is_ok_and(|nothing| nothing.is_none()));
        assert_eq!(read::<u8>(&answer(200, "<html>")).map_err(|refused| refused.code), Err("not_understood".into()));
    }
}
