//! `POST /v1/orders`: makes of what a customer wrote an order that the catalogue has priced.
//!
//! Everything that is wrong is told at once and nothing is journaled. Prices, names and the store's policy come
//! from the catalogue and are copied; no sum of the client's is ever believed.

use std::collections::HashSet;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::{Caller, Role};
use crate::actors::{Listing, Receipt, System};
use crate::order::{
    CardToken, CustomerId, ItemId, Line, Money, Parcel, PaymentMethod, Place, Placement, Point, StoreId, Text,
    Timestamp,
};
use crate::store::AnswerKey;

use super::code::Code;
use super::error::{ApiError, FieldErrors};
use super::extract::Body;
use super::idempotency::{IdempotencyKey, Running};
use super::outcome::{Reader, ended_at_once, refused, reply};
use super::schemas::OrderBody;

/// The largest order that a person writes, and what still fits the body.
const MOST_LINES: usize = 100;

/// Of one item in one order. More is a mistake, or a wholesale order.
const MOST_OF_AN_ITEM: i64 = 999;

/// 100 kg: beyond it a rider does not carry it.
const HEAVIEST_PARCEL_G: i64 = 100_000;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceBody {
    store_id: String,
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<LineBody>,
    destination: PlaceText,
    payment: PaymentBody,
    #[serde(default)]
    parcel: Option<ParcelBody>,
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LineBody {
    item_id: String,
    #[schema(minimum = 1, maximum = 999)]
    quantity: i64,
}

/// An address and the point it stands for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceText {
    #[schema(max_length = 200)]
    text: String,
    #[schema(minimum = -90, maximum = 90)]
    lat: f64,
    #[schema(minimum = -180, maximum = 180)]
    lng: f64,
    #[serde(default)]
    #[schema(max_length = 32)]
    phone: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PaymentBody {
    #[schema(value_type = String, example = "card")]
    method: PaymentMethod,
    /// The card, as the payment provider named it
    #[serde(default)]
    #[schema(max_length = 200)]
    token: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ParcelBody {
    description: String,
    size: String,
    #[schema(minimum = 1, maximum = 100000)]
    weight_g: i64,
    pick_up: PlaceText,
}

/// Places an order.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = PlaceBody,
    params(("Idempotency-Key" = String, Header, description = "A fresh one for each wish, the same for its repeats")),
    responses((status = 201, description = "The order is taken, and durable", body = OrderBody)))]
pub(super) async fn place(
    caller: Caller,
    key: IdempotencyKey,
    system: web::Data<System>,
    running: web::Data<Arc<Running>>,
    body: Body<PlaceBody>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Customer])?;
    let key = AnswerKey { key: key.id_for(&caller), fingerprint: body.fingerprint() };
    let _entered = running.enter(key.key)?;
    let (party, now) = (caller.party(), system.clock.now());
    let reader = Reader { party: &party, now };
    let receipt = match resolve(body.into_inner(), &caller, &system, now) {
        Ok(placement) => system.orders.place(Arc::new(placement), party.clone(), key).await,
        // The store may have closed since this very order was taken: then the answer is what it was.
        Err(refusal) => match system.orders.placed_already(key).await {
            Ok(Some(receipt)) => Ok(receipt),
            Ok(None) => return Err(refusal),
            Err(error) => Err(error),
        },
    };
    answer(&receipt.map_err(|error| refused(error, reader))?, reader)
}

fn answer(receipt: &Receipt, reader: Reader<'_>) -> Result<HttpResponse, ApiError> {
    if let Some(ended) = ended_at_once(&receipt.order) {
        let ended = ended.at(receipt.position);
        return Err(if receipt.replayed { ended.replayed() } else { ended });
    }
    let mut answer = reply(StatusCode::CREATED, receipt, reader);
    let location = format!("/v1/orders/{}", receipt.order.id);
    answer.headers_mut().insert(LOCATION, location.parse().expect("a path of hex digits"));
    Ok(answer)
}

fn resolve(body: PlaceBody, caller: &Caller, system: &System, now: Timestamp) -> Result<Placement, ApiError> {
    let mut errors = FieldErrors::default();
    let store = errors.take("/store_id", "not_an_id", body.store_id.parse::<StoreId>());
    let listing = store.and_then(|store| system.stores.listing(store));
    if store.is_some() && listing.is_none() {
        errors.refuse("/store_id", "unknown_store", "there is no such store");
    }
    let destination = place_of(body.destination, "/destination", &mut errors);
    let note = body.note.and_then(|note| errors.take("/note", "bad_text", note.parse::<Text<500>>()));
    let token = body.payment.token;
    let card_token = token.and_then(|token| errors.take("/payment/token", "bad_text", token.parse().map(CardToken)));
    let parcel = body.parcel.map(|parcel| parcel_of(parcel, &mut errors));
    let lines = lines_of(&body.lines, listing.as_deref(), &mut errors);
    let total = total_of(&lines, &mut errors);
    if let Some(listing) = &listing {
        fits_the_store(listing, body.payment.method, parcel.is_some(), body.lines.len(), &mut errors);
    }
    errors.finish()?;
    let (Some(listing), Some(destination), Some(total)) = (listing, destination, total) else {
        return Err(ApiError::new(Code::InvalidValue));
    };
    is_open(&listing, now)?;
    let shop = &listing.shop;
    Ok(Placement {
        store: listing.store.clone(),
        customer_id: CustomerId(caller.subject.clone()),
        policy: shop.policy.clone(),
        lines: lines.into(),
        total,
        destination,
        parcel: parcel.flatten().map(Box::new),
        note,
        payment_method: body.payment.method,
        card_token,
    })
}

