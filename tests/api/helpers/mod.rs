//! What the tests share: a server of their own, people, stores, the steps of an order, and patience.

mod answer;
mod app;
mod feed;
mod ledger;
mod life;
mod people;
mod server;
#[path = "../../servers/postgres.rs"]
pub mod servers;
mod shops;
mod verbs;

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

pub use answer::Answer;
pub use app::{Options, TestApp};
pub use feed::{Feed, feed_request};
pub use ledger::Ledger;
pub use life::Life;
pub use people::Person;
pub use server::baedal;
pub use shops::{CUSTOMER_AT, STORE_AT, Shop, item, place};

/// What the servers of these tests keep their data in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// SQLite, unless `BAEDAL_TEST_ENGINE` says `postgres`. Then `BAEDAL_TEST_POSTGRES` says where.
pub fn engine() -> Engine {
    match std::env::var("BAEDAL_TEST_ENGINE").as_deref() {
        Err(_) | Ok("" | "sqlite") => Engine::Sqlite,
        Ok("postgres") => Engine::Postgres,
        Ok(other) => panic!("BAEDAL_TEST_ENGINE is {other}: it can be sqlite or postgres"),
    }
}

/// How long anything may take before a test gives up: far above what is ever needed, so that a busy machine fails
/// no test, and bounded, so that a bug ends.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something to see. Panics with `what` when it never comes.
pub async fn wait_until<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}
