//! How everyone reads the journal after the commit: from where they left off, without gap or repeat, for ever.
//!
//! News comes from the tail while the reader keeps up, and from the journal itself after a start or when it fell
//! behind. The cursor decides what is new, so passing from one to the other can neither skip nor repeat.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::order::read;
use super::tail::{Entry, FellBehind, News, Tail};
use crate::order::{
    Order, OrderId, RiderBook, RiderEvent, Stock, StockEvent, StoreId, Timestamp, replay,
};
use crate::store::{Cursor, DbError, Readers, Recorded, StreamId, StreamKind};

/// How many states are remembered while reading from disk, so that each event need not fold its stream anew.
const REMEMBERED: usize = 10_000;

/// A reader's place in the journal.
pub struct Follower {
    tail: Tail,
    news: watch::Receiver<u64>,
    readers: Readers,
    cursor: Cursor,
    /// The number of the next entry of the tail; none while reading from disk.
    next: Option<u64>,
    states: States,
}

#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Db(#[from] DbError),
    /// The journal holds something that this program cannot read: reading on would skip it.
    #[error("the journal cannot be read at {position} of {stream:?}: {what}")]
    Unreadable { stream: StreamId, position: crate::store::Position, what: String },
}

impl Follower {
    pub fn new(tail: Tail, readers: Readers, cursor: Cursor) -> Self {
        let news = tail.news();
        Self { tail, news, readers, cursor, next: None, states: States::default() }
    }

    /// What has been handed out so far.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Waits for news and hands it out, at least one entry, at most about `limit`.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Arc<Entry>>, FollowError> {
        loop {
            let entries = self.now(limit).await?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            // The journal's actor holds the sender as long as anyone can write.
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is there already; nothing if the reader is at the end.
    pub async fn now(&mut self, limit: usize) -> Result<Vec<Arc<Entry>>, FollowError> {
        loop {
            let Some(next) = self.next else {
                let entries = self.from_disk(limit).await?;
                if !entries.is_empty() {
                    return Ok(entries);
                }
                continue; // At the end: the tail takes over.
            };
            self.news.mark_unchanged();
            match self.tail.from(next, limit) {
                Ok(entries) => {
                    self.next = Some(next + entries.len() as u64);
                    let fresh: Vec<_> =
                        entries.into_iter().filter(|entry| !self.cursor.has_passed(entry.last)).collect();
                    for entry in &fresh {
                        self.cursor.advance(entry.last);
                    }
                    if fresh.is_empty() && self.next < Some(self.tail.end()) {
                        continue;
                    }
                    return Ok(fresh);
                }
                Err(FellBehind) => self.next = None,
            }
        }
    }

    async fn from_disk(&mut self, limit: usize) -> Result<Vec<Arc<Entry>>, FollowError> {
        // Noted before reading: whatever is committed later is in the tail from here on.
        let end = self.tail.end();
        let rows = self.readers.after(&self.cursor, limit).await?;
        if rows.is_empty() {
            self.next = Some(end);
            self.states = States::default();
            return Ok(Vec::new());
        }
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let entry = self.states.entry(row, &self.readers).await?;
            self.cursor.advance(row.position);
            entries.push(Arc::new(entry));
        }
        Ok(entries)
    }
}

/// The states of streams that are being read from disk.
#[derive(Default)]
struct States {
    orders: HashMap<OrderId, Arc<Order>>,
    stocks: HashMap<StoreId, Stock>,
    riders: HashMap<uuid::Uuid, RiderBook>,
}

impl States {
    async fn entry(&mut self, row: &Recorded, readers: &Readers) -> Result<Entry, FollowError> {
        if self.orders.len() > REMEMBERED {
            self.orders.clear();
        }
        let unreadable = |what: String| FollowError::Unreadable { stream: row.stream, position: row.position, what };
        let news = match row.stream.kind {
            StreamKind::Order => self.order_news(row, readers).await?.map_err(unreadable)?,
            StreamKind::Stock => self.stock_news(row, readers).await?.map_err(unreadable)?,
            StreamKind::Rider => self.rider_news(row, readers).await?.map_err(unreadable)?,
        };
        Ok(Entry {
            stream: row.stream,
            first: row.position,
            last: row.position,
            version: row.version,
            at: row.at,
            by: row.by.as_str().into(),
            news,
        })
    }

    async fn order_news(&mut self, row: &Recorded, readers: &Readers) -> Result<Result<News, String>, DbError> {
        let id = OrderId::new(row.stream.id);
        let mut before = self.orders.remove(&id).filter(|order| order.version + 1 == row.version);
        if before.is_none() && row.version > 1 {
            let history = readers.stream_page(row.stream, 0, row.version as usize - 1).await?;
            before = match fold_order(id, &history) {
                Ok(order) => order,
                Err(what) => return Ok(Err(what)),
            };
        }
        let event = match read(row) {
            Ok(event) => event,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let after = match replay(id, before.clone(), [(&event, row.at)]) {
            Ok(Some(after)) => after,
            Ok(None) => return Ok(Err("an order without events".to_owned())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        self.orders.insert(id, after.clone());
        Ok(Ok(News::Order { before, events: [event].into(), after }))
    }

    async fn stock_news(&mut self, row: &Recorded, readers: &Readers) -> Result<Result<News, String>, DbError> {
        let store = StoreId::new(row.stream.id);
        let mut stock = self.stocks.remove(&store).filter(|stock| stock.version() + 1 == row.version).unwrap_or_default();
        let missing = readers.stream_page(row.stream, stock.version(), (row.version - stock.version()) as usize).await?;
        let mut last = None;
        for row in &missing {
            let event = match StockEvent::read(&row.name, &row.data) {
                Ok(event) => event,
                Err(error) => return Ok(Err(error.to_string())),
            };
            stock = match stock.after(&event) {
                Ok(stock) => stock,
                Err(error) => return Ok(Err(error.to_string())),
            };
            last = Some(event);
        }
        let Some(event) = last else { return Ok(Err("an event that its own stream does not have".to_owned())) };
        let levels = event.items().map(|item| (item, stock.level(item))).collect();
        self.stocks.insert(store, stock);
        Ok(Ok(News::Stock { store, event, levels }))
    }

    async fn rider_news(&mut self, row: &Recorded, readers: &Readers) -> Result<Result<News, String>, DbError> {
        let mut book =
            self.riders.remove(&row.stream.id).filter(|book| book.version() + 1 == row.version).unwrap_or_default();
        let missing = readers.stream_page(row.stream, book.version(), (row.version - book.version()) as usize).await?;
        let mut last = None;
        for row in &missing {
            let event = match RiderEvent::read(&row.name, &row.data) {
                Ok(event) => event,
                Err(error) => return Ok(Err(error.to_string())),
            };
            book = match book.after(&event) {
                Ok(book) => book,
                Err(error) => return Ok(Err(error.to_string())),
            };
            last = Some(event);
        }
        let Some(event) = last else { return Ok(Err("an event that its own stream does not have".to_owned())) };
        let held = book.held().len();
        self.riders.insert(row.stream.id, book);
        Ok(Ok(News::Rider { rider: row.stream.id, event, held }))
    }
}

fn fold_order(id: OrderId, history: &[Recorded]) -> Result<Option<Arc<Order>>, String> {
    let mut events: Vec<(crate::order::OrderEvent, Timestamp)> = Vec::with_capacity(history.len());
    for row in history {
        events.push((read(row).map_err(|error| error.to_string())?, row.at));
    }
    replay(id, None, events.iter().map(|(event, at)| (event, *at))).map_err(|error| error.to_string())
}
