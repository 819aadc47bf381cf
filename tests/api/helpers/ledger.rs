//! What the payment provider has done for an order: the truth about its money, whatever the server says.

use serde_json::Value;

/// The sandbox's entries for one order, in no particular sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger(pub Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub operation: String,
    pub amount: i64,
}

impl Ledger {
    pub fn read(entries: &[Value]) -> Self {
        let entry = |entry: &Value| Entry {
            operation: entry["operation"].as_str().expect("an entry names its operation").to_owned(),
            amount: entry["amount"].as_i64().expect("an entry has an amount"),
        };
        let mut entries: Vec<Entry> = entries.iter().map(entry).collect();
        entries.sort();
        Self(entries)
    }

    pub fn operations(&self) -> Vec<&str> {
        self.0.iter().map(|entry| entry.operation.as_str()).collect()
    }

    fn sum(&self, operations: &[&str]) -> i64 {
        let wanted = |entry: &&Entry| operations.contains(&entry.operation.as_str());
        self.0.iter().filter(wanted).map(|entry| entry.amount).sum()
    }

    /// What the store has of the customer's money.
    pub fn kept(&self) -> i64 {
        self.sum(&["capture", "purchase"]) - self.sum(&["refund"])
    }

    /// What is set aside on the card and belongs to nobody yet.
    pub fn on_hold(&self) -> i64 {
        self.sum(&["authorize"]) - self.sum(&["capture", "void"])
    }

    /// Taken once, in full, and nothing is left on hold.
    #[track_caller]
    pub fn was_charged_once(&self, amount: i64) {
        assert_eq!((self.kept(), self.on_hold()), (amount, 0), "{self:?}");
        self.did_nothing_twice();
    }

    /// Whatever was taken has been given back.
    #[track_caller]
    pub fn keeps_nothing(&self) {
        assert_eq!((self.kept(), self.on_hold()), (0, 0), "{self:?}");
        self.did_nothing_twice();
    }

    #[track_caller]
    pub fn did_nothing_twice(&self) {
        let mut operations = self.operations();
        operations.dedup();
        assert_eq!(operations.len(), self.0.len(), "done twice: {self:?}");
        let taken = self.operations().into_iter().filter(|operation| ["capture", "purchase"].contains(operation));
        assert!(taken.count() <= 1, "captured twice: {self:?}");
    }
}
