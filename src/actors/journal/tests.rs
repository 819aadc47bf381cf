//! Groups whose outcome is unknown, and what their askers and the readers of the journal hear of them.

use uuid::Uuid;

use super::*;
use crate::actors::follow::{Follower, compare_with_journal};
use crate::actors::ledger::Book as _;
use crate::actors::mailbox::Mailbox;
use crate::actors::probe::{Record, until};
use crate::order::{CommandId, OrderId, RiderBook, RiderEvent, RiderId, Timestamp};
use crate::store::{CommitFault, Cursor, DataPlace, Due, Engine, Readers, StreamId};

struct Desk {
    write: Mailbox<Write>,
    between: Mailbox<Between>,
    settle: Mailbox<Settle>,
    tail: Tail,
    readers: Readers,
    reports: Record<JournalHealth>,
    _data: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        Self::with(Commits::from(&Database::default())).await
    }

    async fn with(commits: Commits) -> Self {
        let (data, writer, readers) = open().await;
        let (tail, reports) = (Tail::default(), Record::default());
        let noting = reports.clone();
        let report: WriteReport = Box::new(move |health| noting.note(health));
        let gauge = Pressure::default().gauge("appends");
        let door = JournalActor::open(writer, tail.clone(), POLICY, commits, report, gauge);
        let (write, between, settle) = (door.mailbox(), door.mailbox(), door.mailbox());
        Self { write, between, settle, tail, readers, reports, _data: data }
    }

    /// Lets the next commits fail, one after the other, those of recoveries and proofs included.
    async fn fail(&self, faults: &'static [CommitFault]) {
        let task: WriterTask = Box::new(move |writer| {
            Box::pin(async move { faults.iter().for_each(|fault| writer.fail_next_commit(*fault)) })
        });
        self.between.ask(Between(task)).await.unwrap();
    }

    async fn hold(&self, rider: &str, version: u32) -> Result<Committed, WriteError> {
        self.write.ask(hold(rider, version)).await.unwrap()
    }

    fn follower(&self) -> Follower {
        Follower::new(self.tail.clone(), self.readers.clone(), Cursor::start())
    }

    async fn is_writable_again(&self) {
        let writable = Some(&JournalHealth::Writable);
        until("the journal takes writes again", async || self.reports.all().last() == writable).await;
    }
}

async fn open() -> (tempfile::TempDir, Writer, Readers) {
    let data = tempfile::tempdir().unwrap();
    let Engine { writer, readers, .. } = Engine::open(&DataPlace::Directory(data.path().to_owned())).await.unwrap();
    (data, writer, readers)
}

/// The entry in a rider's book that makes this version of it.
fn hold(rider: &str, version: u32) -> Write {
    let rider = RiderId(rider.parse().unwrap());
    let event = RiderEvent::Held { order: OrderId::new(Uuid::from_u128(version.into())) };
    let append = Append {
        stream: StreamId::rider(&rider),
        shard: RiderBook::shard(&rider),
        expected_version: version - 1,
        at: Timestamp::from_micros(1),
        by: "test".into(),
        command: CommandId::new(Uuid::now_v7()),
        fingerprint: None,
        answer: None,
        events: vec![RiderBook::written(&event)],
        due: Due::Unchanged,
    };
    Write { append, news: News::Rider { rider: rider.stream(), event, held: version as usize } }
}

/// What the reader hears next, as stream and version.
async fn heard(follower: &mut Follower, count: usize) -> Vec<(Uuid, u32)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let entries = tokio::time::timeout(POLICY.reply_timeout, follower.next(100)).await;
        heard.extend(entries.expect("the reader hears of it").unwrap().iter().map(|e| (e.stream.id, e.version)));
    }
    heard
}

fn stream(rider: &str) -> Uuid {
    RiderId(rider.parse().unwrap()).stream()
}

use CommitFault::{LostAfter, LostBefore};

