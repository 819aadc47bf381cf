//! The town that the load lives in: stores of the kinds in the mix, their owners, customers and riders; all opened
//! through the public interface, under names of this run alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::api::{Api, Ask, Person, Said};
use super::command::Command;
use super::kind::Kind;
use super::placing::Wish;
use super::plan::Plan;
use super::promises::Promises;
use super::riders::FreeHands;
use super::tokens::Tokens;

/// Requests at a time while the town is opened: enough to fill the journal's groups, few enough for any server.
const OPENED_AT_A_TIME: usize = 16;

/// Of each item in stock where stock is counted: more than any run sells.
const PLENTY: u32 = 1_000_000_000;

/// Gangnam station. Everyone is here, so that every kitchen delivers to everyone.
const PLACE: &str = r#""lat":37.4979,"lng":127.0276"#;

pub(super) struct Town {
    pub(super) api: Api,
    /// Names everything of this run: people, keys, notes.
    pub(super) run: String,
    pub(super) customers: Vec<Rc<Person>>,
    /// By kind: stores of it.
    stores: HashMap<Kind, Vec<Store>>,
    pub(super) riders: Vec<Rc<Person>>,
    by_name: HashMap<String, Rc<Person>>,
    pub(super) hands: FreeHands,
    pub(super) promises: RefCell<Promises>,
    /// By number, so that a placement that was never answered can be repeated as it was.
    pub(super) wishes: RefCell<Vec<Wish>>,
}

pub(super) struct Store {
    id: Uuid,
    item: Uuid,
    pub(super) owner: Rc<Person>,
    /// Riders of its own with a hand free, where the store names who goes.
    pub(super) hands: FreeHands,
    riders: Vec<Rc<Person>>,
}

/// The part of a created store that is gone by.
#[derive(Deserialize)]
struct Created {
    id: Uuid,
}

impl Town {
    pub(super) async fn open(api: Api, tokens: &Tokens, plan: &Plan) -> anyhow::Result<Self> {
        // The end of a new id is chance; its beginning is the time, and the same for all runs of a minute.
        let id = Uuid::now_v7().simple().to_string();
        let run = format!("load-{}", &id[22..]);
        let name = |who: &str, number: usize| format!("{run}-{who}-{number}");
        let enter = |role: &'static str, names: Vec<String>| enter_all(&api, tokens, role, names);
        let customers = enter("customer", (0..plan.customers).map(|n| name("customer", n)).collect()).await?;
        let free = enter("rider", (0..plan.riders).map(|n| name("rider", n)).collect()).await?;
        let mut stores = HashMap::new();
        let mut riders = free.clone();
        for kind in Kind::ALL.into_iter().filter(|kind| plan.mix.has(*kind)) {
            let owners = enter("owner", (0..plan.stores).map(|n| name(kind.as_str(), n)).collect()).await?;
            let hired = if kind.has_riders() { plan.store_riders } else { 0 };
            let names = |n: usize| (0..hired).map(|r| name(&format!("{}-{n}-rider", kind.as_str()), r)).collect();
            let mut opened = Vec::new();
            for (number, owner) in owners.into_iter().enumerate() {
                let own_riders = enter("rider", names(number)).await?;
                riders.extend(own_riders.iter().cloned());
                opened.push(Store::open(&api, kind, owner, own_riders).await?);
            }
            stores.insert(kind, opened);
        }
        let by_name = riders.iter().map(|rider| (rider.name.clone(), rider.clone())).collect();
        let hands = FreeHands::of(&free);
        let (promises, wishes) = (RefCell::default(), RefCell::default());
        let town = Self { api, run, customers, stores, riders, by_name, hands, promises, wishes };
        town.everyone_says_where_they_are().await?;
        Ok(town)
    }

    /// Writes a wish down before it is sent. Its number names it from then on.
    pub(super) fn note(&self, wish: Wish) -> u64 {
        self.wishes.borrow_mut().push(wish);
        self.promises.borrow_mut().wish()
    }

    pub(super) fn customer(&self, number: usize) -> &Rc<Person> {
        &self.customers[number % self.customers.len()]
    }

    pub(super) fn store(&self, kind: Kind, number: usize) -> &Store {
        let stores = &self.stores[&kind];
        &stores[number % stores.len()]
    }

    pub(super) fn rider(&self, name: &str) -> Option<&Rc<Person>> {
        self.by_name.get(name)
    }

