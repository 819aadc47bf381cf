//! The situations of an order that `transitions.txt` shows, each reached by commands from placing it.

use std::sync::Arc;

use super::every_command::every_command;
use crate::order::testing::*;
use crate::order::{Order, Preset, step};

/// Where to stop on the happy way, and what happens then instead.
pub(crate) type Situation = (&'static str, &'static str, &'static str);

/// The commands of a happy life, in order.
fn way(preset: Preset) -> &'static [&'static str] {
    match preset {
        Preset::FoodDelivery => &[
            "note-authorized",
            "accept",
            "note-captured",
            "start-preparation",
            "finish-preparation",
            "claim",
            "note-rider-held",
            "pick-up",
            "deliver",
            "confirm",
            "note-rider-released",
        ],
        Preset::Retail => &[
            "note-stock-reserved",
            "note-captured",
            "accept",
            "finish-preparation",
            "note-rider-found",
            "note-rider-held",
            "deliver",
            "confirm",
            "note-rider-released",
            "note-stock-sold",
        ],
        Preset::QuickService => &[
            "note-authorized",
            "accept",
            "note-captured",
            "assign",
            "note-rider-held",
            "accept-delivery",
            "pick-up",
            "deliver",
            "confirm",
            "note-rider-released",
        ],
        Preset::Restaurant => &[
            "note-stock-reserved",
            "note-captured",
            "finish-preparation",
            "note-rider-found",
            "note-rider-held",
            "deliver",
            "confirm",
            "note-stock-sold",
            "note-rider-released",
        ],
        Preset::StoreDelivered => &[
            "note-authorized",
            "accept",
            "note-captured",
            "start-preparation",
            "finish-preparation",
            "depart",
            "deliver",
            "confirm",
        ],
    }
}

