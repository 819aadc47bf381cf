//! The same key again, when the first answer changed nothing or did not wait for the end.

use std::time::Duration;

use super::town::*;
use super::*;
use crate::actors::probe::until;
use crate::order::{DeliveryStatus, Preset};
use crate::store::{AnswerKey, CommitFault};

/// Orders leave memory at once, or never: what is not in memory is looked up.
const IDLE_AFTER: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(3_600)];

fn with_key(by: Party, command: OrderCommand, key: AnswerKey) -> Execute {
    Execute { id: CommandId::new(key.key), by, command, key: Some(key), if_version: None }
}

#[actix::test]
async fn a_command_that_changed_nothing_is_answered_the_same_later() {
    for idle_after in IDLE_AFTER {
        let town = Town::keeping_idle_orders(idle_after).await;
        let id = town.placed(1).await;
        let pay = || with_key(customer(), OrderCommand::Pay { token: None }, answer_key(9));
        let first = town.orders.execute(id, pay()).await.unwrap();
        let before = town.events(id).await;
        town.execute(id, customer(), OrderCommand::Cancel { note: None }).await.unwrap();

        let again = town.orders.execute(id, pay()).await.unwrap();

        assert!(again.replayed && !first.replayed);
        assert_eq!(again.order, first.order, "as it was answered, not refused as it stands now");
        assert_eq!(first.order.version as usize, before.len(), "nothing was written");
        let mut other = pay();
        other.key = Some(AnswerKey { fingerprint: 8, ..answer_key(9) });
        let other = town.orders.execute(id, other).await;
        assert!(matches!(other, Err(ExecuteError::KeyReused)), "{other:?}");
    }
}

#[actix::test]
async fn what_held_already_is_not_done_by_its_repeat() {
    for idle_after in IDLE_AFTER {
        let town = Town::keeping_idle_orders(idle_after).await;
        let id = town.placed_at(Preset::FoodDelivery, TO_READY).await;
        let claim = || with_key(Party::Rider(rider()), OrderCommand::Claim, answer_key(9));
        town.execute(id, Party::Rider(rider()), OrderCommand::Claim).await.unwrap();
        let held = town.orders.execute(id, claim()).await.unwrap();
        town.execute(id, Party::Rider(rider()), OrderCommand::DeclineDelivery).await.unwrap();
        until("the book has struck it out", async || town.order(id).await.releasing.is_empty()).await;

        let again = town.orders.execute(id, claim()).await.unwrap();

        assert!(again.replayed);
        assert_eq!(again.order, held.order);
        assert_eq!(town.order(id).await.rider(), None, "they gave it back, and did not ask for it again");
    }
}

#[actix::test]
async fn an_answer_that_could_not_wait_stays_the_answer() {
    for idle_after in IDLE_AFTER {
        let town = Town::keeping_idle_orders(idle_after).await;
        let id = town.placed_at(Preset::FoodDelivery, TO_READY).await;
        let claim = || with_key(Party::Rider(rider()), OrderCommand::Claim, answer_key(9));
        town.books_are_slow();
        let (first, second) = tokio::join!(town.orders.execute(id, claim()), town.orders.execute(id, claim()));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.order.delivery.status(), DeliveryStatus::Assigned, "the book has not spoken");
        assert_eq!(second.order, first.order);
        town.books_are_quick();
        let accepted = async || town.order(id).await.delivery.status() == DeliveryStatus::Accepted;
        until("the book has spoken", accepted).await;

        let again = town.orders.execute(id, claim()).await.unwrap();

        assert!(again.replayed);
        assert_eq!(again.order, first.order);
    }
}

#[actix::test]
async fn a_lost_commit_of_an_answer_is_found_again() {
    for fault in [CommitFault::LostAfter, CommitFault::LostBefore] {
        let town = Town::new().await;
        let id = town.placed(1).await;
        town.fail_next_commit(fault).await;
        let pay = || with_key(customer(), OrderCommand::Pay { token: None }, answer_key(9));
        let first = town.orders.execute(id, pay()).await.unwrap();
        town.execute(id, customer(), OrderCommand::Cancel { note: None }).await.unwrap();
        let again = town.orders.execute(id, pay()).await.unwrap();
        assert_eq!(again.order, first.order, "{fault:?}");
    }
}

#[actix::test]
async fn whoever_repeats_with_new_keys_is_written_down_together() {
    let town = Town::keeping_idle_orders(Duration::from_secs(3_600)).await;
    let id = town.placed(1).await;
    let repeats = (100..200)
        .map(|key| town.orders.execute(id, with_key(customer(), OrderCommand::Pay { token: None }, answer_key(key))));
    for receipt in futures_util::future::join_all(repeats).await {
        assert!(!receipt.unwrap().replayed);
    }
    for key in 100..200 {
        let kept = town.readers.answer(Uuid::from_u128(key)).await.unwrap();
        assert!(kept.is_some(), "{key}");
    }
}

/// What a store's owner says until an order is to be fetched.
const TO_READY: [OrderCommand; 3] =
    [OrderCommand::Accept, OrderCommand::StartPreparation, OrderCommand::FinishPreparation];
