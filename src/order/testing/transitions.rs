//! Renders `transitions.txt`, the table of every status and every command, and keeps it true.
//!
//! `UPDATE_TRANSITIONS=1 cargo test --lib transitions` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::every_command::{Issued, clock, due_times, every_command};
use super::reachable::walk;
use super::situations::{headline, reach, situations};
use crate::order::testing::*;
use crate::order::{
    CommandName, NoStep, Order, OrderEvent, PartyRole, Preset, Rejection, Request, Status, StockHold, Timestamp, step,
};

const TABLE: &str = include_str!("../transitions.txt");

const HEADER: &str = "\
What every command does in every status of an order, for each of the five kinds of business.

This page is made from the rules and checked against them, so it cannot be out of date. After a change of the rules,
`UPDATE_TRANSITIONS=1 cargo test --lib transitions` writes it anew, and the difference shows what the change does.

Each paragraph is an order as it stands: its status; then payment, preparation, delivery and stock; what it asks of the
world (asks) and how long it waits (until). Then a line for each command that changes it: who gives it, its name, the
events that follow, and the status after them if it is another one. `answer` is the world's; `clock` is so many seconds
since the order was placed, all else having happened at once. Below that stand the others:
  holds     what these ask for holds already: they change nothing, and repeating a command is always safe
  refused   these are refused, grouped by the code of the refusal
Answers that are not listed are no news and change nothing. To riders whom it does not concern, and to the store until
it is submitted, there is no such order: what they may not know of is left out, as is who may never give a command.
";

/// An event, and the word that tells it from others of its name.
fn told(event: &OrderEvent) -> String {
    let body: serde_json::Value = serde_json::from_str(&event.data()).unwrap();
    let key = match event.name() {
        "order_cancelled" => "reason",
        "rider_declined" => "why",
        "rider_assigned" => "how",
        "reminder_given" => "to",
        "payment_deferred" if body["in_doubt"] == true => return "payment_deferred(in doubt)".to_owned(),
        name => return name.to_owned(),
    };
    format!("{}({})", event.name(), body[key].as_str().unwrap())
}

fn asked(request: &Request) -> &'static str {
    match request {
        Request::ReserveStock => "set the goods aside",
        Request::ReturnStock => "put the goods back",
        Request::SellStock => "sell the goods",
        Request::Pay { operation, .. } => operation.as_str(),
        Request::RetryPayment => "pay again later",
        Request::StopPreparation => "stop the kitchen",
        Request::FindRider => "find a rider",
        Request::HoldRider { .. } => "enter it in the rider's book",
        Request::ReleaseRider { .. } => "strike it out of the rider's book",
    }
}

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn list<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    words.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
}

fn as_it_stands(order: &Order, remark: &str) -> String {
    let payment = &order.payment;
    let doubt = if payment.in_doubt { " (in doubt)" } else { "" };
    let stock = match order.stock {
        StockHold::None => "not counted",
        StockHold::Wanted => "wanted",
        StockHold::Reserved => "set aside",
        StockHold::Ended => "sold or back",
    };
    let colon = if remark.is_empty() { "" } else { ": " };
    let mut text = format!("\n{}{colon}{remark}\n", order.status());
    let delivery = order.delivery.status().as_str();
    writeln!(
        text,
        "  payment {}{doubt} | preparation {} | delivery {delivery} | stock {stock}",
        word(payment.status),
        word(order.preparation)
    )
    .unwrap();
    let asks = order.outstanding();
    if !asks.is_empty() {
        writeln!(text, "  asks      {}", list(asks.iter().map(asked))).unwrap();
    }
    if let Some(deadline) = order.deadline() {
        writeln!(text, "  until     {} s, then {}", seconds(deadline.at), deadline.then.as_str()).unwrap();
    }
    text
}

fn seconds(at: Timestamp) -> u64 {
    NOON.until(at).as_secs()
}

fn who(issued: &Issued, at: Option<Timestamp>) -> String {
    match (issued.by.role(), at) {
        (PartyRole::System, Some(at)) => format!("clock     {} s", seconds(at)),
        (PartyRole::System, None) => format!("answer    {}", issued.label.trim_start_matches("note-")),
        (PartyRole::Customer, _) => format!("customer  {}", issued.label),
        (PartyRole::Store, _) => format!("store     {}", issued.label),
        (PartyRole::Rider, _) => format!("rider     {}", issued.label),
        (PartyRole::Operator, _) => format!("operator  {}", issued.label),
    }
}

