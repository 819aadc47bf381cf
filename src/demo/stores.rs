//! The five stores of the demonstration, one of each kind: what they sell, for how much, and who carries for them.

use uuid::Uuid;

use super::town::Spot;
use crate::order::Preset;

/// What a store is before it is opened.
#[derive(Debug)]
pub(super) struct Plan {
    /// The name of its owner, and the store's in the log.
    pub(super) owner: &'static str,
    pub(super) name: &'static str,
    pub(super) address: &'static str,
    pub(super) at: Spot,
    pub(super) preset: Preset,
    pub(super) menu: &'static [Dish],
    /// Riders of its own.
    pub(super) riders: &'static [&'static str],
}

/// A line of a menu: something to eat, an appliance, or a courier's service.
#[derive(Debug)]
pub(super) struct Dish {
    pub(super) name: &'static str,
    /// Won.
    pub(super) price: i64,
    /// What is on the shelf at first, where the store counts.
    pub(super) stock: Option<u32>,
}

impl Dish {
    const fn new(name: &'static str, price: i64) -> Self {
        Self { name, price, stock: None }
    }

    const fn counted(name: &'static str, price: i64, stock: u32) -> Self {
        Self { name, price, stock: Some(stock) }
    }
}

impl Plan {
    /// The same at every start, so that opening a store again finds what is there.
    pub(super) fn item_id(&self, dish: &Dish) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("baedal:demo:{}:{}", self.owner, dish.name).as_bytes())
    }

    pub(super) fn dish(&self, item: Uuid) -> Option<&'static Dish> {
        self.menu.iter().find(|dish| self.item_id(dish) == item)
    }
}

/// Riders of no store, who look for deliveries themselves.
pub(super) const FREE_RIDERS: [&str; 2] = ["rider-jun", "rider-hana"];

pub(super) const CUSTOMERS: [&str; 5] = ["minji", "jisoo", "haneul", "dohyun", "sora"];

pub(super) static PLANS: [Plan; 5] = [
    Plan {
        owner: "bibimbap-house",
        name: "Bibimbap House 비빔밥집",
        address: "12 Teheran-ro, Gangnam-gu, Seoul",
        at: Spot { lat: 37.4990, lng: 127.0290 },
        preset: Preset::FoodDelivery,
        menu: &[
            Dish::new("Bibimbap 비빔밥", 12_000),
            Dish::new("Bulgogi 불고기", 16_000),
            Dish::new("Kimchi stew 김치찌개", 10_000),
            Dish::new("Seafood pancake 해물파전", 14_000),
        ],
        riders: &[],
    },
    Plan {
        owner: "golden-chicken",
        name: "Golden Chicken 황금치킨",
        address: "8 Gangnam-daero 94-gil, Gangnam-gu, Seoul",
        at: Spot { lat: 37.5007, lng: 127.0255 },
        preset: Preset::StoreDelivered,
        menu: &[
            Dish::new("Fried chicken 후라이드", 20_000),
            Dish::new("Sweet and spicy chicken 양념치킨", 22_000),
            Dish::new("Pickled radish 치킨무", 1_000),
            Dish::new("Cola 콜라", 2_500),
        ],
        riders: &[],
    },
    Plan {
        owner: "hanbit-appliances",
        name: "Hanbit Appliances 한빛전자",
        address: "403 Seocho-daero, Seocho-gu, Seoul",
        at: Spot { lat: 37.4965, lng: 127.0240 },
        preset: Preset::Retail,
        menu: &[
            Dish::counted("Rice cooker 전기밥솥", 189_000, 6),
            Dish::counted("Air fryer 에어프라이어", 99_000, 8),
            Dish::counted("Kettle 전기포트", 39_000, 10),
        ],
        riders: &["hanbit-rider-1", "hanbit-rider-2"],
    },
    Plan {
        owner: "cheetah-quick",
        name: "Cheetah Quick 치타퀵",
        address: "5 Yeoksam-ro, Gangnam-gu, Seoul",
        at: Spot { lat: 37.4945, lng: 127.0300 },
        preset: Preset::QuickService,
        menu: &[
            Dish::new("Small parcel 소형", 9_000),
            Dish::new("Medium parcel 중형", 13_000),
            Dish::new("Large parcel 대형", 21_000),
        ],
        riders: &["cheetah-rider-1", "cheetah-rider-2"],
    },
    Plan {
        owner: "seoul-noodle",
        name: "Seoul Noodle 서울국수",
        address: "21 Bongeunsa-ro, Gangnam-gu, Seoul",
        at: Spot { lat: 37.5040, lng: 127.0250 },
        preset: Preset::Restaurant,
        menu: &[
            Dish::counted("Banquet noodles 잔치국수", 8_000, 12),
            Dish::counted("Cold soy milk noodles 콩국수", 9_500, 10),
            Dish::counted("Dumplings 만두", 7_000, 15),
        ],
        riders: &["noodle-rider-1", "noodle-rider-2"],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::order::{Dispatch, ServicePolicy, StockPolicy, Subject};

    #[test]
    fn there_is_a_store_of_every_kind() {
        let kinds: HashSet<_> = PLANS.iter().map(|plan| plan.preset).collect();
        assert_eq!(kinds.len(), Preset::ALL.len());
    }

    #[test]
    fn a_store_counts_and_carries_as_its_policy_says() {
        for plan in &PLANS {
            let policy = ServicePolicy::preset(plan.preset);
            let counts = policy.stock == StockPolicy::Tracked;
            assert!(plan.menu.iter().all(|dish| dish.stock.is_some() == counts), "{}", plan.owner);
            let needs_riders = matches!(policy.dispatch, Dispatch::OwnRiders | Dispatch::StoreAssigns);
            assert_eq!(!plan.riders.is_empty(), needs_riders, "{}", plan.owner);
        }
    }

    #[test]
    fn everyone_has_a_name_of_their_own_that_a_token_can_carry() {
        let riders = PLANS.iter().flat_map(|plan| plan.riders);
        let owners = PLANS.iter().map(|plan| &plan.owner);
        let names: Vec<_> = CUSTOMERS.iter().chain(&FREE_RIDERS).chain(riders).chain(owners).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| name.parse::<Subject>().is_ok()));
    }

    #[test]
    fn a_dish_is_found_by_its_id() {
        let plan = &PLANS[0];
        assert_eq!(plan.dish(plan.item_id(&plan.menu[1])).map(|dish| dish.name), Some(plan.menu[1].name));
        assert!(plan.dish(PLANS[1].item_id(&PLANS[1].menu[0])).is_none());
    }
}
