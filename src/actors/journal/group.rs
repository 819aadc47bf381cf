//! Appends that are committed together, those who wait for them, and what is told when their outcome is known.

use std::sync::Arc;
use std::time::Instant;

use super::{Write, WriteError};
use crate::actors::mailbox::{Refusal, Reply};
use crate::actors::tail::{Entry, News, Tail};
use crate::store::{Append, Committed, NotAppended};

/// What became of each append.
pub(super) type Results = Vec<Result<Committed, NotAppended>>;

/// Appends in the order they came, and who waits for them. The two lists go together.
#[derive(Default)]
pub(super) struct Group {
    appends: Vec<Append>,
    waiting: Vec<Waiting>,
}

/// Who waits for an append, and what its readers will be told.
struct Waiting {
    news: News,
    reply: Reply<Write>,
    /// When it was asked for.
    since: Instant,
}

/// A group whose commit had no answer, and could not be read back either. Its askers have been told so.
pub(super) struct InDoubt {
    pub(super) appends: Vec<Append>,
    news: Vec<News>,
}

impl Group {
    pub(super) fn add(&mut self, write: Write, reply: Reply<Write>, since: Instant) {
        self.appends.push(write.append);
        self.waiting.push(Waiting { news: write.news, reply, since });
    }

    pub(super) fn appends(&self) -> &[Append] {
        &self.appends
    }

    pub(super) fn len(&self) -> usize {
        self.appends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    /// When the oldest was asked for.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.waiting.first().map(|asker| asker.since)
    }

    /// The first so many; the others stay.
    pub(super) fn take(&mut self, most: usize) -> Self {
        self.drop_abandoned();
        let size = self.appends.len().min(most);
        let later = Self { appends: self.appends.split_off(size), waiting: self.waiting.split_off(size) };
        std::mem::replace(self, later)
    }

    /// An asker who waits no longer takes the outcome for unknown and reads the journal: what was not sent by then must
    /// not be sent after it.
    fn drop_abandoned(&mut self) {
        if self.waiting.iter().all(|asker| asker.reply.is_awaited()) {
            return;
        }
        let Self { appends, waiting } = std::mem::take(self);
        for (append, asker) in appends.into_iter().zip(waiting) {
            if asker.reply.is_awaited() {
                self.appends.push(append);
                self.waiting.push(asker);
            } else {
                metrics::counter!("mailbox_expired_total").increment(1);
                asker.reply.refuse(Refusal::NoReply);
            }
        }
    }

    /// Nothing of it was written.
    pub(super) fn refuse(self, refused: &WriteError) {
        self.waiting.into_iter().for_each(|asker| asker.reply.send(Err(refused.clone())));
    }

    pub(super) fn in_doubt(self) -> InDoubt {
        let news = self.waiting.into_iter().map(|asker| {
            asker.reply.send(Err(WriteError::Unknown));
            asker.news
        });
        InDoubt { news: news.collect(), appends: self.appends }
    }

    /// The tail first: whoever is answered finds their own news there.
    pub(super) fn tell(self, results: Results, tail: &Tail) {
        let mut entries = Vec::with_capacity(self.appends.len());
        let mut replies = Vec::with_capacity(self.appends.len());
        for ((append, Waiting { news, reply, .. }), result) in self.appends.into_iter().zip(self.waiting).zip(results) {
            if let Ok(committed) = result {
                entries.push(Arc::new(entry(append, news, committed)));
            }
            replies.push((reply, result));
        }
        tail.push(entries);
        crate::crash::point("journal.before_reply");
        crate::crash::fail("journal.reply");
        for (reply, result) in replies {
            reply.send(result.map_err(WriteError::from));
        }
    }
}

impl InDoubt {
    /// What stands of it is news like any other.
    pub(super) fn tell(self, results: Results, tail: &Tail) {
        let appends = self.appends.into_iter().zip(self.news).zip(results);
        tail.push(appends.filter_map(|((append, news), result)| Some(Arc::new(entry(append, news, result.ok()?)))));
    }
}

fn entry(append: Append, news: News, committed: Committed) -> Entry {
    Entry {
        stream: append.stream,
        first: committed.first,
        last: committed.last,
        version: append.expected_version + 1,
        at: append.at,
        by: append.by,
        news,
    }
}
