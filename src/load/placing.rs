//! Placing an order: the one request that may be in doubt for long, and is repeated as it was.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answer::Order;
use super::api::{Ask, Said};
use super::command::Command;
use super::kind::Status;
use super::mix::{Fate, Taste};
use super::promises::Promise;
use super::town::Town;

/// One wish for an order, with everything that chance decides about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) taste: Taste,
    pub(super) store: usize,
    pub(super) customer: usize,
    pub(super) intended: Instant,
}

/// How a placement was answered.
pub(super) enum Placement {
    Taken(Order),
    /// Taken, and the payment takes its time.
    Deferred(Order),
    /// There is an order, and it is over.
    EndedAtOnce,
    /// For lack of room: this attempt was not carried out.
    Refused,
    NotTaken,
}

/// How long whoever asks after an order of unknown outcome asks again when there is no room to answer, and how often:
/// longer than a server needs to recover from a rush.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);
const ASKS_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Places an order. Its number names the wish, and its repeats.
pub(super) async fn place(town: &Town, number: u64, wish: Wish) -> Placement {
    let placement = ask(town, number, wish).await;
    if matches!(placement, Placement::Refused) {
        town.promises.borrow_mut().refused(number);
    }
    if matches!(placement, Placement::Deferred(_))
        && let Some(leg) = town.api.tally.borrow_mut().at(wish.intended)
    {
        leg.lives.deferred += 1;
    }
    placement
}

/// Repeats a placement that was never answered, with the same key: true when that settled the matter. A refusal does not:
/// it says nothing about the attempt of which the outcome is unknown.
pub(super) async fn settle(town: &Town, number: u64, wish: Wish) -> bool {
    let wish = Wish { intended: Instant::now(), ..wish };
    let give_up = Instant::now() + SETTLES_WITHIN;
    while matches!(ask(town, number, wish).await, Placement::Refused) && Instant::now() < give_up {
        sleep(ASKS_AGAIN_AFTER).await;
    }
    !matches!(town.promises.borrow().get(number), Some(Promise::Unknown))
}

/// The request with which a wish is placed; the same bytes each time, so that it can be repeated.
fn placement(town: &Town, number: u64, wish: Wish) -> (String, String) {
    let payment = match (wish.taste.fate, wish.taste.cash) {
        (Fate::Declined, _) => r#"{"method":"card","token":"declined"}"#,
        (_, true) => r#"{"method":"on_delivery"}"#,
        (_, false) => r#"{"method":"card"}"#,
    };
    let key = format!("{}-{number}", town.run);
    let store = town.store(wish.taste.kind, wish.store);
    (store.order(wish.taste.kind, &key, payment), key)
}

/// Sends it, and writes down what was promised.
async fn ask(town: &Town, number: u64, wish: Wish) -> Placement {
    let (body, key) = placement(town, number, wish);
    let customer = town.customer(wish.customer);
    let ask = Ask {
        command: Command::Place,
        by: Some(customer),
        method: "POST",
        path: "/v1/orders",
        key: Some(&key),
        body: Some(&body),
        intended: wish.intended,
    };
    let said = town.api.send(&ask).await;
    let mut promises = town.promises.borrow_mut();
    match said {
        Said::Done(reply) => {
            // An order that cannot be read stays unknown: the lists will tell.
            let Some(order) = Order::read(&reply) else { return Placement::NotTaken };
            promises.acknowledged(number, order.id, order.version, order.status);
            let paying = matches!(order.status, Status::Placed | Status::AwaitingPayment);
            if paying { Placement::Deferred(order) } else { Placement::Taken(order) }
        }
        Said::No(problem) => match problem.order_id {
            Some(id) => {
                promises.acknowledged(number, id, 1, Status::Cancelled);
                Placement::EndedAtOnce
            }
            None => {
                promises.refused(number);
                Placement::NotTaken
            }
        },
        Said::Refused => Placement::Refused,
        Said::Unknown => Placement::NotTaken,
    }
}
