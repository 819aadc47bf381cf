//! The name of a request, by which its log lines are found again.

use std::fmt;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A trace id as in W3C Trace Context: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId(u128);

impl TraceId {
    /// The caller's trace, if the request is part of one; else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        parent.and_then(Self::from_traceparent).unwrap_or_else(|| Self(fastrand::u128(1..)))
    }

    /// `version-trace-parent-flags`. Version `ff` and ids of nothing but zeros are not valid; later versions may
    /// append fields.
    fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex =
            |part: &str, digits| part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let well_formed = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
        if !well_formed || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let nothing = parent.bytes().all(|b| b == b'0');
        let trace = u128::from_str_radix(trace, 16).ok().filter(|&trace| trace != 0)?;
        (!nothing).then_some(Self(trace))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the answer's `X-Request-Id` says: the caller's own, if it is short and plain, else the trace.
pub(super) fn request_id(headers: &HeaderMap, trace: TraceId) -> HeaderValue {
    let plain = |value: &&HeaderValue| {
        (1..=64).contains(&value.len())
            && value.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    match headers.get(&REQUEST_ID).filter(plain) {
        Some(theirs) => theirs.clone(),
        None => HeaderValue::try_from(trace.to_string()).expect("hexadecimal digits may stand in a header"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_the_caller_is_taken_over() {
        let trace = TraceId::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn a_trace_that_is_none_is_replaced() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceId::from_traceparent(bad), None, "{bad}");
        }
    }
}
