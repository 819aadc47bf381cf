//! A store's owner: takes orders in, lets them cook, sends them off and fills the shelf.

use std::time::Duration;

use serde_json::{Value, json};

use super::LOG;
use super::client::{Client, Refused};
use super::opening::Shop;
use super::seen::{Item, Order, Page, short};
use super::town::once_in;

/// Between two looks at the board.
const ROUND: Duration = Duration::from_millis(1_500);

/// More than the orders that are open at a time, so that none is overlooked behind those that are over.
const BOARD: usize = 60;

/// What is left of an item when more is fetched, and how much.
const FEW: u32 = 2;
const FETCHED: u32 = 10;

pub(super) async fn work(client: Client, shop: Shop) {
    loop {
        tokio::time::sleep(ROUND).await;
        if let Err(refused) = round(&client, shop).await {
            super::shrug(client.name, &refused);
        }
    }
}

async fn round(client: &Client, shop: Shop) -> Result<(), Refused> {
    let board: Page<Order> = client.get(&format!("/v1/stores/{}/orders?limit={BOARD}", shop.id)).await?;
    for order in &board.items {
        see_to(client, shop, order).await?;
    }
    if shop.plan.menu.iter().any(|dish| dish.stock.is_some()) {
        restock(client, shop).await?;
    }
    Ok(())
}

/// Each step is left to chance in each round, so cooking takes some seconds and nobody needs to remember since when.
async fn see_to(client: &Client, shop: Shop, order: &Order) -> Result<(), Refused> {
    let step = if order.may("reject") && once_in(40) {
        Some(("reject", json!({"reason": "the kitchen is closing"}), "rejects"))
    } else if order.may("accept") && once_in(2) {
        Some(("accept", json!({}), "accepts"))
    } else if order.may("start-preparation") && once_in(2) {
        Some(("start-preparation", json!({}), "starts to cook"))
    } else if order.may("finish-preparation") && once_in(5) {
        Some(("finish-preparation", json!({}), "has packed"))
    } else if order.may("depart") && once_in(3) {
        Some(("depart", json!({}), "departs with"))
    } else if order.may("deliver") && once_in(8) {
        Some(("deliver", json!({}), "has delivered"))
    } else {
        None
    };
    let (who, id, customer) = (client.name, short(order.id), &order.customer_id);
    if let Some((command, body, does)) = step {
        client.post::<Value>(&format!("/v1/orders/{}/{command}", order.id), body).await?;
        match command {
            "accept" | "reject" => tracing::info!(target: LOG, "{who} {does} {id} of {customer}: {}", order.basket()),
            _ => tracing::info!(target: LOG, "{who} {does} {id} for {customer}"),
        }
    } else if order.may("assign")
        && once_in(2)
        && let Some(rider) = fastrand::choice(shop.plan.riders)
    {
        client.post::<Value>(&format!("/v1/orders/{}/assign", order.id), json!({"rider_id": rider})).await?;
        tracing::info!(target: LOG, "{who} sends {rider} for {id} of {customer}");
    }
    Ok(())
}

async fn restock(client: &Client, shop: Shop) -> Result<(), Refused> {
    let menu: Page<Item> = client.get(&format!("/v1/stores/{}/menu", shop.id)).await?;
    for item in menu.items {
        // Not at once: a customer may meet an empty shelf.
        let (Some(0..=FEW), Some(dish)) = (item.stock, shop.plan.dish(item.id)) else { continue };
        if once_in(10) {
            let path = format!("/v1/stores/{}/menu/{}/restock", shop.id, item.id);
            client.post::<Value>(&path, json!({"quantity": FETCHED})).await?;
            tracing::info!(target: LOG, "{} fetches {FETCHED} × {}", client.name, dish.name);
        }
    }
    Ok(())
}
