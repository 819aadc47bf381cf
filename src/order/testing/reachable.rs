//! Walks every state that an order can come to, by every command in every state, and checks what must hold in all of
//! them. Nothing is random: the states are finite once times and counters are left out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::every_command::{Issued, clock, definite_answers, due_times, every_command};
use crate::order::testing::*;
use crate::order::{
    Delivery, NoStep, Order, OrderCommand, OrderEvent, OrderState as State, Party, PaymentMethod, PaymentOperation,
    PaymentStatus, Placement, Preset, Request, ServicePolicy, Step, Timestamp, step,
};

/// Each state once, with an order that is in it, and what was seen on the way.
pub(crate) struct Walk {
    pub(crate) states: HashMap<String, Arc<Order>>,
    events: BTreeSet<&'static str>,
    /// Which states a state leads to.
    edges: HashMap<String, Vec<String>>,
}

/// What tells two states apart. Times and growing counters do not; who carries it does.
fn key(order: &Order) -> String {
    let Order { payment, preparation, delivery, stock, settled, .. } = order;
    let state = match &order.state {
        State::Cancelled(ended) => format!("cancelled, stop {}", ended.stop_preparation),
        State::AwaitingAcceptance { reminded: told, .. }
        | State::Ready { reminded: told, .. }
        | State::Delivered { reminded: told, .. }
        | State::Accepted { late: told, .. }
        | State::Preparing { late: told, .. }
        | State::PickedUp { late: told, .. } => format!("{}, told {told}", order.status()),
        State::Placed { .. } | State::AwaitingPayment { .. } | State::Completed | State::Rejected { .. } => {
            order.status().to_string()
        }
    };
    let rider = order.rider().map(|rider| rider.as_str());
    let how = if let Delivery::Assigned { how, confirmed, .. } = delivery { Some((how, confirmed)) } else { None };
    let mut releasing: Vec<_> = order.releasing.iter().map(|rider| rider.as_str()).collect();
    releasing.sort_unstable();
    let doubt = (payment.in_doubt, payment.unresolved);
    let paid = (payment.status, doubt, payment.capture_due, payment.attempt.min(1));
    let delivery = (delivery.status(), rider, how);
    format!("{state} {paid:?} {preparation:?} {delivery:?} {stock:?} {releasing:?} {settled}")
}

pub(crate) fn walk(placement: Placement) -> Walk {
    let mut walk = Walk { states: HashMap::new(), events: BTreeSet::new(), edges: HashMap::new() };
    let first = step(None, ORDER, &customer(), &place(placement), NOON).expect("an order can be placed");
    let mut open = vec![first.next.clone()];
    walk.events.extend(first.events.iter().map(OrderEvent::name));
    walk.states.insert(key(&first.next), first.next);
    while let Some(order) = open.pop() {
        check_state(&order);
        let here = key(&order);
        let mut next_states = Vec::new();
        for (issued, now) in commands_in(&order) {
            let Some(next) = take(&order, &issued, now) else { continue };
            check_step(&order, &issued, &next);
            walk.events.extend(next.events.iter().map(OrderEvent::name));
            let there = key(&next.next);
            next_states.push(there.clone());
            walk.states.entry(there).or_insert_with(|| {
                open.push(next.next.clone());
                next.next
            });
        }
        walk.edges.insert(here, next_states);
    }
    walk
}

fn commands_in(order: &Order) -> Vec<(Issued, Timestamp)> {
    let times = due_times(order).into_iter().map(|at| (clock(), at));
    every_command(order).into_iter().map(|issued| (issued, order.updated_at)).chain(times).collect()
}

/// The step, unless the command is refused or changes nothing.
fn take(order: &Arc<Order>, issued: &Issued, now: Timestamp) -> Option<Step> {
    match step(Some(order), ORDER, &issued.by, &issued.command, now) {
        Ok(step) => (!step.events.is_empty()).then_some(step),
        Err(NoStep::Rejected(_)) => None,
        Err(NoStep::Illegal(illegal)) => panic!("{} in {}: {illegal}", issued.label, key(order)),
    }
}

/// What may follow an end: what was held goes back or is used up, and nothing else.
const SETTLEMENT: [&str; 12] = [
    "payment_unresolved",
    "payment_authorized",
    "payment_captured",
    "payment_declined",
    "payment_voided",
    "payment_refunded",
    "stock_returned",
    "stock_sold",
    "preparation_cancelled",
    "delivery_cancelled",
    "rider_released",
    "order_settled",
];

