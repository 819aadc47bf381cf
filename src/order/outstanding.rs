//! What an order still needs from the world, as a function of its state alone.
//!
//! Asked after every commit and after every restart, so recovery is no path of its own. Whoever is asked
//! knows a repeat by what is asked for which order, and their answer comes back as a command.

use super::id::RiderId;
use super::order::{Assignment, Delivery, Order, OrderState as State, PaymentStatus, Preparation, StockHold};
use super::payment::{self, PaymentOperation};
use super::policy::{Dispatch, PaymentMethod};

/// Something that only someone else can do for this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    ReserveStock,
    ReturnStock,
    SellStock,
    /// Ask the provider, always with the key of this operation and attempt.
    Pay {
        operation: PaymentOperation,
        attempt: u16,
    },
    /// Journal the intent to pay again, once the provider may be asked.
    RetryPayment,
    StopPreparation,
    /// Find a free rider of the store's own.
    FindRider,
    /// Enter the delivery in the rider's book.
    HoldRider {
        rider: RiderId,
    },
    /// Strike it out again.
    ReleaseRider {
        rider: RiderId,
    },
}

impl Order {
    /// What is still to be asked for. Empty for an order that only waits for people or for time.
    pub fn outstanding(&self) -> Vec<Request> {
        if self.settled {
            return Vec::new();
        }
        [self.stock_request(), self.payment_request(), self.kitchen_request(), self.rider_request()]
            .into_iter()
            .flatten()
            .chain(self.releasing.iter().map(|rider| Request::ReleaseRider { rider: rider.clone() }))
            .collect()
    }

    fn stock_request(&self) -> Option<Request> {
        match (self.stock, self.ended_early()) {
            (StockHold::Wanted, false) => Some(Request::ReserveStock),
            // A reservation that was asked for may stand although its answer never came.
            (StockHold::Wanted | StockHold::Reserved, true) => Some(Request::ReturnStock),
            (StockHold::Reserved, false) => {
                matches!(self.state, State::Delivered { .. } | State::Completed).then_some(Request::SellStock)
            }
            (StockHold::None | StockHold::Ended, _) => None,
        }
    }

    fn payment_request(&self) -> Option<Request> {
        let attempt = self.payment.attempt;
        let pay = |operation| Some(Request::Pay { operation, attempt });
        if self.payment.in_doubt {
            // Also for an order that has ended: only the same key again tells whether money is held.
            return pay(payment::charge(self));
        }
        if payment::captures_authorized(self) {
            return pay(PaymentOperation::Capture);
        }
        match (self.payment.status, self.ended_early()) {
            (PaymentStatus::Authorized, true) => pay(PaymentOperation::Void),
            (PaymentStatus::Captured, true) => pay(PaymentOperation::Refund),
            (PaymentStatus::None | PaymentStatus::Deferred, false) => {
                let waits = matches!(self.state, State::AwaitingPayment { .. }) && self.stock != StockHold::Wanted;
                (waits && self.payment.method == PaymentMethod::Card).then_some(Request::RetryPayment)
            }
            (
                PaymentStatus::None
                | PaymentStatus::Pending
                | PaymentStatus::Deferred
                | PaymentStatus::Authorized
                | PaymentStatus::Captured
                | PaymentStatus::DueOnDelivery
                | PaymentStatus::Collected
                | PaymentStatus::Declined
                | PaymentStatus::Voided
                | PaymentStatus::Refunded,
                _,
            ) => None,
        }
    }

    fn kitchen_request(&self) -> Option<Request> {
        match &self.state {
            State::Cancelled(ended) if ended.stop_preparation && self.preparation != Preparation::Cancelled => {
                Some(Request::StopPreparation)
            }
            State::Cancelled(_)
            | State::Placed { .. }
            | State::AwaitingPayment { .. }
            | State::AwaitingAcceptance { .. }
            | State::Accepted { .. }
            | State::Preparing { .. }
            | State::Ready { .. }
            | State::PickedUp { .. }
            | State::Delivered { .. }
            | State::Completed
            | State::Rejected { .. } => None,
        }
    }

    fn rider_request(&self) -> Option<Request> {
        let ended = self.ended_early();
        match &self.delivery {
            Delivery::Offered => {
                let own = self.placement.policy.dispatch == Dispatch::OwnRiders;
                (own && matches!(self.state, State::Ready { .. })).then_some(Request::FindRider)
            }
            Delivery::Assigned { rider, .. } | Delivery::Accepted { rider, .. } if ended => {
                Some(Request::ReleaseRider { rider: rider.clone() })
            }
            Delivery::Assigned { rider, confirmed, .. } | Delivery::Accepted { rider, confirmed } => {
                (!confirmed).then(|| Request::HoldRider { rider: rider.clone() })
            }
            Delivery::PickedUp { rider: Some(rider) } if ended => Some(Request::ReleaseRider { rider: rider.clone() }),
            Delivery::None | Delivery::PickedUp { .. } | Delivery::Delivered { .. } | Delivery::Cancelled { .. } => {
                None
            }
        }
    }

