//! Whether the journal takes writes, and whether it is still this process's to write.
//!
//! A group that could not be written says so. From then on it takes a proof to be taken for writable again, which is tried
//! without being asked: readiness must not wait for traffic that is kept away because of it, and on a full disk a small
//! append that still fits somewhere proves nothing. And a server to which nobody comes looks now and then whether another one
//! has taken its place, because nothing else would tell it, and it would go on showing what it remembers.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};

use super::commit::settle;
use super::group::{InDoubt, Results};
use super::{JournalActor, WriteError};
use crate::actors::world::Pace;
use crate::store::{DbError, NotAppended, Writer};

/// How often an idle journal is looked at: one reading of 64 short rows. Whoever watches a server's readiness looks about as
/// often.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first pause after a failure before the journal is tried again; it doubles up to the longest. Most connections that
/// are cut can be made again at once.
const TRY_AGAIN: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the last dealing with the journal came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalHealth {
    Writable,
    /// Nothing can be written at the moment.
    Unwritable,
    /// Another process has taken the journal over. There is no way back from here.
    Replaced,
}

/// Hears of every group, and of every try and look in between. Readiness shows it.
pub type WriteReport = Box<dyn Fn(JournalHealth) + Send>;

/// A commit that had no answer and turned out not to have happened is no sign of a journal that takes writes: a full disk
/// ends like that too.
pub(super) fn shows_writable(outcome: &Result<Results, WriteError>) -> bool {
    let lost = |result: &Result<_, NotAppended>| matches!(result, Err(NotAppended::DidNotHappen));
    outcome.as_ref().is_ok_and(|results| !results.iter().any(lost))
}

impl JournalActor {
    /// Of a group. What could be written does not end a time in which something could not.
    pub(super) fn note(&mut self, written: bool, ctx: &mut Context<Self>) {
        match self.health {
            JournalHealth::Writable if written => (self.report)(self.health),
            JournalHealth::Writable | JournalHealth::Unwritable if !written => self.note_failure(ctx),
            JournalHealth::Writable | JournalHealth::Unwritable | JournalHealth::Replaced => {}
        }
    }

    fn note_failure(&mut self, ctx: &mut Context<Self>) {
        self.failures = self.failures.saturating_add(1);
        self.health = JournalHealth::Unwritable;
        (self.report)(self.health);
        if !self.trying_again {
            self.trying_again = true;
            let pause = Pace::pause(TRY_AGAIN, LONGEST_PAUSE, self.failures - 1);
            ctx.run_later(pause, |journal, ctx| {
                journal.trying_again = false;
                journal.try_again(ctx);
            });
        }
    }

    fn note_proof(&mut self) {
        self.failures = 0;
        self.health = JournalHealth::Writable;
        (self.report)(self.health);
    }

    pub(super) fn note_if_replaced(&mut self) {
        let fenced = self.writer.as_ref().is_some_and(Writer::is_fenced);
        if fenced && self.health != JournalHealth::Replaced {
            self.health = JournalHealth::Replaced;
            tracing::error!(
                "another process has taken over this journal: nothing more is written, nor shown from memory"
            );
            (self.report)(self.health);
        }
    }

    /// Until it is proved that something can be written.
    fn try_again(&mut self, ctx: &mut Context<Self>) {
        if self.health != JournalHealth::Unwritable {
            return;
        }
        let Some(mut writer) = self.writer.take() else { return self.note_failure(ctx) };
        if let Some(doubt) = self.doubt.take() {
            return self.settle(writer, doubt, ctx);
        }
        let proof = async move {
            let outcome = writer.prove_writable().await;
            (writer, outcome)
        };
        ctx.wait(proof.into_actor(self).map(|(writer, outcome), journal, ctx| {
            journal.writer = Some(writer);
            match outcome {
                Ok(()) => journal.note_proof(),
                Err(DbError::Fenced) => journal.note_if_replaced(),
                Err(_) => journal.note_failure(ctx),
            }
            journal.go_on_soon(ctx);
        }));
    }

