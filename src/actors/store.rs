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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::actors::clock::Clock;
    use crate::actors::journal::JournalActor;
    use crate::actors::ledger::ReadBook;
    use crate::actors::mailbox::{Mailbox, Refusal};
    use crate::actors::probe::POLICY;
    use crate::actors::registry::{Pause, Registry, Residency, To};
    use crate::order::ItemId;
    use crate::store::{DataPlace, Engine};

    const STORE: StoreId = StoreId::new(Uuid::from_u128(1));
    const SOUP: ItemId = ItemId::new(Uuid::from_u128(2));

    struct Management {
        kitchen: Mailbox<To<StoreActor, StopPreparation>>,
        desk: Mailbox<To<StoreActor, AttendDesk>>,
        stock: Mailbox<To<StoreActor, KeepStock>>,
        book: Mailbox<To<StoreActor, ReadBook<Stock>>>,
        pause: Mailbox<Pause>,
        _data: tempfile::TempDir,
    }

    fn to<M>(message: M) -> To<StoreActor, M> {
        To { id: STORE, origin: None, message }
    }

    impl Management {
        async fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let place = DataPlace::Directory(data.path().to_owned());
            let Engine { writer, readers, .. } = Engine::open(&place).await.unwrap();
            let door = JournalActor::of_test(writer);
            let (journal, settle, between) = (door.mailbox(), door.mailbox(), door.mailbox());
            let world = LedgerWorld { clock: Clock::default(), journal, settle, between, readers, rider_capacity: 3 };
            let after = Duration::from_secs(3_600);
            let residency =
                Residency { door: POLICY, resident: POLICY, idle_after: after, finished_after: after, most: 10 };
            let door = Registry::<StoreActor>::open(world, residency);
            let (kitchen, desk, stock) = (door.mailbox(), door.mailbox(), door.mailbox());
            Self { kitchen, desk, stock, book: door.mailbox(), pause: door.mailbox(), _data: data }
        }

        async fn restock(&self, quantity: u32) -> Result<(), Refusal> {
            let command = StockCommand::SetLevel { item: SOUP, available: Some(quantity) };
            let message = KeepStock { id: CommandId::new(Uuid::now_v7()), by: "test".into(), command, key: None };
            self.stock.ask(to(message)).await.map(|entered| drop(entered.unwrap()))
        }

        async fn available(&self) -> u32 {
            self.book.ask(to(ReadBook::default())).await.unwrap().level(SOUP).unwrap().available
        }

        async fn stop_preparation(&self) -> Result<(), Refusal> {
            self.kitchen.ask(to(StopPreparation { order: OrderId::new(Uuid::from_u128(9)) })).await
        }
    }

    #[actix::test]
    async fn a_kitchen_that_is_told_to_stop_says_that_it_has_however_often() {
        let management = Management::new().await;
        assert_eq!(management.stop_preparation().await, Ok(()));
        assert_eq!(management.stop_preparation().await, Ok(()));
    }

    #[actix::test]
    async fn under_maintenance_nothing_is_done_and_afterwards_nothing_is_lost() {
        let management = Management::new().await;
        management.restock(10).await.unwrap();
        management.pause.ask(Pause(true)).await.unwrap();

        assert_eq!(management.stop_preparation().await, Err(Refusal::Paused));
        assert_eq!(management.desk.ask(to(AttendDesk)).await, Err(Refusal::Paused));
        assert_eq!(management.restock(20).await, Err(Refusal::Paused), "so it did not happen, for certain");

        management.pause.ask(Pause(false)).await.unwrap();
        assert_eq!(management.available().await, 10);
        assert_eq!(management.desk.ask(to(AttendDesk)).await, Ok(()));
        assert_eq!(management.stop_preparation().await, Ok(()));
    }

    #[actix::test]
    async fn what_a_store_has_begun_is_finished_though_a_pause_begins() {
        let management = Management::new().await;
        let (restocked, paused) = tokio::join!(management.restock(10), management.pause.ask(Pause(true)));
        assert_eq!((restocked, paused), (Ok(()), Ok(())));
        management.pause.ask(Pause(false)).await.unwrap();
        assert_eq!(management.available().await, 10);
    }
}
