//! One stream on its way through a check: folded event by event, so that a long one takes no more memory than a short one.

use std::sync::Arc;

use super::accounts::Accounts;
use crate::order::{BadSnapshot, Order, OrderEvent, OrderId, RiderBook, RiderEvent, Stock, StockEvent, replay};
use crate::store::{Recorded, Snapshot, StreamId, StreamKind};

pub(super) struct Folding {
    pub(super) stream: StreamId,
    pub(super) events: u32,
    pub(super) state: State,
    /// Of a stock.
    pub(super) accounts: Accounts,
    /// Where a version was not the next one, and what the snapshots said that were not what the fold came to.
    pub(super) broken: Vec<String>,
}

pub(super) enum State {
    Order(Option<Arc<Order>>),
    Stock(Stock),
    Rider(RiderBook),
    /// From one event on it does not fold, for this reason.
    Not(String),
}

/// Bounds what one broken stream says of itself.
const SAID_AT_MOST: usize = 3;

impl Folding {
    pub(super) fn new(stream: StreamId) -> Self {
        let state = match stream.kind {
            StreamKind::Order => State::Order(None),
            StreamKind::Stock => State::Stock(Stock::default()),
            StreamKind::Rider => State::Rider(RiderBook::default()),
        };
        Self { stream, events: 0, state, accounts: Accounts::default(), broken: Vec::new() }
    }

    pub(super) fn take(&mut self, row: &Recorded) {
        self.events += 1;
        if row.version != self.events {
            let (id, version, expected) = (self.stream.id, row.version, self.events);
            self.say(format!("{:?} {id} has version {version} where {expected} belongs", self.stream.kind));
        }
        let state = std::mem::replace(&mut self.state, State::Not(String::new()));
        self.state = after(state, OrderId::new(self.stream.id), row, &mut self.accounts).unwrap_or_else(State::Not);
    }

    /// A snapshot of this moment must be what the events came to.
    pub(super) fn compare(&mut self, snapshot: &Snapshot) {
        let same = |agrees: Result<bool, BadSnapshot>| match agrees {
            Ok(true) => None,
            Ok(false) => Some("is not what the events say".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        let wrong = match &self.state {
            State::Stock(stock) => same(Stock::of_snapshot(&snapshot.state).map(|of| of == *stock)),
            State::Rider(book) => same(RiderBook::of_snapshot(&snapshot.state).map(|of| of == *book)),
            State::Order(_) => Some("is one of an order".to_owned()),
            State::Not(_) => None,
        };
        if let Some(wrong) = wrong {
            let (kind, id, version) = (self.stream.kind, self.stream.id, snapshot.version);
            self.say(format!(
                "the snapshot of {kind:?} {id} at version {version}: {wrong}; delete it, it is made again"
            ));
        }
    }

    fn say(&mut self, what: String) {
        if self.broken.len() < SAID_AT_MOST {
            self.broken.push(what);
        }
    }
}

fn after(state: State, id: OrderId, row: &Recorded, accounts: &mut Accounts) -> Result<State, String> {
    let unreadable = |error: crate::order::UnreadableEvent| error.to_string();
    Ok(match state {
        State::Order(order) => {
            let event = OrderEvent::read(&row.name, &row.data).map_err(unreadable)?;
            State::Order(replay(id, order, [(&event, row.at)]).map_err(|error| error.to_string())?)
        }
        State::Stock(stock) => {
            let event = StockEvent::read(&row.name, &row.data).map_err(unreadable)?;
            accounts.note(&event);
            State::Stock(stock.after(&event).map_err(|error| error.to_string())?)
        }
        State::Rider(book) => {
            let event = RiderEvent::read(&row.name, &row.data).map_err(unreadable)?;
            State::Rider(book.after(&event).map_err(|error| error.to_string())?)
        }
        State::Not(why) => State::Not(why),
    })
}
