//! States of streams that are being read from disk, so that each event need not fold its stream anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{FollowError, LeftOut, NAMED, Unreadable};
use crate::actors::ledger::{Book, BookError, go_on};
use crate::actors::order::read;
use crate::actors::tail::{Entry, News};
use crate::order::{Order, OrderId, RiderBook, Stock, StoreId, Timestamp, replay};
use crate::store::{DbError, Readers, Recorded, StreamKind};

/// How many states are remembered while reading from disk, so that each event need not fold its stream anew.
const REMEMBERED: usize = 10_000;

/// The same of stores' stocks, of which one may take a hundred kilobytes.
const REMEMBERED_STOCKS: usize = 500;

/// The states of streams that are being read from disk.
#[derive(Default)]
pub(super) struct States {
    orders: HashMap<OrderId, Arc<Order>>,
    stocks: HashMap<StoreId, Stock>,
    riders: HashMap<uuid::Uuid, RiderBook>,
    /// Streams of which an event could not be read, so that the next one of a long book is not looked for in vain.
    lost: HashSet<uuid::Uuid>,
    pub(super) left_out: LeftOut,
}

impl States {
    /// What the row means; none if its stream cannot be read up to here. That is said, once for each stream.
    pub(super) async fn readable(&mut self, row: &Recorded, readers: &Readers) -> Result<Option<Entry>, DbError> {
        if !self.lost.contains(&row.stream.id) {
            match self.entry(row, readers).await {
                Ok(entry) => return Ok(Some(entry)),
                // The row was read; it is what lies before it in its stream that is damaged.
                Err(FollowError::Db(DbError::Corrupt(what))) => self.lose(row, what),
                Err(FollowError::Db(error)) => return Err(error),
                Err(FollowError::Unreadable(unreadable)) => self.lose(row, unreadable.what),
            }
        }
        metrics::counter!("journal_unreadable_events_total").increment(1);
        self.left_out.events += 1;
        Ok(None)
    }

    fn lose(&mut self, row: &Recorded, what: String) {
        let unreadable = Unreadable { stream: row.stream, position: row.position, what };
        tracing::error!(error = %unreadable, "a stream of the journal is left behind");
        if self.left_out.named.len() < NAMED {
            self.left_out.named.push(unreadable);
        }
        if self.lost.len() >= REMEMBERED {
            self.lost.clear();
        }
        self.lost.insert(row.stream.id);
    }

    async fn entry(&mut self, row: &Recorded, readers: &Readers) -> Result<Entry, FollowError> {
        if self.orders.len() > REMEMBERED {
            self.orders.clear();
        }
        if self.stocks.len() > REMEMBERED_STOCKS {
            self.stocks.clear();
        }
        if self.riders.len() > REMEMBERED {
            self.riders.clear();
        }
        let unreadable = |what: String| Unreadable { stream: row.stream, position: row.position, what };
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
        let book = self.stocks.remove(&store).unwrap_or_default();
        Ok(turn_page(book, row, readers).await?.map(|(stock, event)| {
            let news = <Stock as Book>::news(&store, event, &stock);
            self.stocks.insert(store, stock);
            news
        }))
    }

    async fn rider_news(&mut self, row: &Recorded, readers: &Readers) -> Result<Result<News, String>, DbError> {
        let book = self.riders.remove(&row.stream.id).unwrap_or_default();
        Ok(turn_page(book, row, readers).await?.map(|(book, event)| {
            let news = News::Rider { rider: row.stream.id, event, held: book.held().len() };
            self.riders.insert(row.stream.id, book);
            news
        }))
    }
}

/// The book after `row`, wherever it stood before.
async fn turn_page<B: Book>(
    mut book: B,
    row: &Recorded,
    readers: &Readers,
) -> Result<Result<(B, B::Event), String>, DbError> {
    if book.version() >= row.version {
        book = B::default();
    }
    let before = match go_on(book, readers, row.stream, Some(row.version - 1)).await {
        Ok(read) => read.book,
        Err(BookError::Db(error)) => return Err(error),
        Err(BookError::Unreadable { what, .. }) => return Ok(Err(what)),
    };
    if before.version() + 1 != row.version {
        return Ok(Err("an event that its own stream does not have".to_owned()));
    }
    let event = match B::read(row) {
        Ok(event) => event,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(before.after(&event).map(|book| (book, event)).map_err(|error| error.to_string()))
}

fn fold_order(id: OrderId, history: &[Recorded]) -> Result<Option<Arc<Order>>, String> {
    let mut events: Vec<(crate::order::OrderEvent, Timestamp)> = Vec::with_capacity(history.len());
    for row in history {
        events.push((read(row).map_err(|error| error.to_string())?, row.at));
    }
    replay(id, None, events.iter().map(|(event, at)| (event, *at))).map_err(|error| error.to_string())
}
