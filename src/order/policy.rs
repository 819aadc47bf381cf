//! What differs between a restaurant and a courier: which steps an order runs through, and who drives them.
//!
//! Decided here: the presets, and which combinations make no sense. What a step then does is decided in the file
//! of that step, and how people write a policy down in `policy_spec`. A store's policy is copied into each of its
//! orders, so that changing it never changes an order that is under way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::place_on_earth::Area;
use super::policy_spec::PolicySpec;
use super::time::Seconds;

/// The five kinds of business, each a full policy. S0 to S4 are the sources in the requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Cooked food, carried by riders who are near the customer (S0).
    FoodDelivery,
    /// Goods from stock, carried by the store's own riders (S1).
    Retail,
    /// A parcel courier: the desk approves and assigns (S2).
    QuickService,
    /// Food from stock, cooked and sent by itself (S4).
    Restaurant,
    /// Cooked food that the store itself delivers (S3).
    StoreDelivered,
}

impl Preset {
    pub const ALL: [Preset; 5] =
        [Preset::FoodDelivery, Preset::Retail, Preset::QuickService, Preset::Restaurant, Preset::StoreDelivered];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockPolicy {
    Untracked,
    /// Each line is reserved before payment is asked for.
    Tracked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    Card,
    /// Paid to whoever hands the order over.
    OnDelivery,
}

/// When the money is taken from a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    AtPlacement,
    /// Only authorized at placement; nothing is taken for an order that the store has not approved.
    AtAcceptance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    Manual,
    Automatic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreparationPolicy {
    /// The store reports start and finish.
    Reported,
    /// Accepting is starting; the store reports the finish.
    WithAcceptance,
    /// It starts by itself; the store reports the finish.
    Automatic,
    /// There is nothing to prepare: accepted is ready.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dispatch {
    /// Any rider near the customer takes it.
    RidersClaim,
    /// The store names a rider, who accepts or declines.
    StoreAssigns,
    /// The first free rider of the store takes it and departs at once.
    OwnRiders,
    /// The store delivers itself; there is no rider.
    StoreDeparts,
}

/// Until when the customer may cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelUntil {
    PreparationStarts,
    PickUp,
    Delivery,
}

/// All that a store decides about how its orders run. Valid once built: see [`PolicySpec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PolicySpec", into = "PolicySpec")]
pub struct ServicePolicy {
    pub preset: Preset,
    pub service_area: Option<Area>,
    pub stock: StockPolicy,
    pub card: bool,
    pub on_delivery: bool,
    pub capture: Capture,
    pub acceptance: Acceptance,
    pub preparation: PreparationPolicy,
    pub dispatch: Dispatch,
    pub cancel_until: CancelUntil,
    pub payment_within: Seconds,
    pub accept_within: Seconds,
    pub prepare_within: Seconds,
    pub rider_within: Seconds,
    pub rider_answers_within: Seconds,
    pub deliver_within: Seconds,
    pub complete_after: Seconds,
}

/// A policy that makes no sense, and the field to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct BadPolicy {
    pub field: &'static str,
    pub reason: &'static str,
}

/// The longest time a policy may set, 30 days: a card authorization does not outlive it, and a forgotten
/// order ends.
const LONGEST: Seconds = Seconds(30 * 86_400);

impl ServicePolicy {
    pub fn preset(preset: Preset) -> Self {
        let food = Self {
            preset,
            service_area: Some(Area::RadiusM(3_000.0)),
            stock: StockPolicy::Untracked,
            card: true,
            on_delivery: true,
            capture: Capture::AtAcceptance,
            acceptance: Acceptance::Manual,
            preparation: PreparationPolicy::Reported,
            dispatch: Dispatch::RidersClaim,
            cancel_until: CancelUntil::PreparationStarts,
            payment_within: Seconds(1_800),
            accept_within: Seconds(600),
            prepare_within: Seconds(7_200),
            rider_within: Seconds(1_800),
            rider_answers_within: Seconds(300),
            deliver_within: Seconds(7_200),
            complete_after: Seconds(86_400),
        };
        match preset {
            Preset::FoodDelivery => food,
            Preset::StoreDelivered => Self { dispatch: Dispatch::StoreDeparts, ..food },
            Preset::Retail => Self {
                service_area: None,
                stock: StockPolicy::Tracked,
                on_delivery: false,
                capture: Capture::AtPlacement,
                preparation: PreparationPolicy::WithAcceptance,
                dispatch: Dispatch::OwnRiders,
                cancel_until: CancelUntil::Delivery,
                ..food
            },
            Preset::QuickService => Self {
                service_area: None,
                preparation: PreparationPolicy::None,
                dispatch: Dispatch::StoreAssigns,
                cancel_until: CancelUntil::PickUp,
                ..food
            },
            Preset::Restaurant => Self {
                service_area: None,
                stock: StockPolicy::Tracked,
                on_delivery: false,
                capture: Capture::AtPlacement,
                acceptance: Acceptance::Automatic,
                preparation: PreparationPolicy::Automatic,
                dispatch: Dispatch::OwnRiders,
                cancel_until: CancelUntil::PickUp,
                ..food
            },
        }
    }

