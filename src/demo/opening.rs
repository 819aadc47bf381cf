//! Opens the five stores, or finds them when they were opened before.
//!
//! Everything here can be done again: a store is looked up before it is created, a menu's line has the same id at
//! every start, and stock that is already there is left as it is.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::LOG;
use super::client::{Client, Refused};
use super::seen::{Item, Page};
use super::stores::Plan;
use crate::order::Preset;

/// A store that is open for orders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shop {
    pub(super) id: Uuid,
    pub(super) plan: &'static Plan,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: Uuid,
    name: String,
}

pub(super) async fn open(owner: &Client, plan: &'static Plan) -> Result<Shop, Refused> {
    let id = match found(owner, plan).await? {
        Some(id) => id,
        None => create(owner, plan).await?,
    };
    let listed: Page<Item> = owner.get(&format!("/v1/stores/{id}/menu")).await?;
    for dish in plan.menu {
        let item = plan.item_id(dish);
        if !listed.items.iter().any(|there| there.id == item) {
            let price = json!({"amount": dish.price, "currency": "KRW"});
            let line = json!({"name": dish.name, "price": price, "available": true, "stock": dish.stock});
            owner.put(&format!("/v1/stores/{id}/menu/{item}"), line).await?;
        }
    }
    for rider in plan.riders {
        owner.put(&format!("/v1/stores/{id}/riders/{rider}"), json!({})).await?;
    }
    Ok(Shop { id, plan })
}

/// A store of that name at that place.
async fn found(owner: &Client, plan: &Plan) -> Result<Option<Uuid>, Refused> {
    let around = format!("/v1/stores?near={},{}&radius_m=50&limit=100", plan.at.lat, plan.at.lng);
    let there: Page<Listed> = owner.get(&around).await?;
    Ok(there.items.into_iter().find(|store| store.name == plan.name).map(|store| store.id))
}

/// The key is the same at every start, should the last one have ended before it heard the answer.
async fn create(owner: &Client, plan: &Plan) -> Result<Uuid, Refused> {
    let place = json!({"text": plan.address, "lat": plan.at.lat, "lng": plan.at.lng});
    let body = json!({"name": plan.name, "location": place, "policy": plan.preset});
    let key = format!("baedal-demo-{}", plan.owner);
    let created: Listed = owner.post_as(&key, "/v1/stores", body).await?;
    tracing::info!(target: LOG, "{} opened {}, {}", plan.owner, plan.name, trade(plan.preset));
    Ok(created.id)
}

fn trade(preset: Preset) -> &'static str {
    match preset {
        Preset::FoodDelivery => "food that riders nearby deliver",
        Preset::Retail => "appliances from stock, carried by its own riders",
        Preset::QuickService => "a parcel courier",
        Preset::Restaurant => "noodles from stock, cooked and sent by themselves",
        Preset::StoreDelivered => "chicken that it delivers itself",
    }
}
