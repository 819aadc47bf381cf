//! What riders ask: open deliveries near a place, and their own standing.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::{Caller, Role};
use crate::actors::{MOST_NEARBY, Nearby, NotePresence, OpenDelivery, Presence, PresenceOf, ReadBook, System, To};
use crate::order::{Order, OrderId, OrderState, Point, RiderId, StoreId, Timestamp};

use super::code::Code;
use super::error::{ApiError, FieldErrors};
use super::extract::{Body, Query};
use super::lists::{Listing, wait_for};
use super::near::Near;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliverySearch {
    /// `lat,lng`
    near: String,
    /// Metres; 5,000 unless said
    radius_m: Option<f64>,
    limit: Option<usize>,
}

/// A delivery that any rider may take, without anything that tells who ordered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryBody {
    #[schema(value_type = String)]
    order_id: OrderId,
    #[schema(value_type = String)]
    store_id: StoreId,
    store_name: String,
    #[schema(value_type = Object)]
    store_location: Point,
    /// Where it goes, to about a hundred metres
    #[schema(value_type = Object)]
    area: Area,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_m: Option<u32>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ready_since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Area {
    lat: f64,
    lng: f64,
}

/// Three decimals of a degree are about a hundred metres.
fn about(degrees: f64) -> f64 {
    (degrees * 1_000.0).round() / 1_000.0
}

impl DeliveryBody {
    pub(super) fn of(order: &Order, distance_m: Option<f64>) -> Self {
        let (store, place) = (&order.placement.store, order.placement.destination.point);
        let ready_since = match order.state {
            OrderState::Ready { since, .. } => Some(since),
            _ => None,
        };
        Self {
            order_id: order.id,
            store_id: store.id,
            store_name: store.name.to_string(),
            store_location: store.point,
            area: Area { lat: about(place.lat()), lng: about(place.lng()) },
            distance_m: distance_m.map(|metres| metres.round() as u32),
            ready_since,
        }
    }
}

/// Open deliveries whose customer is near a place, the nearest first.
#[utoipa::path(get, path = "/v1/deliveries", tag = "riders", params(DeliverySearch),
    responses((status = 200, description = "Deliveries to take", body = Object),
        (status = 503, description = "After a start they are not all known yet: repeat after Retry-After", body = Object)))]
pub(super) async fn deliveries(
    caller: Caller,
    request: HttpRequest,
    system: web::Data<System>,
    search: Query<DeliverySearch>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Rider])?;
    let near = Near::parse(Some(&search.0.near), search.0.radius_m)?;
    let near = near.ok_or_else(|| ApiError::new(Code::MissingField).detail("near is needed"))?;
    let limit = super::lists::limit(search.0.limit)?.min(MOST_NEARBY);
    wait_for(request.headers(), &system.progress.deliveries).await?;
    let found = system.riders.nearby.ask(Nearby { around: near.around, radius_m: near.radius_m, limit }).await?;
    let found = found.ok_or_else(|| {
        ApiError::new(Code::ServiceUnavailable).detail("the open deliveries are still being read from the journal")
    })?;
    let items = found.iter().map(|OpenDelivery { order, distance_m }| DeliveryBody::of(order, Some(*distance_m)));
    Ok(HttpResponse::Ok().json(Listing { items: items.collect(), next_cursor: None }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PresenceBody {
    available: bool,
    location: LocationBody,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LocationBody {
    lat: f64,
    lng: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StandingBody {
    #[schema(value_type = String)]
    rider_id: RiderId,
    available: bool,
    #[schema(value_type = Option<Object>)]
    location: Option<Point>,
    /// The orders that the rider holds
    #[schema(value_type = Vec<String>)]
    active_deliveries: Vec<OrderId>,
    capacity: usize,
}

/// Says whether the rider is on duty, and where. Kept in memory: an app repeats it every few seconds.
#[utoipa::path(put, path = "/v1/riders/me", tag = "riders", request_body = PresenceBody,
    responses((status = 200, description = "The rider's standing", body = StandingBody)))]
pub(super) async fn put_me(
    caller: Caller,
    system: web::Data<System>,
    body: Body<PresenceBody>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Rider])?;
    let body = body.into_inner();
    let mut errors = FieldErrors::default();
    let location = errors.take("/location", "off_the_earth", Point::new(body.location.lat, body.location.lng));
    errors.finish()?;
    let location = location.ok_or_else(|| ApiError::new(Code::InvalidValue))?;
    let rider = RiderId(caller.subject);
    let presence = Presence { available: body.available, location };
    system.riders.presence.ask(NotePresence { rider: rider.clone(), presence }).await?;
    standing(&system, rider).await
}

/// The rider's standing and what they hold.
#[utoipa::path(get, path = "/v1/riders/me", tag = "riders",
    responses((status = 200, description = "The rider's standing", body = StandingBody)))]
pub(super) async fn me(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Rider])?;
    standing(&system, RiderId(caller.subject)).await
}

async fn standing(system: &System, rider: RiderId) -> Result<HttpResponse, ApiError> {
    let presence = system.riders.presence_of.ask(PresenceOf(rider.clone())).await?;
    let book = system.riders.books.ask(To { id: rider.clone(), origin: None, message: ReadBook::default() }).await?;
    Ok(HttpResponse::Ok().json(StandingBody {
        rider_id: rider,
        available: presence.is_some_and(|presence| presence.available),
        location: presence.map(|presence| presence.location),
        active_deliveries: book.held().to_vec(),
        capacity: system.riders.capacity,
    }))
}
