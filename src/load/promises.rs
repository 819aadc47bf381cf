//! What the service has promised by its answers, and whether it kept it: every acknowledged order is there, once, and
//! at least as far as was acknowledged; nothing that was refused is there.
//!
//! Pure: answers go in while the load runs, what the lists show goes in at the end, findings come out. Who reads
//! the lists is `audit`.

use std::collections::HashMap;

use uuid::Uuid;

use super::kind::Status;

/// One wish for an order, by its number: what became of its placement, and of the order since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// Sent, or about to be: the answer is not known yet, or never came.
    Unknown,
    /// Definitely not placed.
    Refused,
    Placed(Placed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) id: Uuid,
    /// The highest version that was acknowledged.
    pub(super) version: u32,
    /// The furthest status that was acknowledged. An end is an end.
    pub(super) status: Status,
    /// A command was given up in doubt: it may be further than acknowledged.
    pub(super) in_doubt: bool,
}

/// An order as a customer's list shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub id: Uuid,
    pub version: u32,
    pub status: Status,
    /// The number of the wish that its note names.
    pub wish: u64,
}

/// A promise that was not kept, or not yet to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finding {
    /// Acknowledged, and not listed.
    Lost { wish: u64, id: Uuid },
    /// Two orders for one wish, or one order listed twice.
    Duplicated { wish: u64, id: Uuid },
    /// Said to be definitely not applied, and there all the same.
    RefusedYetThere { wish: u64, id: Uuid },
    /// Listed, but not as far as was acknowledged.
    SetBack { wish: u64, id: Uuid },
    /// Nobody wished for it.
    Foreign { id: Uuid },
}

/// What the final reading came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) findings: Vec<Finding>,
    /// Orders whose placement was never answered, and that are there.
    pub(super) unknown_applied: u64,
    pub(super) unknown_not_applied: u64,
}

#[derive(Debug, Default)]
pub(super) struct Promises {
    wishes: Vec<Promise>,
}

impl Promises {
    /// A new wish, and its number.
    pub(super) fn wish(&mut self) -> u64 {
        self.wishes.push(Promise::Unknown);
        self.wishes.len() as u64 - 1
    }

    pub(super) fn refused(&mut self, wish: u64) {
        self.wishes[wish as usize] = Promise::Refused;
    }

    /// An answer that shows the order: it is at least there from now on.
    pub(super) fn acknowledged(&mut self, wish: u64, id: Uuid, version: u32, status: Status) {
        let promise = &mut self.wishes[wish as usize];
        *promise = match *promise {
            Promise::Placed(known) if known.id == id => {
                let further = version > known.version;
                let status = if further { status } else { known.status };
                Promise::Placed(Placed { version: version.max(known.version), status, ..known })
            }
            Promise::Placed(_) | Promise::Unknown | Promise::Refused => {
                Promise::Placed(Placed { id, version, status, in_doubt: false })
            }
        };
    }

    pub(super) fn doubted(&mut self, wish: u64) {
        if let Promise::Placed(placed) = &mut self.wishes[wish as usize] {
            placed.in_doubt = true;
        }
    }

    /// Orders under way were cut off: whatever was being sent for them may have been carried out.
    pub(super) fn doubt_all_under_way(&mut self) {
        for promise in &mut self.wishes {
            if let Promise::Placed(placed) = promise {
                placed.in_doubt |= !placed.status.has_ended();
            }
        }
    }

    pub(super) fn get(&self, wish: u64) -> Option<Promise> {
        self.wishes.get(wish as usize).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Promise)> {
        (0..).zip(self.wishes.iter().copied())
    }

    pub(super) fn len(&self) -> usize {
        self.wishes.len()
    }

    /// Whether an order stands at least where was promised.
    pub(super) fn kept_by(&self, row: &Listed) -> bool {
        self.get(row.wish).is_some_and(|promise| broken_by(promise, row).is_none())
    }

    /// Compares what was promised with everything that the lists show.
    pub(super) fn judge(&self, listed: &[Listed]) -> Judgement {
        let mut judgement = Judgement::default();
        let mut seen: HashMap<u64, Listed> = HashMap::with_capacity(listed.len());
        for row in listed {
            let finding = match self.get(row.wish) {
                None => Some(Finding::Foreign { id: row.id }),
                Some(_) if seen.contains_key(&row.wish) => Some(Finding::Duplicated { wish: row.wish, id: row.id }),
                Some(promise) => broken_by(promise, row),
            };
            seen.entry(row.wish).or_insert(*row);
            judgement.findings.extend(finding);
        }
        for (wish, promise) in self.iter() {
            match promise {
                Promise::Placed(placed) if !seen.contains_key(&wish) => {
                    judgement.findings.push(Finding::Lost { wish, id: placed.id });
                }
                Promise::Unknown if seen.contains_key(&wish) => judgement.unknown_applied += 1,
                Promise::Unknown => judgement.unknown_not_applied += 1,
                Promise::Placed(_) | Promise::Refused => {}
            }
        }
        judgement
    }
}

