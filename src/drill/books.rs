//! The payment provider's own books, compared with the orders: nobody is charged without an order, nobody twice.
//!
//! The sandbox keeps its ledger as a real provider would: it is believed, the server is not. Beside a journal in a
//! directory the ledger is a file; beside one in a database it is asked for.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use crate::load::{Listed, Status};

/// A line of the ledger: something that was done.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) order_id: Uuid,
    operation: String,
    amount: i64,
}

/// What the provider has of one order's customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    kept: i64,
    on_hold: i64,
    charges: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Orders for which money was taken, whatever became of it.
    pub(super) charged: u64,
    /// Money is kept or held for an order that is not there, or has ended without being served.
    pub(super) without_order: u64,
    pub(super) twice: u64,
    /// Completed, and not paid. Only where nobody pays at the door.
    pub(super) unpaid: u64,
}

impl Comparison {
    pub(super) fn is_clean(self) -> bool {
        (self.without_order, self.twice, self.unpaid) == (0, 0, 0)
    }
}

/// Lines that cannot be read are those that a killed process has not finished: they were not answered either.
pub(super) fn read(ledger: &Path) -> io::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(ledger)?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

pub(super) fn compare(entries: &[Entry], orders: &[Listed]) -> Comparison {
    let mut accounts: HashMap<Uuid, Account> = HashMap::new();
    for entry in entries {
        accounts.entry(entry.order_id).or_default().post(entry);
    }
    let statuses: HashMap<Uuid, Status> = orders.iter().map(|order| (order.id, order.status)).collect();
    let mut found = Comparison::default();
    for (order, account) in &accounts {
        let served = statuses.get(order).is_some_and(|status| !status.ended_early());
        found.charged += u64::from(account.charges > 0);
        found.without_order += u64::from(!served && (account.kept != 0 || account.on_hold != 0));
        found.twice += u64::from(account.charges > 1);
    }
    let paid = |order: &Listed| accounts.get(&order.id).is_some_and(|account| account.kept > 0);
    let unpaid = |order: &&Listed| order.status == Status::Completed && !paid(order);
    found.unpaid = orders.iter().filter(unpaid).count() as u64;
    found
}

impl Account {
    fn post(&mut self, entry: &Entry) {
        match entry.operation.as_str() {
            "authorize" => self.on_hold += entry.amount,
            "void" => self.on_hold -= entry.amount,
            "capture" => {
                self.on_hold -= entry.amount;
                self.kept += entry.amount;
                self.charges += 1;
            }
            "purchase" => {
                self.kept += entry.amount;
                self.charges += 1;
            }
            "refund" => self.kept -= entry.amount,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(done: &[(u128, &str)]) -> Vec<Entry> {
        let entry = |(order, operation): &(u128, &str)| Entry {
            order_id: Uuid::from_u128(*order),
            operation: (*operation).to_owned(),
            amount: 12_000,
        };
        done.iter().map(entry).collect()
    }

    fn order(id: u128, status: Status) -> Listed {
        Listed { id: Uuid::from_u128(id), version: 9, status, wish: 0 }
    }

    #[test]
    fn books_that_agree_with_the_orders_are_clean() {
        let done =
            entries(&[(1, "authorize"), (1, "capture"), (2, "authorize"), (2, "void"), (3, "purchase"), (3, "refund")]);
        let orders = [order(1, Status::Completed), order(2, Status::Rejected), order(3, Status::Cancelled)];
        let found = compare(&done, &orders);
        assert!(found.is_clean(), "{found:?}");
        assert_eq!(found.charged, 2);
    }

    #[test]
    fn a_charge_without_an_order_is_found_whether_taken_or_only_held() {
        for done in [entries(&[(1, "purchase")]), entries(&[(1, "authorize")])] {
            assert_eq!(compare(&done, &[]).without_order, 1);
            assert_eq!(compare(&done, &[order(1, Status::Cancelled)]).without_order, 1);
            assert_eq!(compare(&done, &[order(1, Status::Preparing)]).without_order, 0);
        }
    }

    #[test]
    fn a_second_charge_is_found_even_when_it_was_given_back() {
        let done = entries(&[(1, "purchase"), (1, "purchase"), (1, "refund")]);
        assert_eq!(compare(&done, &[order(1, Status::Completed)]).twice, 1);
    }

    #[test]
    fn an_order_that_was_served_and_not_paid_is_found() {
        let done = entries(&[(1, "authorize")]);
        assert_eq!(compare(&done, &[order(1, Status::Completed)]).unpaid, 1);
    }
}