fn check_step(order: &Arc<Order>, issued: &Issued, step: &Step) {
    let context = || format!("{} in {}", issued.label, key(order));
    assert!(!order.settled, "a settled order is finished: {}", context());
    if order.is_closed() {
        assert!(step.next.status() == order.status(), "an end is an end: {}", context());
        for event in &step.events {
            assert!(SETTLEMENT.contains(&event.name()), "{} after the end: {}", event.name(), context());
        }
    }
    // The clock is not a wish: each time it strikes, the next thing may be due. And the answer "not yet" of a
    // payment that is asked for again is a new answer.
    if issued.command != OrderCommand::NoteTime
        && let Ok(again) =
            crate::order::step(Some(&step.next), ORDER, &issued.by, &issued.command, step.next.updated_at)
    {
        assert_eq!(again.events, [], "asking twice is doing once: {}", context());
    }
}

fn check_state(order: &Arc<Order>) {
    let context = || key(order);
    let outstanding = order.outstanding();
    assert_eq!(
        order.settled,
        order.is_closed() && outstanding.is_empty(),
        "settled when nothing is held: {}",
        context()
    );
    assert!(
        order.is_closed() || order.next_due().is_some() || order.attention().is_some(),
        "someone looks at every open order again: {}",
        context()
    );
    check_answers(order, &outstanding);
    check_money(order, &outstanding);
    check_allowed(order);
}

/// Whatever the world answers for certain moves the order on; and one that has ended needs nothing but answers.
fn check_answers(order: &Arc<Order>, outstanding: &[Request]) {
    let take = |order: &Arc<Order>, answer: &OrderCommand| {
        step(Some(order), ORDER, &Party::System, answer, order.updated_at).expect("an answer is never refused")
    };
    for request in outstanding {
        for answer in &definite_answers(order, request) {
            assert!(!take(order, answer).events.is_empty(), "{answer:?} to {request:?} is lost in {}", key(order));
        }
    }
    if order.is_closed() {
        let mut order = order.clone();
        for _ in 0..8 {
            let Some(request) = order.outstanding().into_iter().next() else { break };
            order = take(&order, &definite_answers(&order, &request)[0]).next;
        }
        assert!(order.settled, "answers alone do not settle {}", key(&order));
    }
}

fn check_money(order: &Order, outstanding: &[Request]) {
    let policy = &order.placement.policy;
    let context = || key(order);
    let asked: Vec<_> = outstanding
        .iter()
        .filter_map(|request| if let Request::Pay { operation, .. } = request { Some(*operation) } else { None })
        .collect();
    assert!(asked.len() <= 1, "one question at a time: {}", context());
    assert_eq!(
        asked.contains(&PaymentOperation::Purchase) || asked.contains(&PaymentOperation::Authorize),
        order.payment.in_doubt
    );
    if order.payment.in_doubt {
        assert!(!order.settled, "doubt is no end: {}", context());
    }
    if order.placement.payment_method == PaymentMethod::OnDelivery {
        assert_eq!(asked, [], "cash is not the provider's business: {}", context());
    }
    if order.submitted && order.payment.method == PaymentMethod::Card && !order.is_closed() {
        assert!(
            matches!(
                order.payment.status,
                PaymentStatus::Authorized | PaymentStatus::Captured | PaymentStatus::Declined
            ),
            "an unpaid order is not shown to the store: {}",
            context()
        );
    }
    if policy.capture == crate::order::Capture::AtAcceptance && matches!(order.state, State::AwaitingAcceptance { .. })
    {
        assert_eq!(asked, [], "nothing is captured before the store approves: {}", context());
    }
    if order.settled && order.ended_early() {
        let kept = matches!(order.payment.status, PaymentStatus::Authorized | PaymentStatus::Captured);
        assert!(!kept, "nothing is kept of an ended order: {}", context());
    }
}

/// What an order says is allowed is what it takes, for everyone.
fn check_allowed(order: &Order) {
    for by in [customer(), store(), rider(), another_rider(), operator()] {
        let allowed: BTreeSet<_> = order.allowed(&by, order.updated_at).iter().map(|name| name.as_str()).collect();
        // A rider who has yet to give this very order back is not named again, but others are.
        let a_third = OrderCommand::Assign { rider: crate::order::RiderId("tara".parse().unwrap()) };
        let taken: BTreeSet<_> = every_command(order)
            .into_iter()
            .filter(|issued| issued.by == by)
            .map(|issued| issued.command)
            .chain([a_third])
            // Another card is the customer's offer, not ours.
            .filter(|command| !matches!(command, OrderCommand::Pay { token: Some(_) }))
            .filter(|command| order.decide(&by, command, order.updated_at).is_ok_and(|events| !events.is_empty()))
            .map(|command| command.name().as_str())
            .collect();
        assert_eq!(allowed, taken, "{by} in {}", key(order));
    }
}

