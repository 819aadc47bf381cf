//! One rider's book: which deliveries they hold. The rules are in `crate::order::rider`.

use super::ledger::{Book, Enter, LedgerActor, LedgerWorld};
use super::store::wish_id;
use super::tail::News;
use crate::order::{
    BadSnapshot, CommandName, IllegalEvent, Order, RiderBook, RiderCommand, RiderEvent, RiderFull, RiderId,
    UnreadableEvent,
};
use crate::store::{NewEvent, Recorded, Shard, StreamId};

pub type RiderActor = LedgerActor<RiderBook>;

/// An entry in the rider's book.
pub(super) type NoteInBook = Enter<RiderBook>;

impl NoteInBook {
    /// What an order asks of the book: one id for one wish, however often it is repeated.
    pub fn new(order: &Order, wish: CommandName, command: RiderCommand) -> Self {
        Self { id: wish_id(order, wish), by: "system".into(), command, key: None }
    }
}

impl Book for RiderBook {
    type Id = RiderId;
    type Command = RiderCommand;
    type Event = RiderEvent;
    type Refusal = RiderFull;

    const NAME: &'static str = "rider";
    const KEPT_EMPTY: bool = false;

    fn stream(id: &RiderId) -> StreamId {
        StreamId::rider(id)
    }

    fn shard(id: &RiderId) -> Shard {
        Shard::of_rider(id)
    }

    fn version(&self) -> u32 {
        RiderBook::version(self)
    }

    fn decide(&self, command: &RiderCommand, rules: &LedgerWorld) -> Result<Option<RiderEvent>, RiderFull> {
        RiderBook::decide(self, command, rules.rider_capacity)
    }

    fn after(self, event: &RiderEvent) -> Result<Self, IllegalEvent> {
        RiderBook::after(self, event)
    }

    fn read(row: &Recorded) -> Result<RiderEvent, UnreadableEvent> {
        RiderEvent::read(&row.name, &row.data)
    }

    fn written(event: &RiderEvent) -> NewEvent {
        NewEvent { name: event.name(), data: event.data().into() }
    }

    fn news(id: &RiderId, event: RiderEvent, after: &Self) -> News {
        News::Rider { rider: id.stream(), event, held: after.held().len() }
    }

    fn snapshot(&self) -> String {
        RiderBook::snapshot(self)
    }

    fn of_snapshot(text: &str) -> Result<Self, BadSnapshot> {
        RiderBook::of_snapshot(text)
    }

    fn parts(&self) -> usize {
        self.held().len()
    }
}
