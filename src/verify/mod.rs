//! Reads the whole journal and checks every promise that it can show.
//!
//! Versions and positions without gap or repeat; events that are as they were written; histories that fold; views that
//! equal the folds; stock and riders' books that agree with the orders and the orders with them, their accounts, and their
//! snapshots; nothing forgotten among the open orders and their deadlines; nothing at the sandbox that was not intended.
//! It changes nothing, and knows nothing of how the journal came about.
//!
//! It goes through the journal twice, once in the sequence of positions and once stream by stream, with the views and the
//! open orders beside it in the same sequence. So it holds a page of each, one stream's state, and of what is open who
//! holds it, however long all of them are.

mod accounts;
mod behind;
mod charges;
mod claims;
mod folding;
mod sorted;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use self::accounts::Accounts;
pub(crate) use self::behind::{Behind, look_at_views};
use self::charges::Charges;
pub(crate) use self::charges::check as charges;
use self::claims::Claims;
use self::folding::{Folding, State};
use self::sorted::{ListedOrders, OpenStreams, Sorted};
use crate::actors::{Clock, view_row};
use crate::order::{Order, OrderEvent, OrderId, RiderBook, Seconds, Stock, StockHold, StoreId, Timestamp, replay};
use crate::store::{
    ChainCheck, Chains, Cursor, DbError, OpenStream, OrderRow, Readers, Recorded, Snapshot, StreamId, StreamKind,
    TipsDigest, Views,
};

/// How late a deadline may fire while the system is up.
const LATE_AT_MOST: Seconds = Seconds(2);

/// Bounds the report: whoever broke this many promises has one problem, not thousands.
const SHOWN_AT_MOST: usize = 100;

/// Events of a page. A page is a megabyte or two, and takes tens of milliseconds.
const PAGE: usize = 5_000;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) events: u64,
    pub(crate) orders: u64,
    pub(crate) open: u64,
    pub(crate) stores: u64,
    pub(crate) riders: u64,
    pub(crate) snapshots: u64,
    pub(crate) chains: Chains,
    /// Due while nothing was running: they fire at the next start.
    pub(crate) due_at_start: u64,
    /// How the views stood before they were brought up to date.
    behind: Behind,
    /// Entries of the sandbox's ledger; none if there is no such ledger.
    charges: Option<u64>,
    /// How many promises are broken.
    pub(crate) broken: u64,
    /// What the first of them are.
    shown: Vec<String>,
}

impl Report {
    /// What was found before the views were brought up to date.
    pub(crate) fn add(&mut self, mut behind: Behind) {
        self.broken += behind.stale.len() as u64;
        let stale = std::mem::take(&mut behind.stale);
        self.shown.extend(stale.into_iter().take(SHOWN_AT_MOST.saturating_sub(self.shown.len())));
        self.behind = behind;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events: {} orders ({} open), {} stocks, {} riders' books, {} snapshots; {} deadlines fire at the next \
             start",
            self.events, self.orders, self.open, self.stores, self.riders, self.snapshots, self.due_at_start
        )?;
        let Chains { chained, unchained, tips, .. } = &self.chains;
        writeln!(f, "{chained} events are chained, {unchained} are from before there were chains; tips {tips}")?;
        write!(f, "{}", self.behind)?;
        if let Some(charges) = self.charges {
            writeln!(f, "{charges} entries in the sandbox's ledger, compared with what was intended")?;
        }
        for broken in &self.shown {
            writeln!(f, "BROKEN  {broken}")?;
        }
        match self.broken {
            0 => writeln!(f, "every promise that the journal can show is kept"),
            count if count > SHOWN_AT_MOST as u64 => writeln!(f, "and {} more", count - SHOWN_AT_MOST as u64),
            _ => Ok(()),
        }
    }
}

struct Check<'a, P> {
    readers: &'a Readers,
    views: &'a Views,
    report: Report,
    last_event_at: Timestamp,
    claims: Claims,
    /// Told how many events have been looked at, of how many.
    progress: P,
}

/// `tips`: those of earlier, to be compared with. `progress` is told how many events have been looked at, of how many: each is looked at twice.
pub(crate) async fn verify(
    readers: &Readers,
    views: &Views,
    tips: Option<TipsDigest>,
    progress: impl FnMut(u64, u64),
) -> Result<Report, DbError> {
    let (report, last_event_at) = (Report::default(), Timestamp::from_micros(0));
    let mut check = Check { readers, views, report, last_event_at, claims: Claims::default(), progress };
    check.positions().await?;
    check.streams(tips).await?;
    let unmet = std::mem::take(&mut check.claims).unmet();
    unmet.into_iter().for_each(|what| check.broken(what));
    Ok(check.report)
}

/// What stands beside the streams in the same sequence.
struct Beside<'a> {
    listed: Sorted<ListedOrders<'a>>,
    open: Sorted<OpenStreams<'a>>,
}