/// What one command comes to.
enum Verdict {
    Changes(String),
    Holds,
    Refused(&'static str),
    LeftOut,
}

fn verdict(order: &Arc<Order>, issued: &Issued, at: Option<Timestamp>) -> Verdict {
    match step(Some(order), ORDER, &issued.by, &issued.command, at.unwrap_or(NOON)) {
        Ok(step) if !step.events.is_empty() => {
            let status = step.next.status();
            let after = if status == order.status() { String::new() } else { format!(" -> {status}") };
            Verdict::Changes(list(step.events.iter().map(told)) + &after)
        }
        Ok(_) if issued.by.role() == PartyRole::System => Verdict::LeftOut,
        Ok(_) => Verdict::Holds,
        Err(NoStep::Rejected(Rejection::WrongRole(_) | Rejection::NotYours | Rejection::AlreadyPlaced)) => {
            Verdict::LeftOut
        }
        Err(NoStep::Rejected(rejection)) => Verdict::Refused(rejection.code()),
        Err(NoStep::Illegal(illegal)) => panic!("{illegal}"),
    }
}

/// One paragraph; the names of the commands that changed something go to `seen`.
fn paragraph(order: &Arc<Order>, remark: &str, seen: &mut BTreeSet<&'static str>) -> String {
    let mut text = as_it_stands(order, remark);
    let mut holds: Vec<&str> = Vec::new();
    let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let times = due_times(order).into_iter().map(|at| (clock(), Some(at)));
    // `claim as someone else` goes without saying after `claim` when they come to the same.
    let said = |list: &[&str], label: &str| list.last().is_some_and(|last| label.starts_with(last));
    for (issued, at) in every_command(order).into_iter().map(|issued| (issued, None)).chain(times) {
        match verdict(order, &issued, at) {
            Verdict::Changes(events) => {
                seen.insert(issued.command.name().as_str());
                writeln!(text, "  {:<38}{events}", who(&issued, at)).unwrap();
            }
            Verdict::Holds if said(&holds, issued.label) => {}
            Verdict::Holds => holds.push(issued.label),
            Verdict::Refused(code) => {
                let commands = refused.entry(code).or_default();
                if !said(commands, issued.label) {
                    commands.push(issued.label);
                }
            }
            Verdict::LeftOut => {}
        }
    }
    if !holds.is_empty() {
        writeln!(text, "  holds     {}", list(holds)).unwrap();
    }
    for (n, (code, commands)) in refused.into_iter().enumerate() {
        writeln!(text, "  {:<10}{code}: {}", if n == 0 { "refused" } else { "" }, list(commands)).unwrap();
    }
    text
}

fn table() -> String {
    let mut text = HEADER.to_owned();
    let mut seen = BTreeSet::new();
    for preset in Preset::ALL {
        let title = headline(preset);
        write!(text, "\n\n{title}\n{}\n", "=".repeat(title.len())).unwrap();
        let mut shown = BTreeSet::new();
        for (remark, last, detour) in situations(preset) {
            let order = reach(preset, last, detour);
            shown.insert(order.status());
            text += &paragraph(&order, remark, &mut seen);
        }
        let reachable: BTreeSet<Status> = walk(placement(preset)).states.values().map(|order| order.status()).collect();
        assert_eq!(shown, reachable, "{title}: every status that can be reached is shown");
    }
    seen.insert("place"); // It changes something where there is no order yet.
    let given: BTreeSet<_> = every_command(&reach(Preset::Retail, "", ""))
        .iter()
        .map(|issued| issued.command.name())
        .chain([CommandName::NoteTime])
        .map(CommandName::as_str)
        .collect();
    assert_eq!(seen, given, "every command changes something somewhere");
    text
}

#[test]
fn the_table_of_transitions_is_true() {
    let table = table();
    if std::env::var_os("UPDATE_TRANSITIONS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/order/transitions.txt");
        std::fs::write(path, &table).expect("the table can be written");
        return;
    }
    for (n, (is, should)) in table.lines().zip(TABLE.lines()).enumerate() {
        assert_eq!(is, should, "line {}: run again with UPDATE_TRANSITIONS=1 and look at the difference", n + 1);
    }
    assert_eq!(table.len(), TABLE.len(), "run again with UPDATE_TRANSITIONS=1 and look at the difference");
}
