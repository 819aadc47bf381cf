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
    count(checked.lists_behind, "orders were not in their customers' lists half a minute after the load");
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

#[cfg(test)]
mod tests {
    use super::super::report::{Checked, Orders, Watchers};
    use super::*;

    fn good() -> Report {
        let orders = Orders { wished: 10, answered: 10, ..Orders::default() };
        let watchers = Watchers { watchers: 2, frames: 80, ..Watchers::default() };
        let checked = Checked { wishes: 10, listed: 10, ..Checked::default() };
        Report { orders, checked, watchers: Some(watchers), ..Report::default() }
    }

    #[test]
    fn a_run_in_which_all_was_kept_is_neither_broken_nor_invalid() {
        assert_eq!(broken(&good()), Vec::<String>::new());
        assert_eq!(invalid(&good(), None), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_broken_promise_is_said() {
        let break_one: [fn(&mut Report); 9] = [
            |report| report.checked.lost = 1,
            |report| report.checked.duplicated = 1,
            |report| report.checked.refused_yet_there = 1,
            |report| report.checked.set_back = 1,
            |report| report.checked.foreign = 1,
            |report| report.checked.lists_behind = 1,
            |report| watchers(report).gaps = 1,
            |report| watchers(report).repeats = 1,
            |report| watchers(report).missing = 1,
        ];
        for break_it in break_one {
            let mut report = good();
            break_it(&mut report);
            assert_eq!(broken(&report).len(), 1, "{report:?}");
        }
    }

    #[test]
    fn a_run_that_saw_too_little_is_invalid() {
        let blind: [fn(&mut Report); 5] = [
            |report| report.orders.answered = 0,
            |report| report.checked.listed = 0,
            |report| report.checked.unread = 1,
            |report| report.checked.unresolved = 1,
            |report| watchers(report).frames = 0,
        ];
        for make_blind in blind {
            let mut report = good();
            make_blind(&mut report);
            assert_eq!(invalid(&report, None).len(), 1, "{report:?}");
            assert!(broken(&report).is_empty());
        }
        assert_eq!(invalid(&good(), Some("late".into())), ["late"]);
    }

    fn watchers(report: &mut Report) -> &mut Watchers {
        report.watchers.as_mut().unwrap()
    }
}
