//! Every refusal on its way out: which code it gets, and what goes with it.
//!
//! The table from code to status and page is in `code`. Handlers return an [`ApiError`]; the body is rendered once,
//! by `around`, which alone knows the trace and the path.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

use crate::access::Unauthorized;
use crate::order::{OrderId, Rejection};
use crate::store::Position;

use super::code::Code;
use super::outcome::POSITION;
use super::problem::{FieldError, Problem};

/// A refusal. One pointer wide, because every handler's result carries room for it.
#[derive(Debug)]
pub struct ApiError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    code: Code,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    order_id: Option<OrderId>,
    order_status: Option<&'static str>,
    allowed: Option<Vec<&'static str>>,
    methods: Option<&'static str>,
    replayed: bool,
    position: Option<Position>,
}

/// Seconds that a refused caller is asked to wait: spread by chance, so that those who were refused together do
/// not come back together.
const RETRY_AFTER_S: std::ops::RangeInclusive<u32> = 1..=5;

impl ApiError {
    pub fn new(code: Code) -> Self {
        Self(Box::new(Refusal {
            code,
            detail: None,
            errors: Vec::new(),
            order_id: None,
            order_status: None,
            allowed: None,
            methods: None,
            replayed: false,
            position: None,
        }))
    }

    /// Says what is special about this occurrence. Never an inner error: those go to the log.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub fn field(mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
        self
    }

    /// Names the order that was refused, or that was ended by this refusal.
    pub fn about_order(mut self, order: OrderId) -> Self {
        self.0.order_id = Some(order);
        self
    }

    /// Says where the order stands and what this caller may do with it now.
    pub fn in_state(mut self, order_status: &'static str, allowed: Vec<&'static str>) -> Self {
        self.0.order_status = Some(order_status);
        self.0.allowed = Some(allowed);
        self
    }

    /// There is an order all the same, whose last event stands there.
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.0.position = position;
        self
    }

    /// This is what was answered to the same request before.
    pub fn replayed(mut self) -> Self {
        self.0.replayed = true;
        self
    }

    /// Nothing is registered for this method; `methods` is the value of `Allow`.
    pub(super) fn method_not_allowed(methods: &'static str) -> Self {
        let mut error = Self::new(Code::MethodNotAllowed);
        error.0.methods = Some(methods);
        error
    }

    /// Our own mistake: the chain of errors goes to the log, and a bare 500 to the caller.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let chain = causes.fold(error.to_string(), |chain, cause| format!("{chain}: {cause}"));
        tracing::error!(error = chain, "a request failed inside");
        Self::new(Code::Internal)
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The whole answer.
    pub(super) fn render(&self, instance: &str, trace_id: String) -> HttpResponse {
        let refusal = &*self.0;
        let code = refusal.code;
        let problem = Problem {
            kind: format!("/problems/{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: refusal.detail.as_deref().map(str::to_owned),
            code: code.as_str(),
            instance: instance.to_owned(),
            trace_id,
            errors: refusal.errors.clone(),
            order_id: refusal.order_id,
            order_status: refusal.order_status,
            allowed: refusal.allowed.clone(),
        };
        let body = serde_json::to_string(&problem).expect("a problem is made of texts and numbers");
        let mut answer = HttpResponse::build(code.status());
        answer.content_type("application/problem+json");
        if code.passes_soon() {
            answer.insert_header((RETRY_AFTER, fastrand::u32(RETRY_AFTER_S)));
        }
        if let Some(position) = refusal.position {
            answer.insert_header((POSITION, position.to_string()));
        }
        if refusal.replayed {
            answer.insert_header(("idempotency-replayed", "true"));
        }
        if code == Code::OutcomeUnknown {
            answer.insert_header(("x-outcome", "unknown"));
        }
        if let Some(methods) = refusal.methods {
            answer.insert_header((ALLOW, HeaderValue::from_static(methods)));
        }
        if let Some(challenge) = challenge(code) {
            answer.insert_header((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        }
        answer.body(body)
    }
}

/// How to come in (RFC 6750): without `error` when no token was sent at all.
fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::TokenMissing => Some("Bearer realm=\"baedal\""),
        Code::TokenInvalid => Some("Bearer realm=\"baedal\", error=\"invalid_token\""),
        Code::TokenExpired => {
            Some("Bearer realm=\"baedal\", error=\"invalid_token\", error_description=\"the token has expired\"")
        }
        _ => None,
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.detail.as_deref().unwrap_or(self.0.code.title()))
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    /// Only the status: the body needs the trace and the path, and `around` adds it.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<Unauthorized> for ApiError {
    fn from(why: Unauthorized) -> Self {
        Self::new(match why {
            Unauthorized::Missing => Code::TokenMissing,
            Unauthorized::Expired => Code::TokenExpired,
            Unauthorized::Invalid => Code::TokenInvalid,
        })
    }
}

impl Code {
    pub(super) fn of_rejection(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::NotFound | Rejection::NotYours => Self::OrderNotFound,
            Rejection::AlreadyPlaced => Self::AlreadyPlaced,
            Rejection::WrongStatus { .. } => Self::WrongStatus,
            Rejection::WrongRole(_) => Self::WrongRole,
            Rejection::NotByPolicy(_) => Self::NotByPolicy,
            Rejection::DeliveryTaken => Self::DeliveryTaken,
            Rejection::DeliveryNotOffered => Self::DeliveryNotOffered,
            Rejection::RiderAtCapacity => Self::RiderAtCapacity,
            Rejection::AssignmentPending => Self::AssignmentPending,
            Rejection::PaymentInDoubt => Self::PaymentInDoubt,
            Rejection::PaymentMethodNotOffered => Self::PaymentMethodNotOffered,
        }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let error = Self::new(Code::of_rejection(&rejection));
        match rejection {
            // Whose order it is must not show in the words either.
            Rejection::NotFound | Rejection::NotYours => error,
            other => error.detail(other.to_string()),
        }
    }
}

/// Gathers everything that is wrong with a request, so that the caller hears it at once.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// The value, or nothing and a note that the field at `pointer` is wrong.
    pub fn take<T, E: fmt::Display>(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed.map_err(|why| self.refuse(pointer, code, why.to_string())).ok()
    }

    pub fn refuse(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), code, detail: detail.into() });
    }

    /// Refuses with all that was noted, if anything was.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut error = ApiError::new(Code::InvalidValue);
        error.0.errors = self.0;
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{CommandName, Status};

    fn rejections() -> [Rejection; 12] {
        [
            Rejection::NotFound,
            Rejection::AlreadyPlaced,
            Rejection::WrongStatus { command: CommandName::Cancel, status: Status::Delivered },
            Rejection::NotYours,
            Rejection::WrongRole(CommandName::Cancel),
            Rejection::NotByPolicy(CommandName::Cancel),
            Rejection::DeliveryTaken,
            Rejection::DeliveryNotOffered,
            Rejection::RiderAtCapacity,
            Rejection::AssignmentPending,
            Rejection::PaymentInDoubt,
            Rejection::PaymentMethodNotOffered,
        ]
    }

    #[test]
    fn a_rejection_keeps_its_word_on_the_way_out() {
        for rejection in rejections() {
            assert_eq!(Code::of_rejection(&rejection).as_str(), rejection.code());
        }
    }

    #[test]
    fn somebody_elses_order_looks_like_none() {
        let [none, theirs] = [Rejection::NotFound, Rejection::NotYours].map(ApiError::from);
        assert_eq!(none.code(), theirs.code());
        assert_eq!(none.to_string(), theirs.to_string());
    }
}
