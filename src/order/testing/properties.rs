//! What holds for any sequence of commands, by anyone, valid or not, at any time.

use std::sync::Arc;

use proptest::prelude::*;

use super::every_command::every_command;
use super::model::Model;
use crate::order::testing::*;
use crate::order::{
    Area, Order, OrderEvent, PolicySpec, Preset, Seconds, ServicePolicy, Status, StockPolicy, Timestamp, replay, step,
};

/// A thousand orders of up to 80 commands take about two seconds unoptimised.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count) }
}

/// Any of these, as the number falls.
fn pick<T>(from: Vec<T>, number: u8) -> T {
    let at = usize::from(number) % from.len();
    from.into_iter().nth(at).expect("an index below the length")
}

fn a_preset() -> impl Strategy<Value = Preset> {
    prop::sample::select(Preset::ALL.to_vec())
}

/// A policy as a store might write it: some fields said, some not. Not all of them make sense.
fn a_spec() -> impl Strategy<Value = serde_json::Value> {
    fn maybe(words: &'static [&'static str]) -> impl Strategy<Value = Option<serde_json::Value>> {
        prop::option::of(prop::sample::select(words).prop_map(serde_json::Value::from))
    }
    fn time() -> impl Strategy<Value = Option<serde_json::Value>> {
        prop::option::weighted(0.2, prop_oneof![Just(0_u32), 1..3_000_000_u32].prop_map(serde_json::Value::from))
    }
    let area = prop::option::of(prop_oneof![
        Just(serde_json::Value::Null),
        (1.0..20_000_000.0).prop_map(|metres: f64| serde_json::json!({ "radius_m": metres })),
        prop::collection::vec((-90.0..90.0, -180.0..180.0), 3..9)
            .prop_map(|corners: Vec<(f64, f64)>| serde_json::json!({ "polygon": corners })),
    ]);
    let methods = prop::option::of(prop_oneof![
        Just(serde_json::json!(["card"])),
        Just(serde_json::json!(["on_delivery"])),
        Just(serde_json::json!(["on_delivery", "card"])),
        Just(serde_json::json!([])),
    ]);
    let words = (
        maybe(&["tracked", "untracked"]),
        maybe(&["at_placement", "at_acceptance"]),
        maybe(&["manual", "automatic"]),
        maybe(&["reported", "with_acceptance", "automatic", "none"]),
        maybe(&["riders_claim", "store_assigns", "own_riders", "store_departs"]),
        maybe(&["preparation_starts", "pick_up", "delivery"]),
    );
    (a_preset(), area, methods, words, [time(), time(), time(), time(), time(), time(), time()]).prop_map(
        |(preset, area, methods, (stock, capture, acceptance, preparation, dispatch, cancel), times)| {
            let mut spec = serde_json::json!({ "preset": preset });
            let names = [
                ("service_area", area),
                ("payment_methods", methods),
                ("stock", stock),
                ("capture", capture),
                ("acceptance", acceptance),
                ("preparation", preparation),
                ("dispatch", dispatch),
                ("cancel_until", cancel),
            ];
            let time_names = [
                "payment_within_s",
                "accept_within_s",
                "prepare_within_s",
                "rider_within_s",
                "rider_answers_within_s",
                "deliver_within_s",
                "complete_after_s",
            ];
            for (name, value) in names.into_iter().chain(time_names.into_iter().zip(times)) {
                if let Some(value) = value {
                    spec[name] = value;
                }
            }
            spec
        },
    )
}

/// A placement that any store might take, near or far, paid by card or in cash.
pub(crate) fn a_placement() -> impl Strategy<Value = crate::order::Placement> {
    (a_spec(), any::<bool>()).prop_map(|(spec, cash)| {
        let policy: ServicePolicy =
            serde_json::from_value(spec).unwrap_or_else(|_| ServicePolicy::preset(Preset::FoodDelivery));
        let policy = ServicePolicy {
            service_area: policy.service_area.filter(|area| matches!(area, Area::RadiusM(_))),
            ..policy
        };
        let cash = (cash || !policy.card) && policy.on_delivery;
        let placement = crate::order::Placement { policy: Arc::new(policy), ..placement(Preset::FoodDelivery) };
        if cash { paid_on_delivery(placement) } else { placement }
    })
}