fn broken_by(promise: Promise, row: &Listed) -> Option<Finding> {
    let (wish, id) = (row.wish, row.id);
    match promise {
        Promise::Unknown => None,
        Promise::Refused => Some(Finding::RefusedYetThere { wish, id }),
        // The acknowledged one is missing, and there is another in its place.
        Promise::Placed(placed) if placed.id != id => Some(Finding::Duplicated { wish, id }),
        Promise::Placed(placed) => (!at_least(&placed, row)).then_some(Finding::SetBack { wish, id }),
    }
}

/// Ended orders stay as they ended; others may have gone on, but by way of an early end only as long as nobody but
/// the customer knew of them: their payment may be declined late.
fn at_least(placed: &Placed, row: &Listed) -> bool {
    if row.version < placed.version {
        return false;
    }
    if placed.status.has_ended() {
        return row.status == placed.status;
    }
    if row.status.ended_early() {
        return placed.in_doubt || placed.status <= Status::AwaitingPayment;
    }
    row.status >= placed.status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn row(wish: u64, id: Uuid, version: u32, status: Status) -> Listed {
        Listed { id, version, status, wish }
    }

    /// Three wishes: one served, one refused, one never answered.
    fn promises() -> Promises {
        let mut promises = Promises::default();
        for _ in 0..3 {
            promises.wish();
        }
        promises.acknowledged(0, id(10), 2, Status::AwaitingAcceptance);
        promises.acknowledged(0, id(10), 9, Status::Completed);
        promises.refused(1);
        promises
    }

    #[test]
    fn a_good_history_has_no_findings() {
        let listed = [row(0, id(10), 9, Status::Completed)];
        let expected = Judgement { unknown_not_applied: 1, ..Judgement::default() };
        assert_eq!(promises().judge(&listed), expected);
        let listed = [row(0, id(10), 9, Status::Completed), row(2, id(12), 3, Status::AwaitingAcceptance)];
        let expected = Judgement { unknown_applied: 1, ..Judgement::default() };
        assert_eq!(promises().judge(&listed), expected);
    }

    #[test]
    fn an_acknowledged_order_that_is_not_there_is_lost() {
        assert_eq!(promises().judge(&[]).findings, [Finding::Lost { wish: 0, id: id(10) }]);
    }

    #[test]
    fn a_second_order_for_one_wish_is_a_duplicate_even_when_its_first_answer_never_came() {
        let first = row(0, id(10), 9, Status::Completed);
        let second = row(0, id(11), 4, Status::Accepted);
        let twice = [Finding::Duplicated { wish: 0, id: id(11) }];
        assert_eq!(promises().judge(&[first, second]).findings, twice);
        assert_eq!(promises().judge(&[first, first]).findings, [Finding::Duplicated { wish: 0, id: id(10) }]);
        let unanswered = [first, row(2, id(12), 1, Status::Placed), row(2, id(13), 1, Status::Placed)];
        assert_eq!(promises().judge(&unanswered).findings, [Finding::Duplicated { wish: 2, id: id(13) }]);
    }

    #[test]
    fn an_order_in_place_of_the_acknowledged_one_is_found() {
        let other = [row(0, id(11), 9, Status::Completed)];
        assert_eq!(promises().judge(&other).findings, [Finding::Duplicated { wish: 0, id: id(11) }]);
    }

    #[test]
    fn what_was_refused_may_not_be_there() {
        let listed = [row(0, id(10), 9, Status::Completed), row(1, id(11), 1, Status::Placed)];
        assert_eq!(promises().judge(&listed).findings, [Finding::RefusedYetThere { wish: 1, id: id(11) }]);
    }

    #[test]
    fn an_acknowledged_step_that_was_undone_is_found() {
        for (version, status) in [(8, Status::Completed), (9, Status::Delivered), (10, Status::Cancelled)] {
            let listed = [row(0, id(10), version, status)];
            assert_eq!(promises().judge(&listed).findings, [Finding::SetBack { wish: 0, id: id(10) }]);
        }
    }

    #[test]
    fn an_order_nobody_wished_for_is_found() {
        let listed = [row(0, id(10), 9, Status::Completed), row(77, id(5), 1, Status::Placed)];
        assert_eq!(promises().judge(&listed).findings, [Finding::Foreign { id: id(5) }]);
    }

    #[test]
    fn orders_may_go_on_by_themselves_but_an_accepted_one_does_not_just_end() {
        let placed = |status| Placed { id: id(1), version: 3, status, in_doubt: false };
        assert!(at_least(&placed(Status::Ready), &row(0, id(1), 5, Status::PickedUp)));
        assert!(at_least(&placed(Status::AwaitingPayment), &row(0, id(1), 5, Status::Cancelled)));
        assert!(!at_least(&placed(Status::Accepted), &row(0, id(1), 5, Status::Cancelled)));
        let doubted = Placed { in_doubt: true, ..placed(Status::Accepted) };
        assert!(at_least(&doubted, &row(0, id(1), 5, Status::Cancelled)));
    }
}
