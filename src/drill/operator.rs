//! The operator's hand in a drill: what is broken and mended goes through the public interface.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::books::Entry;

/// The operator is served when others are not; but not without limit.
const WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Operator {
    http: reqwest::Client,
    base: String,
    token: String,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Entry>,
}

#[derive(Deserialize)]
struct Given {
    token: String,
}

impl Operator {
    pub(super) async fn at(address: SocketAddr) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(WITHIN).no_proxy().build()?;
        let base = format!("http://{address}");
        let wish = json!({"role": "admin", "sub": "drill"});
        let answer = http.post(format!("{base}/v1/tokens")).json(&wish).send().await?.error_for_status()?;
        let Given { token } = answer.json().await.context("the sign-in gives a token")?;
        Ok(Self { http, base, token })
    }

    /// How the payment provider behaves from now on.
    pub(super) async fn payments(&self, latency_ms: (u64, u64), failure: Option<&str>) -> anyhow::Result<()> {
        let mood = json!({"latency_ms": [latency_ms.0, latency_ms.1], "failure": failure});
        self.put("/v1/operations/sandbox", &mood).await
    }

    pub(super) async fn pause_store_management(&self, paused: bool) -> anyhow::Result<()> {
        self.put("/v1/operations/store-management", &json!({"paused": paused})).await
    }

    /// The provider's books of all orders after this one.
    pub(super) async fn ledger(&self, mut after: Uuid) -> anyhow::Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let path = format!("{}/v1/operations/sandbox/ledger?after={after}", self.base);
            let answer = self.http.get(path).bearer_auth(&self.token).send().await?.error_for_status()?;
            let Page { items } = answer.json().await.context("the provider's books are a list")?;
            let Some(last) = items.last() else { return Ok(entries) };
            after = last.order_id;
            entries.extend(items);
        }
    }

    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.http.request(Method::PUT, format!("{}{path}", self.base)).bearer_auth(&self.token);
        request.json(body).send().await?.error_for_status().with_context(|| format!("PUT {path}"))?;
        Ok(())
    }
}
