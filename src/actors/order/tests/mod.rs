//! An order's actor in its world: see `town`.

mod repeats;
mod town;

use std::time::Duration;

use uuid::Uuid;

use self::town::*;
use super::*;
use crate::actors::mailbox::{Mailbox, Refusal};
use crate::actors::payment::ChargeOutcome;
use crate::actors::probe::until;
use crate::actors::registry::TakeCensus;
use crate::order::{DeliveryStatus, PaymentOperation, PaymentStatus, Preset, Status, Text};
use crate::store::{AnswerKey, CommitFault};

/// Brings an order's actor down, where a bug in a rule would: see the commands below.
pub(super) fn sabotage(command: &OrderCommand) {
    match command {
        OrderCommand::Cancel { note: Some(note) } => assert_ne!(note.as_str(), "panic", "the test wants a panic"),
        OrderCommand::NoteDeclined { code, .. } => assert_ne!(code.as_str(), "panic", "the test wants a panic"),
        _ => {}
    }
}

#[actix::test]
async fn a_paid_order_is_answered_as_submitted_to_the_store() {
    let town = Town::new().await;
    let receipt = town.place(1).await.unwrap();
    assert_eq!(receipt.order.status(), Status::AwaitingAcceptance);
    assert_eq!(
        town.events(receipt.order.id).await,
        ["order_placed", "payment_requested", "payment_authorized", "order_submitted"]
    );
    assert_eq!(town.charges.len(), 1, "the provider is asked once");
}

#[actix::test]
async fn the_same_placement_again_is_the_same_order() {
    let town = Town::new().await;
    let first = town.place(1).await.unwrap();
    town.execute(first.order.id, owner(), OrderCommand::Accept).await.unwrap();

    let again = town.place(1).await.unwrap();

    assert!(again.replayed);
    assert_eq!(again.order, first.order, "as it was answered, not as it stands now");
    let other_body = AnswerKey { fingerprint: 8, ..answer_key(1) };
    let reused = town.orders.place(placement(), customer(), other_body).await;
    assert!(matches!(reused, Err(ExecuteError::KeyReused)), "{reused:?}");
}

#[actix::test]
async fn a_command_repeated_after_its_moment_gets_its_first_answer() {
    let town = Town::new().await;
    let id = town.placed(1).await;
    let accept = Execute {
        id: CommandId::new(Uuid::from_u128(9)),
        by: owner(),
        command: OrderCommand::Accept,
        key: Some(answer_key(9)),
        if_version: None,
    };
    let first = town.orders.execute(id, accept.clone()).await.unwrap();
    let cancel = OrderCommand::Cancel { note: None };
    town.execute(id, customer(), cancel).await.unwrap();

    let again = town.orders.execute(id, accept.clone()).await.unwrap();

    assert!(again.replayed);
    assert_eq!(again.order, first.order);
    let mut other = accept;
    other.key = Some(AnswerKey { fingerprint: 8, ..answer_key(9) });
    assert!(matches!(town.orders.execute(id, other).await, Err(ExecuteError::KeyReused)));
}

#[actix::test]
async fn a_provider_without_an_answer_leaves_the_order_waiting_and_is_asked_with_the_same_key() {
    let town = Town::new().await;
    town.provider_answers([NO_ANSWER, NO_ANSWER, ChargeOutcome::Done]);
    let receipt = town.place(1).await.unwrap();
    assert_eq!(receipt.order.status(), Status::AwaitingPayment);
    assert!(receipt.order.payment.in_doubt, "no answer is no decline");

    let id = receipt.order.id;
    until("the payment is settled", async || town.order(id).await.status() == Status::AwaitingAcceptance).await;
    let keys: std::collections::HashSet<Uuid> = town.charges.all().iter().map(|charge| charge.request.key).collect();
    assert_eq!((town.charges.len(), keys.len()), (3, 1));
}

#[actix::test]
async fn a_provider_that_was_not_asked_leaves_no_doubt() {
    let town = Town::new().await;
    town.provider_answers([ChargeOutcome::NotSent, ChargeOutcome::Done]);
    let receipt = town.place(1).await.unwrap();
    assert_eq!(receipt.order.status(), Status::AwaitingPayment);
    assert!(!receipt.order.payment.in_doubt);

    let id = receipt.order.id;
    until("the payment is tried again", async || town.order(id).await.status() == Status::AwaitingAcceptance).await;
    let requested = town.events(id).await.iter().filter(|name| *name == "payment_requested").count();
    assert_eq!(requested, 2, "each time it may go out, the intent is written first");
}

