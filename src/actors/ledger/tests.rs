//! A book that many write in at once, over a real journal.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::actors::journal::JournalActor;
use crate::actors::probe::POLICY;
use crate::actors::registry::{Registry, Residency, To};
use crate::actors::store::{KeepStock, StoreActor};
use crate::order::{ItemId, OrderId, Pieces, Stock, StockCommand, StockRefusal, StoreId};
use crate::store::{CommitFault, DataPlace, Engine};

const STORE: StoreId = StoreId::new(Uuid::from_u128(1));
const SOUP: ItemId = ItemId::new(Uuid::from_u128(2));

type Entering = Result<Result<Entered<Stock>, EnterError<StockRefusal>>, Refusal>;

struct Shop {
    stock: Mailbox<To<StoreActor, KeepStock>>,
    book: Mailbox<To<StoreActor, ReadBook<Stock>>>,
    faults: Mailbox<crate::actors::journal::Between>,
    readers: Readers,
    _data: tempfile::TempDir,
}

impl Shop {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let place = DataPlace::Directory(data.path().to_owned());
        let Engine { writer, readers, .. } = Engine::open(&place).await.unwrap();
        let journal = JournalActor::of_test(writer);
        let world = LedgerWorld {
            clock: Clock::default(),
            journal: journal.mailbox(),
            settle: journal.mailbox(),
            between: journal.mailbox(),
            readers: readers.clone(),
            rider_capacity: 3,
        };
        let after = Duration::from_millis(1);
        let residency =
            Residency { door: POLICY, resident: POLICY, idle_after: after, finished_after: after, most: 100 };
        let registry = Registry::<StoreActor>::open(world, residency);
        Self { stock: registry.mailbox(), book: registry.mailbox(), faults: journal.mailbox(), readers, _data: data }
    }

    async fn enter(&self, command: StockCommand) -> Result<Entered<Stock>, EnterError<StockRefusal>> {
        self.enter_with(None, command).await.unwrap()
    }

    async fn enter_with(&self, key: Option<AnswerKey>, command: StockCommand) -> Entering {
        let message = Enter { id: CommandId::new(Uuid::now_v7()), by: "test".into(), command, key };
        self.stock.ask(To { id: STORE, origin: None, message }).await
    }

    async fn level(&self) -> (u32, u32) {
        let ask = To { id: STORE, origin: None, message: ReadBook::default() };
        let level = self.book.ask(ask).await.unwrap().level(SOUP).unwrap();
        (level.available, level.reserved)
    }
}

fn reserve(order: u128) -> StockCommand {
    reserve_so_many(order, 1)
}

fn reserve_so_many(order: u128, quantity: u32) -> StockCommand {
    let lines = vec![Pieces { item_id: SOUP, quantity }];
    StockCommand::Reserve { order: OrderId::new(Uuid::from_u128(order)), lines }
}

#[actix::test]
async fn of_two_hundred_buyers_of_ten_bowls_ten_get_one() {
    let shop = Shop::new().await;
    shop.enter(StockCommand::SetLevel { item: SOUP, available: Some(10) }).await.unwrap();
    let outcomes = futures_util::future::join_all((0..200).map(|order| shop.enter(reserve(order)))).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 10);
    let short = |outcome: &Result<_, _>| matches!(outcome, Err(EnterError::Refused(StockRefusal::OutOfStock(_))));
    assert!(lost.iter().all(short));
    assert_eq!(shop.level().await, (0, 10));
}

#[actix::test]
async fn a_repeated_restock_is_told_so_and_disturbs_nobody() {
    let shop = Shop::new().await;
    shop.enter(StockCommand::SetLevel { item: SOUP, available: Some(3) }).await.unwrap();
    let key = Some(AnswerKey { key: Uuid::from_u128(9), fingerprint: 1 });
    let restock = || StockCommand::Restock { item: SOUP, quantity: 5 };
    shop.enter_with(key, restock()).await.unwrap().unwrap();
    // Each third is the restock again; the first few commit while the others gather behind them.
    let asks = (0..30).map(|n| match n % 3 {
        0 => shop.enter_with(key, restock()),
        _ => shop.enter_with(None, reserve(n / 6)),
    });

    let outcomes = futures_util::future::join_all(asks).await;

    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome.expect("nobody's actor stops") {
            Err(EnterError::AnsweredBefore(_)) => assert_eq!(n % 3, 0, "entry {n}"),
            outcome => assert!(n % 3 != 0 && outcome.is_ok(), "entry {n}: {outcome:?}"),
        }
    }
    assert_eq!(shop.level().await, (3, 5), "5 orders of what was 8");
}

#[actix::test]
async fn what_ran_out_only_by_an_entry_left_out_is_decided_again() {
    let shop = Shop::new().await;
    shop.enter(StockCommand::SetLevel { item: SOUP, available: Some(0) }).await.unwrap();
    let key = Some(AnswerKey { key: Uuid::from_u128(9), fingerprint: 1 });
    let restock = || StockCommand::Restock { item: SOUP, quantity: 1 };
    shop.enter_with(key, restock()).await.unwrap().unwrap();
    shop.enter(reserve(1)).await.unwrap();
    // In one group: the second was decided as if there were one more.
    let (_, repeated, short) = tokio::join!(
        shop.enter(restock()),
        shop.enter_with(key, restock()),
        shop.enter_with(None, reserve_so_many(2, 2))
    );

    assert!(matches!(repeated, Ok(Err(EnterError::AnsweredBefore(_)))), "{repeated:?}");
    let short = short.unwrap();
    assert!(matches!(short, Err(EnterError::Refused(StockRefusal::OutOfStock(SOUP)))), "{short:?}");
    assert_eq!(shop.level().await, (1, 1));
}

#[actix::test]
async fn a_lost_commit_leaves_the_book_as_the_journal_has_it() {
    let shop = Shop::new().await;
    shop.enter(StockCommand::SetLevel { item: SOUP, available: Some(10) }).await.unwrap();
    let fault: crate::actors::journal::WriterTask =
        Box::new(|writer| Box::pin(async { writer.fail_next_commit(CommitFault::LostBefore) }));
    shop.faults.ask(crate::actors::journal::Between(fault)).await.unwrap();

    let lost = shop.enter(reserve(1)).await;

    assert!(matches!(lost, Err(EnterError::Unwritable | EnterError::Unknown)), "{lost:?}");
    assert_eq!(shop.level().await, (10, 0), "read again, not half changed");
    shop.enter(reserve(1)).await.unwrap();
    shop.enter(reserve(1)).await.unwrap();
    assert_eq!(shop.level().await, (9, 1), "one order, one reservation");
}

#[actix::test]
async fn a_book_that_grows_is_snapshotted_beside_its_entries() {
    let shop = Shop::new().await;
    shop.enter(StockCommand::SetLevel { item: SOUP, available: Some(10_000) }).await.unwrap();
    for round in 0..11 {
        let orders = (0..100).map(|n| shop.enter(reserve(round * 100 + n)));
        assert!(join_all(orders).await.iter().all(Result::is_ok));
    }
    let stream = StreamId::stock(STORE);
    let kept = async || shop.readers.snapshot(stream, u32::MAX).await.unwrap();
    crate::actors::probe::until("there is a snapshot", async || kept().await.is_some()).await;

    let Ok(Read { book, since }) = read_book::<Stock>(&shop.readers, stream, None).await else { panic!("it folds") };
    assert!((1_000..1_101).contains(&since), "{since}");
    assert_eq!(book.level(SOUP).map(|level| level.available), Some(10_000 - 1_100));
    assert_eq!(book.version(), 1_101);
}
