//! People who order all the while, each with the same key until there is an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::helpers::{Options, PATIENCE, Shop, TestApp, wait_until};
use crate::server::Server;

const PEOPLE: usize = 12;

/// The outermost limit of a request in these tests, and what may come on top of it on a busy machine.
const REQUEST_MS: u64 = 8_000;
const SLACK: Duration = Duration::from_secs(2);

pub struct Rush {
    pub app: TestApp,
    shop: Shop,
    over: Arc<AtomicBool>,
    placed: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    people: Vec<JoinHandle<Vec<Ordered>>>,
}

/// An order that was acknowledged.
struct Ordered {
    id: String,
    longest: Duration,
}

impl Rush {
    /// Starts a server on that database, and people who order there.
    pub async fn begin(url: String) -> Self {
        let options = Options::default().set("database.url", url).set("http.request_timeout_ms", REQUEST_MS);
        let app = options.expect_errors().start().await;
        let shop = app.store("food_delivery").await;
        let (placed, refused) = (Arc::default(), Arc::default());
        let mut rush = Self { app, shop, over: Arc::default(), placed, refused, people: Vec::new() };
        for number in 0..PEOPLE {
            let token = rush.app.customer(&format!("customer-{number}")).await.token;
            let url = format!("http://{}/v1/orders", rush.app.address());
            let order = rush.shop.order_on_delivery();
            let person = Person { client: Client::builder().timeout(PATIENCE).build().unwrap(), url, token, order };
            let (over, placed, refused) = (rush.over.clone(), rush.placed.clone(), rush.refused.clone());
            rush.people.push(tokio::spawn(async move { person.orders(&over, &placed, &refused).await }));
        }
        rush.some_more().await;
        rush
    }

    /// Waits until a good many more orders were acknowledged than up to now: writes go through.
    pub async fn some_more(&self) {
        let enough = self.placed.load(Ordering::SeqCst) + 5 * PEOPLE;
        let seen = || async { (self.placed.load(Ordering::SeqCst) >= enough).then_some(()) };
        wait_until("orders are acknowledged", seen).await;
    }

    /// Waits until everybody was told several times, or not at all, what became of an order, and the server has noticed
    /// that it cannot write: every limit of a statement has been reached.
    pub async fn is_felt(&self) {
        let enough = self.refused.load(Ordering::SeqCst) + 3 * PEOPLE;
        let felt = || async {
            let refused = self.refused.load(Ordering::SeqCst) >= enough;
            (refused && self.app.open("/readyz").await.status == 503).then_some(())
        };
        wait_until("the outage is felt", felt).await;
    }

    /// Lets everyone finish and checks all that was promised.
    pub async fn end(mut self, database: &Server) {
        self.some_more().await;
        self.over.store(true, Ordering::SeqCst);
        let mut ordered = Vec::new();
        for person in self.people.drain(..) {
            ordered.extend(tokio::time::timeout(PATIENCE, person).await.expect("everyone is answered").unwrap());
        }
        let longest = ordered.iter().map(|order| order.longest).max().unwrap();
        assert!(longest < Duration::from_millis(REQUEST_MS) + SLACK, "somebody waited {longest:?}");
        let stuck = "select count(*) from pg_stat_activity where state like 'idle in transaction%'";
        assert_eq!(database.numbers(stuck).await, [0]);
        let unheard = "select (select count(*) from (select stream, max(version) as version from events
                                                      where kind = 1 group by stream) as truth
                                 left join order_view as v on v.order_id = truth.stream
                                where v.version is distinct from truth.version)
                            + (select count(*) from events as e left join messages as m
                                   on m.order_id = e.stream and m.version = e.version
                                where e.name = 'order_placed' and m.version is null)";
        let heard = || async { (database.numbers(unheard).await == [0]).then_some(()) };
        wait_until("the lists show and the customers know all that stands", heard).await;
        self.app.stop();

        for order in &ordered {
            assert!(uuid::Uuid::parse_str(&order.id).is_ok());
        }
        let placed = "select count(*) from events where name = 'order_placed'";
        assert_eq!(database.numbers(placed).await, [ordered.len() as i64], "one order for each key");
        let mut ids: Vec<&str> = ordered.iter().map(|order| order.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ordered.len(), "each key has an order of its own");
        let torn = "select count(*) from (select from events group by stream, command
                     having count(*) <> max(version) - min(version) + 1) as torn";
        assert_eq!(database.numbers(torn).await, [0], "a command is written once and whole");
    }

    /// How many appends of unknown outcome turned out to be written, and not to be.
    pub fn resolved(&self) -> (u64, u64) {
        let mut sum = (0, 0);
        for line in self.app.log().lines().filter(|line| line.contains("what became of the commit is known")) {
            let line: Value = serde_json::from_str(line).unwrap();
            sum.0 += line["written"].as_u64().unwrap();
            sum.1 += line["lost"].as_u64().unwrap();
        }
        sum
    }
}

struct Person {
    client: Client,
    url: String,
    token: String,
    order: Value,
}

impl Person {
    async fn orders(&self, over: &AtomicBool, placed: &AtomicUsize, refused: &AtomicUsize) -> Vec<Ordered> {
        let mut ordered = Vec::new();
        while !over.load(Ordering::SeqCst) {
            ordered.push(self.insists(refused).await);
            placed.fetch_add(1, Ordering::SeqCst);
        }
        ordered
    }

    /// With the same key until there is an answer that says what became of it.
    async fn insists(&self, refused: &AtomicUsize) -> Ordered {
        let key = uuid::Uuid::now_v7().to_string();
        let longest_us = AtomicU64::new(0);
        let id = wait_until("an order is acknowledged", || async {
            let asked = Instant::now();
            let request = self.client.post(&self.url).bearer_auth(&self.token).header("Idempotency-Key", &key);
            let answer = request.json(&self.order).send().await.expect("the server lives and answers");
            longest_us.fetch_max(asked.elapsed().as_micros() as u64, Ordering::SeqCst);
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.expect("an answer is JSON");
            match status {
                201 => return Some(body["id"].as_str().unwrap().to_owned()),
                409 | 500 | 503 | 504 => refused.fetch_add(1, Ordering::SeqCst),
                other => panic!("{other}: {body}"),
            };
            None
        })
        .await;
        Ordered { id, longest: Duration::from_micros(longest_us.into_inner()) }
    }
}
