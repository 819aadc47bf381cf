//! One order, from the answer to its placement to its end: whoever's turn it is does what is due, as soon as it is due.
//!
//! What happens by itself in between (payment, stock, a rider of the store) is looked for, at growing pauses. A life
//! that is refused on the way, or in which something does not happen in time, is left as it is and counted.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::answer::Order;
use super::api::{Ask, Person, Said};
use super::command::Command;
use super::kind::{By, Due, Kind, Step};
use super::mix::Fate;
use super::placing::Wish;
use super::town::{Store, Town};

/// Pauses between two looks at an order, the first and the longest; each is half as long again as the one before, so
/// that thousands who wait for a payment to come through are no load of their own.
const LOOKS_AGAIN: Duration = Duration::from_millis(2);
const LOOKS_AGAIN_AT_MOST: Duration = Duration::from_secs(3);

/// How often a step that met another state than it expected is taken again. The order moves by itself meanwhile, and
/// a rider's hand may turn out to be full.
const TRIES: u32 = 5;

/// How a life ended, if it came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As was meant, or as the rules had it: a declined card ends an order too.
    Finished,
    /// Half-way.
    Left,
}

/// An order on its way, and who has to do with it.
struct Life<'a> {
    town: &'a Town,
    number: u64,
    kind: Kind,
    store: &'a Store,
    customer: Rc<Person>,
    rider: Option<Rc<Person>>,
    /// How long anybody waits for what happens by itself.
    patience: Duration,
}

/// The life cannot go on.
struct Stuck;

/// From the answer to the end.
pub(super) async fn go_on(town: &Town, number: u64, wish: Wish, order: Order, patience: Duration) -> End {
    let mut life = Life::of(town, number, wish, patience);
    match life.walk(order, wish.taste.fate).await {
        Ok(()) => {
            life.rider_is_free();
            End::Finished
        }
        Err(Stuck) => End::Left,
    }
}

impl<'a> Life<'a> {
    fn of(town: &'a Town, number: u64, wish: Wish, patience: Duration) -> Self {
        let (kind, store) = (wish.taste.kind, town.store(wish.taste.kind, wish.store));
        let customer = town.customer(wish.customer).clone();
        Self { town, number, kind, store, customer, rider: None, patience }
    }

    /// Takes every step, up to the end that was meant for this order.
    async fn walk(&mut self, mut order: Order, fate: Fate) -> Result<(), Stuck> {
        for (taken, step) in self.kind.steps().iter().enumerate() {
            if fate == Fate::CancelledAfter(taken) {
                let customer = self.customer.clone();
                return self.end(&order, Command::Cancel, &customer, r#"{"reason":"changed my mind"}"#).await;
            }
            let mut tries = 0;
            loop {
                order = self.wait_for(step, order).await?;
                match step.due(order.status, order.delivery.status) {
                    Due::Past if order.status.ended_early() => return ended_by_itself(fate),
                    Due::Past => break,
                    Due::Now | Due::Later => {}
                }
                if fate == Fate::Rejected && step.command == Command::Accept {
                    let owner = self.store.owner.clone();
                    return self.end(&order, Command::Reject, &owner, r#"{"reason":"sold out"}"#).await;
                }
                if let Some(next) = self.take(step, &order).await? {
                    order = next;
                    break;
                }
                tries += 1;
                if tries == TRIES {
                    return Err(Stuck);
                }
                order = self.look(order.id).await?;
            }
        }
        Ok(())
    }

    /// One of the two commands that end an order early.
    async fn end(&self, order: &Order, command: Command, by: &Person, body: &str) -> Result<(), Stuck> {
        self.command(order.id, command, by, body).await?.map(drop).ok_or(Stuck)
    }

    /// None when the order was not where the step needs it, and should be looked at again.
    async fn take(&mut self, step: &Step, order: &Order) -> Result<Option<Order>, Stuck> {
        let body = "{}";
        let done = match step.by {
            By::Customer => self.command(order.id, step.command, &self.customer, body).await?,
            By::Owner => self.command(order.id, step.command, &self.store.owner, body).await?,
            By::ItsRider => {
                let rider = order.rider_id.as_deref().and_then(|name| self.town.rider(name)).ok_or(Stuck)?;
                self.command(order.id, step.command, rider, body).await?
            }
            By::FreeRider => {
                let rider = self.town.hands.take().await;
                self.rider = Some(rider.clone());
                self.command(order.id, step.command, &rider, body).await?
            }
            By::NamedRider => {
                let rider = self.store.hands.take().await;
                let body = format!(r#"{{"rider_id":"{}"}}"#, rider.name);
                self.rider = Some(rider);
                self.command(order.id, step.command, &self.store.owner, &body).await?
            }
        };
        if done.is_none() && matches!(step.by, By::FreeRider | By::NamedRider) {
            self.rider_is_free();
        }
        Ok(done)
    }

    /// None when the rules said no.
    async fn command(&self, id: Uuid, command: Command, by: &Person, body: &str) -> Result<Option<Order>, Stuck> {
        let path = format!("/v1/orders/{id}/{}", command.as_str());
        // A wish of its own: a step that is taken again after a look is another one.
        let key = Uuid::now_v7().to_string();
        let ask = Ask {
            command,
            by: Some(by),
            method: "POST",
            path: &path,
            key: Some(&key),
            body: Some(body),
            intended: Instant::now(),
        };
        match self.town.api.send(&ask).await {
            Said::Done(reply) => {
                let order = Order::read(&reply).ok_or(Stuck)?;
                self.acknowledge(&order);
                Ok(Some(order))
            }
            Said::No(problem) if problem.status == 409 => Ok(None),
            Said::No(_) | Said::Refused => Err(Stuck),
            Said::Unknown => {
                self.town.promises.borrow_mut().doubted(self.number);
                Err(Stuck)
            }
        }
    }

    /// Looks until the step is due, or never will be.
    async fn wait_for(&self, step: &Step, mut order: Order) -> Result<Order, Stuck> {
        let give_up = Instant::now() + self.patience;
        let mut pause = LOOKS_AGAIN;
        while step.due(order.status, order.delivery.status) == Due::Later {
            if Instant::now() > give_up {
                return Err(Stuck);
            }
            sleep(pause.mul_f64(0.75 + 0.5 * fastrand::f64())).await;
            pause = pause.mul_f64(1.5).min(LOOKS_AGAIN_AT_MOST);
            order = self.look(order.id).await?;
        }
        Ok(order)
    }

    async fn look(&self, id: Uuid) -> Result<Order, Stuck> {
        let path = format!("/v1/orders/{id}");
        let ask = Ask {
            command: Command::Read,
            by: Some(&self.customer),
            method: "GET",
            path: &path,
            key: None,
            body: None,
            intended: Instant::now(),
        };
        let Said::Done(reply) = self.town.api.send(&ask).await else { return Err(Stuck) };
        let order = Order::read(&reply).ok_or(Stuck)?;
        self.acknowledge(&order);
        Ok(order)
    }

    /// What was seen once must be there for ever.
    fn acknowledge(&self, order: &Order) {
        self.town.promises.borrow_mut().acknowledged(self.number, order.id, order.version, order.status);
    }

    fn rider_is_free(&mut self) {
        if let Some(rider) = self.rider.take() {
            let own = self.store.employs(&rider);
            if own { &self.store.hands } else { &self.town.hands }.give_back(rider);
        }
    }
}

/// A declined card ends an order late when the payment was deferred. Any other early end was not meant.
fn ended_by_itself(fate: Fate) -> Result<(), Stuck> {
    if fate == Fate::Declined { Ok(()) } else { Err(Stuck) }
}
