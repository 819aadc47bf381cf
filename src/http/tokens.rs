//! The public half of our key, and the development sign-in.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::header::{ContentType, HOST, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{IssuedToken, Issuer, Role};
use crate::config::{Access, Switch};
use crate::order::{Subject, Timestamp};

use super::code::Code;
use super::error::ApiError;
use super::extract::Body;

/// The public key as `/.well-known/jwks.json` shows it.
pub(super) struct Jwks(pub(super) String);

/// Who may have a token without saying who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignIn {
    Nobody,
    /// Whoever reaches us on this machine, under a name of this machine: a page of the open web that had its own
    /// name resolve to loopback would come with that name in `Host`.
    OnThisMachine,
    Everybody,
}

/// The development sign-in of this server.
#[derive(Clone, Copy, Debug)]
pub(super) struct DevelopmentSignIn {
    pub(super) open_to: SignIn,
    pub(super) lifetime: Duration,
}

impl DevelopmentSignIn {
    pub(super) fn new(settings: &Access, listening_on: IpAddr) -> Self {
        let open_to = match settings.development_sign_in {
            Switch::On => SignIn::Everybody,
            Switch::Auto if listening_on.is_loopback() => SignIn::OnThisMachine,
            Switch::Auto | Switch::Off => SignIn::Nobody,
        };
        Self { open_to, lifetime: settings.development_token_lifetime_s.duration() }
    }

    fn admits(self, headers: &HeaderMap) -> bool {
        match self.open_to {
            SignIn::Nobody => false,
            SignIn::Everybody => true,
            SignIn::OnThisMachine => {
                headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(names_this_machine)
            }
        }
    }
}

/// `localhost` or a loopback address, with or without a port.
fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Who one would like to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInBody {
    role: Role,
    /// 1 to 64 letters, digits and `. _ : @ -`
    #[schema(value_type = String, example = "alice")]
    sub: Subject,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenBody {
    token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Gives a token to anyone, for development. There only while the server listens on loopback, or switched on.
#[utoipa::path(post, path = "/v1/tokens", tag = "access", security(()), request_body = SignInBody,
    responses((status = 200, description = "A token", body = TokenBody)))]
pub(super) async fn issue(
    request: HttpRequest,
    sign_in: web::Data<DevelopmentSignIn>,
    issuer: web::Data<Issuer>,
    body: Body<SignInBody>,
) -> Result<web::Json<TokenBody>, ApiError> {
    if !sign_in.admits(request.headers()) {
        return Err(ApiError::new(Code::NotFound).detail("the development sign-in is not open"));
    }
    let SignInBody { role, sub } = body.into_inner();
    let IssuedToken { token, expires_at } = issuer.issue(role, &sub, sign_in.lifetime);
    Ok(web::Json(TokenBody { token, expires_at }))
}

/// The public key with which anyone can check our tokens (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "access", security(()),
    responses((status = 200, description = "A key set", content_type = "application/json")))]
pub(super) async fn jwks(jwks: web::Data<Jwks>) -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(jwks.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_open_the_sign_in() {
        for here in ["localhost", "LOCALHOST:8088", "127.0.0.1:8088", "127.9.9.9", "[::1]:8088", "[::1]"] {
            assert!(names_this_machine(here), "{here}");
        }
        for elsewhere in ["", "localhost.evil.example", "127.0.0.1.evil.example:8088", "evil.example:8088", "10.0.0.1"]
        {
            assert!(!names_this_machine(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn the_sign_in_is_open_on_loopback_unless_it_is_switched() {
        let open_to = |switch, address: &str| {
            let settings = Access { development_sign_in: switch, ..Access::default() };
            DevelopmentSignIn::new(&settings, address.parse().unwrap()).open_to
        };
        assert_eq!(open_to(Switch::Auto, "127.0.0.1"), SignIn::OnThisMachine);
        assert_eq!(open_to(Switch::Auto, "::1"), SignIn::OnThisMachine);
        assert_eq!(open_to(Switch::Auto, "0.0.0.0"), SignIn::Nobody);
        assert_eq!(open_to(Switch::Off, "127.0.0.1"), SignIn::Nobody);
        assert_eq!(open_to(Switch::On, "0.0.0.0"), SignIn::Everybody);
    }
}
