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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::actors::clock::Clock;
    use crate::actors::journal::JournalActor;
    use crate::actors::ledger::{EnterError, ReadBook};
    use crate::actors::mailbox::Mailbox;
    use crate::actors::probe::{POLICY, until};
    use crate::actors::registry::{Registry, Residency, TakeCensus, To};
    use crate::order::{CommandId, OrderId};
    use crate::store::{DataPlace, Engine};

    struct Riders {
        enter: Mailbox<To<RiderActor, NoteInBook>>,
        book: Mailbox<To<RiderActor, ReadBook<RiderBook>>>,
        census: Mailbox<TakeCensus>,
        _data: tempfile::TempDir,
    }

    impl Riders {
        /// Each carries two at most.
        async fn staying(idle_after: Duration) -> Self {
            let data = tempfile::tempdir().unwrap();
            let place = DataPlace::Directory(data.path().to_owned());
            let Engine { writer, readers, .. } = Engine::open(&place).await.unwrap();
            let door = JournalActor::of_test(writer);
            let (journal, settle, between) = (door.mailbox(), door.mailbox(), door.mailbox());
            let world = LedgerWorld { clock: Clock::default(), journal, settle, between, readers, rider_capacity: 2 };
            let finished_after = idle_after;
            let residency = Residency { door: POLICY, resident: POLICY, idle_after, finished_after, most: 100 };
            let door = Registry::<RiderActor>::open(world, residency);
            Self { enter: door.mailbox(), book: door.mailbox(), census: door.mailbox(), _data: data }
        }

        async fn enter(&self, command: RiderCommand) -> Result<usize, EnterError<RiderFull>> {
            let id = CommandId::new(Uuid::now_v7());
            let message = NoteInBook { id, by: "test".into(), command, key: None };
            let entered = self.enter.ask(To { id: rider("rico"), origin: None, message }).await.unwrap();
            entered.map(|entered| entered.book.held().len())
        }

        async fn holds(&self, name: &str) -> usize {
            let book = self.book.ask(To { id: rider(name), origin: None, message: ReadBook::default() }).await;
            book.unwrap().held().len()
        }

        /// Those that live, and those that are about to again.
        async fn live(&self) -> usize {
            let census = self.census.ask(TakeCensus).await.unwrap();
            census.live + census.replacing
        }
    }

    fn rider(name: &str) -> RiderId {
        name.parse().unwrap()
    }

    fn hold(order: u128) -> RiderCommand {
        RiderCommand::Hold { order: OrderId::new(Uuid::from_u128(order)) }
    }

    fn release(order: u128) -> RiderCommand {
        RiderCommand::Release { order: OrderId::new(Uuid::from_u128(order)) }
    }

    #[actix::test]
    async fn a_rider_whose_hands_are_full_takes_no_more_until_one_is_put_down() {
        let riders = Riders::staying(Duration::from_secs(3_600)).await;
        assert_eq!(riders.enter(hold(1)).await.unwrap(), 1);
        assert_eq!(riders.enter(hold(2)).await.unwrap(), 2);
        assert_eq!(riders.enter(hold(2)).await.unwrap(), 2, "it is held already");
        assert!(matches!(riders.enter(hold(3)).await, Err(EnterError::Refused(RiderFull))));
        assert_eq!(riders.enter(release(1)).await.unwrap(), 1);
        assert_eq!(riders.enter(hold(3)).await.unwrap(), 2);
    }

    #[actix::test]
    async fn of_many_who_grab_at_once_as_many_win_as_the_rider_carries() {
        let riders = Riders::staying(Duration::from_secs(3_600)).await;
        let outcomes = futures_util::future::join_all((0..40).map(|order| riders.enter(hold(order)))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
        assert_eq!(riders.holds("rico").await, 2);
    }

    #[actix::test]
    async fn what_a_rider_holds_outlives_the_actor() {
        let riders = Riders::staying(Duration::from_millis(1)).await;
        riders.enter(hold(1)).await.unwrap();
        until("it is retired", async || riders.live().await == 0).await;
        assert_eq!(riders.holds("rico").await, 1);
    }

    #[actix::test]
    async fn a_book_that_nobody_wrote_in_leaves_no_actor() {
        let riders = Riders::staying(Duration::from_secs(3_600)).await;
        riders.enter(hold(1)).await.unwrap();
        for nobody in ["ann", "ben", "cid"] {
            assert_eq!(riders.holds(nobody).await, 0);
        }
        until("only the rider with a book is there", async || riders.live().await == 1).await;
        assert_eq!(riders.holds("rico").await, 1);
    }
}
