//! A running system with stores, as every measurement needs it.

use std::sync::Arc;

use baedal::actors::{self, Clock, System, Threads};
use baedal::config::Config;
use baedal::order::{
    Currency, CustomerId, ItemId, Line, Money, OwnerId, PaymentMethod, Place, Placement, Point, Preset, ServicePolicy,
    SharedPlacement, StoreId, StoreRef, Subject, Text, Timestamp,
};
use baedal::providers::payment::Sandbox;
use baedal::store::{CatalogueChange, DataPlace, Engine, MenuItem, Shop};
use uuid::Uuid;

/// Stores that orders are spread over: some hundred, as in a city, so that all shards are used.
pub(crate) const STORES: u64 = 200;

pub(crate) async fn start(place: &DataPlace, config: &Config) -> (System, Threads) {
    let engine = Engine::open(place).await.expect("the data can be opened");
    let sandbox = Arc::new(Sandbox::default());
    actors::start(config, engine, Clock::default(), sandbox, Box::new(|_| {})).await.expect("the system starts")
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    // A rider of the measurement takes one order after the other, and the measurement is not about riders' limits.
    config.orders.rider_capacity = 1_000;
    config
}

pub(crate) fn subject(name: &str) -> Subject {
    name.parse().expect("a plain name")
}

pub(crate) fn store(number: u64) -> StoreId {
    StoreId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number % STORES)))
}

pub(crate) fn item() -> ItemId {
    ItemId::new(Uuid::from_u128(7))
}

/// Puts the stores into the catalogue, as those are that take orders.
pub(crate) async fn open_stores(system: &System) {
    for number in 0..STORES {
        let placement = placement(number, PaymentMethod::OnDelivery, &policy());
        let (store, line) = (&placement.store, &placement.lines[0]);
        let shop = Shop {
            id: store.id,
            owner: store.owner.clone(),
            name: store.name.clone(),
            place: placement.destination.clone(),
            policy: placement.policy.clone(),
            open: true,
            paused_until: None,
            revision: 1,
            created_at: Timestamp::from_micros(0),
        };
        let item = MenuItem {
            id: line.item_id,
            store: store.id,
            name: line.name.clone(),
            price: line.unit_price,
            available: true,
            revision: 1,
        };
        for change in [CatalogueChange::PutShop(shop), CatalogueChange::PutItem(item)] {
            system.stores.change(change, None).await.expect("the catalogue takes it");
        }
    }
}

/// Two portions of noodles for customer `number`, paid by card or at the door.
pub(crate) fn placement(number: u64, payment_method: PaymentMethod, policy: &Arc<ServicePolicy>) -> SharedPlacement {
    let price = Money::new(12_000, Currency::KRW).expect("a small amount");
    let point = Point::new(37.566, 126.978).expect("in Seoul");
    Arc::new(Placement {
        store: Arc::new(StoreRef {
            id: store(number),
            name: Text::literal("Euljiro Noodles"),
            owner: OwnerId(subject("mario")),
            point,
        }),
        customer_id: CustomerId(subject(&format!("customer-{}", number % 50_000))),
        policy: policy.clone(),
        lines: Box::new([Line {
            item_id: item(),
            name: Text::literal("Pyongyang naengmyeon"),
            quantity: 2,
            unit_price: price,
            total: price.times(2).expect("a small amount"),
        }]),
        total: price.times(2).expect("a small amount"),
        destination: Place { text: Text::literal("110 Sejong-daero, Jung-gu"), point, phone: None },
        parcel: None,
        note: None,
        payment_method,
        card_token: None,
    })
}

pub(crate) fn policy() -> Arc<ServicePolicy> {
    Arc::new(ServicePolicy::preset(Preset::FoodDelivery))
}
