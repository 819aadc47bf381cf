//! A customer: orders now and then, thinks better of it now and then, and confirms what arrived.

use std::time::Duration;

use serde_json::{Value, json};

use super::LOG;
use super::client::{Client, Refused};
use super::opening::Shop;
use super::seen::{Order, Page, short};
use super::town::{CENTRE, FAR_AWAY, Spot, once_in};
use crate::order::{PaymentMethod, Preset, ServicePolicy};

/// Between two looks at the phone.
const ROUND: Duration = Duration::from_secs(2);

/// Five customers with four open orders each are the twenty that the demonstration has at most.
const OPEN_ORDERS: usize = 4;

/// Each of five customers orders every eighth round of two seconds: an order every three seconds.
const HUNGRY_ONCE_IN: u32 = 8;

/// How far from the station customers live. Well inside of the 3 km that kitchens deliver to.
const LIVES_WITHIN_M: f64 = 1_000.0;

pub(super) async fn live(client: Client, stores: Vec<Shop>) {
    let home = CENTRE.nearby(LIVES_WITHIN_M);
    tokio::time::sleep(ROUND.mul_f64(fastrand::f64())).await;
    loop {
        tokio::time::sleep(ROUND).await;
        if let Err(refused) = round(&client, &stores, home).await {
            super::shrug(client.name, &refused);
        }
    }
}

async fn round(client: &Client, stores: &[Shop], home: Spot) -> Result<(), Refused> {
    let mine: Page<Order> = client.get("/v1/my-page?status=live&limit=50").await?;
    for order in &mine.items {
        look_after(client, order).await?;
    }
    if mine.items.len() < OPEN_ORDERS && once_in(HUNGRY_ONCE_IN) {
        place(client, stores, home).await?;
    }
    Ok(())
}

async fn look_after(client: &Client, order: &Order) -> Result<(), Refused> {
    let (who, id, store) = (client.name, short(order.id), &order.store.name);
    let path = |command: &str| format!("/v1/orders/{}/{command}", order.id);
    // Where the store itself delivers, the customer may be the first to say that it arrived, but seldom is.
    let confirms = order.may("confirm") && once_in(if order.status == "delivered" { 3 } else { 30 });
    if confirms {
        client.post::<Value>(&path("confirm"), json!({})).await?;
        tracing::info!(target: LOG, "{who} has {id} from {store} and confirms: done");
    } else if order.may("cancel") && once_in(120) {
        client.post::<Value>(&path("cancel"), json!({"reason": "changed my mind"})).await?;
        tracing::info!(target: LOG, "{who} cancels {id} at {store}, which was {}", order.status);
    } else if order.may("pay") && once_in(5) {
        let paid: Order = client.post(&path("pay"), json!({})).await?;
        tracing::info!(target: LOG, "{who} tries to pay for {id} again: {}", paid.payment.status);
    }
    Ok(())
}

async fn place(client: &Client, stores: &[Shop], home: Spot) -> Result<(), Refused> {
    let Some(shop) = fastrand::choice(stores) else { return Ok(()) };
    let (who, store) = (client.name, shop.plan.name);
    match client.post::<Order>("/v1/orders", wish(shop, home)).await {
        Ok(order) => {
            let (id, basket) = (short(order.id), order.basket());
            let payment = match (order.status.as_str(), order.payment.method.as_str()) {
                ("placed" | "awaiting_payment", _) => "the bank takes its time",
                (_, "on_delivery") => "to be paid on delivery",
                _ => "by card",
            };
            tracing::info!(target: LOG, "{who} orders {id} at {store}: {basket}, {payment}");
        }
        Err(refused) => {
            let Some(why) = ended_because(&refused.code) else { return Err(refused) };
            let id = refused.order_id.map(short).unwrap_or_default();
            tracing::info!(target: LOG, "{who} orders {id} at {store}, but {why}");
        }
    }
    Ok(())
}

fn ended_because(code: &str) -> Option<&'static str> {
    match code {
        "payment_declined" => Some("the card is declined"),
        "unavailable_area" => Some("nobody delivers to the airport from there"),
        "out_of_stock" => Some("it is sold out"),
        _ => None,
    }
}

/// An order as the customer's app would send it.
fn wish(shop: &Shop, home: Spot) -> Value {
    let policy = ServicePolicy::preset(shop.plan.preset);
    let courier = policy.carries_parcels();
    let dishes = fastrand::choose_multiple(shop.plan.menu, if courier { 1 } else { fastrand::usize(1..=2) });
    let most = if courier || shop.plan.preset == Preset::Retail { 1 } else { 3 };
    let lines: Vec<_> = dishes
        .iter()
        .map(|dish| json!({"item_id": shop.plan.item_id(dish), "quantity": fastrand::u32(1..=most)}))
        .collect();
    let away = policy.service_area.is_some() && once_in(20);
    let mut wish = json!({
        "store_id": shop.id,
        "lines": lines,
        "destination": if away { place_at("Incheon airport, terminal 1", FAR_AWAY) } else { place_at("At home", home) },
        "payment": payment(policy.offers(PaymentMethod::OnDelivery)),
    });
    if courier {
        let pick_up = place_at("At the office", CENTRE.nearby(LIVES_WITHIN_M));
        let parcel = json!({"description": "Documents", "size": "small", "weight_g": 700, "pick_up": pick_up});
        wish["parcel"] = parcel;
    }
    wish
}

fn place_at(text: &str, spot: Spot) -> Value {
    json!({"text": text, "lat": spot.lat, "lng": spot.lng, "phone": "010-0000-0000"})
}

/// Mostly a card that works. One in twelve needs three seconds, which is longer than a placement waits.
fn payment(on_delivery_is_offered: bool) -> Value {
    if on_delivery_is_offered && once_in(6) {
        return json!({"method": "on_delivery"});
    }
    match fastrand::u32(0..24) {
        0 => json!({"method": "card", "token": "declined"}),
        1 | 2 => json!({"method": "card", "token": "slow:3000"}),
        _ => json!({"method": "card", "token": "ok"}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stores::PLANS;
    use super::*;

    #[test]
    fn a_wish_names_what_is_on_the_menu_and_a_parcel_only_at_the_courier() {
        for plan in &PLANS {
            let shop = Shop { id: uuid::Uuid::nil(), plan };
            for _ in 0..50 {
                let wish = wish(&shop, CENTRE);
                assert_eq!(wish.get("parcel").is_some(), plan.preset == Preset::QuickService);
                for line in wish["lines"].as_array().unwrap() {
                    let item = line["item_id"].as_str().unwrap().parse().unwrap();
                    assert!(plan.dish(item).is_some());
                }
            }
        }
    }
}
