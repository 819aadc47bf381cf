//! What a store sells, how much of it there is, and who carries for it.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Caller, Role};
use crate::actors::{CatalogueError, Enter, EnterError, Entered, ReadBook, System, To};
use crate::order::{
    CommandId, Currency, ItemId, Money, OwnerId, Party, RiderId, Stock, StockCommand, StockRefusal, StoreId, Text,
};
use crate::store::{Answer, AnswerKey, CatalogueChange, MenuItem, Position, StoreRider, StreamId};

use super::code::Code;
use super::error::{ApiError, FieldErrors};
use super::extract::{Body, Path};
use super::idempotency::{MaybeIdempotencyKey, Running};
use super::lists::wait_for;
use super::outcome::{POSITION, REPLAYED};
use super::remembered::{answer_key, changed, to_json};
use super::schemas::MoneyBody;
use super::stores::{found, owned};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceBody {
    #[schema(minimum = 0)]
    amount: i64,
    #[schema(example = "KRW")]
    currency: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemWish {
    #[schema(max_length = 80)]
    name: String,
    price: PriceBody,
    #[serde(default = "yes")]
    available: bool,
    /// How many there are; null for what is not counted
    #[serde(default)]
    stock: Option<i64>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemBody<'a> {
    #[schema(value_type = String)]
    id: ItemId,
    #[schema(value_type = String)]
    name: &'a Text<80>,
    #[schema(value_type = MoneyBody)]
    price: Money,
    available: bool,
    stock: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MenuBody<'a> {
    items: Vec<ItemBody<'a>>,
    next_cursor: Option<String>,
}

/// The menu. Levels of stock are as fresh as the views: a moment old, or as new as the `Baedal-Position` sent along.
#[utoipa::path(get, path = "/v1/stores/{store_id}/menu", tag = "stores", security(()),
    params(("store_id" = String, Path)), responses((status = 200, description = "All items", body = Object)))]
pub(super) async fn read(
    request: HttpRequest,
    system: web::Data<System>,
    store: Path<StoreId>,
) -> Result<HttpResponse, ApiError> {
    let listing = found(&system, store.0)?;
    wait_for(request.headers(), &system.progress.lists).await?;
    let levels = system.views.stock_levels(store.0).await.map_err(|error| ApiError::internal(&error))?;
    let levels: HashMap<ItemId, Option<u32>> = levels.into_iter().map(|row| (row.item, row.available)).collect();
    let items = listing.menu.values().map(|item| ItemBody {
        id: item.id,
        name: &item.name,
        price: item.price,
        available: item.available,
        stock: levels.get(&item.id).copied().flatten(),
    });
    Ok(HttpResponse::Ok().json(MenuBody { items: items.collect(), next_cursor: None }))
}

/// Puts an item on the menu, or changes it. The owner chooses its id.
#[utoipa::path(put, path = "/v1/stores/{store_id}/menu/{item_id}", tag = "stores", request_body = ItemWish,
    params(("store_id" = String, Path), ("item_id" = String, Path)),
    responses((status = 200, description = "The item", body = Object)))]
pub(super) async fn put(
    caller: Caller,
    system: web::Data<System>,
    ids: Path<(StoreId, ItemId)>,
    wish: Body<ItemWish>,
) -> Result<HttpResponse, ApiError> {
    let (store, id) = ids.0;
    let listing = owned(&system, store, &caller)?;
    let (fingerprint, wish) = (wish.fingerprint(), wish.into_inner());
    let mut errors = FieldErrors::default();
    let name = errors.take("/name", "bad_text", wish.name.parse::<Text<80>>());
    let price = price_of(&wish.price, &mut errors);
    let stock = level_of(wish.stock, &mut errors);
    errors.finish()?;
    let (Some(name), Some(price)) = (name, price) else { return Err(ApiError::new(Code::InvalidValue)) };
    let level = StockCommand::SetLevel { item: id, available: stock };
    let message = To { id: store, origin: None, message: ReadBook::default() };
    let counts = system.stock_levels.ask(message).await?.decide(&level);
    let level = counts.map_err(|refusal| refused(EnterError::Refused(refusal)))?.map(|_| level);
    let revision = listing.menu.get(&id).map_or(1, |item| item.revision + 1);
    let item = MenuItem { id, store, name, price, available: wish.available, revision };
    let reply = to_json(&ItemBody { id, name: &item.name, price, available: item.available, stock });
    // To its end, also when the client hangs up: not the price without the level.
    let outcome = actix_web::rt::spawn(put_both(system, caller, item, level)).await;
    changed(outcome.map_err(|error| ApiError::internal(&error))??, StatusCode::OK, reply, fingerprint)
}

