//! The query of a URL.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use crate::http::code::Code;
use crate::http::error::ApiError;

use super::body::refusal;

/// The parameters of the query. Types that are read with this deny unknown fields.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parsed = web::Query::<T>::from_query(request.query_string());
        ready(parsed.map(|query| Self(query.into_inner())).map_err(|error| {
            let message = error.to_string();
            let message = message.strip_prefix("Query deserialize error: ").unwrap_or(&message);
            refusal(message, "", Code::MalformedQuery)
        }))
    }
}