    /// A courier carries what the customer hands over; every other store sells what is on its menu.
    pub fn carries_parcels(&self) -> bool {
        self.preset == Preset::QuickService
    }

    pub fn offers(&self, method: PaymentMethod) -> bool {
        match method {
            PaymentMethod::Card => self.card,
            PaymentMethod::OnDelivery => self.on_delivery,
        }
    }

    pub(super) fn check(self) -> Result<Self, BadPolicy> {
        let refuse = |field, reason| Err(BadPolicy { field, reason });
        if !self.card && !self.on_delivery {
            return refuse("payment_methods", "a store takes at least one method of payment");
        }
        if self.on_delivery && self.capture == Capture::AtPlacement {
            return refuse("capture", "money that is due on delivery cannot be captured at placement");
        }
        if self.acceptance == Acceptance::Automatic && self.preparation == PreparationPolicy::WithAcceptance {
            return refuse("preparation", "nobody accepts by hand here, so accepting cannot start it: use automatic");
        }
        if self.preparation == PreparationPolicy::None && self.cancel_until == CancelUntil::PreparationStarts {
            return refuse("cancel_until", "nothing is prepared here: use pick_up or delivery");
        }
        if self.carries_parcels() && self.stock == StockPolicy::Tracked {
            return refuse("stock", "a courier carries what the customer hands over: it has no stock");
        }
        for (field, time) in self.times() {
            if !(Seconds(1)..=LONGEST).contains(&time) {
                return refuse(field, "a time is 1 second to 30 days");
            }
        }
        Ok(self)
    }

    fn times(&self) -> [(&'static str, Seconds); 7] {
        [
            ("payment_within_s", self.payment_within),
            ("accept_within_s", self.accept_within),
            ("prepare_within_s", self.prepare_within),
            ("rider_within_s", self.rider_within),
            ("rider_answers_within_s", self.rider_answers_within),
            ("deliver_within_s", self.deliver_within),
            ("complete_after_s", self.complete_after),
        ]
    }
}

/// A policy shared by all orders of a store that were placed under it.
pub type SharedPolicy = Arc<ServicePolicy>;

#[cfg(test)]
mod tests {
    use super::super::policy_spec::Overrides;
    use super::*;

    #[test]
    fn combinations_that_make_no_sense_are_refused_by_field() {
        for (spec, field) in [
            (Overrides { payment_methods: Some(vec![]), ..only(Preset::Retail) }, "payment_methods"),
            (Overrides { capture: Some(Capture::AtPlacement), ..only(Preset::FoodDelivery) }, "capture"),
            (
                Overrides { preparation: Some(PreparationPolicy::WithAcceptance), ..only(Preset::Restaurant) },
                "preparation",
            ),
            (
                Overrides { cancel_until: Some(CancelUntil::PreparationStarts), ..only(Preset::QuickService) },
                "cancel_until",
            ),
            (Overrides { stock: Some(StockPolicy::Tracked), ..only(Preset::QuickService) }, "stock"),
            (Overrides { accept_within_s: Some(Seconds(0)), ..only(Preset::Retail) }, "accept_within_s"),
            (Overrides { complete_after_s: Some(Seconds(u32::MAX)), ..only(Preset::Retail) }, "complete_after_s"),
        ] {
            let refused = ServicePolicy::try_from(PolicySpec::Overridden(Box::new(spec)));
            assert_eq!(refused.map_err(|bad| bad.field), Err(field));
        }
    }

    #[test]
    fn a_store_that_takes_cash_alone_may_accept_by_itself() {
        let cash = Overrides {
            stock: Some(StockPolicy::Untracked),
            payment_methods: Some(vec![PaymentMethod::OnDelivery]),
            capture: Some(Capture::AtAcceptance),
            ..only(Preset::Restaurant)
        };
        assert!(ServicePolicy::try_from(PolicySpec::Overridden(Box::new(cash))).is_ok());
    }

    fn only(preset: Preset) -> Overrides {
        let json = format!(r#"{{"preset":{}}}"#, serde_json::to_string(&preset).unwrap());
        serde_json::from_str(&json).unwrap()
    }
}