impl Report {
    fn broken(&mut self, what: impl Into<String>) {
        self.broken += 1;
        if self.shown.len() < SHOWN_AT_MOST {
            self.shown.push(what.into());
        }
    }

    pub(crate) fn take_charges(&mut self, charges: Charges) {
        self.charges = Some(charges.entries);
        charges.broken.into_iter().for_each(|what| self.broken(what));
    }
}

impl<P: FnMut(u64, u64)> Check<'_, P> {
    fn broken(&mut self, what: impl Into<String>) {
        self.report.broken(what);
    }

    /// Positions 1, 2, 3 … in every shard, in the sequence in which they are read.
    async fn positions(&mut self) -> Result<(), DbError> {
        let head = self.readers.head().await?;
        let all: u64 = head.marks().map(|mark| mark.position).sum();
        let mut cursor = Cursor::start();
        loop {
            let rows = self.readers.after(&cursor, PAGE).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let expected = cursor.at(row.position.shard) + 1;
                if row.position.position != expected {
                    self.broken(format!("position {} follows {}", row.position, expected - 1));
                }
                cursor.advance(row.position);
                self.report.events += 1;
                self.last_event_at = self.last_event_at.max(row.at);
            }
            (self.progress)(self.report.events, 2 * all);
        }
        for mark in head.marks().filter(|mark| cursor.at(mark.shard) != mark.position) {
            let (shard, read) = (mark.shard.number(), cursor.at(mark.shard));
            self.broken(format!("shard {shard} ends at {mark}, read up to {read}"));
        }
        Ok(())
    }

    async fn streams(&mut self, tips: Option<TipsDigest>) -> Result<(), DbError> {
        let mut chains = ChainCheck::new(tips);
        let listed = Sorted::new(ListedOrders(self.views));
        let mut beside = Beside { listed, open: Sorted::new(OpenStreams(self.readers)) };
        let (mut after, mut done) = (None, self.report.events);
        let mut stream: Option<(Folding, Option<Snapshot>)> = None;
        loop {
            let page = self.readers.stream_by_stream(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.event.stream.id, last.event.version));
            done += page.len() as u64;
            for linked in &page {
                if let Some(what) = chains.next(linked) {
                    self.broken(what);
                }
                let row = &linked.event;
                if stream.as_ref().is_none_or(|(folding, _)| folding.stream != row.stream) {
                    if let Some((folded, _)) = stream.take() {
                        self.stream(folded, &mut beside).await?;
                    }
                    stream = Some((Folding::new(row.stream), self.next_snapshot(row.stream, 0).await?));
                }
                let Some((folding, snapshot)) = &mut stream else { continue };
                folding.take(row);
                if let Some(of) = snapshot.take_if(|snapshot| snapshot.version <= row.version) {
                    folding.compare(&of);
                    self.report.snapshots += 1;
                    *snapshot = self.next_snapshot(row.stream, of.version).await?;
                }
            }
            (self.progress)(done, 2 * self.report.events);
        }
        if let Some((folded, _)) = stream {
            self.stream(folded, &mut beside).await?;
        }
        self.report.chains = chains.end();
        for what in self.report.chains.broken.clone() {
            self.broken(what);
        }
        self.strays(Uuid::max(), &mut beside).await.map(drop)
    }

    /// Only books have them.
    async fn next_snapshot(&self, stream: StreamId, after: u32) -> Result<Option<Snapshot>, DbError> {
        match stream.kind {
            StreamKind::Order => Ok(None),
            StreamKind::Stock | StreamKind::Rider => self.readers.snapshot_after(stream, after).await,
        }
    }

    async fn stream(&mut self, folded: Folding, beside: &mut Beside<'_>) -> Result<(), DbError> {
        let Folding { stream, state, accounts, broken, .. } = folded;
        broken.into_iter().for_each(|what| self.broken(what));
        match stream.kind {
            StreamKind::Order => self.report.orders += 1,
            StreamKind::Stock => self.report.stores += 1,
            StreamKind::Rider => self.report.riders += 1,
        }
        let (listed, open) = self.strays(stream.id, beside).await?;
        match state {
            State::Order(Some(order)) => self.order(&order, listed, open),
            State::Order(None) => self.broken(format!("order {} has no events", stream.id)),
            State::Stock(stock) => self.stock(StoreId::new(stream.id), &stock, &accounts).await?,
            State::Rider(book) => self.book(stream.id, &book).await?,
            State::Not(what) => self.broken(format!("{:?} {} does not fold: {what}", stream.kind, stream.id)),
        }
        Ok(())
    }

    /// What is listed of this stream. Whatever is listed before it is of a stream that the journal does not have.
    async fn strays(
        &mut self,
        id: Uuid,
        beside: &mut Beside<'_>,
    ) -> Result<(Option<OrderRow>, Option<OpenStream>), DbError> {
        let (mut listed, mut open) = (None, None);
        while let Some(row) = beside.listed.up_to(id).await? {
            match row.order.uuid() == id {
                true => listed = Some(row),
                false => self.broken(format!("order {} is in the views, and not in the journal", row.order)),
            }
        }
        while let Some(stream) = beside.open.up_to(id).await? {
            self.report.open += 1;
            match stream.stream.id == id {
                true => open = Some(stream),
                false => self.broken(format!("order {} is listed for waking, and does not exist", stream.stream.id)),
            }
        }
        Ok((listed, open))
    }

    fn order(&mut self, order: &Arc<Order>, listed: Option<OrderRow>, open: Option<OpenStream>) {
        let id = order.id;
        if order.is_closed() && !order.settled && order.outstanding().is_empty() {
            self.broken(format!("order {id} holds nothing any more and is not settled"));
        }
        match listed {
            None => self.broken(format!("order {id} is missing in the views")),
            Some(row) if row.version != order.version => {
                let (shown, version) = (row.version, order.version);
                self.broken(format!("order {id} is at version {shown} in the views, at {version} in truth"));
            }
            Some(row) if row != view_row(order) => self.broken(format!("order {id} differs in the views")),
            Some(_) => {}
        }
        self.claims.carried.extend(order.held_by().map(|rider| (rider.stream(), id)));
        if order.stock == StockHold::Reserved {
            self.claims.reserved.insert(id);
        }
        self.waking(order, open);
    }

    /// Exactly the orders that are not settled are listed for waking, none of them long overdue.
    fn waking(&mut self, order: &Order, open: Option<OpenStream>) {
        let id = order.id;
        if order.settled == open.is_some() {
            let (is, listed) = if order.settled { ("settled", "") } else { ("open", "not ") };
            self.broken(format!("order {id} is {is} and {listed}listed for waking"));
        }
        let Some(due) = open.and_then(|open| open.due) else { return };
        if due + LATE_AT_MOST < self.last_event_at {
            self.broken(format!("order {id} was due at {due} and was not told"));
        } else if due < Clock::default().now() {
            self.report.due_at_start += 1;
        }
    }

    async fn stock(&mut self, store: StoreId, stock: &Stock, accounts: &Accounts) -> Result<(), DbError> {
        for wrong in accounts.wrong(stock) {
            self.broken(format!("store {store}: {wrong}"));
        }
        self.claims.set_aside.extend(stock.open_reservations());
        for (item, set_aside) in stock.all_set_aside() {
            let reserved = stock.level(item).map_or(set_aside, |level| level.reserved);
            if reserved != set_aside {
                self.broken(format!(
                    "store {store}: {reserved} of item {item} are reserved, its reservations hold {set_aside}"
                ));
            }
        }
        for order in stock.open_reservations() {
            let holds = |order: &Order| matches!(order.stock, StockHold::Wanted | StockHold::Reserved);
            match self.order_now(order).await? {
                None => self.broken(format!("store {store} holds stock for order {order}, which does not exist")),
                Some(now) if now.settled || !holds(&now) => {
                    self.broken(format!("store {store} holds stock for order {order}, which is done with it"));
                }
                Some(_) => {}
            }
        }
        let shown: HashMap<_, _> =
            self.views.stock_levels(store).await?.into_iter().map(|row| (row.item, row.available)).collect();
        for (item, level) in stock.levels() {
            if shown.get(&item) != Some(&Some(level.available)) {
                self.broken(format!("store {store}: the views show another level of item {item}"));
            }
        }
        Ok(())
    }

    async fn book(&mut self, rider: Uuid, book: &RiderBook) -> Result<(), DbError> {
        self.claims.in_books.extend(book.held().iter().map(|order| (rider, *order)));
        for &order in book.held() {
            let now = self.order_now(order).await?;
            let with_them = |order: &Arc<Order>| {
                order.rider().into_iter().chain(&order.releasing).any(|with| with.stream() == rider)
            };
            if !now.is_some_and(|now| !now.settled && with_them(&now)) {
                self.broken(format!("rider {rider} holds order {order}, which is not with them"));
            }
        }
        Ok(())
    }

    /// Of what a book says that is open: as many as are, however many have ended. One that does not fold is said to be so
    /// where its own stream is looked at.
    async fn order_now(&self, order: OrderId) -> Result<Option<Arc<Order>>, DbError> {
        let history = self.readers.stream(StreamId::order(order), 0).await?;
        Ok(fold_order(order, &history))
    }
}

fn fold_order(id: OrderId, history: &[Recorded]) -> Option<Arc<Order>> {
    let mut events = Vec::with_capacity(history.len());
    for row in history {
        events.push((OrderEvent::read(&row.name, &row.data).ok()?, row.at));
    }
    replay(id, None, events.iter().map(|(event, at)| (event, *at))).ok()?
}
