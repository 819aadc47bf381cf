//! Stores to order from, one call each.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Person, TestApp, wait_until};

/// Where every store stands: Seoul City Hall.
pub const STORE_AT: (f64, f64) = (37.5663, 126.9779);

/// Where customers live unless they say otherwise: about 1.1 km north of the stores.
pub const CUSTOMER_AT: (f64, f64) = (37.5763, 126.9779);

/// Prices of the two items on every menu.
pub const PRICES: [i64; 2] = [9_000, 2_500];

/// A store that is open, with two items on its menu.
#[derive(Clone, Debug)]
pub struct Shop {
    pub id: String,
    pub owner: Person,
    pub preset: String,
    pub items: [String; 2],
    pub name: String,
}

/// An address.
pub fn place(text: &str, (lat, lng): (f64, f64)) -> Value {
    json!({"text": text, "lat": lat, "lng": lng, "phone": "+82 10-1234-5678"})
}

pub fn item(name: &str, price: i64, stock: Option<u32>) -> Value {
    json!({"name": name, "price": {"amount": price, "currency": "KRW"}, "available": true, "stock": stock})
}

impl TestApp {
    /// Opens a store with this policy; one that tracks its stock has ten of each item.
    pub async fn store(&self, policy: impl Into<Value>) -> Shop {
        self.store_with_stock(policy, 10).await
    }

    pub async fn store_with_stock(&self, policy: impl Into<Value>, stock: u32) -> Shop {
        static OWNERS: AtomicU32 = AtomicU32::new(1);
        let owner = self.owner(&format!("owner-{}", OWNERS.fetch_add(1, Ordering::Relaxed))).await;
        self.store_of(&owner, policy, stock).await
    }

    pub async fn store_of(&self, owner: &Person, policy: impl Into<Value>, stock: u32) -> Shop {
        let policy = policy.into();
        let preset = policy.as_str().or(policy["preset"].as_str()).expect("a policy names its preset").to_owned();
        let name = format!("Mario's {preset}");
        let body = json!({"name": name, "location": place("110 Sejong-daero", STORE_AT), "policy": policy});
        let made = self.post(owner, "/v1/stores", &body).await.created();
        let id = made["id"].as_str().expect("a store has an id").to_owned();
        let counts = policy["stock"].as_str().unwrap_or(if tracks_stock(&preset) { "tracked" } else { "untracked" });
        let stock = (counts == "tracked").then_some(stock);
        let items = [Uuid::now_v7().to_string(), Uuid::now_v7().to_string()];
        let names = if preset == "quick_service" { ["Small", "Large"] } else { ["Bibimbap", "Kimchi"] };
        for ((item_id, name), price) in items.iter().zip(names).zip(PRICES) {
            self.put(owner, &format!("/v1/stores/{id}/menu/{item_id}"), &item(name, price, stock)).await.done();
        }
        Shop { id, owner: owner.clone(), preset, items, name }
    }

    /// Hires a rider for the store alone.
    pub async fn hire(&self, shop: &Shop, rider: &Person) {
        let path = format!("/v1/stores/{}/riders/{}", shop.id, rider.sub);
        self.put(&shop.owner, &path, &json!({})).await.done();
    }

    /// Waits until the menu, which is a moment old, shows so many of the item.
    pub async fn wait_for_stock(&self, shop: &Shop, item: usize, count: usize) {
        let seen = || async { (self.stock_of(shop, item).await == count).then_some(()) };
        wait_until(&format!("the menu shows {count} of item {item}"), seen).await;
    }

    /// How many of the item the menu says there are.
    pub async fn stock_of(&self, shop: &Shop, item: usize) -> Value {
        let menu = self.open(&format!("/v1/stores/{}/menu", shop.id)).await.ok();
        let items = menu["items"].as_array().expect("a menu has items");
        let found = items.iter().find(|listed| listed["id"] == *shop.items[item]).expect("the item is on the menu");
        found["stock"].clone()
    }
}

fn tracks_stock(preset: &str) -> bool {
    matches!(preset, "retail" | "restaurant")
}

impl Shop {
    /// One of the first item and two of the second, by card; of a courier, one service.
    pub fn order(&self) -> Value {
        let mut order = json!({
            "store_id": self.id,
            "lines": [{"item_id": self.items[0], "quantity": 1}, {"item_id": self.items[1], "quantity": 2}],
            "destination": place("7 Samcheong-ro", CUSTOMER_AT),
            "payment": {"method": "card"},
            "note": "Please ring twice",
        });
        if self.preset == "quick_service" {
            order["lines"] = json!([{"item_id": self.items[0], "quantity": 1}]);
            order["parcel"] = json!({
                "description": "Contract", "size": "small", "weight_g": 400,
                "pick_up": place("1 Jong-ro", STORE_AT),
            });
        }
        order
    }

    /// What [`Shop::order`] comes to.
    pub fn total(&self) -> i64 {
        if self.preset == "quick_service" { PRICES[0] } else { PRICES[0] + 2 * PRICES[1] }
    }

    /// The same with a card that behaves as its token says.
    pub fn order_with_card(&self, token: &str) -> Value {
        let mut order = self.order();
        order["payment"]["token"] = json!(token);
        order
    }

    pub fn order_on_delivery(&self) -> Value {
        let mut order = self.order();
        order["payment"] = json!({"method": "on_delivery"});
        order
    }

    pub fn order_of(&self, item: usize, quantity: u32) -> Value {
        let mut order = self.order();
        order["lines"] = json!([{"item_id": self.items[item], "quantity": quantity}]);
        order
    }
}
