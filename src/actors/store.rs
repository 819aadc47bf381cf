//! One store's management: its stock, its kitchen's word that it stopped, and the desk that its owner works at.
//!
//! While this actor is down or paused, orders are still taken: none of them needs it before payment, except to set
//! stock aside, and that is asked for again until it is back. What the store has to do is read from the journal's
//! views, so nothing is lost on a desk that was not manned.

use actix::{Context, Handler, Message};

use super::ledger::{Book, Enter, LedgerActor, LedgerWorld};
use super::mailbox::Admitted;
use super::tail::News;
use crate::order::{
    BadSnapshot, CommandId, CommandName, IllegalEvent, Order, OrderId, Stock, StockCommand, StockEvent, StockRefusal,
    StoreId, UnreadableEvent,
};
use crate::store::{NewEvent, Recorded, Shard, StreamId};

pub type StoreActor = LedgerActor<Stock>;

/// An entry in the store's stock.
pub type KeepStock = Enter<Stock>;

impl Book for Stock {
    type Id = StoreId;
    type Command = StockCommand;
    type Event = StockEvent;
    type Refusal = StockRefusal;

    const NAME: &'static str = "store";
    const KEPT_EMPTY: bool = true;

    fn stream(id: &StoreId) -> StreamId {
        StreamId::stock(*id)
    }

    fn shard(id: &StoreId) -> Shard {
        Shard::of_store(*id)
    }

    fn version(&self) -> u32 {
        Stock::version(self)
    }

    fn decide(&self, command: &StockCommand, _: &LedgerWorld) -> Result<Option<StockEvent>, StockRefusal> {
        Stock::decide(self, command)
    }

    fn after(self, event: &StockEvent) -> Result<Self, IllegalEvent> {
        Stock::after(self, event)
    }

    fn read(row: &Recorded) -> Result<StockEvent, UnreadableEvent> {
        StockEvent::read(&row.name, &row.data)
    }

    fn written(event: &StockEvent) -> NewEvent {
        NewEvent { name: event.name(), data: event.data().into() }
    }

    fn news(id: &StoreId, event: StockEvent, after: &Self) -> News {
        let levels = event.items().map(|item| (item, after.level(item))).collect();
        News::Stock { store: *id, event, levels }
    }

    fn snapshot(&self) -> String {
        Stock::snapshot(self)
    }

    fn of_snapshot(text: &str) -> Result<Self, BadSnapshot> {
        Stock::of_snapshot(text)
    }

    fn parts(&self) -> usize {
        Stock::parts(self)
    }
}

impl KeepStock {
    /// What an order asks of the stock: one id for one wish, however often it is repeated.
    pub fn new(order: &Order, wish: CommandName, command: StockCommand) -> Self {
        Self { id: wish_id(order, wish), by: "system".into(), command, key: None }
    }
}

pub(super) fn wish_id(order: &Order, wish: CommandName) -> CommandId {
    CommandId::new(uuid::Uuid::new_v5(&order.id.uuid(), wish.as_str().as_bytes()))
}

/// Tells the kitchen that an order was cancelled. Its answer is the word that it stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopPreparation {
    pub order: OrderId,
}

impl Handler<Admitted<StopPreparation>> for StoreActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<StopPreparation>, _: &mut Context<Self>) {
        let Some((stop, reply)) = asked.start() else { return };
        tracing::debug!(store.id = %self.id, order.id = %stop.order, "the kitchen was told to stop");
        reply.send(());
    }
}

/// The owner works at the desk: answered while store management is there to do what they ask.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AttendDesk;

impl Handler<Admitted<AttendDesk>> for StoreActor {
    type Result = ();

    fn handle(&mut self, asked: Admitted<AttendDesk>, _: &mut Context<Self>) {
        if let Some((AttendDesk, reply)) = asked.start() {
            reply.send(());
        }
    }
}