#[actix::test]
async fn a_call_that_was_never_sent_is_made_again_although_the_order_was_taken_for_in_doubt_meanwhile() {
    // One that leaves memory asks anew when it is back.
    let town = Town::keeping_idle_orders(Duration::from_secs(3_600)).await;
    town.provider_thinks();
    let receipt = town.place(1).await.unwrap();
    assert!(receipt.order.payment.in_doubt, "nobody waits that long");
    let id = receipt.order.id;

    // The gate has opened while the call waited its turn.
    town.provider_has_thought(&ChargeOutcome::NotSent);

    until("the order is paid", async || town.order(id).await.status() == Status::AwaitingAcceptance).await;
    let charges = town.charges.all();
    assert!(
        charges.len() > 1 && charges.iter().all(|charge| charge.request.key == charges[0].request.key),
        "{charges:?}"
    );
}

#[actix::test]
async fn a_request_whose_key_is_old_is_looked_up_and_never_sent_again() {
    let town = Town::new().await;
    town.provider_answers([NO_ANSWER]);
    let id = town.placed(1).await;
    town.provider_answers([ChargeOutcome::NotFound]);

    town.clock.advance(Duration::from_secs(24 * 3_600));

    let unresolved = async || town.order(id).await.payment.unresolved;
    until("a person has to look", unresolved).await;
    let sent = || town.charges.all().iter().filter(|charge| !charge.look_up).count();
    let (before, looks) = (sent(), town.charges.len() + 5);
    until("it is looked for again", async || town.charges.len() >= looks).await;
    assert_eq!(sent(), before, "and never asked for");
    assert_eq!(town.events(id).await.iter().filter(|name| *name == "payment_unresolved").count(), 1);

    town.provider_answers([ChargeOutcome::Done]);
    until("it was found after all", async || town.order(id).await.status() == Status::AwaitingAcceptance).await;
}

#[actix::test]
async fn nothing_is_asked_while_the_provider_may_still_work_on_it() {
    let town = Town::new().await;
    town.provider_answers([NO_ANSWER]);
    let id = town.placed(1).await;
    // Past the time of repeating, before the time of looking.
    town.clock.advance(Duration::from_secs(23 * 3_600 + 60));
    let asked = async || {
        let before = town.charges.len();
        tokio::time::sleep(Duration::from_millis(100)).await;
        town.charges.len() - before
    };
    until("it is quiet", async || asked().await == 0).await;
    assert!(town.order(id).await.payment.in_doubt && !town.order(id).await.payment.unresolved);
}

#[actix::test]
async fn an_order_cancelled_in_doubt_finds_out_and_gives_the_money_back() {
    let town = Town::new().await;
    town.provider_answers([NO_ANSWER]);
    let id = town.placed(1).await;
    let cancelled = town.execute(id, customer(), OrderCommand::Cancel { note: None }).await.unwrap();
    assert_eq!(cancelled.order.status(), Status::Cancelled);
    assert!(!cancelled.order.settled);

    town.provider_answers([ChargeOutcome::Done]);
    until("it is settled", async || town.order(id).await.settled).await;
    assert_eq!(town.order(id).await.payment.status, PaymentStatus::Voided);
    let operations: Vec<_> = town.charges.all().iter().map(|charge| charge.request.operation).collect();
    assert_eq!(operations.last(), Some(&PaymentOperation::Void));
}

#[actix::test]
async fn an_answer_of_the_provider_waits_for_a_command_that_has_just_begun_to_write() {
    let town = Town::new().await;
    town.provider_thinks();
    let id = town.placed(1).await;
    let mut cancelling = std::pin::pin!(town.execute(id, customer(), OrderCommand::Cancel { note: None }));
    assert!(futures_util::poll!(&mut cancelling).is_pending(), "on its way");
    // Now both are ready in the same turn of the order's actor.
    town.provider_has_thought(&ChargeOutcome::Done);
    let cancelled = cancelling.await.expect("a definite answer");
    assert_eq!(cancelled.order.status(), Status::Cancelled);
    until("the money is given back", async || town.charges.len() == 2).await;
}

