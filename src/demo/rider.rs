//! A rider: says where they are, takes deliveries, and carries them where they belong.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::LOG;
use super::client::{Client, Refused};
use super::opening::Shop;
use super::seen::{Order, Page, short};
use super::town::{CENTRE, Spot, once_in};

/// Between two reports of where they are.
const ROUND: Duration = Duration::from_secs(2);

/// How far a rider comes in a round: some twenty times faster than a scooter, so that a delivery takes seconds.
const STEP_M: f64 = 250.0;

/// How far away a free rider looks for deliveries.
const LOOKS_WITHIN_M: u32 = 4_000;

/// A free rider carries no more than this, so that both have something to do.
const CARRIES: usize = 2;

/// What `GET /v1/riders/me` says.
#[derive(Debug, Deserialize)]
struct Me {
    active_deliveries: Vec<Uuid>,
}

#[derive(Debug, Deserialize)]
struct Offer {
    order_id: Uuid,
    distance_m: u32,
}

/// Rides for one store, or for whoever is near when `home` is none.
pub(super) async fn ride(client: Client, stores: Vec<Shop>, home: Option<Shop>) {
    let mut at = CENTRE.nearby(800.0);
    loop {
        if let Err(refused) = round(&client, &stores, home, &mut at).await {
            super::shrug(client.name, &refused);
        }
        tokio::time::sleep(ROUND).await;
    }
}

async fn round(client: &Client, stores: &[Shop], home: Option<Shop>, at: &mut Spot) -> Result<(), Refused> {
    client.put("/v1/riders/me", json!({"available": true, "location": at})).await?;
    let me: Me = client.get("/v1/riders/me").await?;
    for (nth, id) in me.active_deliveries.iter().enumerate() {
        let order: Order = client.get(&format!("/v1/orders/{id}")).await?;
        // Whoever is named for another delivery answers before they arrive with this one.
        if !answer(client, &order).await? && nth == 0 {
            carry(client, stores, &order, at).await?;
        }
    }
    match home {
        Some(store) if me.active_deliveries.is_empty() => *at = at.towards(store.plan.at, STEP_M),
        None if me.active_deliveries.len() < CARRIES && once_in(2) => claim(client, *at).await?,
        Some(_) | None => {}
    }
    Ok(())
}

/// Goes to the store, or to where the parcel is, then to the customer, and says so on arrival.
async fn carry(client: &Client, stores: &[Shop], order: &Order, at: &mut Spot) -> Result<(), Refused> {
    let (there, command, does) = if order.may("pick-up") {
        let kitchen = stores.iter().find(|shop| shop.id == order.store.id).map(|shop| shop.plan.at);
        let parcel = order.parcel.as_ref().map(|parcel| parcel.pick_up);
        (parcel.or(kitchen).unwrap_or(*at), "pick-up", "picks up")
    } else if order.may("deliver") {
        (order.destination, "deliver", "has delivered")
    } else {
        return Ok(());
    };
    *at = at.towards(there, STEP_M);
    if *at == there {
        client.post::<Value>(&format!("/v1/orders/{}/{command}", order.id), json!({})).await?;
        let (id, customer) = (short(order.id), &order.customer_id);
        tracing::info!(target: LOG, "{} {does} {id} for {customer}", client.name);
    }
    Ok(())
}

/// Says yes, or now and then no, to a delivery that the store named this rider for. True if there was one.
async fn answer(client: &Client, order: &Order) -> Result<bool, Refused> {
    if !order.may("accept-delivery") {
        return Ok(false);
    }
    let (command, does) =
        if once_in(12) { ("decline-delivery", "cannot take") } else { ("accept-delivery", "is on the way for") };
    client.post::<Value>(&format!("/v1/orders/{}/{command}", order.id), json!({})).await?;
    tracing::info!(target: LOG, "{} {does} {}", client.name, short(order.id));
    Ok(true)
}

async fn claim(client: &Client, at: Spot) -> Result<(), Refused> {
    let around = format!("/v1/deliveries?near={},{}&radius_m={LOOKS_WITHIN_M}&limit=10", at.lat, at.lng);
    let offers: Page<Offer> = client.get(&around).await?;
    let Some(nearest) = offers.items.first() else { return Ok(()) };
    match client.post::<Value>(&format!("/v1/orders/{}/claim", nearest.order_id), json!({})).await {
        Ok(_) => {
            let (id, metres) = (short(nearest.order_id), nearest.distance_m);
            tracing::info!(target: LOG, "{} takes {id}, {metres} m away", client.name);
        }
        // Another rider was faster, or the customer thought better of it: there will be others.
        Err(refused) if refused.status == 409 => {}
        Err(refused) => return Err(refused),
    }
    Ok(())
}
