//! What a command of the command line asks of a server that runs on the same data.
//!
//! Whoever can read the data directory can sign a token with its key, so no secret has to be given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::access::{Issuer, Role, SigningKey};
use crate::config::Config;

/// Longer than any request takes, shorter than anyone watches a command do nothing.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the token of a command is good.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

/// The server at `http.listen` of the same settings.
pub(crate) struct RunningServer {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl RunningServer {
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let mut address = config.http.listen;
        // "Listen everywhere" is no address that one can call.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let key = SigningKey::read(&config.data_dir)?;
        let operator = "command-line".parse().expect("a plain name");
        let token = Issuer::new(&key, &config.access).issue(Role::Admin, &operator, TOKEN_LIFETIME).token;
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { http, base: format!("http://{address}"), token })
    }

    pub(crate) async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> anyhow::Result<T> {
        let address = format!("{}{path}", self.base);
        let request = self.http.request(method, &address).bearer_auth(&self.token);
        let answer = request.send().await.with_context(|| {
            format!("a server runs on this data but does not answer at {}: name its address with --listen", self.base)
        })?;
        let status = answer.status();
        let body = answer.text().await?;
        anyhow::ensure!(status.is_success(), "{address} answers {status}: {body}");
        serde_json::from_str(&body).with_context(|| format!("{address} answers what this program does not understand"))
    }
}
