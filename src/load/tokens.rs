//! Where the people of the load get their tokens: signed with the server's own key, or asked for at its
//! development sign-in.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use super::api::Api;
use super::town::set_up;
use crate::access::{Issuer, Role};
use crate::order::Subject;

/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

pub enum Tokens {
    /// Signed here, with the key in the server's data directory.
    Signed(Box<Issuer>),
    /// From `POST /v1/tokens`.
    DevelopmentSignIn,
}

#[derive(Deserialize)]
struct Given {
    token: String,
}

impl Tokens {
    pub(super) async fn for_someone(&self, api: &Api, role: &str, name: &str) -> anyhow::Result<String> {
        match self {
            Self::Signed(issuer) => {
                let role: Role = role.parse()?;
                let subject: Subject = name.parse().context("a name of the load")?;
                Ok(issuer.issue(role, &subject, LIFETIME).token)
            }
            Self::DevelopmentSignIn => {
                let body = format!(r#"{{"role":"{role}","sub":"{name}"}}"#);
                let reply = set_up(api, None, "POST", "/v1/tokens", &body).await.context(
                    "no token from the development sign-in: is the server there, and listening on loopback only? \
                     Else name its data directory with --data-dir, to sign tokens with its key",
                )?;
                let Given { token } = serde_json::from_slice(&reply).context("the sign-in gives a token")?;
                Ok(token)
            }
        }
    }
}
