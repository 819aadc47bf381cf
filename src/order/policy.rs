//! What differs between a restaurant and a courier: which steps an order runs through, and who drives them.
//!
//! Decided here: the presets, what a store may override, and which combinations make no sense. What a step
//! then does is decided in the file of that step. A store's policy is copied into each of its orders, so that
//! changing it never changes an order that is under way.

use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::place_on_earth::Area;
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

    fn check(self) -> Result<Self, BadPolicy> {
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
        if self.acceptance == Acceptance::Automatic && self.capture == Capture::AtAcceptance && !self.card {
            return refuse("capture", "without cards there is nothing to capture");
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

/// A policy as people write it: a preset's name, or a preset and the fields that differ from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PolicySpec {
    Preset(Preset),
    Overridden(Box<Overrides>),
}

/// By hand, because serde's untagged enums swallow the name of the field that is wrong.
impl<'de> Deserialize<'de> for PolicySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrFields;

        impl<'de> Visitor<'de> for NameOrFields {
            type Value = PolicySpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a preset's name, or an object with `preset` and the fields that differ from it")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<PolicySpec, E> {
                Preset::deserialize(name.into_deserializer()).map(PolicySpec::Preset)
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<PolicySpec, M::Error> {
                let overrides = Overrides::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PolicySpec::Overridden(Box::new(overrides)))
            }
        }

        deserializer.deserialize_any(NameOrFields)
    }
}

/// The fields that differ from the preset. `service_area: null` means everywhere, and is not the same as
/// leaving it out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    pub preset: Preset,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub service_area: Option<Option<Area>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<StockPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_methods: Option<Vec<PaymentMethod>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<Acceptance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<PreparationPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<Dispatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_until: Option<CancelUntil>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_within_s: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_within_s: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_within_s: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rider_within_s: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rider_answers_within_s: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_within_s: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_after_s: Option<Seconds>,
}

/// Serde reads `null` as "left out" unless told otherwise.
fn even_null<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

impl TryFrom<PolicySpec> for ServicePolicy {
    type Error = BadPolicy;

    fn try_from(spec: PolicySpec) -> Result<Self, BadPolicy> {
        let over = match spec {
            PolicySpec::Preset(preset) => return Ok(Self::preset(preset)),
            PolicySpec::Overridden(over) => *over,
        };
        let base = Self::preset(over.preset);
        let takes = |method, by_default| over.payment_methods.as_ref().map_or(by_default, |all| all.contains(&method));
        Self {
            preset: over.preset,
            card: takes(PaymentMethod::Card, base.card),
            on_delivery: takes(PaymentMethod::OnDelivery, base.on_delivery),
            service_area: over.service_area.unwrap_or(base.service_area),
            stock: over.stock.unwrap_or(base.stock),
            capture: over.capture.unwrap_or(base.capture),
            acceptance: over.acceptance.unwrap_or(base.acceptance),
            preparation: over.preparation.unwrap_or(base.preparation),
            dispatch: over.dispatch.unwrap_or(base.dispatch),
            cancel_until: over.cancel_until.unwrap_or(base.cancel_until),
            payment_within: over.payment_within_s.unwrap_or(base.payment_within),
            accept_within: over.accept_within_s.unwrap_or(base.accept_within),
            prepare_within: over.prepare_within_s.unwrap_or(base.prepare_within),
            rider_within: over.rider_within_s.unwrap_or(base.rider_within),
            rider_answers_within: over.rider_answers_within_s.unwrap_or(base.rider_answers_within),
            deliver_within: over.deliver_within_s.unwrap_or(base.deliver_within),
            complete_after: over.complete_after_s.unwrap_or(base.complete_after),
        }
        .check()
    }
}

impl From<ServicePolicy> for PolicySpec {
    /// Only what differs, so that an ordinary order carries one word of policy through the journal.
    fn from(policy: ServicePolicy) -> Self {
        let base = ServicePolicy::preset(policy.preset);
        if policy == base {
            return PolicySpec::Preset(policy.preset);
        }
        fn differs<T: PartialEq>(value: T, base: T) -> Option<T> {
            (value != base).then_some(value)
        }
        let methods = |card: bool, on_delivery: bool| {
            let card = card.then_some(PaymentMethod::Card);
            card.into_iter().chain(on_delivery.then_some(PaymentMethod::OnDelivery)).collect::<Vec<_>>()
        };
        let payment_methods = methods(policy.card, policy.on_delivery);
        PolicySpec::Overridden(Box::new(Overrides {
            preset: policy.preset,
            payment_methods: differs(payment_methods, methods(base.card, base.on_delivery)),
            service_area: differs(policy.service_area, base.service_area),
            stock: differs(policy.stock, base.stock),
            capture: differs(policy.capture, base.capture),
            acceptance: differs(policy.acceptance, base.acceptance),
            preparation: differs(policy.preparation, base.preparation),
            dispatch: differs(policy.dispatch, base.dispatch),
            cancel_until: differs(policy.cancel_until, base.cancel_until),
            payment_within_s: differs(policy.payment_within, base.payment_within),
            accept_within_s: differs(policy.accept_within, base.accept_within),
            prepare_within_s: differs(policy.prepare_within, base.prepare_within),
            rider_within_s: differs(policy.rider_within, base.rider_within),
            rider_answers_within_s: differs(policy.rider_answers_within, base.rider_answers_within),
            deliver_within_s: differs(policy.deliver_within, base.deliver_within),
            complete_after_s: differs(policy.complete_after, base.complete_after),
        }))
    }
}

/// A policy shared by all orders of a store that were placed under it.
pub type SharedPolicy = Arc<ServicePolicy>;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Result<ServicePolicy, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_preset_is_written_as_its_name() {
        for preset in Preset::ALL {
            let whole = ServicePolicy::preset(preset);
            assert_eq!(whole.clone().check(), Ok(whole.clone()), "{preset:?}");
            let json = serde_json::to_string(&whole).unwrap();
            assert_eq!(json, serde_json::to_string(&preset).unwrap());
            assert_eq!(policy(&json).unwrap(), whole);
        }
    }

    #[test]
    fn one_field_can_be_overridden_and_only_that_is_written() {
        let json = r#"{"preset":"retail","accept_within_s":60}"#;
        let slow = policy(json).unwrap();
        assert_eq!(slow.accept_within, Seconds(60));
        assert_eq!(slow.capture, Capture::AtPlacement);
        assert_eq!(serde_json::to_string(&slow).unwrap(), json);
    }

    #[test]
    fn no_area_is_not_the_preset_s_area() {
        assert_eq!(policy(r#"{"preset":"food_delivery","service_area":null}"#).unwrap().service_area, None);
        assert!(policy(r#"{"preset":"food_delivery","stock":"tracked"}"#).unwrap().service_area.is_some());
    }

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

    fn only(preset: Preset) -> Overrides {
        let json = format!(r#"{{"preset":{}}}"#, serde_json::to_string(&preset).unwrap());
        serde_json::from_str(&json).unwrap()
    }
}
