//! One thing after the other (P9): whatever many people do to one order at once, and whenever the process dies, the
//! answers are those of an order that does one thing after the other.

mod checker;

use std::cell::RefCell;
use std::time::Instant;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;

use self::checker::{MAX_REQUESTS, Outcome, Request, is_linearizable};
use crate::helpers::{Answer, Life, Person, TestApp};

/// Orders, people who act on each, and what each of them does before the process is killed.
const ORDERS: usize = 6;
const PEOPLE: usize = 5;
const REQUESTS_EACH: usize = 6;

/// Processes that are killed; the last one is not.
const KILLS: usize = 3;

const BY_OWNER: [&str; 6] = ["accept", "reject", "start-preparation", "finish-preparation", "depart", "deliver"];
const BY_CUSTOMER: [&str; 2] = ["cancel", "confirm"];

/// What was asked of one order and answered so far. One clock for all of them.
struct History {
    order: String,
    requests: RefCell<Vec<Request>>,
}

impl History {
    fn begin(&self, does: &'static str, clock: Instant) -> usize {
        let mut requests = self.requests.borrow_mut();
        let sent = clock.elapsed().as_nanos() as u64;
        requests.push(Request { does, sent, answered: u64::MAX, outcome: Outcome::Unknown });
        requests.len() - 1
    }

    fn end(&self, nth: usize, outcome: Outcome, clock: Instant) {
        if outcome != Outcome::Unknown {
            let request = &mut self.requests.borrow_mut()[nth];
            request.answered = clock.elapsed().as_nanos() as u64;
            request.outcome = outcome;
        }
    }
}

fn outcome(answer: &Answer) -> Outcome {
    match answer.status {
        200 => Outcome::Shown(answer.body["status"].as_str().expect("an order has a status").to_owned()),
        409 => Outcome::Refused,
        500 | 504 => Outcome::Unknown,
        other => panic!("{other} is no answer to this: {}", answer.body),
    }
}

/// Likelier the nearer it is to what is due: a crowd that only asks for nonsense would never get anywhere.
fn choose(dice: &mut fastrand::Rng) -> &'static str {
    match dice.u8(0..10) {
        0..3 => "read",
        3 => BY_CUSTOMER[dice.usize(..BY_CUSTOMER.len())],
        _ => BY_OWNER[dice.usize(..BY_OWNER.len())],
    }
}

async fn act(app: &TestApp, life: &Life, history: &History, clock: Instant, seed: u64, done: &watch::Sender<usize>) {
    let mut dice = fastrand::Rng::with_seed(seed);
    for _ in 0..REQUESTS_EACH {
        let does = choose(&mut dice);
        let who: &Person = match does {
            "reject" | "read" => &life.shop.owner,
            of_customer if BY_CUSTOMER.contains(&of_customer) => &life.customer,
            _ => &life.shop.owner,
        };
        let path = format!("/v1/orders/{}", history.order);
        let request = match does {
            "read" => app.request(Method::GET, &path),
            "reject" => app.request(Method::POST, &format!("{path}/reject")).json(&json!({"reason": "sold out"})),
            command => app.request(Method::POST, &format!("{path}/{command}")).json(&json!({})),
        };
        let nth = history.begin(does, clock);
        if let Ok(answer) = app.try_send(request.bearer_auth(&who.token)).await {
            history.end(nth, outcome(&answer), clock);
        }
        done.send_modify(|done| *done += 1);
    }
}

#[tokio::test]
async fn answers_are_those_of_an_order_that_does_one_thing_after_the_other() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "store_delivered").await;
    let mut histories = Vec::new();
    for _ in 0..ORDERS {
        let order = app.placed(&life.customer, &life.shop.order_on_delivery()).await;
        app.wait_for_status(&order, "awaiting_acceptance").await;
        histories.push(History { order, requests: RefCell::default() });
    }
    let clock = Instant::now();
    for round in 0..=KILLS {
        let (done, mut seen) = watch::channel(0);
        {
            let everybody = histories.iter().enumerate().flat_map(|(of, history)| {
                let (app, life, done) = (&app, &life, &done);
                (0..PEOPLE).map(move |person| {
                    let seed = (round * ORDERS * PEOPLE + of * PEOPLE + person) as u64;
                    act(app, life, history, clock, seed, done)
                })
            });
            let everybody = join_all(everybody);
            if round == KILLS {
                everybody.await;
            } else {
                let enough = ORDERS * PEOPLE * REQUESTS_EACH * (round + 1) / (KILLS + 2);
                tokio::select! {
                    _ = everybody => {}
                    _ = seen.wait_for(|done| *done >= enough) => {}
                }
            }
        }
        if round < KILLS {
            app.kill();
            app.start_again();
        }
    }
    let mut counted = [0; 3];
    for History { order, requests } in histories {
        let requests = requests.into_inner();
        for request in &requests {
            counted[match request.outcome {
                Outcome::Shown(_) => 0,
                Outcome::Refused => 1,
                Outcome::Unknown => 2,
            }] += 1;
        }
        assert!(requests.len() <= MAX_REQUESTS);
        assert!(is_linearizable("awaiting_acceptance", &requests), "order {order}: {requests:#?}");
    }
    assert!(counted.iter().all(|count| *count >= ORDERS), "done, refused, unknown: {counted:?} would prove nothing");
}