    /// The service forgets where riders are when it is restarted; their apps say it again.
    pub(super) async fn everyone_says_where_they_are(&self) -> anyhow::Result<()> {
        let each = stream::iter(&self.riders).map(|rider| self.says_where_they_are(rider));
        each.buffer_unordered(OPENED_AT_A_TIME).try_collect().await
    }

    pub(super) async fn says_where_they_are(&self, rider: &Person) -> anyhow::Result<()> {
        let body = format!(r#"{{"available":true,"location":{{{PLACE}}}}}"#);
        set_up(&self.api, Some(rider), "PUT", "/v1/riders/me", &body).await.map(drop)
    }
}

impl Store {
    async fn open(api: &Api, kind: Kind, owner: Rc<Person>, riders: Vec<Rc<Person>>) -> anyhow::Result<Self> {
        let preset = kind.as_str();
        let body =
            format!(r#"{{"name":"Load {preset}","location":{{"text":"12 Teheran-ro",{PLACE}}},"policy":"{preset}"}}"#);
        let reply = set_up(api, Some(&owner), "POST", "/v1/stores", &body).await?;
        let Created { id } = serde_json::from_slice(&reply).context("a created store has an id")?;
        let item = Uuid::now_v7();
        let stock = if kind.counts_stock() { PLENTY.to_string() } else { "null".to_owned() };
        let body = format!(
            r#"{{"name":"Something","price":{{"amount":12000,"currency":"KRW"}},"available":true,"stock":{stock}}}"#
        );
        set_up(api, Some(&owner), "PUT", &format!("/v1/stores/{id}/menu/{item}"), &body).await?;
        let hired = stream::iter(&riders).map(|rider| {
            let (owner, path) = (&owner, format!("/v1/stores/{id}/riders/{}", rider.name));
            async move { set_up(api, Some(owner), "PUT", &path, "{}").await.map(drop) }
        });
        hired.buffer_unordered(OPENED_AT_A_TIME).try_collect::<()>().await?;
        Ok(Self { id, item, hands: FreeHands::of(&riders), owner, riders })
    }

    /// Whether the rider is one of its own.
    pub(super) fn employs(&self, rider: &Person) -> bool {
        self.riders.iter().any(|own| own.name == rider.name)
    }

    /// An order at this store. `note` tells later which wish it was.
    pub(super) fn order(&self, kind: Kind, note: &str, payment: &str) -> String {
        let Self { id, item, .. } = self;
        let parcel = match kind {
            Kind::QuickService => format!(
                r#","parcel":{{"description":"Documents","size":"small","weight_g":700,"pick_up":{{"text":"Office",{PLACE}}}}}"#
            ),
            Kind::FoodDelivery | Kind::Retail | Kind::Restaurant | Kind::StoreDelivered => String::new(),
        };
        format!(
            r#"{{"store_id":"{id}","lines":[{{"item_id":"{item}","quantity":1}}],"destination":{{"text":"At home",{PLACE}}},"payment":{payment},"note":"{note}"{parcel}}}"#
        )
    }
}

async fn enter_all(
    api: &Api,
    tokens: &Tokens,
    role: &'static str,
    names: Vec<String>,
) -> anyhow::Result<Vec<Rc<Person>>> {
    let each = stream::iter(names).map(|name| async move {
        let token = tokens.for_someone(api, role, &name).await?;
        anyhow::Ok(Rc::new(Person { name, token }))
    });
    each.buffered(OPENED_AT_A_TIME).try_collect().await
}

/// A request without which there is no load: every refusal is an error.
pub(super) async fn set_up(
    api: &Api,
    by: Option<&Person>,
    method: &'static str,
    path: &str,
    body: &str,
) -> anyhow::Result<Vec<u8>> {
    let key = (method == "POST").then(|| Uuid::now_v7().to_string());
    let ask = Ask {
        command: Command::Around,
        by,
        method,
        path,
        key: key.as_deref(),
        body: Some(body),
        intended: Instant::now(),
    };
    match api.send(&ask).await {
        Said::Done(reply) => Ok(reply.body),
        Said::No(problem) => anyhow::bail!("{method} {path}: {} {}", problem.status, problem.code),
        Said::Refused => anyhow::bail!("{method} {path}: the service cannot be reached, or is full"),
        Said::Unknown => anyhow::bail!("{method} {path}: no answer"),
    }
}
