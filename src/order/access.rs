//! Decides who may touch an order at all. One place for commands, reads and feeds.
//!
//! What they may do in which status is decided in the file of each command.

use super::command::{CommandName, OrderCommand};
use super::order::{Order, Placement};
use super::party::{Party, PartyRole};
use super::policy::Dispatch;
use super::rejection::Rejection;
use super::time::Timestamp;

impl Order {
    /// Whether `party` may know that this order exists. To anyone else it does not.
    pub fn is_visible_to(&self, party: &Party) -> bool {
        match party {
            Party::Customer(customer) => *customer == self.placement.customer_id,
            // An order that is not paid for is no business of the store's.
            Party::Store(owner) => self.submitted && *owner == self.placement.store.owner,
            Party::Rider(rider) => self.rider() == Some(rider),
            Party::Operator(_) | Party::System => true,
        }
    }

    /// The commands that `party` may issue now and that would change something.
    pub fn allowed(&self, party: &Party, now: Timestamp) -> Vec<CommandName> {
        CommandName::BY_PEOPLE
            .into_iter()
            .filter(|name| sample(self, *name).is_some_and(|command| self.would_change(party, &command, now)))
            .collect()
    }

    fn would_change(&self, party: &Party, command: &OrderCommand, now: Timestamp) -> bool {
        self.decide(party, command, now).is_ok_and(|events| !events.is_empty())
    }
}

/// A command of that name, as good as any for asking whether it is allowed.
fn sample(order: &Order, name: CommandName) -> Option<OrderCommand> {
    match name {
        CommandName::Pay => Some(OrderCommand::Pay { token: None }),
        CommandName::Cancel => Some(OrderCommand::Cancel { note: None }),
        CommandName::Confirm => Some(OrderCommand::Confirm),
        CommandName::Accept => Some(OrderCommand::Accept),
        CommandName::Reject => Some(OrderCommand::Reject { reason: None }),
        CommandName::StartPreparation => Some(OrderCommand::StartPreparation),
        CommandName::FinishPreparation => Some(OrderCommand::FinishPreparation),
        // Any rider will do: the owner's name is one.
        CommandName::Assign => {
            Some(OrderCommand::Assign { rider: super::RiderId(order.placement.store.owner.0.clone()) })
        }
        CommandName::Depart => Some(OrderCommand::Depart),
        CommandName::Claim => Some(OrderCommand::Claim),
        CommandName::AcceptDelivery => Some(OrderCommand::AcceptDelivery),
        CommandName::DeclineDelivery => Some(OrderCommand::DeclineDelivery),
        CommandName::PickUp => Some(OrderCommand::PickUp),
        CommandName::Deliver => Some(OrderCommand::Deliver),
        CommandName::Place
        | CommandName::NoteStockReserved
        | CommandName::NoteOutOfStock
        | CommandName::NoteStockReturned
        | CommandName::NoteStockSold
        | CommandName::NotePreparationStopped
        | CommandName::NoteAuthorized
        | CommandName::NoteCaptured
        | CommandName::NoteDeclined
        | CommandName::NoteNotPaidYet
        | CommandName::NoteVoided
        | CommandName::NoteRefunded
        | CommandName::NoteRiderFound
        | CommandName::NoteRiderHeld
        | CommandName::NoteRiderFull
        | CommandName::NoteRiderReleased
        | CommandName::NoteTime => None,
    }
}

/// A customer places orders of their own.
pub(super) fn check_placing(placement: &Placement, by: &Party) -> Result<(), Rejection> {
    match by {
        Party::Customer(customer) if *customer == placement.customer_id => Ok(()),
        Party::Customer(_) => Err(Rejection::NotYours),
        Party::Store(_) | Party::Rider(_) | Party::Operator(_) | Party::System => {
            Err(Rejection::WrongRole(CommandName::Place))
        }
    }
}

/// The role first, so that a stranger learns nothing; then whether the order is theirs.
pub(super) fn check(order: &Order, by: &Party, command: CommandName) -> Result<(), Rejection> {
    if !may(by.role(), command, order.placement.policy.dispatch) {
        return Err(Rejection::WrongRole(command));
    }
    match (command, by) {
        // An offered delivery is there for any rider to take.
        (CommandName::Claim, Party::Rider(_)) => Ok(()),
        _ if order.is_visible_to(by) => Ok(()),
        _ => Err(Rejection::NotYours),
    }
}

fn may(role: PartyRole, command: CommandName, dispatch: Dispatch) -> bool {
    match command {
        CommandName::Place | CommandName::Confirm => role == PartyRole::Customer,
        CommandName::Pay => matches!(role, PartyRole::Customer | PartyRole::System),
        CommandName::Cancel => matches!(role, PartyRole::Customer | PartyRole::Operator),
        CommandName::Accept
        | CommandName::Reject
        | CommandName::StartPreparation
        | CommandName::FinishPreparation
        | CommandName::Assign
        | CommandName::Depart => role == PartyRole::Store,
        CommandName::Claim | CommandName::AcceptDelivery | CommandName::DeclineDelivery | CommandName::PickUp => {
            role == PartyRole::Rider
        }
        // Where the store carries it, nobody else can say that it arrived.
        CommandName::Deliver => {
            role == PartyRole::Rider || (role == PartyRole::Store && dispatch == Dispatch::StoreDeparts)
        }
        CommandName::NoteStockReserved
        | CommandName::NoteOutOfStock
        | CommandName::NoteStockReturned
        | CommandName::NoteStockSold
        | CommandName::NotePreparationStopped
        | CommandName::NoteAuthorized
        | CommandName::NoteCaptured
        | CommandName::NoteDeclined
        | CommandName::NoteNotPaidYet
        | CommandName::NoteVoided
        | CommandName::NoteRefunded
        | CommandName::NoteRiderFound
        | CommandName::NoteRiderHeld
        | CommandName::NoteRiderFull
        | CommandName::NoteRiderReleased
        | CommandName::NoteTime => role == PartyRole::System,
    }
}
