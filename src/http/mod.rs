//! The public interface over HTTP. The only folder that knows actix-web.
//!
//! Every route is on the one screen below; `code` and `error` are the table of refusals. Handlers parse, ask and
//! render: what may happen to an order is decided in `order`, whether there is room for it by the mailboxes of
//! `actors`. Nothing here writes to the journal.

mod around;
mod caller;
mod code;
mod docs;
mod error;
mod extract;
mod health;
mod idempotency;
mod measure;
mod pages;
mod problem;
mod route;
mod server;
#[cfg(test)]
mod tests;
mod tokens;
mod trace;

use route::routes;

pub use caller::BEARER_PROTOCOL;
pub use code::Code;
pub use docs::openapi_json;
pub use error::{ApiError, FieldErrors};
pub use extract::{Body, BodyLimits, OptionalBody, Path, Query};
pub use health::Readiness;
pub use idempotency::{Entered, IdempotencyKey, MaybeIdempotencyKey, Running};
pub use problem::{FieldError, Problem};
pub use route::Route;
pub use server::{ListenError, Services, app, bind, serve};

routes! {
    "/"                         => { GET pages::landing }
    "/livez"                    => { GET health::livez }
    "/readyz"                   => { GET health::readyz }
    "/metrics"                  => { GET health::metrics }
    "/openapi.json"             => { GET docs::openapi }
    "/docs"                     => { GET docs::to_browser }
    "/docs/{file:.*}"           => { GET docs::browser }
    "/problems/{code}"          => { GET pages::problem }
    "/.well-known/jwks.json"    => { GET tokens::jwks }
    "/v1/tokens"                => { POST tokens::issue }
}
