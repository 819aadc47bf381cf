//! A second opinion: what an order's events may be, kept by hand and apart from the rules.
//!
//! It knows nothing of policies, deadlines or who may do what. It watches events go by and says when one cannot be.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "each part of the model looks at a few events and passes the rest over"
)]

use std::collections::BTreeSet;

use crate::order::order::Assignment;
use crate::order::{DeclineReason, OrderEvent as Event, RiderId, Status};

/// Where the money is, as the events tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purse {
    Untouched,
    /// The provider may have it.
    Asked,
    Held,
    Taken,
    Declined,
    GivenBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goods {
    NotAsked,
    SetAside,
    SoldOrBack,
}

pub(crate) struct Model {
    pub(crate) status: Status,
    purse: Purse,
    captures: u32,
    goods: Goods,
    counted: bool,
    carrier: Option<RiderId>,
    /// How the carrier came to it, and whether their book has said yes.
    how: Assignment,
    in_book: bool,
    /// In whose books it may stand.
    in_books: BTreeSet<RiderId>,
    settled: bool,
}

impl Model {
    pub(crate) fn placed(counted: bool) -> Self {
        Self {
            status: Status::Placed,
            purse: Purse::Untouched,
            captures: 0,
            goods: Goods::NotAsked,
            counted,
            carrier: None,
            how: Assignment::ByStore,
            in_book: false,
            in_books: BTreeSet::new(),
            settled: false,
        }
    }

    /// Takes note of the next event, or panics because it cannot be the next.
    pub(crate) fn watch(&mut self, event: &Event) {
        assert!(!self.settled, "{} after the order was settled", event.name());
        self.watch_status(event);
        self.watch_purse(event);
        self.watch_goods(event);
        self.watch_riders(event);
        if let Event::OrderSettled(_) = event {
            self.settle();
        }
    }

    fn ended_early(&self) -> bool {
        matches!(self.status, Status::Rejected | Status::Cancelled)
    }

    fn watch_status(&mut self, event: &Event) {
        use Status::*;
        let unpaid: &[Status] = &[Placed, AwaitingPayment];
        let open = [Placed, AwaitingPayment, AwaitingAcceptance, Accepted, Preparing, Ready, PickedUp];
        let (from, to): (&[Status], Status) = match event.name() {
            "payment_deferred" => (unpaid, AwaitingPayment),
            "order_submitted" => (unpaid, AwaitingAcceptance),
            "order_accepted" => (&[AwaitingAcceptance], Accepted),
            "order_rejected" => (&[AwaitingAcceptance], Rejected),
            "preparation_started" => (&[Accepted], Preparing),
            "preparation_finished" => (&[Preparing], Ready),
            // A courier prepares nothing: what it accepted is ready, and leaves without ever being prepared.
            "picked_up" => (&[Ready, Accepted], PickedUp),
            "delivered" => (&[PickedUp], Delivered),
            "order_completed" => (&[Delivered], Completed),
            "order_cancelled" => (&open, Cancelled),
            _ => return,
        };
        assert!(from.contains(&self.status), "{} of an order that is {}", event.name(), self.status);
        self.status = to;
    }

    fn watch_purse(&mut self, event: &Event) {
        let (from, to): (&[Purse], Purse) = match event {
            Event::PaymentRequested(_) => (&[Purse::Untouched], Purse::Asked),
            Event::PaymentDeferred(deferred) if deferred.in_doubt => (&[Purse::Asked], Purse::Asked),
            Event::PaymentAuthorized(_) => (&[Purse::Asked], Purse::Held),
            Event::PaymentCaptured(_) => (&[Purse::Asked, Purse::Held], Purse::Taken),
            Event::PaymentDeclined(_) => (&[Purse::Asked, Purse::Held], Purse::Declined),
            Event::PaymentVoided(_) => (&[Purse::Held], Purse::GivenBack),
            Event::PaymentRefunded(_) => (&[Purse::Taken], Purse::GivenBack),
            other if other.name() == "payment_deferred" => (&[Purse::Asked, Purse::Untouched], Purse::Untouched),
            _ => return,
        };
        assert!(from.contains(&self.purse), "{} when the money is {:?}", event.name(), self.purse);
        if to == Purse::GivenBack {
            assert!(self.ended_early(), "{} of an order that is {}", event.name(), self.status);
        }
        self.captures += u32::from(to == Purse::Taken);
        assert!(self.captures <= 1, "captured twice");
        self.purse = to;
    }