fn is_open(listing: &Listing, now: Timestamp) -> Result<(), ApiError> {
    if !listing.shop.open {
        return Err(ApiError::new(Code::StoreClosed));
    }
    match listing.shop.paused_until {
        Some(until) if now < until => {
            Err(ApiError::new(Code::StorePaused).detail(format!("the store pauses until {until}")))
        }
        Some(_) | None => Ok(()),
    }
}

fn fits_the_store(listing: &Listing, method: PaymentMethod, parcel: bool, lines: usize, errors: &mut FieldErrors) {
    let policy = &listing.shop.policy;
    if !policy.offers(method) {
        errors.refuse(
            "/payment/method",
            "payment_method_not_offered",
            "the store does not take this method of payment",
        );
    }
    match (policy.carries_parcels(), parcel) {
        (true, false) => errors.refuse("/parcel", "parcel_missing", "a courier needs to know what to carry"),
        (false, true) => errors.refuse("/parcel", "parcel_not_carried", "this store carries no parcels"),
        (true, true) | (false, false) => {}
    }
    if policy.carries_parcels() && lines > 1 {
        errors.refuse("/lines", "one_service", "a courier's order names one service");
    }
}

pub(super) fn place_of(place: PlaceText, at: &str, errors: &mut FieldErrors) -> Option<Place> {
    let text = errors.take(format!("{at}/text"), "bad_text", place.text.parse::<Text<200>>());
    let point = Point::new(place.lat, place.lng);
    let wrong = if (-90.0..=90.0).contains(&place.lat) { "lng" } else { "lat" };
    let point = errors.take(format!("{at}/{wrong}"), "off_the_earth", point);
    let phone = place.phone.map(|phone| errors.take(format!("{at}/phone"), "bad_text", phone.parse::<Text<32>>()));
    Some(Place { text: text?, point: point?, phone: phone.flatten() })
}

fn parcel_of(parcel: ParcelBody, errors: &mut FieldErrors) -> Option<Parcel> {
    let description = errors.take("/parcel/description", "bad_text", parcel.description.parse::<Text<200>>());
    let size = errors.take("/parcel/size", "bad_text", parcel.size.parse::<Text<40>>());
    let pick_up = place_of(parcel.pick_up, "/parcel/pick_up", errors);
    if !(1..=HEAVIEST_PARCEL_G).contains(&parcel.weight_g) {
        errors.refuse("/parcel/weight_g", "out_of_range", format!("a parcel weighs 1 to {HEAVIEST_PARCEL_G} g"));
    }
    let weight_g = u32::try_from(parcel.weight_g).ok()?;
    Some(Parcel { description: description?, size: size?, weight_g, pick_up: pick_up? })
}

/// The lines that are right; of the others there is a note.
fn lines_of(bodies: &[LineBody], listing: Option<&Listing>, errors: &mut FieldErrors) -> Vec<Line> {
    if bodies.is_empty() {
        errors.refuse("/lines", "empty", "an order has at least one line");
    }
    if bodies.len() > MOST_LINES {
        errors.refuse("/lines", "too_many", format!("an order has at most {MOST_LINES} lines"));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut lines = Vec::with_capacity(bodies.len());
    for (nth, body) in bodies.iter().enumerate() {
        if !(1..=MOST_OF_AN_ITEM).contains(&body.quantity) {
            let detail = format!("a quantity is 1 to {MOST_OF_AN_ITEM}");
            errors.refuse(format!("/lines/{nth}/quantity"), "out_of_range", detail);
        }
        let at = format!("/lines/{nth}/item_id");
        let Some(item) = errors.take(at.clone(), "not_an_id", body.item_id.parse::<ItemId>()) else { continue };
        if !seen.insert(item) {
            errors.refuse(at.clone(), "duplicate_item", "an item stands in one line, with its quantity");
        }
        let Some(listing) = listing else { continue };
        match listing.menu.get(&item) {
            None => errors.refuse(at, "unknown_item", "the store does not sell this"),
            Some(found) if !found.available => errors.refuse(at, "unavailable_item", "it is not to be had now"),
            Some(found) => {
                let quantity = u32::try_from(body.quantity).unwrap_or(0);
                let total = errors.take(format!("/lines/{nth}"), "too_dear", found.price.times(quantity));
                lines.extend(total.map(|total| Line {
                    item_id: item,
                    name: found.name.clone(),
                    quantity,
                    unit_price: found.price,
                    total,
                }));
            }
        }
    }
    lines
}

fn total_of(lines: &[Line], errors: &mut FieldErrors) -> Option<Money> {
    let (first, rest) = lines.split_first()?;
    let total = rest.iter().try_fold(first.total, |sum, line| sum.plus(line.total));
    errors.take("/lines", "too_dear", total)
}
