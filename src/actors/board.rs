//! Reads the journal for the dispatch board: first what stands on offer and what riders hold, then the news.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use tokio::sync::watch;
use uuid::Uuid;

use super::dispatch::Fold;
use super::follow::Follower;
use super::health::Health;
use super::ledger::{BookError, read_book};
use super::mailbox::Mailbox;
use super::supervision::Part;
use super::tail::News;
use super::wake::{Histories, OpenOrders};
use crate::order::{OrderId, RiderBook, replay};
use crate::store::{Cursor, DbError, Readers, Recorded, StreamId, StreamKind};

/// Riders' books that are read at a time: the other readers need connections too.
const BOOKS_AT_ONCE: usize = 2;

/// The board only shows: should it be too busy to listen, this waits so long before it tells it again.
const TELL_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);

/// Tells the dispatch board what the journal says.
pub(super) struct Board {
    /// Begins at a cursor taken before anything else is read.
    pub(super) follower: Follower,
    pub(super) open: OpenOrders,
    pub(super) readers: Readers,
    pub(super) health: Health,
    pub(super) fold: Mailbox<Fold>,
    /// How far the board has come; outlives this.
    pub(super) progress: watch::Sender<Cursor>,
}

impl Board {
    pub(super) async fn run(mut self, part: Part) {
        // The board may be another one, which has heard nothing.
        self.progress.send_replace(Cursor::start());
        self.begin().await;
        self.progress.send_replace(self.follower.cursor().clone());
        loop {
            match self.follower.next(512).await {
                Ok(entries) => {
                    crate::crash::fail("board.fold");
                    self.tell(Fold::News(entries.iter().map(|entry| entry.news.clone()).collect())).await;
                    part.passed(self.follower.cursor());
                    self.progress.send_replace(self.follower.cursor().clone());
                }
                Err(error) => {
                    tracing::error!(%error, "the dispatch board cannot follow the journal; trying again");
                    tokio::time::sleep(self.health.stalls(&error)).await;
                }
            }
        }
    }

    /// All that the board shows belongs to open orders, so that this takes as long as there are of them, however many
    /// have ended. Until it is through, the board answers nobody.
    async fn begin(&mut self) {
        self.tell(Fold::Anew).await;
        let mut riders = HashSet::new();
        loop {
            let page = self.open.next().await;
            if page.is_empty() {
                break;
            }
            let news = standing(&page);
            for news in &news {
                let News::Order { after, .. } = news else { continue };
                riders.extend(after.rider().into_iter().chain(&after.releasing).map(|rider| rider.stream()));
            }
            self.tell(Fold::News(news)).await;
        }
        let riders: Vec<Uuid> = riders.into_iter().collect();
        for riders in riders.chunks(BOOKS_AT_ONCE) {
            let held = self.held(riders).await;
            self.tell(Fold::Held(held)).await;
        }
        self.tell(Fold::Complete).await;
    }

    /// How many deliveries riders hold. Tries again for as long as it takes: a rider who is taken for free is asked in vain.
    async fn held(&mut self, riders: &[Uuid]) -> Vec<(Uuid, usize)> {
        loop {
            match try_join_all(riders.iter().map(|rider| held(&self.readers, *rider))).await {
                Ok(held) => {
                    self.health.goes_on();
                    return held;
                }
                Err(error) => {
                    tracing::error!(%error, "what riders hold cannot be read; trying again");
                    tokio::time::sleep(self.health.stalls(&error)).await;
                }
            }
        }
    }

    async fn tell(&self, fold: Fold) {
        while self.fold.ask(fold.clone()).await.is_err() {
            tokio::time::sleep(TELL_AGAIN).await;
        }
    }
}

/// Where the orders of a page stand. One that cannot be read is nothing to show; its own actor reports it.
fn standing(page: &Histories) -> Vec<News> {
    page.iter().filter_map(|(open, history)| order_news(OrderId::new(open.stream.id), history)).collect()
}

fn order_news(id: OrderId, history: &[Recorded]) -> Option<News> {
    let mut events = Vec::with_capacity(history.len());
    for row in history {
        events.push((super::order::read(row).ok()?, row.at));
    }
    let order = replay(id, None, events.iter().map(|(event, at)| (event, *at))).ok()?;
    order.map(|after| News::Order { before: None, events: [].into(), after })
}