/// The item and how many there are of it, which stand in two places. Of two who change an item the row of the catalogue
/// lets one through, so it is first, and whoever is refused has changed nothing. What is new is nobody's to race for: it
/// is counted before anyone can order it.
async fn put_both(
    system: web::Data<System>,
    caller: Caller,
    item: MenuItem,
    level: Option<StockCommand>,
) -> Result<Result<(), CatalogueError>, ApiError> {
    let (store, new) = (item.store, item.revision == 1);
    let (first, then) = if new { (level, None) } else { (None, level) };
    if let Some(level) = first {
        enter(&system, store, &caller, level, None).await?.map_err(refused)?;
    }
    let outcome = system.stores.change(CatalogueChange::PutItem(item), None).await;
    if let (Ok(()), Some(level)) = (&outcome, then) {
        let entered = enter(&system, store, &caller, level, None).await;
        entered.and_then(|entered| entered.map_err(refused)).map_err(half_done)?;
    }
    Ok(outcome)
}

/// The row was written already, so a refusal that promises that nothing was changed would not be true.
fn half_done(refusal: ApiError) -> ApiError {
    ApiError::new(Code::OutcomeUnknown).detail(format!(
        "the item was changed, and how many there are of it was not ({}): repeat the request",
        refusal.code().as_str()
    ))
}

fn price_of(price: &PriceBody, errors: &mut FieldErrors) -> Option<Money> {
    let currency = errors.take("/price/currency", "bad_currency", price.currency.parse::<Currency>())?;
    errors.take("/price/amount", "out_of_range", Money::new(price.amount, currency))
}

fn level_of(stock: Option<i64>, errors: &mut FieldErrors) -> Option<u32> {
    let most = i64::from(crate::order::MAX_LEVEL);
    match stock {
        Some(level) if !(0..=most).contains(&level) => {
            errors.refuse("/stock", "out_of_range", format!("a stock is 0 to {most}"));
            None
        }
        level => level.and_then(|level| u32::try_from(level).ok()),
    }
}

/// Takes an item off the menu. Orders that name it keep it.
#[utoipa::path(delete, path = "/v1/stores/{store_id}/menu/{item_id}", tag = "stores",
    params(("store_id" = String, Path), ("item_id" = String, Path)),
    responses((status = 204, description = "It is not on the menu")))]
pub(super) async fn remove(
    caller: Caller,
    system: web::Data<System>,
    ids: Path<(StoreId, ItemId)>,
) -> Result<HttpResponse, ApiError> {
    let (store, item) = ids.0;
    owned(&system, store, &caller)?;
    let outcome = system.stores.change(CatalogueChange::RemoveItem { store, item }, None).await;
    changed(outcome, StatusCode::NO_CONTENT, String::new(), 0)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestockBody {
    #[schema(minimum = 1)]
    quantity: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct LevelBody {
    #[schema(value_type = String)]
    item_id: ItemId,
    available: u32,
    reserved: u32,
}

/// More of an item has come in.
#[utoipa::path(post, path = "/v1/stores/{store_id}/menu/{item_id}/restock", tag = "stores", request_body = RestockBody,
    params(("store_id" = String, Path), ("item_id" = String, Path)),
    responses((status = 200, description = "How many there are now", body = Object)))]
pub(super) async fn restock(
    caller: Caller,
    key: MaybeIdempotencyKey,
    system: web::Data<System>,
    running: web::Data<Arc<Running>>,
    ids: Path<(StoreId, ItemId)>,
    wish: Body<RestockBody>,
) -> Result<HttpResponse, ApiError> {
    let (store, item) = ids.0;
    owned(&system, store, &caller)?;
    let key = answer_key(&key, &caller, wish.fingerprint());
    let mut errors = FieldErrors::default();
    let wanted = wish.into_inner().quantity;
    let quantity = u32::try_from(wanted).ok().filter(|count| (1..=crate::order::MAX_LEVEL).contains(count));
    if quantity.is_none() {
        errors.refuse("/quantity", "out_of_range", "a restock is at least 1");
    }
    errors.finish()?;
    let _entered = key.map(|key| running.enter(key.key)).transpose()?;
    // A look spares the store a repeat. What counts is the key in the journal, so it may fail.
    if let Some(wanted) = key
        && let Ok(Some(answer)) = system.readers.answer(wanted.key).await
    {
        return restocked_before(&system, store, item, &answer, key).await;
    }
    let command = StockCommand::Restock { item, quantity: quantity.unwrap_or(0) };
    match enter(&system, store, &caller, command, key).await? {
        Ok(entered) => {
            let mut answer = level(&entered.book, item)?;
            entered.position.into_iter().for_each(|position| stand_at(&mut answer, position));
            Ok(answer)
        }
        Err(EnterError::AnsweredBefore(answer)) => restocked_before(&system, store, item, &answer, key).await,
        Err(other) => Err(refused(other)),
    }
}

