//! The five kinds of store, and which steps an order takes at each: read off the contract, as a client would.

use serde::Deserialize;

use super::command::Command;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    FoodDelivery,
    Retail,
    QuickService,
    Restaurant,
    StoreDelivered,
}

/// `status` of an order, in the sequence of a life that goes well; the two early ends last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Placed,
    AwaitingPayment,
    AwaitingAcceptance,
    Accepted,
    Preparing,
    Ready,
    PickedUp,
    Delivered,
    Completed,
    Rejected,
    Cancelled,
}

/// `delivery.status` of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Delivery {
    None,
    Offered,
    Assigned,
    Accepted,
    PickedUp,
    Delivered,
    Cancelled,
}

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Customer,
    Owner,
    /// Whoever of all riders has a hand free.
    FreeRider,
    /// Whom the store names: one of its own.
    NamedRider,
    /// The one of whom the order says that they carry it.
    ItsRider,
}

/// One command on the way from placed to completed, and when it is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) by: By,
    pub(super) command: Command,
    pub(super) status: Status,
    delivery: Option<Delivery>,
}

const fn step(by: By, command: Command, status: Status) -> Step {
    Step { by, command, status, delivery: None }
}

const fn ride(by: By, command: Command, delivery: Delivery) -> Step {
    Step { by, command, status: Status::Ready, delivery: Some(delivery) }
}

const ACCEPT: Step = step(By::Owner, Command::Accept, Status::AwaitingAcceptance);
const START: Step = step(By::Owner, Command::StartPreparation, Status::Accepted);
const FINISH: Step = step(By::Owner, Command::FinishPreparation, Status::Preparing);
const CLAIM: Step = ride(By::FreeRider, Command::Claim, Delivery::Offered);
const ASSIGN: Step = ride(By::NamedRider, Command::Assign, Delivery::Offered);
const ACCEPT_DELIVERY: Step = ride(By::ItsRider, Command::AcceptDelivery, Delivery::Assigned);
const PICK_UP: Step = ride(By::ItsRider, Command::PickUp, Delivery::Accepted);
const DEPART: Step = step(By::Owner, Command::Depart, Status::Ready);
const DELIVER: Step = step(By::ItsRider, Command::Deliver, Status::PickedUp);
const STORE_DELIVERS: Step = step(By::Owner, Command::Deliver, Status::PickedUp);
const CONFIRM: Step = step(By::Customer, Command::Confirm, Status::Delivered);

impl Kind {
    pub(super) const ALL: [Kind; 5] =
        [Kind::FoodDelivery, Kind::Retail, Kind::QuickService, Kind::Restaurant, Kind::StoreDelivered];

    /// The preset's name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::FoodDelivery => "food_delivery",
            Self::Retail => "retail",
            Self::QuickService => "quick_service",
            Self::Restaurant => "restaurant",
            Self::StoreDelivered => "store_delivered",
        }
    }

    /// From placed to completed. What is missing in between happens by itself.
    pub(super) const fn steps(self) -> &'static [Step] {
        match self {
            Self::FoodDelivery => &[ACCEPT, START, FINISH, CLAIM, PICK_UP, DELIVER, CONFIRM],
            Self::Retail => &[ACCEPT, FINISH, DELIVER, CONFIRM],
            Self::QuickService => &[ACCEPT, ASSIGN, ACCEPT_DELIVERY, PICK_UP, DELIVER, CONFIRM],
            Self::Restaurant => &[FINISH, DELIVER, CONFIRM],
            Self::StoreDelivered => &[ACCEPT, START, FINISH, DEPART, STORE_DELIVERS, CONFIRM],
        }
    }

    /// How many of the steps may have been taken when the customer still may cancel, whatever happens by itself.
    pub(super) const fn cancellable_after(self) -> usize {
        match self {
            Self::FoodDelivery | Self::StoreDelivered => 1,
            Self::Retail => 2,
            Self::QuickService => 3,
            Self::Restaurant => 0,
        }
    }

    /// Whether somebody accepts or rejects its orders.
    pub(super) const fn accepts_by_hand(self) -> bool {
        !matches!(self, Self::Restaurant)
    }

    pub(super) const fn counts_stock(self) -> bool {
        matches!(self, Self::Retail | Self::Restaurant)
    }

    pub(super) const fn has_riders(self) -> bool {
        matches!(self, Self::Retail | Self::Restaurant | Self::QuickService)
    }

    pub(super) const fn takes_cash(self) -> bool {
        !self.counts_stock()
    }
}

impl Status {
    pub const fn ended_early(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled)
    }

    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed) || self.ended_early()
    }
}

/// Where an order stands with regard to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    Later,
    /// It has happened already, or never will.
    Past,
}

impl Step {
    pub(super) fn due(&self, status: Status, delivery: Delivery) -> Due {
        if status > self.status {
            return Due::Past;
        }
        if status < self.status {
            return Due::Later;
        }
        match self.delivery {
            None => Due::Now,
            Some(due) if due == delivery => Due::Now,
            Some(due) if rank(delivery) > rank(due) => Due::Past,
            Some(_) => Due::Later,
        }
    }
}

/// How far a delivery is. A rider who declined sends it back to the start.
const fn rank(delivery: Delivery) -> u8 {
    match delivery {
        Delivery::None => 0,
        Delivery::Offered => 1,
        Delivery::Assigned => 2,
        Delivery::Accepted => 3,
        Delivery::PickedUp => 4,
        Delivery::Delivered | Delivery::Cancelled => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_due_in_its_status_and_at_its_point_of_the_delivery() {
        assert_eq!(ACCEPT.due(Status::AwaitingPayment, Delivery::None), Due::Later);
        assert_eq!(ACCEPT.due(Status::AwaitingAcceptance, Delivery::None), Due::Now);
        assert_eq!(ACCEPT.due(Status::Cancelled, Delivery::None), Due::Past);
        assert_eq!(PICK_UP.due(Status::Ready, Delivery::Assigned), Due::Later);
        assert_eq!(PICK_UP.due(Status::Ready, Delivery::Accepted), Due::Now);
        assert_eq!(CLAIM.due(Status::Ready, Delivery::Accepted), Due::Past);
    }

    #[test]
    fn every_life_ends_with_the_customers_word_and_its_steps_are_in_sequence() {
        for kind in Kind::ALL {
            let steps = kind.steps();
            assert_eq!(steps.last().map(|step| step.command), Some(Command::Confirm));
            assert!(steps.is_sorted_by_key(|step| step.status), "{kind:?}");
            assert!(kind.cancellable_after() < steps.len());
        }
    }
}
