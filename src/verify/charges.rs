//! The sandbox's ledger against the journal: nothing at the provider that was not intended here first.
//!
//! An intent is journaled before the provider is asked, and its key follows from it. So an entry whose key no intent of
//! its order explains is an orphan: money that nobody here knows of, and that nobody would give back. The other way round,
//! what the journal believes to be taken must stand in the ledger.

use std::collections::HashMap;

use uuid::Uuid;

use crate::order::{OrderEvent, OrderId, PaymentOperation, provider_key};
use crate::providers::payment::{Ledger, SandboxEntry};
use crate::store::{Readers, StreamId};

/// Orders of a page: a few entries each.
const PAGE: usize = 500;

const OPERATIONS: [PaymentOperation; 5] = [
    PaymentOperation::Authorize,
    PaymentOperation::Purchase,
    PaymentOperation::Capture,
    PaymentOperation::Void,
    PaymentOperation::Refund,
];

/// How many entries there are, and which promises they break.
#[derive(Debug, Default)]
pub(crate) struct Charges {
    pub(crate) entries: u64,
    pub(crate) broken: Vec<String>,
}

/// Reads all of the ledger, a page at a time.
pub(crate) async fn check(ledger: &dyn Ledger, readers: &Readers) -> anyhow::Result<Charges> {
    let mut charges = Charges::default();
    let mut after = OrderId::new(Uuid::nil());
    loop {
        let page = ledger.page(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(charges) };
        after = last.order_id;
        charges.entries += page.len() as u64;
        for entries in page.chunk_by(|one, next| one.order_id == next.order_id) {
            let Some(order) = entries.first().map(|entry| entry.order_id) else { continue };
            let history = readers.stream(StreamId::order(order), 0).await?;
            // What cannot be read is said where the streams are checked.
            let events = history.iter().filter_map(|row| OrderEvent::read(&row.name, &row.data).ok());
            charges.broken.extend(disagreements(order, entries, events));
        }
    }
}

fn disagreements(order: OrderId, entries: &[SandboxEntry], history: impl Iterator<Item = OrderEvent>) -> Vec<String> {
    let mut intended: HashMap<Uuid, PaymentOperation> = HashMap::new();
    for event in history {
        if let OrderEvent::PaymentRequested(intent) = event {
            intended.extend(OPERATIONS.map(|operation| (provider_key(order, operation, intent.attempt), operation)));
        }
    }
    let orphans = entries
        .iter()
        .filter(|entry| intended.get(&entry.key).is_none_or(|operation| operation.as_str() != entry.operation));
    let orphan = |entry: &SandboxEntry| {
        format!("order {order}: the provider has a {} of {} that was never intended", entry.operation, entry.amount)
    };
    let mut broken: Vec<String> = orphans.map(orphan).collect();
    let sum = |operations: &[PaymentOperation]| -> i64 {
        let of = |entry: &&SandboxEntry| operations.iter().any(|operation| operation.as_str() == entry.operation);
        entries.iter().filter(of).map(|entry| entry.amount).sum()
    };
    let taken = sum(&[PaymentOperation::Purchase, PaymentOperation::Capture]);
    let given_back = sum(&[PaymentOperation::Refund]);
    if given_back > taken {
        broken.push(format!("order {order}: the provider took {taken} and gave back {given_back}"));
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> OrderId {
        OrderId::new(Uuid::from_u128(7))
    }

    fn intent(attempt: u16) -> OrderEvent {
        OrderEvent::read("payment_requested", &format!(r#"{{"attempt":{attempt}}}"#)).unwrap()
    }

    fn entry(operation: PaymentOperation, attempt: u16, amount: i64) -> SandboxEntry {
        let key = provider_key(order(), operation, attempt);
        SandboxEntry { key, of: key, order_id: order(), operation: operation.as_str().to_owned(), amount }
    }

    fn broken(entries: &[SandboxEntry], history: impl IntoIterator<Item = OrderEvent>) -> Vec<String> {
        disagreements(order(), entries, history.into_iter())
    }

    #[test]
    fn what_was_intended_before_it_was_done_is_no_orphan() {
        let done = [entry(PaymentOperation::Authorize, 2, 9), entry(PaymentOperation::Capture, 2, 9)];
        assert_eq!(broken(&done, [intent(1), intent(2)]), Vec::<String>::new());
    }

    #[test]
    fn a_charge_without_an_intent_is_an_orphan() {
        let charge = entry(PaymentOperation::Purchase, 2, 9);
        assert_eq!(broken(std::slice::from_ref(&charge), [intent(1)]).len(), 1, "of another attempt");
        assert_eq!(broken(std::slice::from_ref(&charge), []).len(), 1, "of an order that never asked");
        let other = SandboxEntry { operation: "refund".into(), ..charge };
        assert_eq!(broken(&[other], [intent(2)]).len(), 2, "something else under its key, and nothing to give back");
    }

    #[test]
    fn no_more_is_given_back_than_was_taken() {
        let done = [entry(PaymentOperation::Purchase, 1, 9), entry(PaymentOperation::Refund, 1, 10)];
        assert_eq!(broken(&done, [intent(1)]).len(), 1);
    }
}
