//! The public interface over HTTP. The only folder that knows actix-web.
//!
//! Every route is on the one screen below; `code` and `error` are the table of refusals. Handlers parse, ask and
//! render: what may happen to an order is decided in `order`, whether there is room for it by `admission` and then by
//! the mailboxes of `actors`. Nothing here writes to the journal.

mod admission;
mod around;
mod asked;
mod caller;
mod clock;
mod code;
mod connections;
mod docs;
mod error;
mod extract;
mod feed;
mod health;
mod idempotency;
mod kafka;
mod lists;
mod measure;
mod menu;
mod near;
mod operations;
mod orders;
mod outcome;
mod pages;
mod placing;
mod problem;
mod remembered;
mod riders;
mod route;
mod schemas;
mod server;
mod stores;
#[cfg(test)]
mod tests;
mod tokens;
mod trace;
mod views;

use route::routes;

pub use admission::Class;
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

// What is marked is refused first when more comes than can be worked off: `Later` can wait, `New` brings work that has
// not begun. All else finishes what is under way, pays, shows it, or keeps the service going, and is never refused there.
//
// The first line is first because a rush comes through it: the router tries one after the other.
routes! {
    "/v1/orders"                => { POST placing::place: New }

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

    "/v1/stores"                                        => { GET stores::list: Later, POST stores::create: New }
    "/v1/stores/{store_id}"                             => { GET stores::read: Later, PATCH stores::change }
    "/v1/stores/{store_id}/menu"                        => { GET menu::read: Later }
    "/v1/stores/{store_id}/menu/{item_id}"              => { PUT menu::put: New, DELETE menu::remove }
    "/v1/stores/{store_id}/menu/{item_id}/restock"      => { POST menu::restock }
    "/v1/stores/{store_id}/riders/{rider_id}"           => { PUT menu::put_rider, DELETE menu::remove_rider }
    "/v1/stores/{store_id}/orders"                      => { GET lists::store_board }

    "/v1/orders/{order_id}"                             => { GET orders::read }
    "/v1/orders/{order_id}/events"                      => { GET orders::history }
    "/v1/orders/{order_id}/cancel"                      => { POST orders::cancel }
    "/v1/orders/{order_id}/pay"                         => { POST orders::pay }
    "/v1/orders/{order_id}/confirm"                     => { POST orders::confirm }
    "/v1/orders/{order_id}/accept"                      => { POST orders::accept }
    "/v1/orders/{order_id}/reject"                      => { POST orders::reject }
    "/v1/orders/{order_id}/start-preparation"           => { POST orders::start_preparation }
    "/v1/orders/{order_id}/finish-preparation"          => { POST orders::finish_preparation }
    "/v1/orders/{order_id}/assign"                      => { POST orders::assign }
    "/v1/orders/{order_id}/depart"                      => { POST orders::depart }
    "/v1/orders/{order_id}/claim"                       => { POST orders::claim }
    "/v1/orders/{order_id}/accept-delivery"             => { POST orders::accept_delivery }
    "/v1/orders/{order_id}/decline-delivery"            => { POST orders::decline_delivery }
    "/v1/orders/{order_id}/pick-up"                     => { POST orders::pick_up }
    "/v1/orders/{order_id}/deliver"                     => { POST orders::deliver }

    "/v1/my-page"                                       => { GET lists::my_page: Later }
    "/v1/messages"                                      => { GET lists::messages: Later }
    "/v1/deliveries"                                    => { GET riders::deliveries }
    "/v1/riders/me"                                     => { GET riders::me, PUT riders::put_me }
    "/v1/feed"                                          => { GET feed::open: Later }

    "/v1/operations/mailboxes"                          => { GET operations::mailboxes }
    "/v1/operations/gates"                              => { GET operations::gates }
    "/v1/operations/actors"                             => { GET operations::actors }
    "/v1/operations/parts"                              => { GET operations::parts }
    "/v1/operations/quarantine/{kind}/{id}/release"     => { POST operations::release }
    "/v1/operations/attention"                          => { GET lists::attention }
    "/v1/operations/dead-letters"                       => { GET operations::dead_letters }
    "/v1/operations/store-management"                   => { PUT operations::store_management }
    "/v1/operations/readers"                            => { GET views::readers }
    "/v1/operations/views"                              => { GET views::read }
    "/v1/operations/views/rebuild"                      => { POST views::rebuild }
    "/v1/operations/sandbox"                            => { PUT operations::sandbox }
    "/v1/operations/sandbox/orders/{order_id}"          => { GET operations::sandbox_ledger }
    "/v1/operations/sandbox/ledger"                     => { GET operations::sandbox_books }
    "/v1/operations/kafka"                              => { GET kafka::read }
    "/v1/operations/kafka/rewind"                       => { POST kafka::rewind }
    "/v1/operations/clock"                              => { GET clock::read, PUT clock::set }
}