/// From every state some way leads to an order that is settled; and once it has ended, answers alone lead there.
fn check_ends(walk: &Walk) {
    let mut ending: BTreeSet<&String> = BTreeSet::new();
    loop {
        let before = ending.len();
        for (state, order) in &walk.states {
            if order.settled || walk.edges[state].iter().any(|next| ending.contains(next)) {
                ending.insert(state);
            }
        }
        if ending.len() == before {
            break;
        }
    }
    let stuck: Vec<_> = walk.states.keys().filter(|state| !ending.contains(state)).collect();
    assert!(stuck.is_empty(), "no way out of {stuck:?}");
}

/// Every policy that makes sense, as far as it changes which steps there are. Until when a customer may cancel is left
/// at its widest: less only takes commands away.
fn every_policy(dispatch: &str) -> Vec<Placement> {
    let mut all = Vec::new();
    for stock in ["untracked", "tracked"] {
        for payment in [
            r#""payment_methods":["card","on_delivery"],"capture":"at_acceptance""#,
            r#""payment_methods":["card"],"capture":"at_placement""#,
        ] {
            for acceptance in ["manual", "automatic"] {
                for preparation in ["reported", "with_acceptance", "automatic", "none"] {
                    let policy = format!(
                        r#"{{"preset":"food_delivery","stock":"{stock}",{payment},"acceptance":"{acceptance}",
                        "preparation":"{preparation}","dispatch":"{dispatch}","cancel_until":"delivery"}}"#
                    );
                    if let Ok(policy) = serde_json::from_str::<ServicePolicy>(&policy) {
                        all.push(Placement { policy: Arc::new(policy), ..placement(Preset::FoodDelivery) });
                    }
                }
            }
        }
    }
    let on_delivery: Vec<_> = all.iter().filter(|placement| placement.policy.on_delivery).cloned().collect();
    all.extend(on_delivery.into_iter().map(paid_on_delivery));
    all
}

fn walk_all(dispatch: &str) {
    let policies = every_policy(dispatch);
    assert_eq!(policies.len(), 42, "2 stocks, 3 ways to pay, 7 ways to accept and prepare");
    for placement in policies {
        check_ends(&walk(placement));
    }
}

#[test]
fn every_state_of_an_order_that_riders_claim_keeps_the_rules() {
    walk_all("riders_claim");
}

#[test]
fn every_state_of_an_order_that_the_store_assigns_keeps_the_rules() {
    walk_all("store_assigns");
}

#[test]
fn every_state_of_an_order_for_own_riders_keeps_the_rules() {
    walk_all("own_riders");
}

#[test]
fn every_state_of_an_order_that_the_store_carries_keeps_the_rules() {
    walk_all("store_departs");
}

#[test]
fn every_event_can_happen_and_the_presets_differ_as_their_names_say() {
    let never = |preset| {
        let seen = walk(placement(preset)).events;
        OrderEvent::NAMES.iter().copied().filter(|name| !seen.contains(name)).collect::<Vec<_>>()
    };
    let area = "unavailable_area"; // Ends an order before there is anything to walk.
    let stock = ["stock_reserved", "out_of_stock"];
    let stock_back = ["stock_returned", "stock_sold"];
    let kitchen = ["preparation_started", "preparation_finished", "preparation_cancelled"];
    let riders = ["rider_assigned", "assignment_confirmed", "rider_accepted", "rider_declined"];
    let desk = "assignment_confirmed"; // Only a desk names riders who have yet to say yes.
    let of = |names: &[&[&'static str]]| names.concat();
    assert_eq!(never(Preset::FoodDelivery), of(&[&[area], &stock, &[desk], &stock_back]));
    assert_eq!(never(Preset::Retail), of(&[&[area, desk]]));
    assert_eq!(never(Preset::QuickService), of(&[&[area], &stock, &kitchen, &stock_back]));
    assert_eq!(never(Preset::Restaurant), of(&[&[area, "order_rejected", desk]]));
    assert_eq!(
        never(Preset::StoreDelivered),
        of(&[&[area], &stock, &["delivery_offered"], &riders, &["rider_released"], &stock_back])
    );
}
