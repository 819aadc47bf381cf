//! How people write a policy: a preset's name, or a preset and the fields that differ from it.
//!
//! The same shape travels in requests and in the journal. Whether the result makes sense is not decided here but
//! by `ServicePolicy::check`, which everything that is read goes through.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::place_on_earth::Area;
use super::policy::{
    Acceptance, BadPolicy, CancelUntil, Capture, Dispatch, PaymentMethod, PreparationPolicy, Preset, ServicePolicy,
    StockPolicy,
};
use super::time::Seconds;

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
}
