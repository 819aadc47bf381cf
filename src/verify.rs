//! Reads the whole journal and checks every promise that it can show.
//!
//! Versions and positions without gap or repeat; histories that fold; views that equal the folds; stock and riders'
//! books that agree with the orders; nothing forgotten among the open orders and their deadlines. It changes
//! nothing, and knows nothing of how the journal came about.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::actors::{Clock, view_row};
use crate::order::{
    Order, OrderEvent, OrderId, RiderBook, RiderEvent, Seconds, Stock, StockEvent, StockHold, StoreId, Timestamp,
    replay,
};
use crate::store::{Cursor, DbError, Readers, Recorded, StreamId, StreamKind, Views};

/// How late a deadline may fire while the system is up.
const LATE_AT_MOST: Seconds = Seconds(2);

/// Bounds the report: whoever broke this many promises has one problem, not thousands.
const SHOWN_AT_MOST: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) events: u64,
    pub(crate) orders: u64,
    pub(crate) open: u64,
    pub(crate) stores: u64,
    pub(crate) riders: u64,
    /// Due while nothing was running: they fire at the next start.
    pub(crate) due_at_start: u64,
    pub(crate) broken: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events: {} orders ({} open), {} stocks, {} riders' books; {} deadlines fire at the next start",
            self.events, self.orders, self.open, self.stores, self.riders, self.due_at_start
        )?;
        for broken in self.broken.iter().take(SHOWN_AT_MOST) {
            writeln!(f, "BROKEN  {broken}")?;
        }
        match self.broken.len() {
            0 => writeln!(f, "every promise that the journal can show is kept"),
            count if count > SHOWN_AT_MOST => writeln!(f, "and {} more", count - SHOWN_AT_MOST),
            _ => Ok(()),
        }
    }
}

/// What an order holds elsewhere, as far as it knows.
struct Holds {
    settled: bool,
    stock: bool,
    riders: Vec<Uuid>,
}

struct Check<'a> {
    readers: &'a Readers,
    views: &'a Views,
    report: Report,
    orders: HashMap<OrderId, Holds>,
    last_event_at: Timestamp,
}

pub(crate) async fn verify(readers: &Readers, views: &Views) -> Result<Report, DbError> {
    let mut check = Check {
        readers,
        views,
        report: Report::default(),
        orders: HashMap::new(),
        last_event_at: Timestamp::from_micros(0),
    };
    check.positions().await?;
    check.orders().await?;
    check.stocks().await?;
    check.riders().await?;
    check.open_streams().await?;
    Ok(check.report)
}

