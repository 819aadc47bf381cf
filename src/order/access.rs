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
            Party::Store(owner) => *owner == self.placement.store.owner && self.is_shown_to_store(),
            Party::Rider(rider) => self.rider() == Some(rider),
            Party::Operator(_) | Party::System => true,
        }
    }

    /// Whether `party` may see the order as it stands here, and nothing that happens later takes that away. A rider
    /// sees it only while the delivery is theirs.
    pub fn stays_visible_to(&self, party: &Party) -> bool {
        match party {
            Party::Rider(_) => false,
            Party::Customer(_) | Party::Store(_) | Party::Operator(_) | Party::System => self.is_visible_to(party),
        }
    }

    /// An unpaid order is no transaction: the store hears nothing of it, not even that it ended.
    pub fn is_shown_to_store(&self) -> bool {
        self.submitted
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
        | CommandName::NotePaymentNotFound
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
        | CommandName::NotePaymentNotFound
        | CommandName::NoteVoided
        | CommandName::NoteRefunded
        | CommandName::NoteRiderFound
        | CommandName::NoteRiderHeld
        | CommandName::NoteRiderFull
        | CommandName::NoteRiderReleased
        | CommandName::NoteTime => role == PartyRole::System,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{CustomerId, OwnerId, Preset};
    use super::*;

    fn a_stranger() -> [Party; 3] {
        [
            Party::Customer(CustomerId("mallory".parse().unwrap())),
            Party::Store(OwnerId("mallory".parse().unwrap())),
            Party::Rider(super::super::RiderId("mallory".parse().unwrap())),
        ]
    }

    fn everyone() -> [Party; 5] {
        [customer(), store(), rider(), operator(), Party::System]
    }

    /// The words of the routes that `by` may use.
    fn allowed(preset: Preset, last: &str, by: &Party) -> Vec<&'static str> {
        let order = given(until(preset, last));
        order.order().allowed(by, NOON).iter().map(|name| name.as_str()).collect()
    }

    #[test]
    fn to_strangers_there_is_no_such_order() {
        for preset in Preset::ALL {
            for event in happy(preset) {
                let order = given(until(preset, event.name()));
                for stranger in a_stranger() {
                    assert!(!order.order().is_visible_to(&stranger), "{stranger} at {}", event.name());
                }
            }
        }
    }

    #[test]
    fn an_order_that_is_not_paid_for_is_not_there_for_the_store() {
        let asked = || given(until(Preset::Retail, "payment_requested"));
        assert!(!asked().order().is_visible_to(&store()));
        asked().when(store(), OrderCommand::Accept).then_rejected(Rejection::NotYours);
        let cancelled = asked().when(customer(), CANCEL).then_names(&["order_cancelled"]);
        assert!(!cancelled.order().is_visible_to(&store()), "it never was a transaction");
        let submitted = given(until(Preset::Retail, "order_submitted"));
        assert!(submitted.order().is_visible_to(&store()));
        let cancelled = submitted.when(customer(), CANCEL).then_names(&["order_cancelled"]);
        assert!(cancelled.order().is_visible_to(&store()));
    }

    #[test]
    fn a_rider_sees_a_delivery_while_it_is_theirs() {
        let sees = |order: &Given| order.order().is_visible_to(&rider());
        assert!(!sees(&given(until(Preset::QuickService, "payment_captured"))));
        let named = given(until(Preset::QuickService, "rider_assigned"));
        assert!(sees(&named));
        let gave_back = named.when(rider(), OrderCommand::DeclineDelivery).then_first("rider_declined");
        assert!(!sees(&gave_back));
        gave_back.when(rider(), OrderCommand::DeclineDelivery).then_rejected(Rejection::NotYours);
        assert!(sees(&given(happy(Preset::QuickService))));
    }

    #[test]
    fn each_command_has_its_role() {
        let order = given(until(Preset::QuickService, "rider_assigned"));
        for name in CommandName::BY_PEOPLE {
            let roles: Vec<_> = everyone()
                .iter()
                .filter(|by| check(order.order(), by, name) != Err(Rejection::WrongRole(name)))
                .map(Party::role)
                .collect();
            let expected: &[PartyRole] = match name.as_str() {
                "place" | "confirm" => &[PartyRole::Customer],
                "pay" => &[PartyRole::Customer, PartyRole::System],
                "cancel" => &[PartyRole::Customer, PartyRole::Operator],
                "accept" | "reject" | "start-preparation" | "finish-preparation" | "assign" | "depart" => {
                    &[PartyRole::Store]
                }
                _ => &[PartyRole::Rider],
            };
            assert_eq!(roles, expected, "{}", name.as_str());
        }
    }

    #[test]
    fn answers_of_the_world_come_from_no_person() {
        let order = || given(until(Preset::Retail, "payment_requested"));
        let forged = || OrderCommand::NoteCaptured { attempt: 1 };
        for by in [customer(), store(), rider(), operator()] {
            order().when(by, forged()).then_rejected(Rejection::WrongRole(CommandName::NoteCaptured));
        }
    }

    #[test]
    fn nobody_orders_in_another_s_name() {
        let order = || place(placement(Preset::FoodDelivery));
        let [mallory, ..] = a_stranger();
        nothing_yet().when(mallory, order()).then_rejected(Rejection::NotYours);
        for by in [store(), rider(), operator(), Party::System] {
            nothing_yet().when(by, order()).then_rejected(Rejection::WrongRole(CommandName::Place));
        }
    }

    #[test]
    fn a_customer_is_told_what_they_may_do_now() {
        let by = customer();
        for (last, expected) in [
            ("payment_requested", &["cancel"][..]),
            ("order_submitted", &["cancel"]),
            ("order_accepted", &["cancel"]),
            ("preparation_started", &[]),
            ("picked_up", &[]),
            ("delivered", &["confirm"]),
            ("order_completed", &[]),
        ] {
            assert_eq!(allowed(Preset::FoodDelivery, last, &by), expected, "{last}");
        }
        let not_yet = OrderCommand::NoteNotPaidYet { attempt: 1, sent: false, why: text("gate closed") };
        let deferred = given(until(Preset::FoodDelivery, "payment_requested")).when_told(not_yet);
        let deferred = deferred.then_first("payment_deferred");
        assert_eq!(deferred.order().allowed(&by, NOON), [CommandName::Pay, CommandName::Cancel]);
    }

    #[test]
    fn a_store_is_told_what_it_may_do_now() {
        let by = store();
        for (preset, last, expected) in [
            (Preset::FoodDelivery, "payment_requested", &[][..]),
            (Preset::FoodDelivery, "order_submitted", &["accept", "reject"]),
            (Preset::FoodDelivery, "order_accepted", &["start-preparation"]),
            (Preset::FoodDelivery, "preparation_started", &["finish-preparation"]),
            (Preset::FoodDelivery, "delivery_offered", &[]),
            (Preset::StoreDelivered, "preparation_finished", &["depart"]),
            (Preset::StoreDelivered, "picked_up", &["deliver"]),
            (Preset::QuickService, "payment_captured", &["assign"]),
            (Preset::QuickService, "rider_assigned", &[]),
            (Preset::Retail, "preparation_started", &["finish-preparation"]),
            (Preset::Restaurant, "delivered", &[]),
        ] {
            assert_eq!(allowed(preset, last, &by), expected, "{preset:?} {last}");
        }
    }

    #[test]
    fn a_rider_is_told_what_they_may_do_now() {
        for (preset, last, expected) in [
            (Preset::FoodDelivery, "delivery_offered", &["claim"][..]),
            (Preset::FoodDelivery, "rider_assigned", &["decline-delivery"]),
            (Preset::QuickService, "payment_captured", &[]),
            (Preset::QuickService, "rider_assigned", &["decline-delivery"]),
            (Preset::QuickService, "assignment_confirmed", &["accept-delivery", "decline-delivery"]),
            (Preset::QuickService, "rider_accepted", &["decline-delivery", "pick-up"]),
            (Preset::QuickService, "picked_up", &["deliver"]),
            (Preset::QuickService, "delivered", &[]),
        ] {
            assert_eq!(allowed(preset, last, &rider()), expected, "{preset:?} {last}");
        }
        assert_eq!(allowed(Preset::FoodDelivery, "rider_assigned", &another_rider()), [""; 0]);
    }

    #[test]
    fn an_operator_may_end_what_is_not_handed_over() {
        assert_eq!(allowed(Preset::FoodDelivery, "picked_up", &operator()), ["cancel"]);
        assert_eq!(allowed(Preset::FoodDelivery, "delivered", &operator()), [""; 0]);
    }
}
