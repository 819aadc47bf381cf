//! The operators' view of the clock, and what they may tell it.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Caller, Role};
use crate::actors::{Clock, System};
use crate::order::Timestamp;

use super::code::Code;
use super::error::ApiError;
use super::extract::Body;
use super::server::DevelopmentClock;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockBody {
    /// Sets the clock ahead, where development says so
    #[schema(minimum = 0, maximum = 31536000)]
    advance_s: Option<u64>,
    /// `true`: the clock is right although it has jumped, and time follows it at once
    confirm_jump: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ClockReply {
    /// What time it is for deadlines
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    /// `database` or `machine`: whose time of day it is
    source: &'static str,
    /// How far this machine's clock is ahead of the database's, which counts
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead_of_database_s: Option<f64>,
    /// The time of day has jumped, and deadlines do not follow it yet
    jump: Option<JumpBody>,
}

#[derive(Serialize, ToSchema)]
struct JumpBody {
    /// Negative: back
    by_s: f64,
    /// When it will be followed without anyone's word, if it lasts
    followed_in_s: u64,
}

fn reply(clock: &Clock) -> HttpResponse {
    let report = clock.report();
    let seconds = |micros: i64| micros as f64 / 1e6;
    HttpResponse::Ok().json(ClockReply {
        now: report.now,
        source: if report.ahead_of_database.is_some() { "database" } else { "machine" },
        ahead_of_database_s: report.ahead_of_database.map(seconds),
        jump: report.jump.map(|(by, left)| JumpBody { by_s: seconds(by), followed_in_s: left.as_secs() }),
    })
}

/// What time it is for deadlines, and whether the clock has jumped.
#[utoipa::path(get, path = "/v1/operations/clock", tag = "operations",
    responses((status = 200, description = "The clock", body = ClockReply)))]
pub(super) async fn read(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    Ok(reply(&system.clock))
}

/// Confirms that the clock is right although it has jumped; or sets it ahead, to see deadlines pass, which is there only
/// where development says so.
#[utoipa::path(put, path = "/v1/operations/clock", tag = "operations", request_body = ClockBody,
    responses((status = 200, description = "The clock as it goes now", body = ClockReply)))]
pub(super) async fn set(
    caller: Caller,
    allowed: web::Data<DevelopmentClock>,
    system: web::Data<System>,
    body: Body<ClockBody>,
) -> Result<HttpResponse, ApiError> {
    let ClockBody { advance_s, confirm_jump } = body.into_inner();
    if advance_s.is_some() && !allowed.0 {
        return Err(ApiError::new(Code::NotFound).detail("the development clock is not switched on"));
    }
    caller.must_be(&[Role::Admin])?;
    if advance_s.is_none() && confirm_jump.is_none() {
        return Err(ApiError::new(Code::MissingField).detail("advance_s or confirm_jump"));
    }
    if confirm_jump == Some(true) {
        system.clock.confirm_jump();
    }
    if let Some(seconds) = advance_s {
        // A year at a time.
        system.clock.advance(Duration::from_secs(seconds.min(31_536_000)));
    }
    Ok(reply(&system.clock))
}