    fn watch_goods(&mut self, event: &Event) {
        match event.name() {
            "stock_reserved" => {
                assert!(self.counted && self.goods == Goods::NotAsked, "reserved twice or for nothing");
                self.goods = Goods::SetAside;
            }
            "payment_requested" | "order_submitted" => {
                assert!(!self.counted || self.goods == Goods::SetAside, "{} before the goods are there", event.name());
            }
            // Another request for them may still succeed, so they are given back all the same.
            "out_of_stock" => assert_eq!(self.goods, Goods::NotAsked),
            "stock_sold" => {
                assert!(self.goods == Goods::SetAside && !self.ended_early(), "sold {:?}", self.goods);
                self.goods = Goods::SoldOrBack;
            }
            // Also of goods that may be set aside without our knowing.
            "stock_returned" => {
                assert!(
                    self.counted && self.goods != Goods::SoldOrBack && self.ended_early(),
                    "back: {:?}",
                    self.goods
                );
                self.goods = Goods::SoldOrBack;
            }
            _ => {}
        }
    }

    fn watch_riders(&mut self, event: &Event) {
        match event {
            Event::RiderAssigned(assigned) => {
                assert!(!self.in_books.contains(&assigned.rider_id), "assigned before it was given back");
                assert_eq!(self.carrier.replace(assigned.rider_id.clone()), None, "two carriers");
                self.in_books.insert(assigned.rider_id.clone());
                (self.how, self.in_book) = (assigned.how, false);
            }
            Event::AssignmentConfirmed(rider) => {
                assert_eq!(self.carrier.as_ref(), Some(&rider.rider_id));
                assert!(!std::mem::replace(&mut self.in_book, true), "confirmed twice");
            }
            Event::RiderAccepted(rider) => {
                assert_eq!(self.carrier.as_ref(), Some(&rider.rider_id));
                // Whoever took it themselves is told by this that their book has it.
                self.in_book |= self.how != Assignment::ByStore;
                assert!(self.in_book, "accepted before the book has it");
            }
            Event::PickedUp(_) => assert!(self.in_book || self.carrier.is_none(), "carried past the book"),
            Event::RiderDeclined(declined) => {
                assert_eq!(self.carrier.take(), Some(declined.rider_id.clone()), "declined by someone else");
                if declined.why == DeclineReason::AtCapacity {
                    self.in_books.remove(&declined.rider_id);
                }
            }
            Event::RiderReleased(rider) => {
                assert!(self.in_books.remove(&rider.rider_id), "released and not held");
            }
            Event::DeliveryCancelled(_) => {
                assert!(self.ended_early());
                if let Some(rider) = self.carrier.take() {
                    self.in_books.remove(&rider);
                }
            }
            _ => {}
        }
    }

    fn settle(&mut self) {
        match self.status {
            Status::Rejected | Status::Cancelled => {
                let kept = matches!(self.purse, Purse::Asked | Purse::Held | Purse::Taken);
                assert!(!kept, "money of an ended order is {:?}", self.purse);
            }
            Status::Completed => assert!(!matches!(self.purse, Purse::Asked | Purse::Held), "{:?}", self.purse),
            open => panic!("settled while {open}"),
        }
        assert!(!self.counted || self.goods == Goods::SoldOrBack, "goods are {:?}", self.goods);
        assert!(self.in_books.is_empty(), "still in the books of {:?}", self.in_books);
        self.settled = true;
    }
}