#[actix::test]
async fn the_search_for_an_own_rider_goes_on_after_one_declined() {
    // One that leaves memory asks anew when it is back.
    let town = Town::keeping_idle_orders(Duration::from_secs(3_600)).await;
    town.rider_is_free(&rider());
    town.books_are_slow();
    let id = town.placed_at(Preset::Retail, [OrderCommand::Accept, OrderCommand::FinishPreparation]).await;
    until("a rider is found", async || town.order(id).await.rider().is_some()).await;

    // They are found again at once, while their book has yet to strike the order out: that changes nothing.
    town.execute(id, Party::Rider(rider()), OrderCommand::DeclineDelivery).await.unwrap();
    until("the search goes on", async || town.searches.len() >= 4).await;
    town.books_are_quick();

    until("a rider departs", async || town.order(id).await.status() == Status::PickedUp).await;
}

async fn assigned_while_books_are_slow(town: &Town) -> OrderId {
    town.books_are_slow();
    let assign = OrderCommand::Assign { rider: rider() };
    town.placed_at(Preset::QuickService, [OrderCommand::Accept, assign]).await
}

#[actix::test]
async fn a_rider_s_yes_waits_until_their_book_holds_the_order() {
    let town = Town::new().await;
    let id = assigned_while_books_are_slow(&town).await;
    let yes = || town.execute(id, Party::Rider(rider()), OrderCommand::AcceptDelivery);
    // Twice, as an impatient thumb does it: the first to be carried out shuts the door on the other.
    let (mut first, mut second) = (std::pin::pin!(yes()), std::pin::pin!(yes()));
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    assert_eq!(town.events(id).await.last().map(String::as_str), Some("rider_assigned"));

    town.books_are_quick();

    assert_eq!(first.await.unwrap().order.delivery.status(), DeliveryStatus::Accepted);
    assert_eq!(second.await.unwrap().order.delivery.status(), DeliveryStatus::Accepted);
    let names = town.events(id).await;
    assert_eq!(names[names.len() - 3..], ["rider_assigned", "assignment_confirmed", "rider_accepted"]);
}

#[actix::test]
async fn a_rider_s_yes_is_refused_if_their_book_says_nothing() {
    let town = Town::new().await;
    let id = assigned_while_books_are_slow(&town).await;
    let refused = town.execute(id, Party::Rider(rider()), OrderCommand::AcceptDelivery).await;
    let pending = crate::order::Rejection::AssignmentPending;
    assert!(matches!(&refused, Err(ExecuteError::Rejected { rejection, .. }) if *rejection == pending), "{refused:?}");
    assert_eq!(town.order(id).await.delivery.status(), DeliveryStatus::Assigned);
}

#[actix::test]
async fn what_a_book_had_not_confirmed_is_asked_again_after_a_restart() {
    let first = Town::new().await;
    let id = assigned_while_books_are_slow(&first).await;
    let history = first.readers.stream(StreamId::order(id), 0).await.unwrap();

    let second = Town::new().await;
    second.books_are_slow();
    let wake: Mailbox<crate::actors::registry::Wake<OrderActor>> = second.registry.mailbox();
    wake.ask(crate::actors::registry::Wake(vec![(id, Some(Origin::History(history)))])).await.unwrap();

    until("the book is asked", async || second.waits_for_books()).await;
}

#[actix::test]
async fn a_commit_that_was_lost_but_stands_is_answered_as_done() {
    let town = Town::new().await;
    let id = town.placed(1).await;
    town.fail_next_commit(CommitFault::LostAfter).await;
    let receipt = town.execute(id, owner(), OrderCommand::Accept).await.unwrap();
    assert_eq!(receipt.order.status(), Status::Accepted);
    assert_eq!(town.events(id).await.iter().filter(|name| *name == "order_accepted").count(), 1);
}

#[actix::test]
async fn a_commit_that_was_lost_and_does_not_stand_leaves_the_order_as_it_was() {
    let town = Town::new().await;
    let id = town.placed(1).await;
    town.fail_next_commit(CommitFault::LostBefore).await;
    let lost = town.execute(id, owner(), OrderCommand::Accept).await;
    assert!(matches!(lost, Err(ExecuteError::Unwritable)), "settled by reading the journal: {lost:?}");
    assert_eq!(town.order(id).await.status(), Status::AwaitingAcceptance, "not half changed");
    town.execute(id, owner(), OrderCommand::Accept).await.unwrap();
}

#[actix::test]
async fn a_panic_in_one_order_hurts_nobody_else_and_the_order_comes_back() {
    let town = Town::new().await;
    let (broken, sound) = (town.placed(1).await, town.placed(2).await);
    let panics = OrderCommand::Cancel { note: Some(Text::literal("panic")) };

    let outcome = town.execute(broken, customer(), panics).await;

    assert!(matches!(outcome, Err(ExecuteError::Refused(Refusal::Stopped | Refusal::Quarantined))), "{outcome:?}");
    town.execute(sound, owner(), OrderCommand::Accept).await.unwrap();
}