    fn settle(&mut self, mut writer: Writer, doubt: InDoubt, ctx: &mut Context<Self>) {
        let settling = async move {
            let outcome = settle(&mut writer, &doubt.appends).await;
            (writer, doubt, outcome)
        };
        ctx.wait(settling.into_actor(self).map(|(writer, doubt, outcome), journal, ctx| {
            journal.writer = Some(writer);
            match outcome {
                Ok(results) => doubt.tell(results, &journal.tail),
                // Whoever took the journal over reads it for itself; here nobody can find out any more.
                Err(DbError::Fenced) => {
                    journal.note_if_replaced();
                    journal.tail.send_to_disk();
                }
                Err(error) => {
                    tracing::warn!(%error, "what became of a commit is still unknown; trying again");
                    journal.doubt = Some(doubt);
                    journal.note_failure(ctx);
                    return journal.go_on_soon(ctx);
                }
            }
            journal.answer_settled();
            // To have read the journal does not prove that it takes writes.
            journal.try_again(ctx);
            journal.go_on_soon(ctx);
        }));
    }

    /// Whether the journal is still ours, if no group has said so since the last look.
    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        let idle = std::mem::replace(&mut self.idle, true);
        let Some(mut writer) = self.writer.take_if(|_| idle && self.health == JournalHealth::Writable) else { return };
        let looking = async move {
            let outcome = writer.check_ownership().await;
            (writer, outcome)
        };
        ctx.wait(looking.into_actor(self).map(|(writer, outcome), journal, ctx| {
            journal.writer = Some(writer);
            match outcome {
                Ok(()) => {}
                Err(DbError::Fenced) => journal.note_if_replaced(),
                Err(error) => {
                    tracing::warn!(%error, "the journal does not answer");
                    journal.note_failure(ctx);
                }
            }
            journal.go_on_soon(ctx);
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::journal::{Between, Commits, Write, WriteError};
    use crate::actors::mailbox::Door;
    use crate::actors::pressure::Pressure;
    use crate::actors::probe::{POLICY, Record, until};
    use crate::actors::tail::{News, Tail};
    use crate::config::Database;
    use crate::order::{CommandId, ItemId, StockEvent, StoreId, Timestamp};
    use crate::store::{Append, DataPlace, Due, Engine, NewEvent, Shard, StreamId};

    /// A journal whose owner has been replaced, and what it reports.
    async fn replaced() -> (Door<JournalActor>, Record<JournalHealth>, tempfile::TempDir) {
        let data = tempfile::tempdir().unwrap();
        let place = DataPlace::Directory(data.path().to_owned());
        let Engine { writer, .. } = Engine::open(&place).await.unwrap();
        let reports = Record::default();
        let noting = reports.clone();
        let report = Box::new(move |health| noting.note(health));
        let (commits, queue) = (Commits::from(&Database::default()), Pressure::default().gauge("appends"));
        let journal = JournalActor::open(writer, Tail::default(), POLICY, commits, report, queue);
        std::fs::remove_file(data.path().join("lock")).unwrap();
        drop(Engine::open(&place).await.unwrap());
        (journal, reports, data)
    }

    #[actix::test]
    async fn an_idle_journal_that_was_taken_over_says_so_unasked() {
        let (_journal, reports, _data) = replaced().await;
        until("it is reported", async || reports.all() == [JournalHealth::Replaced]).await;
    }

    #[actix::test]
    async fn a_refused_append_tells_that_the_journal_was_taken_over() {
        let (journal, reports, _data) = replaced().await;
        let id = uuid::Uuid::from_u128(7);
        let append = Append {
            stream: StreamId::stock(StoreId::new(id)),
            shard: Shard::of_store(StoreId::new(id)),
            expected_version: 0,
            at: Timestamp::from_micros(1),
            by: "system".into(),
            command: CommandId::new(id),
            fingerprint: None,
            answer: None,
            events: vec![NewEvent { name: "stock_counted", data: "{}".into() }],
            due: Due::Unchanged,
        };
        let event = StockEvent::Restocked { item: ItemId::new(id), quantity: 1 };
        let news = News::Stock { store: StoreId::new(id), event, levels: Vec::new() };
        let refused = journal.mailbox::<Write>().ask(Write { append, news }).await.unwrap();
        assert!(matches!(refused, Err(WriteError::Unwritable(_))), "{refused:?}");
        assert_eq!(reports.all().last(), Some(&JournalHealth::Replaced));
    }

    #[actix::test]
    async fn a_refused_change_of_the_catalogue_tells_it_too() {
        let (journal, reports, _data) = replaced().await;
        let forget: crate::actors::journal::WriterTask =
            Box::new(|writer| Box::pin(async move { drop(writer.forget_answers(Timestamp::from_micros(1), 1).await) }));
        journal.mailbox::<Between>().ask(Between(forget)).await.unwrap();
        until("it is reported", async || reports.all() == [JournalHealth::Replaced]).await;
    }
}