/// The level as it was right after the restock that this request repeats.
async fn restocked_before(
    system: &System,
    store: StoreId,
    item: ItemId,
    answer: &Answer,
    key: Option<AnswerKey>,
) -> Result<HttpResponse, ApiError> {
    let version = match (answer, key) {
        (Answer::Stream { fingerprint, version, .. }, Some(key)) if *fingerprint == key.fingerprint => *version,
        _ => return Err(ApiError::new(Code::IdempotencyKeyReused)),
    };
    let stock = system.stock_at(store, version).await.map_err(|error| ApiError::internal(&error))?;
    let mut answer = level(&stock, item)?;
    let last = system.readers.stream_page(StreamId::stock(store), version.saturating_sub(1), 1).await;
    let last = last.map_err(|error| ApiError::internal(&error))?;
    last.first().into_iter().for_each(|row| stand_at(&mut answer, row.position));
    answer.headers_mut().insert(REPLAYED, "true".parse().expect("a plain word"));
    Ok(answer)
}

fn stand_at(answer: &mut HttpResponse, position: Position) {
    answer.headers_mut().insert(POSITION, position.to_string().parse().expect("two numbers"));
}

fn level(stock: &Stock, item: ItemId) -> Result<HttpResponse, ApiError> {
    let level = stock.level(item).ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(LevelBody { item_id: item, available: level.available, reserved: level.reserved }))
}

type Entering = Result<Entered<Stock>, EnterError<StockRefusal>>;

async fn enter(
    system: &System,
    store: StoreId,
    caller: &Caller,
    command: StockCommand,
    key: Option<AnswerKey>,
) -> Result<Entering, ApiError> {
    let id = CommandId::new(key.map_or_else(Uuid::now_v7, |key| key.key));
    let by = match caller.role {
        Role::Owner => Party::Store(OwnerId(caller.subject.clone())).to_string(),
        Role::Customer | Role::Rider | Role::Admin => caller.party().to_string(),
    };
    let message = Enter { id, by: by.into(), command, key };
    Ok(system.stock.ask(To { id: store, origin: None, message }).await?)
}

fn refused(error: EnterError<StockRefusal>) -> ApiError {
    match error {
        EnterError::Refused(refusal @ StockRefusal::NotCounted(_)) => {
            ApiError::new(Code::InvalidValue).field("", "not_counted", refusal.to_string())
        }
        EnterError::Refused(refusal) => ApiError::new(Code::InvalidValue).detail(refusal.to_string()),
        EnterError::Unwritable => ApiError::new(Code::ServiceUnavailable),
        EnterError::AnsweredBefore(_) => ApiError::new(Code::IdempotencyKeyReused),
        EnterError::Unknown => ApiError::new(Code::OutcomeUnknown),
    }
}

/// Makes someone a rider of the store's own.
#[utoipa::path(put, path = "/v1/stores/{store_id}/riders/{rider_id}", tag = "stores",
    params(("store_id" = String, Path), ("rider_id" = String, Path)),
    responses((status = 204, description = "They carry for the store")))]
pub(super) async fn put_rider(
    caller: Caller,
    system: web::Data<System>,
    ids: Path<(StoreId, RiderId)>,
) -> Result<HttpResponse, ApiError> {
    let (store, rider) = ids.0;
    owned(&system, store, &caller)?;
    let outcome = system.stores.change(CatalogueChange::PutRider(StoreRider { store, rider }), None).await;
    changed(outcome, StatusCode::NO_CONTENT, String::new(), 0)
}

/// They no longer carry for the store; what they hold, they still deliver.
#[utoipa::path(delete, path = "/v1/stores/{store_id}/riders/{rider_id}", tag = "stores",
    params(("store_id" = String, Path), ("rider_id" = String, Path)),
    responses((status = 204, description = "They do not carry for the store")))]
pub(super) async fn remove_rider(
    caller: Caller,
    system: web::Data<System>,
    ids: Path<(StoreId, RiderId)>,
) -> Result<HttpResponse, ApiError> {
    let (store, rider) = ids.0;
    owned(&system, store, &caller)?;
    let outcome = system.stores.change(CatalogueChange::RemoveRider(StoreRider { store, rider }), None).await;
    changed(outcome, StatusCode::NO_CONTENT, String::new(), 0)
}