/// Remark, the last command of the happy way, and the detour after it. `cash` is an order paid on delivery.
pub(crate) fn situations(preset: Preset) -> Vec<Situation> {
    const NOT_ASKED: Situation = ("the provider could not be asked", "", "note-not-paid-yet (not sent)");
    const NO_ANSWER: Situation = ("the provider was asked and did not answer", "", "note-not-paid-yet (unknown)");
    match preset {
        Preset::FoodDelivery => vec![
            ("the card is being asked", "", ""),
            NOT_ASKED,
            NO_ANSWER,
            ("", "note-authorized", ""),
            ("paid on delivery", "", "cash"),
            ("the money is being taken", "accept", ""),
            ("", "note-captured", ""),
            ("", "start-preparation", ""),
            ("offered to riders nearby", "finish-preparation", ""),
            ("a rider takes it", "claim", ""),
            ("a rider has it", "note-rider-held", ""),
            ("the rider gave it back", "claim", "decline-delivery"),
            ("", "pick-up", ""),
            ("", "deliver", ""),
            ("the rider's book still has it", "confirm", ""),
            ("settled", "note-rider-released", ""),
            ("the held money is let go", "note-authorized", "reject"),
            ("whether money is held is not known", "", "note-not-paid-yet (unknown); cancel"),
            ("payment and kitchen were at work", "accept", "cancel"),
            ("declined and settled", "", "note-declined"),
        ],
        Preset::Retail => vec![
            ("the store is asked for the goods", "", ""),
            ("the store is slow", "", "note-not-paid-yet (not sent)"),
            ("the card is being asked", "note-stock-reserved", ""),
            ("the provider could not be asked", "note-stock-reserved", "note-not-paid-yet (not sent)"),
            ("", "note-captured", ""),
            ("", "accept", ""),
            ("a free rider of the store is looked for", "finish-preparation", ""),
            ("one is found", "note-rider-found", ""),
            ("", "note-rider-held", ""),
            ("", "deliver", ""),
            ("", "confirm", ""),
            ("settled", "note-stock-sold", ""),
            ("money and goods go back", "note-captured", "reject"),
            ("while the goods were asked for", "", "cancel"),
            ("on its way", "note-rider-held", "cancel"),
            ("out of stock and settled", "", "note-out-of-stock"),
        ],
        Preset::QuickService => vec![
            ("the card is being asked", "", ""),
            NOT_ASKED,
            NO_ANSWER,
            ("", "note-authorized", ""),
            ("paid on delivery", "", "cash"),
            ("the money is being taken", "accept", ""),
            ("the desk looks for a rider", "note-captured", ""),
            ("a rider is named", "assign", ""),
            ("the rider's book has it", "note-rider-held", ""),
            ("the rider said yes", "accept-delivery", ""),
            ("the rider said no", "assign", "decline-delivery"),
            ("", "pick-up", ""),
            ("paid on delivery", "", "cash; accept; assign; note-rider-held; accept-delivery; pick-up"),
            ("", "deliver", ""),
            ("", "confirm", ""),
            ("the held money is let go", "note-authorized", "reject"),
            ("a rider was named", "assign", "cancel"),
        ],
        Preset::Restaurant => vec![
            ("the store is asked for the goods", "", ""),
            ("the card is being asked", "note-stock-reserved", ""),
            ("the provider could not be asked", "note-stock-reserved", "note-not-paid-yet (not sent)"),
            ("it cooks by itself", "note-captured", ""),
            ("a free rider of the store is looked for", "finish-preparation", ""),
            ("one is found", "note-rider-found", ""),
            ("", "note-rider-held", ""),
            ("", "deliver", ""),
            ("", "confirm", ""),
            ("the kitchen was at work", "note-captured", "cancel"),
            ("out of stock and settled", "", "note-out-of-stock"),
        ],
        Preset::StoreDelivered => vec![
            ("the card is being asked", "", ""),
            NOT_ASKED,
            ("", "note-authorized", ""),
            ("", "note-captured", ""),
            ("", "start-preparation", ""),
            ("the store has yet to depart", "finish-preparation", ""),
            ("", "depart", ""),
            ("the money is not taken yet", "accept", "start-preparation; finish-preparation; depart"),
            ("", "deliver", ""),
            ("settled", "confirm", ""),
            ("the held money is let go", "note-authorized", "reject"),
            ("the kitchen was at work", "note-captured", "cancel"),
        ],
    }
}

pub(crate) fn headline(preset: Preset) -> &'static str {
    match preset {
        Preset::FoodDelivery => "food_delivery: cooked food, carried by riders who are near the customer",
        Preset::Retail => "retail: goods from stock, carried by the store's own riders",
        Preset::QuickService => "quick_service: a parcel courier whose desk approves and assigns",
        Preset::Restaurant => "restaurant: food from stock, cooked and sent by itself",
        Preset::StoreDelivered => "store_delivered: cooked food that the store itself delivers",
    }
}

/// Goes the happy way until `last` and then the detour. Each command must change something.
pub(crate) fn reach(preset: Preset, last: &str, detour: &str) -> Arc<Order> {
    let along = way(preset).iter().position(|label| *label == last).map_or(0, |at| at + 1);
    assert_eq!(along == 0, last.is_empty(), "{last} is not on the way");
    let mut detour = detour.split("; ").filter(|label| !label.is_empty()).peekable();
    let cash = detour.next_if_eq(&"cash").is_some();
    let placement = if cash { paid_on_delivery(placement(preset)) } else { placement(preset) };
    let first = step(None, ORDER, &customer(), &place(placement), NOON).expect("an order can be placed");
    way(preset)[..along].iter().copied().chain(detour).fold(first.next, |order, label| {
        every_command(&order)
            .into_iter()
            .filter(|issued| issued.label == label)
            .filter_map(|issued| step(Some(&order), ORDER, &issued.by, &issued.command, NOON).ok())
            .find(|step| !step.events.is_empty())
            .unwrap_or_else(|| panic!("{label} does nothing to {order:?}"))
            .next
    })
}
