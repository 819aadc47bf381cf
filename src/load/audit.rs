//! The last look: what was never answered is asked again under its key, and every customer's list is read and
//! compared with what was promised.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::answer::Order;
use super::api::{Ask, Person, Said};
use super::command::Command;
use super::kind::Status;
use super::placing::settle;
use super::promises::{Finding, Judgement, Listed, Promise};
use super::town::Town;

/// Lists read at a time: the reading is not what is measured, and should not take all day either.
const AT_A_TIME: usize = 16;

/// How long the lists may take to show what was acknowledged before each missing order is looked at by itself. A rush
/// leaves them behind; half a minute of quiet is enough for any that still moves.
const LISTS_CATCH_UP_WITHIN: Duration = Duration::from_secs(30);

/// Between two readings of lists that are behind: reading holds up what it waits for.
const READS_AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Audit {
    pub(super) judgement: Judgement,
    /// Whole orders that only the lists lacked.
    pub(super) lists_behind: u64,
    /// How long after the load the lists needed to agree with the orders.
    pub(super) lists_took: Duration,
    /// Placements never answered, however often they were asked.
    pub(super) unresolved: u64,
    /// Lists that could not be read to their end: then nothing follows from the rest.
    pub(super) unread: u64,
    /// By customer.
    pub(super) listed: Vec<Vec<Listed>>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Row>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    id: Uuid,
    version: u32,
    status: Status,
    note: Option<String>,
}

pub(super) async fn audit(town: &Rc<Town>) -> Audit {
    let unresolved = settle_what_was_never_answered(town).await;
    let began = Instant::now();
    loop {
        let lists_took = began.elapsed();
        let mut audit = read_and_judge(town).await;
        (audit.unresolved, audit.lists_took) = (unresolved, lists_took);
        let good = audit.judgement.findings.is_empty() && audit.unread == 0;
        if good || lists_took > LISTS_CATCH_UP_WITHIN {
            look_at_what_is_missing(town, &mut audit).await;
            return audit;
        }
        sleep(READS_AGAIN_AFTER).await;
    }
}

async fn settle_what_was_never_answered(town: &Rc<Town>) -> u64 {
    let unknown = |(number, promise)| (promise == Promise::Unknown).then_some(number);
    let numbers: Vec<u64> = town.promises.borrow().iter().filter_map(unknown).collect();
    let settled = stream::iter(numbers).map(|number| {
        let wish = town.wishes.borrow()[number as usize];
        async move { settle(town, number, wish).await }
    });
    settled.buffer_unordered(AT_A_TIME).filter(|settled| std::future::ready(!settled)).count().await as u64
}

async fn read_and_judge(town: &Rc<Town>) -> Audit {
    let lists = stream::iter(&town.customers).map(|customer| read_lists(town, customer));
    let read: Vec<Option<Vec<Listed>>> = lists.buffered(AT_A_TIME).collect().await;
    let unread = read.iter().filter(|list| list.is_none()).count() as u64;
    let listed: Vec<Vec<Listed>> = read.into_iter().map(Option::unwrap_or_default).collect();
    let all: Vec<Listed> = listed.iter().flatten().copied().collect();
    let judgement = town.promises.borrow().judge(&all);
    Audit { judgement, unread, listed, ..Audit::default() }
}

/// None when a page could not be read.
async fn read_lists(town: &Town, customer: &Person) -> Option<Vec<Listed>> {
    let live = read_list(town, customer, "live").await?;
    let past = read_list(town, customer, "past").await?;
    // An order that ended between the two is in both, once each: the later look counts.
    let ended: HashSet<Uuid> = past.iter().map(|row| row.id).collect();
    let live = live.into_iter().filter(|row| !ended.contains(&row.id));
    Some(live.chain(past.iter().copied()).collect())
}

async fn read_list(town: &Town, customer: &Person, which: &str) -> Option<Vec<Listed>> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let reply = get(town, customer, &format!("/v1/my-page?status={which}&limit=100{after}")).await?;
        let page: Page = serde_json::from_slice(&reply).ok()?;
        rows.extend(page.items.iter().map(|row| listed(town, row)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Some(rows);
        }
    }
}

/// A note that names no wish of ours gets a number that no wish has.
fn listed(town: &Town, row: &Row) -> Listed {
    let note = row.note.as_deref().and_then(|note| note.strip_prefix(town.run.as_str()));
    let wish = note.and_then(|rest| rest.strip_prefix('-')?.parse().ok()).unwrap_or(u64::MAX);
    Listed { id: row.id, version: row.version, status: row.status, wish }
}

/// What the lists lack may be there all the same: then the lists are behind, nothing is lost, and the order itself
/// stands in for its line.
async fn look_at_what_is_missing(town: &Town, audit: &mut Audit) {
    let findings = std::mem::take(&mut audit.judgement.findings);
    let looked_at = stream::iter(findings).map(|finding| look_at(town, finding)).buffer_unordered(AT_A_TIME);
    let looked_at: Vec<(Finding, Option<Listed>)> = looked_at.collect().await;
    for (finding, order) in looked_at {
        let Some(order) = order else {
            audit.judgement.findings.push(finding);
            continue;
        };
        audit.lists_behind += 1;
        let customer = town.wishes.borrow()[order.wish as usize].customer;
        let list = &mut audit.listed[customer % town.customers.len()];
        list.retain(|row| row.id != order.id);
        list.push(order);
    }
}

/// The order, if it stands where it should.
async fn look_at(town: &Town, finding: Finding) -> (Finding, Option<Listed>) {
    let (Finding::Lost { wish, id } | Finding::SetBack { wish, id }) = finding else { return (finding, None) };
    let customer = town.customer(town.wishes.borrow()[wish as usize].customer).clone();
    let seen = get(town, &customer, &format!("/v1/orders/{id}")).await;
    let order = seen.and_then(|body| serde_json::from_slice::<Order>(&body).ok());
    let row = order.map(|Order { id, version, status, .. }| Listed { id, version, status, wish });
    (finding, row.filter(|row| town.promises.borrow().kept_by(row)))
}

async fn get(town: &Town, by: &Person, path: &str) -> Option<Vec<u8>> {
    let ask = Ask {
        // Comes back when refused: the last look is not left out for lack of room.
        command: Command::Around,
        by: Some(by),
        method: "GET",
        path,
        key: None,
        body: None,
        intended: Instant::now(),
    };
    match town.api.send(&ask).await {
        Said::Done(reply) => Some(reply.body),
        Said::No(_) | Said::Refused | Said::Unknown => None,
    }
}