impl Check<'_> {
    fn broken(&mut self, what: impl Into<String>) {
        self.report.broken.push(what.into());
    }

    /// Positions 1, 2, 3 … in every shard, in the sequence in which they are read.
    async fn positions(&mut self) -> Result<(), DbError> {
        let mut cursor = Cursor::start();
        loop {
            let rows = self.readers.after(&cursor, 5_000).await?;
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
        }
        let head = self.readers.head().await?;
        for mark in head.marks().filter(|mark| cursor.at(mark.shard) != mark.position) {
            self.broken(format!(
                "shard {} ends at {}, read up to {}",
                mark.shard.number(),
                mark,
                cursor.at(mark.shard)
            ));
        }
        Ok(())
    }

    async fn streams(&self, kind: StreamKind, after: Option<Uuid>) -> Result<Vec<StreamId>, DbError> {
        self.readers.streams_of(kind, after, 1_000).await
    }

    /// Versions without a gap are part of what folding checks here.
    fn versions(&mut self, stream: StreamId, history: &[Recorded]) {
        for (row, expected) in history.iter().zip(1..) {
            if row.version != expected {
                self.broken(format!("{stream:?} has version {} where {expected} belongs", row.version));
            }
        }
    }

    async fn orders(&mut self) -> Result<(), DbError> {
        let mut after = None;
        loop {
            let page = self.streams(StreamKind::Order, after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for stream in page {
                let history = self.readers.stream(stream, 0).await?;
                self.versions(stream, &history);
                self.report.orders += 1;
                match fold_order(OrderId::new(stream.id), &history) {
                    Ok(order) => self.order(&order).await?,
                    Err(what) => self.broken(format!("order {} does not fold: {what}", stream.id)),
                }
            }
        }
    }

    async fn order(&mut self, order: &Arc<Order>) -> Result<(), DbError> {
        let id = order.id;
        if order.is_closed() && !order.settled && order.outstanding().is_empty() {
            self.broken(format!("order {id} holds nothing any more and is not settled"));
        }
        let expected = view_row(order);
        match self.views.order(id).await? {
            None => self.broken(format!("order {id} is missing in the views")),
            Some(row) if row.version != order.version => {
                self.broken(format!(
                    "order {id} is at version {} in the views, at {} in truth",
                    row.version, order.version
                ));
            }
            Some(row) if row != expected => self.broken(format!("order {id} differs in the views")),
            Some(_) => {}
        }
        let holds_stock = matches!(order.stock, StockHold::Wanted | StockHold::Reserved);
        let riders = order.rider().into_iter().chain(&order.releasing).map(|rider| rider.stream()).collect();
        self.orders.insert(id, Holds { settled: order.settled, stock: holds_stock, riders });
        Ok(())
    }

    async fn stocks(&mut self) -> Result<(), DbError> {
        let mut after = None;
        loop {
            let page = self.streams(StreamKind::Stock, after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for stream in page {
                let history = self.readers.stream(stream, 0).await?;
                self.versions(stream, &history);
                self.report.stores += 1;
                match fold_stock(&history) {
                    Ok(stock) => self.stock(StoreId::new(stream.id), &stock).await?,
                    Err(what) => self.broken(format!("the stock of store {} does not fold: {what}", stream.id)),
                }
            }
        }
    }

    async fn stock(&mut self, store: StoreId, stock: &Stock) -> Result<(), DbError> {
        for (item, set_aside) in stock.all_set_aside() {
            let reserved = stock.level(item).map_or(set_aside, |level| level.reserved);
            if reserved != set_aside {
                self.broken(format!(
                    "store {store}: {reserved} of item {item} are reserved, its reservations hold {set_aside}"
                ));
            }
        }
        for order in stock.open_reservations() {
            match self.orders.get(&order) {
                None => self.broken(format!("store {store} holds stock for order {order}, which does not exist")),
                Some(holds) if holds.settled || !holds.stock => {
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

    async fn riders(&mut self) -> Result<(), DbError> {
        let mut after = None;
        loop {
            let page = self.streams(StreamKind::Rider, after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            for stream in page {
                let history = self.readers.stream(stream, 0).await?;
                self.versions(stream, &history);
                self.report.riders += 1;
                match fold_book(&history) {
                    Ok(book) => self.book(stream.id, &book),
                    Err(what) => self.broken(format!("the book of rider {} does not fold: {what}", stream.id)),
                }
            }
        }
    }

    fn book(&mut self, rider: Uuid, book: &RiderBook) {
        for order in book.held() {
            let known = self.orders.get(order).is_some_and(|holds| !holds.settled && holds.riders.contains(&rider));
            if !known {
                self.broken(format!("rider {rider} holds order {order}, which is not with them"));
            }
        }
    }

    /// Exactly the orders that are not settled are listed for waking, none of them long overdue.
    async fn open_streams(&mut self) -> Result<(), DbError> {
        let mut listed = HashSet::new();
        let mut after = None;
        loop {
            let page = self.readers.open_streams(after, 5_000).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.stream.id);
            for open in page {
                let order = OrderId::new(open.stream.id);
                listed.insert(order);
                if let Some(due) = open.due {
                    if due + LATE_AT_MOST < self.last_event_at {
                        self.broken(format!("order {order} was due at {due} and was not told"));
                    } else if due < Clock::default().now() {
                        self.report.due_at_start += 1;
                    }
                }
            }
        }
        self.report.open = listed.len() as u64;
        let mut wrong: Vec<String> = Vec::new();
        for (order, holds) in &self.orders {
            if holds.settled == listed.contains(order) {
                let (is, listed) = if holds.settled { ("settled", "") } else { ("open", "not ") };
                wrong.push(format!("order {order} is {is} and {listed}listed for waking"));
            }
        }
        self.report.broken.append(&mut wrong);
        Ok(())
    }
}

fn fold_order(id: OrderId, history: &[Recorded]) -> Result<Arc<Order>, String> {
    let mut events = Vec::with_capacity(history.len());
    for row in history {
        events.push((OrderEvent::read(&row.name, &row.data).map_err(|error| error.to_string())?, row.at));
    }
    let order = replay(id, None, events.iter().map(|(event, at)| (event, *at))).map_err(|error| error.to_string())?;
    order.ok_or_else(|| "it has no events".to_owned())
}

fn fold_stock(history: &[Recorded]) -> Result<Stock, String> {
    history.iter().try_fold(Stock::default(), |stock, row| {
        let event = StockEvent::read(&row.name, &row.data).map_err(|error| error.to_string())?;
        stock.after(&event).map_err(|error| error.to_string())
    })
}

fn fold_book(history: &[Recorded]) -> Result<RiderBook, String> {
    history.iter().try_fold(RiderBook::default(), |book, row| {
        let event = RiderEvent::read(&row.name, &row.data).map_err(|error| error.to_string())?;
        book.after(&event).map_err(|error| error.to_string())
    })
}