#[actix::test]
async fn three_panics_on_one_command_quarantine_that_order_alone() {
    let town = Town::new().await;
    let (broken, sound) = (town.placed(1).await, town.placed(2).await);
    let panics = OrderCommand::Cancel { note: Some(Text::literal("panic")) };
    // The way to the orders sends a command that got no answer again, with the same id: that makes three.
    let _ = town.execute(broken, customer(), panics).await;

    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("it is quarantined", async || !census.ask(TakeCensus).await.unwrap().quarantined.is_empty()).await;
    let refused = town.execute(broken, owner(), OrderCommand::Accept).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::Quarantined))), "{refused:?}");
    town.execute(sound, owner(), OrderCommand::Accept).await.unwrap();

    let pardon: Mailbox<crate::actors::registry::Pardon<OrderActor>> = town.registry.mailbox();
    assert!(pardon.ask(crate::actors::registry::Pardon(broken)).await.unwrap());
    town.execute(broken, owner(), OrderCommand::Accept).await.unwrap();
}

#[actix::test]
async fn a_panic_over_an_answer_of_the_world_ends_in_quarantine_too() {
    let town = Town::new().await;
    town.provider_answers([declined("panic")]);
    let _ = town.place(1).await;
    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("it is quarantined", async || census.ask(TakeCensus).await.unwrap().quarantined.len() == 1).await;
    town.provider_answers([ChargeOutcome::Done]);
    town.place(2).await.unwrap();
}

#[actix::test]
async fn retiring_idle_orders_loses_no_command() {
    let town = Town::new().await;
    let mut ids = Vec::new();
    for key in 0..50 {
        ids.push(town.placed(key).await);
    }
    // Idle after a millisecond: each is retired and read back many times in between.
    let notes = (0..20).flat_map(|_| ids.clone());
    let outcomes = futures_util::future::join_all(notes.map(|id| town.orders.order(id))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Some(_)))));
    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("all are retired", async || census.ask(TakeCensus).await.unwrap().live == 0).await;
    for id in ids {
        town.execute(id, owner(), OrderCommand::Accept).await.unwrap();
    }
}

#[actix::test]
async fn a_finished_order_leaves_memory_long_before_one_that_is_under_way() {
    let town = Town::keeping_idle_orders(Duration::from_secs(3600)).await;
    let (under_way, finished) = (town.placed(1).await, town.placed(2).await);
    town.execute(finished, customer(), OrderCommand::Cancel { note: None }).await.unwrap();
    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("one is left", async || census.ask(TakeCensus).await.unwrap().live == 1).await;
    assert_eq!(town.order(finished).await.status(), Status::Cancelled, "it is read back when somebody asks");
    assert!(!town.order(under_way).await.is_closed());
}

#[actix::test]
async fn an_order_that_does_not_exist_is_not_kept() {
    let town = Town::keeping_idle_orders(Duration::from_secs(3_600)).await;
    let nobody = OrderId::new(Uuid::from_u128(77));
    assert!(town.orders.order(nobody).await.unwrap().is_none());
    let refused = town.execute(nobody, customer(), OrderCommand::Confirm).await;
    assert!(
        matches!(refused, Err(ExecuteError::Rejected { rejection: crate::order::Rejection::NotFound, .. })),
        "{refused:?}"
    );
    let census: Mailbox<TakeCensus> = town.registry.mailbox();
    until("it is gone, and is not to come back", async || {
        let census = census.ask(TakeCensus).await.unwrap();
        census.live + census.replacing == 0
    })
    .await;
}

#[actix::test]
async fn what_was_outstanding_before_a_restart_is_asked_again_with_the_same_key() {
    let first = Town::new().await;
    first.provider_answers([NO_ANSWER]);
    let id = first.placed(1).await;
    let asked_before = first.charges.all()[0].request.key;
    let history = first.readers.stream(StreamId::order(id), 0).await.unwrap();

    // The same order in a town that has never heard of it: its history is all it has.
    let second = Town::new().await;
    let wake: Mailbox<crate::actors::registry::Wake<OrderActor>> = second.registry.mailbox();
    wake.ask(crate::actors::registry::Wake(vec![(id, Some(Origin::History(history)))])).await.unwrap();

    until("it asks again", async || second.charges.len() > 0).await;
    assert_eq!(second.charges.all()[0].request.key, asked_before);
}