async fn held(readers: &Readers, rider: Uuid) -> Result<(Uuid, usize), DbError> {
    let stream = StreamId { kind: StreamKind::Rider, id: rider };
    match read_book::<RiderBook>(readers, stream, None).await {
        Ok(read) => Ok((rider, read.book.held().len())),
        Err(BookError::Db(error)) => Err(error),
        Err(BookError::Unreadable { position, what, .. }) => {
            tracing::error!(%position, what, %rider, "a rider's book cannot be read: it is taken for empty");
            Ok((rider, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::health::ReaderHealth;
    use crate::actors::journal::JournalActor;
    use crate::actors::probe::{Probe, Record, until};
    use crate::actors::tail::Tail;
    use crate::order::testing::{self, rider_id};
    use crate::order::{CommandId, DeliveryStatus, Order, OrderEvent, Preset, RiderEvent, Timestamp};
    use crate::store::{Append, DataPlace, Due, Engine, NewEvent, Shard};

    fn append(stream: StreamId, events: Vec<NewEvent>, due: Due) -> Append {
        Append {
            stream,
            shard: Shard::new(0).unwrap(),
            expected_version: 0,
            at: Timestamp::from_micros(1),
            by: "test".into(),
            command: CommandId::new(Uuid::now_v7()),
            fingerprint: None,
            answer: None,
            events,
            due,
        }
    }

    fn order(n: u128, until: &str, due: Due) -> Append {
        let events = testing::until(Preset::FoodDelivery, until);
        let written = |event: &OrderEvent| NewEvent { name: event.name(), data: event.data().into() };
        append(StreamId::order(OrderId::new(Uuid::from_u128(n))), events.iter().map(written).collect(), due)
    }

    /// What it was told, in a few words each.
    fn words(fold: &Fold) -> Vec<String> {
        let order = |order: &Order| format!("order {} {:?}", order.id.uuid().as_u128(), order.delivery.status());
        match fold {
            Fold::Anew => vec!["anew".into()],
            Fold::News(news) => news
                .iter()
                .map(|news| match news {
                    News::Order { after, .. } => order(after),
                    News::Stock { .. } | News::Rider { .. } => "a book".into(),
                })
                .collect(),
            Fold::Held(held) => held.iter().map(|(_, held)| format!("a rider holds {held}")).collect(),
            Fold::Complete => vec!["complete".into()],
        }
    }

    #[actix::test]
    async fn it_begins_with_what_is_open_and_with_riders_who_hold_some_of_it() {
        let data = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(&DataPlace::Directory(data.path().to_owned())).await.unwrap();
        let held = |n| {
            let event = RiderEvent::Held { order: OrderId::new(Uuid::from_u128(n)) };
            NewEvent { name: event.name(), data: event.data().into() }
        };
        let somebody_else = StreamId { kind: StreamKind::Rider, id: Uuid::from_u128(77) };
        let batch = [
            order(1, "delivery_offered", Due::Open(None)),
            order(2, "picked_up", Due::Open(None)),
            order(3, "order_settled", Due::Closed),
            append(StreamId::rider(&rider_id()), vec![held(2)], Due::Unchanged),
            append(somebody_else, vec![held(3)], Due::Unchanged),
        ];
        assert!(engine.writer.append(&batch).await.unwrap().iter().all(Result::is_ok));
        let (head, tail) = (engine.readers.head().await.unwrap(), Tail::default());
        let (readers, told, health) = (engine.readers, Record::default(), ReaderHealth::default());
        let _journal = JournalActor::of_test(engine.writer);
        let board = Board {
            follower: Follower::new(tail, readers.clone(), head),
            open: OpenOrders::new(readers.clone(), health.of("board")),
            readers,
            health: health.of("board"),
            progress: watch::Sender::new(Cursor::start()),
            fold: {
                let told = told.clone();
                Probe::scripted(move |fold: Fold, reply| {
                    words(&fold).into_iter().for_each(|word| told.note(word));
                    reply.send(());
                })
            },
        };
        actix::spawn(board.run(Part::new("board")));

        until("the board is complete", async || told.all().last().is_some_and(|word| word == "complete")).await;

        let (open, under_way) = (DeliveryStatus::Offered, DeliveryStatus::PickedUp);
        let wanted = [
            format!("order 1 {open:?}"),
            format!("order 2 {under_way:?}"),
            "a rider holds 1".into(),
            "complete".into(),
        ];
        assert_eq!(told.all()[1..], wanted);
        assert_eq!(told.all()[0], "anew");
    }
}
