//! A payment provider with accounts of its own: what it was asked under one key it does once.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::order::{OrderId, PaymentOperation, provider_key};

/// What the provider did under one key. The same key is answered the same for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Declined,
}

#[derive(Default)]
pub(crate) struct Provider {
    verdicts: HashMap<Uuid, Verdict>,
    pub(crate) held: HashSet<(OrderId, u16)>,
    pub(crate) taken: HashSet<(OrderId, u16)>,
    /// How often money was ever taken for an order.
    pub(crate) charges: HashMap<OrderId, u32>,
}

impl Provider {
    pub(crate) fn perform(
        &mut self,
        order: OrderId,
        operation: PaymentOperation,
        attempt: u16,
        lucky: bool,
    ) -> Verdict {
        let key = provider_key(order, operation, attempt);
        if let Some(verdict) = self.verdicts.get(&key) {
            return *verdict;
        }
        let account = (order, attempt);
        let verdict = match operation {
            PaymentOperation::Authorize | PaymentOperation::Purchase | PaymentOperation::Capture if !lucky => {
                self.held.remove(&account);
                Verdict::Declined
            }
            PaymentOperation::Authorize => {
                assert!(self.held.insert(account), "authorized twice");
                Verdict::Done
            }
            PaymentOperation::Purchase | PaymentOperation::Capture => {
                let was_held = self.held.remove(&account);
                assert_eq!(was_held, operation == PaymentOperation::Capture, "captured what was not held");
                assert!(self.taken.insert(account));
                *self.charges.entry(order).or_default() += 1;
                Verdict::Done
            }
            PaymentOperation::Void => {
                assert!(self.held.remove(&account), "voided what was not held");
                Verdict::Done
            }
            PaymentOperation::Refund => {
                assert!(self.taken.remove(&account), "refunded what was not taken");
                Verdict::Done
            }
        };
        self.verdicts.insert(key, verdict);
        verdict
    }
}