#[actix::test]
async fn what_stands_of_a_group_in_doubt_is_told_though_nobody_writes_again() {
    let desk = Desk::new().await;
    let mut reader = desk.follower();
    desk.hold("ann", 1).await.unwrap();
    assert_eq!(heard(&mut reader, 1).await, [(stream("ann"), 1)]);
    desk.fail(&[LostAfter, LostBefore, LostBefore]).await;

    assert!(matches!(desk.hold("bob", 1).await, Err(WriteError::Unknown)));

    assert_eq!(heard(&mut reader, 1).await, [(stream("bob"), 1)]);
    desk.is_writable_again().await;
    assert_eq!(desk.tail.end(), 2, "through the tail, as every commit");
}

#[actix::test]
async fn what_does_not_stand_of_a_group_in_doubt_is_told_to_nobody() {
    let desk = Desk::new().await;
    desk.fail(&[LostBefore, LostAfter, LostBefore]).await;
    assert!(matches!(desk.hold("bob", 1).await, Err(WriteError::Unknown)));
    desk.is_writable_again().await;
    assert_eq!(desk.tail.end(), 0);

    desk.hold("bob", 1).await.unwrap();

    assert_eq!(heard(&mut desk.follower(), 1).await, [(stream("bob"), 1)]);
}

#[actix::test]
async fn nothing_is_written_before_a_group_in_doubt_is_settled() {
    let desk = Desk::new().await;
    let mut reader = desk.follower();
    desk.fail(&[LostAfter, LostBefore, LostBefore, LostAfter, LostBefore]).await;
    assert!(matches!(desk.hold("bob", 1).await, Err(WriteError::Unknown)));
    let mut refused = 0;
    let written = loop {
        match desk.hold("bob", 2).await {
            Ok(written) => break written,
            // For certain, so that it may be asked for again at once.
            Err(WriteError::Unwritable(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    };
    assert!(refused > 0);
    assert_eq!(heard(&mut reader, 2).await, [(stream("bob"), 1), (stream("bob"), 2)]);
    assert_eq!(written.last.position, 2);
}

#[actix::test]
async fn whoever_waits_until_all_is_settled_waits_for_a_group_in_doubt() {
    let desk = Desk::new().await;
    desk.fail(&[LostAfter, LostBefore, LostBefore]).await;
    let (outcome, settled) = tokio::join!(desk.hold("bob", 1), async {
        desk.settle.ask(Settle).await.unwrap();
        desk.tail.end()
    });
    assert!(matches!(outcome, Err(WriteError::Unknown)));
    assert_eq!(settled, 1, "what stands was told before");
    desk.settle.ask(Settle).await.unwrap();
}

#[actix::test]
async fn an_append_that_nobody_waits_for_any_more_is_not_written() {
    let slow = Commits { at_most: 1, take_at_least: Duration::from_millis(200) };
    let desk = Desk::with(slow).await;
    let brief = Duration::from_millis(50);
    let (first, second) = tokio::join!(desk.hold("ann", 1), desk.write.ask_within(hold("bob", 1), brief));
    first.unwrap();
    assert_eq!(second.unwrap_err(), Refusal::NoReply);
    desk.settle.ask(Settle).await.unwrap();
    let bob = StreamId::rider(&RiderId("bob".parse().unwrap()));
    assert_eq!(desk.readers.stream(bob, 0).await.unwrap(), []);
}

#[actix::test]
async fn an_event_that_nobody_told_of_is_heard_all_the_same() {
    let (_data, mut writer, readers) = open().await;
    let tail = Tail::default();
    let mut reader = Follower::new(tail.clone(), readers.clone(), Cursor::start());
    assert!(reader.now(100).await.unwrap().is_empty(), "from here on it reads the tail");
    let comparing = actix::spawn(compare_with_journal(tail, readers));

    writer.append(&[hold("bob", 1).append]).await.unwrap().remove(0).unwrap();

    assert_eq!(heard(&mut reader, 1).await, [(stream("bob"), 1)]);
    comparing.abort();
}

#[actix::test]
async fn a_commit_that_turns_out_lost_is_a_failure_until_a_proof_succeeds() {
    let desk = Desk::new().await;
    desk.fail(&[CommitFault::LostBefore]).await;
    let lost = desk.hold("rico", 1).await;
    assert!(matches!(lost, Err(WriteError::NotAppended(NotAppended::DidNotHappen))), "{lost:?}");
    assert!(desk.reports.all().contains(&JournalHealth::Unwritable));
    desk.is_writable_again().await;
    desk.hold("rico", 1).await.unwrap();
}
