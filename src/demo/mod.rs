//! Simulated people for `serve --demo`: customers, owners and riders of all five kinds of store, who act through the
//! public interface like anyone else, at a gentle pace.
//!
//! Each is a small loop: look at my own list, do one of the things that are allowed, or not, as chance has it.
//! Nobody remembers anything, so that a restart of the service needs no thought here. Not here: any way
//! into the service but HTTP.

mod client;
mod customer;
mod opening;
mod owner;
mod rider;
mod seen;
mod stores;
mod town;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::access::{Issuer, Role};
use client::{Client, Door, Refused};
use opening::Shop;
use stores::{CUSTOMERS, FREE_RIDERS, PLANS, Plan};

/// Where the story goes: `BAEDAL_LOG=warn,baedal::demo=info` shows nothing else.
const LOG: &str = "baedal::demo";

/// Between two attempts to open a store.
const OPENING_PAUSE: Duration = Duration::from_secs(2);

/// The people, for as long as this is held: dropping it sends everybody home.
pub struct Demo {
    _people: JoinSet<()>,
}

/// Opens the stores at `address` and lets the people in. Returns at once.
///
/// Wants a tokio runtime around it. The tokens that the people carry are signed here, so it works whether or not
/// the development sign-in is open.
pub fn start(address: SocketAddr, issuer: Arc<Issuer>) -> Demo {
    let mut people = JoinSet::new();
    match Door::new(address, issuer) {
        Ok(door) => drop(people.spawn(open_and_live(door))),
        Err(error) => tracing::error!(%error, "the people of the demonstration cannot speak HTTP"),
    }
    Demo { _people: people }
}

/// Whoever is sent home takes along everyone who was spawned here.
async fn open_and_live(door: Door) {
    let mut people = JoinSet::new();
    let mut stores = Vec::with_capacity(PLANS.len());
    for plan in &PLANS {
        let owner = door.enter(Role::Owner, plan.owner);
        let shop = open(&owner, plan).await;
        stores.push(shop);
        people.spawn(owner::work(owner, shop));
    }
    for name in CUSTOMERS {
        people.spawn(customer::live(door.enter(Role::Customer, name), stores.clone()));
    }
    for name in FREE_RIDERS {
        people.spawn(rider::ride(door.enter(Role::Rider, name), stores.clone(), None));
    }
    for shop in &stores {
        for name in shop.plan.riders {
            people.spawn(rider::ride(door.enter(Role::Rider, name), stores.clone(), Some(*shop)));
        }
    }
    tracing::info!(target: LOG, "five stores are open; {} people are about", people.len());
    while people.join_next().await.is_some() {}
}

async fn open(owner: &Client, plan: &'static Plan) -> Shop {
    loop {
        match opening::open(owner, plan).await {
            Ok(shop) => return shop,
            Err(refused) => shrug(owner.name, &refused),
        }
        tokio::time::sleep(OPENING_PAUSE).await;
    }
}

/// Between looking and doing someone else was faster: that is life, and the next round looks again. Anything else
/// that is refused was not expected.
fn shrug(name: &str, refused: &Refused) {
    if refused.status == 409 || refused.code == "order_not_found" {
        tracing::debug!(target: LOG, "{name} was too late: {refused}");
    } else {
        tracing::warn!(target: LOG, "{name} was refused: {refused}");
    }
}