    /// Whether what the command set going has come to a point that can be told to whoever issued it. Until then
    /// the answer is held back, but never longer than a moment: see the order actor.
    ///
    /// A function of the state, so that a repeated request is given the same answer from the journal.
    pub fn has_answer_for(&self, command: super::CommandName) -> bool {
        use super::CommandName as Name;
        match command {
            Name::Place => !matches!(self.state, State::Placed { .. }),
            Name::Pay => {
                !matches!(self.state, State::Placed { .. } | State::AwaitingPayment { .. })
                    || self.payment.status != PaymentStatus::Pending
            }
            Name::Claim => !matches!(self.delivery, Delivery::Assigned { how: Assignment::Claimed, .. }),
            Name::Cancel => self.kitchen_request().is_none(),
            Name::Confirm
            | Name::Accept
            | Name::Reject
            | Name::StartPreparation
            | Name::FinishPreparation
            | Name::Assign
            | Name::Depart
            | Name::AcceptDelivery
            | Name::DeclineDelivery
            | Name::PickUp
            | Name::Deliver
            | Name::NoteStockReserved
            | Name::NoteOutOfStock
            | Name::NoteStockReturned
            | Name::NoteStockSold
            | Name::NotePreparationStopped
            | Name::NoteAuthorized
            | Name::NoteCaptured
            | Name::NoteDeclined
            | Name::NoteNotPaidYet
            | Name::NotePaymentNotFound
            | Name::NoteVoided
            | Name::NoteRefunded
            | Name::NoteRiderFound
            | Name::NoteRiderHeld
            | Name::NoteRiderFull
            | Name::NoteRiderReleased
            | Name::NoteTime => true,
        }
    }

    /// Why an operator should look at this order, if they should.
    pub fn attention(&self) -> Option<&'static str> {
        let payment = &self.payment;
        if payment.unresolved {
            return Some("payment_unresolved");
        }
        match &self.state {
            State::Accepted { late: true, .. } | State::Preparing { late: true, .. } => Some("preparation_late"),
            State::Ready { reminded: true, .. } => Some("waiting_for_rider"),
            State::PickedUp { late: true, .. } => Some("delivery_late"),
            State::PickedUp { .. } | State::Delivered { .. } | State::Completed
                if payment.status == PaymentStatus::Declined =>
            {
                Some("delivered_unpaid")
            }
            State::Rejected { .. } | State::Cancelled(_) if payment.in_doubt => Some("payment_in_doubt"),
            State::AwaitingPayment { .. } if payment.in_doubt => Some("payment_in_doubt"),
            State::Placed { .. }
            | State::AwaitingPayment { .. }
            | State::AwaitingAcceptance { .. }
            | State::Accepted { .. }
            | State::Preparing { .. }
            | State::Ready { .. }
            | State::PickedUp { .. }
            | State::Delivered { .. }
            | State::Completed
            | State::Rejected { .. }
            | State::Cancelled(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{CommandName, OrderCommand as Command, Preset};
    use super::*;

    #[test]
    fn an_order_that_waits_for_people_asks_nothing_of_the_world() {
        for (preset, last) in [
            (Preset::FoodDelivery, "order_submitted"),
            (Preset::FoodDelivery, "payment_captured"),
            (Preset::FoodDelivery, "delivery_offered"),
            (Preset::Retail, "order_submitted"),
            (Preset::Restaurant, "preparation_started"),
            (Preset::StoreDelivered, "picked_up"),
            (Preset::QuickService, "assignment_confirmed"),
            (Preset::QuickService, "picked_up"),
        ] {
            given(until(preset, last)).outstanding([]);
        }
    }

    #[test]
    fn nothing_is_outstanding_once_it_is_settled() {
        for preset in Preset::ALL {
            given(happy(preset)).outstanding([]);
        }
    }

    #[test]
    fn a_rider_is_looked_for_only_by_a_store_that_has_riders() {
        given(until(Preset::Restaurant, "delivery_offered")).outstanding([Request::FindRider]);
        given(until(Preset::QuickService, "payment_captured")).outstanding([]);
    }

    #[test]
    fn placing_is_answered_when_it_is_known_what_became_of_it() {
        let answered = |order: Given| order.order().has_answer_for(CommandName::Place);
        let asked = || given(until(Preset::FoodDelivery, "payment_requested"));
        assert!(!answered(asked()));
        assert!(answered(asked().when_told(Command::NoteAuthorized { attempt: 1 }).then_first("payment_authorized")));
        let late = Command::NoteNotPaidYet { attempt: 1, sent: true, why: text("timeout") };
        assert!(answered(asked().when_told(late).then_first("payment_deferred")));
    }

    #[test]
    fn paying_again_is_answered_when_the_provider_has_spoken_or_not() {
        let answered = |order: &Given| order.order().has_answer_for(CommandName::Pay);
        let not_yet = |sent| Command::NoteNotPaidYet { attempt: 1, sent, why: text("timeout") };
        let deferred = given(until(Preset::FoodDelivery, "payment_requested"))
            .when_told(not_yet(false))
            .then_first("payment_deferred");
        assert!(answered(&deferred));
        let again = deferred.when(customer(), Command::Pay { token: None }).then_first("payment_requested");
        assert!(!answered(&again));
        assert!(answered(&again.when_told(not_yet(true)).then_first("payment_deferred")));
    }

    #[test]
    fn claiming_is_answered_when_the_rider_s_book_has() {
        let answered = |order: Given| order.order().has_answer_for(CommandName::Claim);
        assert!(!answered(given(until(Preset::FoodDelivery, "rider_assigned"))));
        assert!(answered(given(until(Preset::FoodDelivery, "rider_accepted"))));
        let full = Command::NoteRiderFull { rider: rider_id(), as_of: u32::MAX };
        assert!(answered(
            given(until(Preset::FoodDelivery, "rider_assigned")).when_told(full).then_first("rider_declined")
        ));
    }

    #[test]
    fn an_order_on_its_way_needs_no_one_s_attention() {
        for preset in Preset::ALL {
            for event in happy(preset) {
                assert_eq!(given(until(preset, event.name())).order().attention(), None);
            }
        }
    }
}
