//! Answers with a body of their own that are kept for repeats of a request: those of the catalogue.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use crate::access::Caller;
use crate::actors::CatalogueError;
use crate::order::Timestamp;
use crate::store::{Answer, AnswerKey, NewAnswer};

use super::code::Code;
use super::error::ApiError;
use super::idempotency::MaybeIdempotencyKey;
use super::outcome::REPLAYED;

/// The key of a request that may come without one.
pub(super) fn answer_key(key: &MaybeIdempotencyKey, caller: &Caller, fingerprint: i64) -> Option<AnswerKey> {
    key.0.as_ref().map(|key| AnswerKey { key: key.id_for(caller), fingerprint })
}

/// What is to be kept together with the change.
pub(super) fn new_answer(key: Option<AnswerKey>, at: Timestamp, status: StatusCode, body: &str) -> Option<NewAnswer> {
    key.map(|key| NewAnswer { key, at, status: status.as_u16(), body: body.to_owned() })
}

pub(super) fn json(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).content_type("application/json").body(body)
}

pub(super) fn to_json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("a body has string keys and finite numbers")
}

/// The answer of the first time; or a refusal, if the key came with another body then.
pub(super) fn replay(answer: Answer, fingerprint: i64) -> Result<HttpResponse, ApiError> {
    match answer {
        Answer::Body { fingerprint: then, status, body } if then == fingerprint => {
            let mut answer = json(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body);
            answer.headers_mut().insert(REPLAYED, "true".parse().expect("a plain word"));
            Ok(answer)
        }
        Answer::Body { .. } | Answer::Stream { .. } => Err(ApiError::new(Code::IdempotencyKeyReused)),
    }
}

/// The answer that belongs to what became of a change of the catalogue.
pub(super) fn changed(
    outcome: Result<(), CatalogueError>,
    status: StatusCode,
    body: String,
    fingerprint: i64,
) -> Result<HttpResponse, ApiError> {
    match outcome {
        Ok(()) => Ok(json(status, body)),
        Err(CatalogueError::AnsweredBefore(answer)) => replay(answer, fingerprint),
        Err(CatalogueError::Conflict) => Err(ApiError::new(Code::ChangedMeanwhile)),
        Err(CatalogueError::Unwritable) => Err(ApiError::new(Code::ServiceUnavailable)),
        Err(CatalogueError::Unknown) => Err(ApiError::new(Code::OutcomeUnknown)),
    }
}