/// One thing that happens: which command, by whom if not by whom it should, and when.
type Happening = (u8, Option<u8>, u8);

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    prop::collection::vec((any::<u8>(), prop::option::weighted(0.1, any::<u8>()), any::<u8>()), 0..80)
}

/// Mostly at once, sometimes after a while, sometimes just when something is due.
fn later(order: &Order, now: Timestamp, chance: u8) -> Timestamp {
    match chance % 8 {
        0 => order.next_due().unwrap_or(now).max(now),
        1 => now + Seconds(u32::from(chance)),
        _ => now,
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_sequence_of_commands_keeps_to_the_model(placement in a_placement(), happenings in happenings()) {
        let mut now = NOON;
        let mut model = Model::placed(placement.policy.stock == StockPolicy::Tracked);
        let first = step(None, ORDER, &customer(), &place(placement), now).unwrap();
        let mut order = first.next;
        let mut history: Vec<(OrderEvent, Timestamp)> = first.events.into_iter().map(|event| (event, now)).collect();
        let mut states = vec![(history.len(), order.clone())];
        for event in history.iter().skip(1) {
            model.watch(&event.0);
        }
        for (which, whoever, when) in happenings {
            now = later(&order, now, when);
            let mut commands = every_command(&order);
            commands.push(super::every_command::clock());
            let issued = pick(commands, which);
            let by = match whoever {
                None => issued.by,
                Some(number) => pick(vec![customer(), store(), rider(), another_rider(), operator()], number),
            };
            match step(Some(&order), ORDER, &by, &issued.command, now) {
                Ok(step) => {
                    step.events.iter().for_each(|event| model.watch(event));
                    history.extend(step.events.into_iter().map(|event| (event, now)));
                    order = step.next;
                    states.push((history.len(), order.clone()));
                }
                Err(crate::order::NoStep::Rejected(_)) => {}
                Err(crate::order::NoStep::Illegal(illegal)) => prop_assert!(false, "{}: {illegal}", issued.label),
            }
            let seen = if model.status == Status::Accepted && order.preparation == crate::order::Preparation::None {
                Status::Ready
            } else {
                model.status
            };
            prop_assert_eq!(seen, order.status());
        }
        check_replay(&history, &states)?;
    }

    #[test]
    fn a_policy_reads_back_as_it_was_written(spec in a_spec()) {
        let Ok(policy) = serde_json::from_value::<ServicePolicy>(spec.clone()) else { return Ok(()) };
        let json = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ServicePolicy>(&json).unwrap(), &policy);
        let shape: PolicySpec = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(serde_json::to_string(&shape).unwrap(), json, "written the same way again");
    }

    #[test]
    fn a_policy_is_refused_by_the_name_of_a_field_of_its_own(spec in a_spec()) {
        let Ok(shape) = serde_json::from_value::<PolicySpec>(spec) else { return Ok(()) };
        if let Err(bad) = ServicePolicy::try_from(shape) {
            let known = serde_json::json!({ "preset": "retail", bad.field: null });
            let unknown = serde_json::from_value::<PolicySpec>(known).is_err_and(|e| e.to_string().contains("unknown"));
            prop_assert!(!unknown, "{} is no field", bad.field);
        }
    }
}

/// What was written can be read, and folding any part of it onto the state before gives the state that was live.
fn check_replay(history: &[(OrderEvent, Timestamp)], states: &[(usize, Arc<Order>)]) -> Result<(), TestCaseError> {
    let read: Vec<(OrderEvent, Timestamp)> = history
        .iter()
        .map(|(event, at)| (OrderEvent::read(event.name(), &event.data()).expect("an event that we wrote"), *at))
        .collect();
    prop_assert_eq!(&read[..], history);
    let fold = |from: Option<Arc<Order>>, part: &[(OrderEvent, Timestamp)]| {
        replay(ORDER, from, part.iter().map(|(event, at)| (event, *at)))
            .expect("a history that happened")
            .expect("an order")
    };
    for (length, live) in states {
        prop_assert_eq!(&fold(None, &read[..*length]), live);
        prop_assert_eq!(usize::try_from(live.version).unwrap(), *length, "versions count events");
    }
    for pair in states.windows(2) {
        let [(before, state), (after, live)] = pair else { unreachable!("windows of two") };
        prop_assert_eq!(&fold(Some(state.clone()), &read[*before..*after]), live);
    }
    Ok(())
}
