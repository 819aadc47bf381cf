//! THE table: every code that a refusal can carry, its status, and what its page says.
//!
//! A code is a promise to programs: it may be added, never renamed. Which refusal gets which code is in `error`;
//! the pages at `/problems/{code}` are made from the two texts here by `problem_pages`.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($name:ident $word:literal $status:literal $title:literal, $meaning:literal, $advice:literal;)+) => {
        /// What kind of refusal it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($name,)+ }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$name,)+];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $word,)+ }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)+ }
            }

            /// What has happened, and whether anything was changed by it.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $meaning,)+ }
            }

            /// What the caller can do.
            pub const fn advice(self) -> &'static str {
                match self { $(Code::$name => $advice,)+ }
            }

            pub fn status(self) -> StatusCode {
                let number: u16 = match self { $(Code::$name => $status,)+ };
                StatusCode::from_u16(number).expect("the table holds three-digit numbers")
            }
        }
    };
}

codes! {
    MalformedRequest "malformed_request" 400 "The request cannot be read",
        "A part of the request is not in the form that HTTP or this service asks for. Nothing was changed.",
        "Correct the request. The detail names what was found.";
    MalformedJson "malformed_json" 400 "The body is not JSON",
        "The body ends too early, is not UTF-8, or breaks the grammar of JSON at the given line and column.",
        "Send one complete JSON value.";
    UnknownField "unknown_field" 400 "A field is not known",
        "The body or the query names a field that this route does not have. It is refused rather than ignored, \
         so that a misspelt field is noticed.",
        "Leave the field out, or spell it as /openapi.json does.";
    MissingField "missing_field" 400 "A field is missing",
        "The body or the query lacks a field that this route needs.",
        "Add the field. /openapi.json lists those that are required.";
    WrongType "wrong_type" 400 "A field has another type",
        "A field holds another JSON type than the route expects, a text in place of a number, say.",
        "Send the type that /openapi.json gives.";
    MalformedQuery "malformed_query" 400 "The query cannot be read",
        "A query parameter is not in the form that this route expects.",
        "Give the parameter the form that /openapi.json shows.";
    IdempotencyKeyRequired "idempotency_key_required" 400 "An Idempotency-Key is required",
        "This route creates something. Without a key nobody could tell a repeat from a second wish.",
        "Send a fresh key, a UUID for example, with every new wish, and the same key with every repeat of it.";
    IdempotencyKeyMalformed "idempotency_key_malformed" 400 "The Idempotency-Key cannot be used",
        "A key has 1 to 255 visible ASCII characters, with or without double quotes around them, and is sent once.",
        "Use a UUID: it always fits.";
    TokenMissing "token_missing" 401 "A token is required",
        "The route is not open to everyone, and the request has no Authorization header with a bearer token.",
        "Send Authorization: Bearer and a token. While the server listens on loopback only, POST /v1/tokens gives one.";
    TokenInvalid "token_invalid" 401 "The token is not valid",
        "The token was not signed by this service, is meant for another one, is not valid yet, or is damaged.",
        "Get a new token.";
    TokenExpired "token_expired" 401 "The token has expired",
        "The token was good and its time is over.",
        "Get a new token and repeat the request, with the same Idempotency-Key if it had one.";
    PaymentDeclined "payment_declined" 402 "The payment was declined",
        "The bank or the provider said no. The order was ended; it is listed with the past orders.",
        "Place the order again with another means of payment and a fresh Idempotency-Key.";
    Forbidden "forbidden" 403 "Not with this role",
        "The token is good, but its role may not use this route.",
        "Use a token with a role that may. The description of the route says which.";
    WrongRole "wrong_role" 403 "Not with this role",
        "The order exists and concerns you, but this command is for another role. Nothing was changed.",
        "Issue a command that allowed of the order lists.";
    NotFound "not_found" 404 "There is no such thing",
        "Nothing is at this path, or it is not yours to know about: the two are not told apart.",
        "Check the id and the token.";
    OrderNotFound "order_not_found" 404 "There is no such order",
        "No order has this id, or it is not yours to know about: the two are not told apart.",
        "Check the id and the token.";
    StoreNotFound "store_not_found" 404 "There is no such store",
        "No store has this id, or it is not yours to change: the two are not told apart.",
        "Check the id and the token.";
    MethodNotAllowed "method_not_allowed" 405 "Not with this method",
        "The path exists, but not for this method.",
        "The Allow header lists the methods that the path has.";
    BodyTooSlow "body_too_slow" 408 "The body did not arrive in time",
        "The body stopped arriving before it was complete. Nothing was changed.",
        "Repeat the request over a better connection.";
    RequestInProgress "request_in_progress" 409 "The same request is being worked on",
        "A request with the same Idempotency-Key has come before and is not answered yet.",
        "Wait for as long as Retry-After says and repeat: the answer will be the same.";
    AlreadyPlaced "already_placed" 409 "The order exists already",
        "An order with this id was placed before. Nothing was changed.",
        "Read the order to see where it stands.";
    WrongStatus "wrong_status" 409 "Not in the order's status",
        "The order stands where this command cannot be carried out. Nothing was changed. order_status says where \
         it stands, and allowed which commands you may issue now.",
        "Issue one of the allowed commands, or wait until the order has moved on.";
    NotByPolicy "not_by_policy" 409 "Not at this store",
        "The store's policy does not have this step. Nothing was changed.",
        "Issue one of the allowed commands.";
    StoreClosed "store_closed" 409 "The store is closed",
        "The store takes no orders now. Nothing was changed.",
        "Choose another store, or come back when it is open.";
    StorePaused "store_paused" 409 "The store pauses",
        "The store takes no orders for a while; the detail says until when. Nothing was changed.",
        "Choose another store, or come back then.";
    ChangedMeanwhile "changed_meanwhile" 409 "Someone else has changed it",
        "What was to be changed is not any more as it was when the request came. Nothing was changed.",
        "Read it again and repeat the change if it is still wanted.";
    DeliveryTaken "delivery_taken" 409 "Another rider has it",
        "Another rider was faster. Nothing was changed.",
        "Look for another delivery.";
    DeliveryNotOffered "delivery_not_offered" 409 "The delivery is not offered",
        "Riders cannot take this delivery now: it waits for the kitchen, or the store decides who carries it.",
        "Look for another delivery.";
    RiderAtCapacity "rider_at_capacity" 409 "The rider's hands are full",
        "The rider carries as many deliveries as a rider may. The detail says whether nothing was changed, or the order \
         was assigned to the rider and taken back at once: then its history shows both, and it is offered again.",
        "Deliver one first, or choose another rider.";
    AssignmentPending "assignment_pending" 409 "The rider's book is being asked",
        "Whether the rider has room for this delivery is not known yet, so it cannot be accepted or picked up. Nothing \
         was changed.",
        "Wait for as long as Retry-After says and repeat.";
    PaymentInDoubt "payment_in_doubt" 409 "An earlier payment is not answered",
        "The provider has not said yet whether the earlier payment went through. Another could charge twice.",
        "Wait, and read the order: the service keeps asking the provider.";
    OutOfStock "out_of_stock" 409 "Not in stock",
        "The store has less than was ordered. The order was ended; it is listed with the past orders.",
        "Read the menu and place another order with a fresh Idempotency-Key.";
    Stale "stale" 412 "The order has moved on",
        "The order is not at the version of If-Match any more. Nothing was changed.",
        "Read the order, and repeat the command with its new version if it is still wanted.";
    BodyTooLarge "body_too_large" 413 "The body is too large",
        "The body has more bytes than the server reads. Nothing was changed.",
        "Send less. The limit is in the detail.";
    UnsupportedMediaType "unsupported_media_type" 415 "The body is of another kind",
        "Bodies are read as application/json, and not compressed.",
        "Send Content-Type: application/json and no Content-Encoding.";
    InvalidValue "invalid_value" 422 "A value cannot be used",
        "The request is well-formed, but what it says cannot be. Every field that is wrong is in errors. \
         Nothing was changed.",
        "Correct the fields that errors lists.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The Idempotency-Key belongs to another request",
        "This key came before with another body. Nothing was changed now.",
        "Use a fresh key for a new wish.";
    PaymentMethodNotOffered "payment_method_not_offered" 422 "The store does not take this payment",
        "The store's policy does not list this method of payment. Nothing was changed.",
        "Choose a method that the store lists.";
    UnavailableArea "unavailable_area" 422 "The store does not deliver there",
        "The destination is outside of the store's area. The order was ended; it is listed with the past orders.",
        "Choose another store or another destination, with a fresh Idempotency-Key.";
    TooManyConnections "too_many_connections" 429 "Too many connections from one address",
        "One address holds as many connections as it may. Nothing was read from this one.",
        "Close some, or keep and reuse them. The operator of a proxy lists its address in http.shared_addresses.";
    TooManyFeeds "too_many_feeds" 429 "Too many feeds of one person",
        "As many live feeds are open with this name as one person may have.",
        "Close one: a feed carries up to 50 topics. One that was lost is given up within a minute.";
    Internal "internal" 500 "The server made a mistake",
        "Something failed that should not have. Whether the request was applied is not known.",
        "Repeat with the same Idempotency-Key, and tell the operator the trace_id.";
    ServiceFull "service_full" 503 "The service is full",
        "As many requests as the service holds are waiting already. Nothing was changed.",
        "Repeat after as long as Retry-After says.";
    ServiceUnavailable "service_unavailable" 503 "The service cannot work now",
        "What is needed to carry out the request is not there at the moment. Nothing was changed.",
        "Repeat after as long as Retry-After says.";
    ServerReplaced "server_replaced" 503 "Another server has taken over",
        "Another server has taken over the database of this one, which so knows nothing for sure any more and is about to \
         end. Nothing was changed.",
        "Repeat after as long as Retry-After says, with the same Idempotency-Key: the other server answers.";
    Quarantined "quarantined" 503 "Out of service for now",
        "What the request is about failed three times over one command and waits for an operator. Nothing was changed.",
        "Repeat later; tell the operator if it stays so.";
    OutcomeUnknown "outcome_unknown" 504 "The outcome is not known",
        "The answer did not come in time. The request may have been applied, or may still be.",
        "Repeat with the same Idempotency-Key: what was applied is not applied again, and you get its answer.";
}

impl Code {
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// Whether the same request is likely to succeed soon, so that the answer says when.
    pub fn passes_soon(self) -> bool {
        matches!(self.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            || matches!(self, Self::RequestInProgress | Self::AssignmentPending)
    }

    /// For a refusal that the framework made and of which only the status is known.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::BodyTooSlow,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            other if other.is_client_error() => Self::MalformedRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_a_word_of_its_own_with_a_page_that_says_something() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for &code in Code::ALL {
            assert_eq!(Code::named(code.as_str()), Some(code));
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", code.as_str());
            assert!(code.status().is_client_error() || code.status().is_server_error());
            for text in [code.meaning(), code.advice()] {
                assert!(text.ends_with('.') && text.len() > 15, "{}: {text}", code.as_str());
            }
        }
    }
}
