//! One order: reading it, its history, and every command to it. Placing one is in `placing`.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::IF_NONE_MATCH;
use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::access::{Caller, Role};
use crate::actors::{Receipt, System};
use crate::order::{CardToken, OrderCommand, OrderId, RiderId, Text, Timestamp};

use super::asked::Asked;
use super::code::Code;
use super::error::ApiError;
use super::extract::{Body, OptionalBody, Path};
use super::outcome::{Reader, etag, refused, reply};
use super::schemas::OrderBody;

/// A command that has nothing more to say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    /// One line for the other side to read
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    reason: Option<Text<200>>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PayBody {
    /// Another card, unless the earlier one may still be charged
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    token: Option<CardToken>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssignBody {
    #[schema(value_type = String)]
    rider_id: RiderId,
}

/// Declares the handlers of commands: documentation, name, path, body, command.
macro_rules! commands {
    ($($(#[$doc:meta])+ $name:ident $path:literal $body:ident |$given:pat_param| $command:expr;)+) => {$(
        $(#[$doc])+
        #[utoipa::path(post, path = $path, tag = "orders", request_body = $body,
            params(("order_id" = String, Path, description = "The order")),
            responses((status = 200, description = "The order as it stands now", body = OrderBody)))]
        pub(super) async fn $name(asked: Asked, body: OptionalBody<$body>) -> Result<HttpResponse, ApiError> {
            let fingerprint = body.fingerprint();
            let $given = body.into_inner();
            asked.carry_out($command, fingerprint).await
        }
    )+};
}

commands! {
    /// Cancels the order, for as long as the store's policy lets the customer, or the operator.
    cancel "/v1/orders/{order_id}/cancel" ReasonBody |ReasonBody { reason }| OrderCommand::Cancel { note: reason };
    /// Tries a deferred payment again now.
    pay "/v1/orders/{order_id}/pay" PayBody |PayBody { token }| OrderCommand::Pay { token };
    /// The customer has it: this completes the order.
    confirm "/v1/orders/{order_id}/confirm" Nothing |Nothing {}| OrderCommand::Confirm;
    /// The store takes the order.
    accept "/v1/orders/{order_id}/accept" Nothing |Nothing {}| OrderCommand::Accept;
    /// The store does not take the order.
    reject "/v1/orders/{order_id}/reject" ReasonBody |ReasonBody { reason }| OrderCommand::Reject { reason };
    /// The kitchen starts.
    start_preparation "/v1/orders/{order_id}/start-preparation" Nothing |Nothing {}| OrderCommand::StartPreparation;
    /// The kitchen has finished.
    finish_preparation "/v1/orders/{order_id}/finish-preparation" Nothing |Nothing {}| OrderCommand::FinishPreparation;
    /// The store itself leaves with the order.
    depart "/v1/orders/{order_id}/depart" Nothing |Nothing {}| OrderCommand::Depart;
    /// The assigned rider says yes.
    accept_delivery "/v1/orders/{order_id}/accept-delivery" Nothing |Nothing {}| OrderCommand::AcceptDelivery;
    /// The rider gives the delivery back.
    decline_delivery "/v1/orders/{order_id}/decline-delivery" Nothing |Nothing {}| OrderCommand::DeclineDelivery;
    /// The rider has it.
    pick_up "/v1/orders/{order_id}/pick-up" Nothing |Nothing {}| OrderCommand::PickUp;
    /// It is with the customer.
    deliver "/v1/orders/{order_id}/deliver" Nothing |Nothing {}| OrderCommand::Deliver;
}

/// A rider takes an offered delivery. Of two who try, one wins.
#[utoipa::path(post, path = "/v1/orders/{order_id}/claim", tag = "orders", request_body = Nothing,
    params(("order_id" = String, Path, description = "The order")),
    responses((status = 200, description = "The order as it stands now", body = OrderBody)))]
pub(super) async fn claim(asked: Asked, body: OptionalBody<Nothing>) -> Result<HttpResponse, ApiError> {
    asked.claim(body.fingerprint()).await
}

/// The store names one of its riders, who then accepts or declines.
#[utoipa::path(post, path = "/v1/orders/{order_id}/assign", tag = "orders", request_body = AssignBody,
    params(("order_id" = String, Path, description = "The order")),
    responses((status = 200, description = "The order as it stands now", body = OrderBody)))]
