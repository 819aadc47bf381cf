//! Stores: opening one, changing it, finding one. What they sell is in `menu`.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::{Caller, Role};
use crate::actors::{CatalogueError, Listing, System};
use crate::order::{OwnerId, Place, PolicySpec, ServicePolicy, StoreId, Text, Timestamp};
use crate::store::{Answer, CatalogueChange, Shop};

use super::code::Code;
use super::error::{ApiError, FieldErrors};
use super::extract::{Body, Path, Query};
use super::idempotency::MaybeIdempotencyKey;
use super::near::Near;
use super::placing::{PlaceText, place_of};
use super::remembered::{answer_key, changed, new_answer, to_json};
use super::schemas::PlaceOnEarth;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewStore {
    #[schema(max_length = 80)]
    name: String,
    location: PlaceText,
    /// `"food_delivery"`, `"retail"`, `"quick_service"`, `"restaurant"`, `"store_delivered"`, or an object with
    /// `preset` and the fields that differ
    #[schema(value_type = Object)]
    policy: PolicySpec,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreChange {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    open: Option<bool>,
    /// No orders until then; null takes orders again
    #[serde(default, deserialize_with = "even_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_until: Option<Option<Timestamp>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    policy: Option<PolicySpec>,
}

/// Serde reads `null` as "left out" unless told otherwise.
fn even_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoreBody<'a> {
    #[schema(value_type = String)]
    id: StoreId,
    #[schema(value_type = String)]
    name: &'a Text<80>,
    #[schema(value_type = String)]
    owner_id: &'a OwnerId,
    #[schema(value_type = PlaceOnEarth)]
    location: &'a Place,
    #[schema(value_type = Object)]
    policy: &'a ServicePolicy,
    open: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_until: Option<Timestamp>,
    /// Whether an order would be taken now
    takes_orders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_m: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StorePage<'a> {
    #[schema(value_type = Vec<Object>)]
    items: Vec<StoreBody<'a>>,
    next_cursor: Option<String>,
}

fn body(shop: &Shop, now: Timestamp, distance_m: Option<f64>) -> StoreBody<'_> {
    StoreBody {
        id: shop.id,
        name: &shop.name,
        owner_id: &shop.owner,
        location: &shop.place,
        policy: &shop.policy,
        open: shop.open,
        paused_until: shop.paused_until.filter(|until| now < *until),
        takes_orders: shop.open && shop.paused_until.is_none_or(|until| until <= now),
        distance_m: distance_m.map(|metres| metres.round() as u32),
    }
}

/// A policy that makes no sense is told by the field to change.
fn policy_of(spec: PolicySpec, errors: &mut FieldErrors) -> Option<Arc<ServicePolicy>> {
    match ServicePolicy::try_from(spec) {
        Ok(policy) => Some(Arc::new(policy)),
        Err(bad) => {
            errors.refuse(format!("/policy/{}", bad.field), "bad_policy", bad.reason);
            None
        }
    }
}

/// Opens a store; whoever opens it owns it.
#[utoipa::path(post, path = "/v1/stores", tag = "stores", request_body = NewStore,
    responses((status = 201, description = "The store", body = Object)))]
pub(super) async fn create(
    caller: Caller,
    key: MaybeIdempotencyKey,
    system: web::Data<System>,
    wish: Body<NewStore>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Owner, Role::Admin])?;
    let (fingerprint, wish) = (wish.fingerprint(), wish.into_inner());
    let mut errors = FieldErrors::default();
    let name = errors.take("/name", "bad_text", wish.name.parse::<Text<80>>());
    let place = place_of(wish.location, "/location", &mut errors);
    let policy = policy_of(wish.policy, &mut errors);
    errors.finish()?;
    let (Some(name), Some(place), Some(policy)) = (name, place, policy) else {
        return Err(ApiError::new(Code::InvalidValue));
    };
    let now = system.clock.now();
    let id = StoreId::new(Uuid::now_v7());
    let owner = OwnerId(caller.subject.clone());
    let shop = Shop { id, owner, name, place, policy, open: true, paused_until: None, revision: 1, created_at: now };
    let reply = to_json(&body(&shop, now, None));
    let answer = new_answer(answer_key(&key, &caller, fingerprint), now, StatusCode::CREATED, &reply);
    let outcome = system.stores.change(CatalogueChange::PutShop(shop), answer).await;
    // A repeat is told of the store of the first time.
    let id = outcome.as_ref().err().and_then(made_before).unwrap_or(id);
    let mut answer = changed(outcome, StatusCode::CREATED, reply, fingerprint)?;
    answer.headers_mut().insert(LOCATION, format!("/v1/stores/{id}").parse().expect("a path of hex digits"));
    Ok(answer)
}

