//! What makes a run say "broken", and what makes it say nothing at all. Pure.

use super::report::Report;

/// Promises that were not kept.
pub(super) fn broken(report: &Report) -> Vec<String> {
    let checked = &report.checked;
    let mut because = Vec::new();
    let mut count = |count: u64, what: &str| {
        if count > 0 {
            because.push(format!("{count} {what}"));
        }
    };
    count(checked.lost as u64, "acknowledged orders are not there");
    count(checked.duplicated as u64, "orders are there twice");
    count(checked.refused_yet_there as u64, "orders are there that were said to be refused");
    count(checked.set_back as u64, "orders are not as far as was acknowledged");
    count(checked.foreign as u64, "orders are there that nobody wished for");
    count(checked.lists_behind, "orders are not in their customer's lists as they should be");
    if let Some(watchers) = &report.watchers {
        count(watchers.gaps, "gaps in what watchers saw");
        count(watchers.repeats, "repeats in what watchers saw");
        count(watchers.missing, "orders whose last change never came to their watcher");
    }
    because
}

/// Reasons to believe nothing of the report: a run in which nothing happened breaks no promise either.
pub(super) fn invalid(report: &Report, late: Option<String>) -> Vec<String> {
    let mut because: Vec<String> = late.into_iter().collect();
    let mut say = |applies: bool, what: &str| {
        if applies {
            because.push(what.to_owned());
        }
    };
    say(report.orders.answered == 0, "not one order was placed in the measured time");
    say(report.checked.listed == 0, "the lists were empty at the end");
    say(report.checked.unread > 0, "some lists could not be read at the end");
    say(report.checked.unresolved > 0, "some placements were never answered, however often they were asked");
    say(report.watchers.as_ref().is_some_and(|watchers| watchers.frames == 0), "the watchers saw nothing");
    because
}
