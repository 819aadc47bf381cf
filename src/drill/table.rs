//! The drills as a table, for people.

use std::fmt::Write as _;

use super::args::Name;
use super::stage::{Outcome, Row};

pub(super) fn heading() -> String {
    format!(
        "{:<44}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{:>9}{:>9}{:>6}{:>6}{:>9}{:>7}",
        "drill, phase",
        "at once",
        "in all",
        "orders/s",
        "p50 ms",
        "p99 ms",
        "longest",
        "deferred",
        "refused",
        "lost",
        "dupl.",
        "no order",
        "twice"
    )
}

/// A drill's lines: each phase, what else there is to say, and what others printed.
pub(super) fn lines(name: Name, outcome: &Outcome) -> String {
    let mut text = String::new();
    for row in &outcome.rows {
        writeln!(text, "{}", line(name, row)).expect("a text takes all");
    }
    let notes = outcome.notes.iter().cloned();
    let broken = outcome.broken.iter().map(|because| format!("BROKEN: {because}"));
    let invalid = outcome.invalid.iter().map(|because| format!("INVALID: {because}"));
    let others = std::iter::once(format!("elsewhere: {}", name.others()));
    for note in notes.chain(broken).chain(invalid).chain(others) {
        writeln!(text, "    {note}").expect("a text takes all");
    }
    text
}

fn line(name: Name, row: &Row) -> String {
    let (orders, checked) = (&row.report.orders, &row.report.checked);
    let took = row.report.of_command("place").map(|place| place.took).unwrap_or_default();
    let refused: u64 = row.report.refused.values().sum();
    let percent = |share: f64| format!("{:.2}%", share * 100.0);
    format!(
        "{:<44}{:>9}{:>9}{:>9.1}{:>9.1}{:>9.1}{:>10.1}{:>9}{:>9}{:>6}{:>6}{:>9}{:>7}",
        format!("{}: {}", name.as_str(), row.phase),
        percent(orders.available_at_once),
        percent(orders.available),
        orders.placed_per_s,
        took.p50,
        took.p99,
        took.max,
        orders.deferred,
        refused,
        checked.lost + checked.set_back,
        checked.duplicated + checked.refused_yet_there + checked.foreign,
        row.books.without_order,
        row.books.twice,
    )
}
