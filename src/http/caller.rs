//! Who is asking: how a token comes in over HTTP.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use actix_web::{FromRequest, HttpRequest, web};

use crate::access::{Caller, Role, Unauthorized, Verifier};

use super::code::Code;
use super::error::ApiError;

/// What a browser puts before its token: it cannot set headers on a WebSocket, but it can name sub-protocols.
pub const BEARER_PROTOCOL: &str = "bearer.";

/// Name it first among a handler's arguments: then whoever has no token is refused before the body is read.
impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(of(request).map_err(ApiError::from))
    }
}

/// Who sends this request.
pub(super) fn of(request: &HttpRequest) -> Result<Caller, Unauthorized> {
    let verifier = request.app_data::<web::Data<Verifier>>().expect("every app of ours is given its verifier");
    bearer_token(request.headers()).and_then(|token| verifier.verify(token))
}

impl Caller {
    /// Refuses everyone whose role is not among these.
    pub fn must_be(&self, roles: &[Role]) -> Result<(), ApiError> {
        if roles.contains(&self.role) {
            return Ok(());
        }
        Err(ApiError::new(Code::Forbidden).detail(format!("the token's role is {}", self.role)))
    }
}

/// The token of the request: from `Authorization`, else from the sub-protocols of a WebSocket.
fn bearer_token(headers: &HeaderMap) -> Result<&str, Unauthorized> {
    let mut given = headers.get_all(AUTHORIZATION);
    match (given.next(), given.next()) {
        // Two of them: whoever stands between us and the client may have looked at the other one.
        (Some(_), Some(_)) => Err(Unauthorized::Invalid),
        (Some(value), None) => {
            let (scheme, token) =
                value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Unauthorized::Invalid)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(Unauthorized::Missing);
            }
            Ok(token.trim_matches(' '))
        }
        _ => headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|protocol| protocol.trim().strip_prefix(BEARER_PROTOCOL))
            .ok_or(Unauthorized::Missing),
    }
}