#[derive(Deserialize)]
struct Made {
    id: StoreId,
}

fn made_before(error: &CatalogueError) -> Option<StoreId> {
    match error {
        CatalogueError::AnsweredBefore(Answer::Body { body, .. }) => {
            serde_json::from_str(body).ok().map(|Made { id }| id)
        }
        _ => None,
    }
}

/// Changes a store's name, policy, or whether it takes orders. Orders under way keep their policy.
#[utoipa::path(patch, path = "/v1/stores/{store_id}", tag = "stores", request_body = StoreChange,
    params(("store_id" = String, Path)), responses((status = 200, description = "The store", body = Object)))]
pub(super) async fn change(
    caller: Caller,
    system: web::Data<System>,
    store: Path<StoreId>,
    wish: Body<StoreChange>,
) -> Result<HttpResponse, ApiError> {
    let listing = owned(&system, store.0, &caller)?;
    let (fingerprint, wish) = (wish.fingerprint(), wish.into_inner());
    let mut errors = FieldErrors::default();
    let mut shop = Shop::clone(&listing.shop);
    if let Some(name) = wish.name.and_then(|name| errors.take("/name", "bad_text", name.parse::<Text<80>>())) {
        shop.name = name;
    }
    if let Some(policy) = wish.policy.and_then(|spec| policy_of(spec, &mut errors)) {
        shop.policy = policy;
    }
    errors.finish()?;
    shop.open = wish.open.unwrap_or(shop.open);
    shop.paused_until = wish.paused_until.unwrap_or(shop.paused_until);
    shop.revision += 1;
    let reply = to_json(&body(&shop, system.clock.now(), None));
    let outcome = system.stores.change(CatalogueChange::PutShop(shop), None).await;
    changed(outcome, StatusCode::OK, reply, fingerprint)
}

/// One store.
#[utoipa::path(get, path = "/v1/stores/{store_id}", tag = "stores", security(()),
    params(("store_id" = String, Path)), responses((status = 200, description = "The store", body = Object)))]
pub(super) async fn read(system: web::Data<System>, store: Path<StoreId>) -> Result<HttpResponse, ApiError> {
    let listing = found(&system, store.0)?;
    Ok(HttpResponse::Ok().json(body(&listing.shop, system.clock.now(), None)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreSearch {
    /// `lat,lng`: nearest first
    near: Option<String>,
    /// Metres; 5,000 unless said
    radius_m: Option<f64>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Stores, near a place if one is given.
#[utoipa::path(get, path = "/v1/stores", tag = "stores", security(()), params(StoreSearch),
    responses((status = 200, description = "A page of stores", body = Object)))]
pub(super) async fn list(system: web::Data<System>, search: Query<StoreSearch>) -> Result<HttpResponse, ApiError> {
    let StoreSearch { near, radius_m, limit, cursor } = search.0;
    let limit = super::lists::limit(limit)?;
    let near = Near::parse(near.as_deref(), radius_m)?;
    let skip = super::lists::offset(cursor.as_deref())?;
    let mut listings = system.stores.all();
    let mut found: Vec<(f64, Arc<Listing>)> = listings
        .drain(..)
        .filter_map(|listing| match &near {
            Some(near) => near.distance(listing.shop.place.point).map(|metres| (metres, listing)),
            None => Some((0.0, listing)),
        })
        .collect();
    found.sort_by(|(a, one), (b, other)| a.total_cmp(b).then(one.shop.id.cmp(&other.shop.id)));
    let more = found.len() > skip + limit;
    let now = system.clock.now();
    let page = found.iter().skip(skip).take(limit);
    let items = page.map(|(metres, listing)| body(&listing.shop, now, near.as_ref().map(|_| *metres))).collect();
    let next_cursor = more.then(|| super::lists::offset_cursor(skip + limit));
    Ok(HttpResponse::Ok().json(StorePage { items, next_cursor }))
}

pub(super) fn found(system: &System, store: StoreId) -> Result<Arc<Listing>, ApiError> {
    system.stores.listing(store).ok_or_else(|| ApiError::new(Code::StoreNotFound))
}

/// The store, for its owner or an operator. To anyone else who would change it, it does not exist.
pub(super) fn owned(system: &System, store: StoreId, caller: &Caller) -> Result<Arc<Listing>, ApiError> {
    caller.must_be(&[Role::Owner, Role::Admin])?;
    let listing = found(system, store)?;
    let theirs = caller.role == Role::Admin || listing.shop.owner.0 == caller.subject;
    if theirs { Ok(listing) } else { Err(ApiError::new(Code::StoreNotFound)) }
}
