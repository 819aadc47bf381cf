//! What a refusal looks like on the wire: problem details as in RFC 9457.

use serde::Serialize;
use utoipa::ToSchema;

use crate::order::OrderId;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A page of this server that says what the code means and what to do.
    #[serde(rename = "type")]
    #[schema(example = "/problems/not_found")]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: &'static str,
    pub status: u16,
    /// About this one occurrence, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The stable word for programs.
    #[schema(example = "not_found")]
    pub code: &'static str,
    /// The path that was asked for.
    pub instance: String,
    /// Names the request in the server's log.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: String,
    /// All that is wrong with the fields of the request, at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The order that the problem is about, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub order_id: Option<OrderId>,
    /// Where that order stands. Not `status`, which is the HTTP status in RFC 9457.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_status: Option<&'static str>,
    /// The commands that this caller may issue to that order now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<&'static str>>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the body (RFC 6901), or the name of a query parameter.
    #[schema(example = "/lines/0/quantity")]
    pub pointer: String,
    #[schema(example = "out_of_range")]
    pub code: &'static str,
    pub detail: String,
}