pub(super) async fn assign(asked: Asked, body: Body<AssignBody>) -> Result<HttpResponse, ApiError> {
    let fingerprint = body.fingerprint();
    let AssignBody { rider_id: rider } = body.into_inner();
    let known = is_rider_of_the_store(&asked, &rider).await?;
    let objection = if known {
        Ok(())
    } else {
        Err(ApiError::new(Code::InvalidValue).field("/rider_id", "not_a_rider", "is no rider of this store"))
    };
    asked.carry_out_unless(objection, OrderCommand::Assign { rider }, fingerprint).await
}

/// Of an order that is not the caller's nothing is told here: the command will be refused as for none.
async fn is_rider_of_the_store(asked: &Asked, rider: &RiderId) -> Result<bool, ApiError> {
    let Ok(order) = visible(asked.system(), asked.order(), asked.caller()).await else { return Ok(true) };
    let listing = asked.system().stores.listing(order.order.placement.store.id);
    Ok(listing.is_none_or(|listing| listing.riders.contains(rider)))
}

/// One order, for those it concerns.
#[utoipa::path(get, path = "/v1/orders/{order_id}", tag = "orders",
    params(("order_id" = String, Path, description = "The order")),
    responses((status = 200, description = "The order, its version as ETag", body = OrderBody),
        (status = 304, description = "It is still at the version of If-None-Match")))]
pub(super) async fn read(
    caller: Caller,
    request: HttpRequest,
    system: web::Data<System>,
    order: Path<OrderId>,
) -> Result<HttpResponse, ApiError> {
    let receipt = visible(&system, order.0, &caller).await?;
    let seen = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if seen == Some(etag(receipt.order.version).as_str()) {
        return Ok(HttpResponse::NotModified().finish());
    }
    Ok(reply(StatusCode::OK, &receipt, Reader { party: &caller.party(), now: system.clock.now() }))
}

/// The order, if it exists and the caller may know of it. Whoever shows one, on a route or a feed, asks here.
pub(super) async fn visible(system: &System, id: OrderId, caller: &Caller) -> Result<Receipt, ApiError> {
    let party = caller.party();
    let found = system.orders.order(id).await;
    let found = found.map_err(|error| refused(error, Reader { party: &party, now: system.clock.now() }))?;
    let order = found.filter(|order| order.is_visible_to(&party)).ok_or_else(|| ApiError::new(Code::OrderNotFound))?;
    Ok(Receipt { order, position: None, replayed: false })
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryBody {
    items: Vec<HistoryEntry>,
}

/// Something that happened to the order.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryEntry {
    version: u32,
    #[serde(rename = "type")]
    kind: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `customer:alice`, `store:mario`, `system`
    by: String,
    #[schema(value_type = Object)]
    data: Value,
}

/// Everything that ever happened to the order.
#[utoipa::path(get, path = "/v1/orders/{order_id}/events", tag = "orders",
    params(("order_id" = String, Path, description = "The order")),
    responses((status = 200, description = "Its history, the first event first", body = HistoryBody)))]
pub(super) async fn history(
    caller: Caller,
    system: web::Data<System>,
    order: Path<OrderId>,
) -> Result<web::Json<HistoryBody>, ApiError> {
    let seen = visible(&system, order.0, &caller).await?;
    let rows = system.orders.history(order.0).await.map_err(|error| ApiError::internal(&error))?;
    let shows_phone = matches!(caller.role, Role::Customer | Role::Admin) || !seen.order.is_closed();
    let items = rows.into_iter().map(|row| {
        let mut data: Value = serde_json::from_str(&row.data).unwrap_or_default();
        hide_private(&mut data, shows_phone);
        HistoryEntry { version: row.version, kind: row.name, at: row.at, by: row.by, data }
    });
    Ok(web::Json(HistoryBody { items: items.collect() }))
}

/// Tokens are nobody's to see; a telephone number is for those who are still on their way.
fn hide_private(data: &mut Value, shows_phone: bool) {
    if let Value::Object(fields) = data {
        fields.remove("token");
        fields.remove("card_token");
        if shows_phone {
            return;
        }
        for place in ["/destination", "/parcel/pick_up"] {
            if let Some(Value::Object(place)) = data.pointer_mut(place) {
                place.remove("phone");
            }
        }
    }
}
