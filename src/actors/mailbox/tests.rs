//! A mailbox and the actors behind it, which answer, do not answer, or panic.

use futures_util::StreamExt;

use super::*;
use crate::actors::probe::{Probe, Record, until};

#[derive(Message)]
#[rtype(result = "u32")]
struct Double(u32);

fn policy(capacity: usize, reply_timeout: Duration) -> MailboxPolicy {
    MailboxPolicy { name: "test", capacity, reply_timeout }
}

const LONG: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(20);

/// The replies that a test holds back.
type Kept = Arc<std::sync::Mutex<Vec<Reply<Double>>>>;

/// Keeps every reply, so that nothing is ever answered until the test says so.
fn stuck(capacity: usize, patience: Duration) -> (Mailbox<Double>, Kept) {
    let kept = Kept::default();
    let keeping = kept.clone();
    let mailbox = Probe::with_policy(policy(capacity, patience), move |_, reply| keeping.lock().unwrap().push(reply));
    (mailbox, kept)
}

#[actix::test]
async fn a_stuck_actor_refuses_the_ninth_ask() {
    let (mailbox, kept) = stuck(8, LONG);
    let asks: Vec<_> = (0..8)
        .map(|n| {
            actix::spawn({
                let mailbox = mailbox.clone();
                async move { mailbox.ask(Double(n)).await }
            })
        })
        .collect();
    until("all eight are inside", async || kept.lock().unwrap().len() == 8).await;

    assert_eq!(mailbox.clone().ask(Double(9)).await, Err(Refusal::Full));

    kept.lock().unwrap().drain(..).for_each(|reply| reply.send(7));
    for ask in asks {
        assert_eq!(ask.await.unwrap(), Ok(7));
    }
    assert_eq!(mailbox.load().in_use(), 0);
}

#[actix::test]
async fn ten_thousand_asks_through_clones_let_in_only_as_many_as_the_bound() {
    let (mailbox, kept) = stuck(16, LONG);
    let mut asks: futures_util::stream::FuturesUnordered<_> = (0..10_000)
        .map(|n| {
            let mailbox = mailbox.clone();
            async move { mailbox.ask(Double(n)).await }
        })
        .collect();
    for _ in 0..10_000 - 16 {
        assert_eq!(asks.next().await, Some(Err(Refusal::Full)));
    }
    until("the sixteen are inside", async || kept.lock().unwrap().len() == 16).await;
}

#[actix::test]
async fn a_timed_out_ask_keeps_its_slot_until_it_is_handled() {
    let (mailbox, kept) = stuck(1, SHORT);
    assert_eq!(mailbox.ask(Double(1)).await, Err(Refusal::NoReply));
    assert_eq!(mailbox.ask(Double(2)).await, Err(Refusal::Full), "the first is still in work");
    kept.lock().unwrap().clear();
    assert_eq!(mailbox.load().in_use(), 0);
}

#[actix::test]
async fn an_expired_message_is_dropped_unapplied() {
    let done = Record::default();
    let doing = done.clone();
    let mailbox: Mailbox<Double> = Probe::scripted(move |Double(n), reply| {
        doing.note(n);
        reply.send(n * 2);
    });
    // Expired before the actor can look: the ask's own deadline is the message's.
    assert_eq!(mailbox.ask_within(Double(1), Duration::ZERO).await, Err(Refusal::NoReply));
    assert_eq!(mailbox.ask(Double(2)).await, Ok(4));
    assert_eq!(done.all(), [2]);
    assert_eq!(mailbox.load().in_use(), 0, "the slot of the dropped one came home");
}

#[actix::test]
async fn an_actor_that_panics_answers_stopped_and_gives_back_every_slot() {
    let mailbox: Mailbox<Double> = Probe::scripted(|Double(n), reply| {
        assert_ne!(n, 13, "the test wants a panic");
        reply.send(n * 2);
    });
    assert_eq!(mailbox.ask(Double(2)).await, Ok(4));
    assert_eq!(mailbox.ask(Double(13)).await, Err(Refusal::Stopped));
    assert_eq!(mailbox.ask(Double(2)).await, Err(Refusal::Stopped), "actix does not bring it back");
    until("the slots come home", async || mailbox.load().in_use() == 0).await;
}
