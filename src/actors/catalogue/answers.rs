//! Answers that are kept by themselves, because no event carries their key: a command that changed nothing, or one
//! that was answered before what it set going was done.
//!
//! Written in groups, like appends: while one is written, the next gathers. Who repeats what holds already, with a new
//! key each time, costs a row and not a commit.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::Stores;
use super::writing::{CatalogueError, refused};
use crate::store::{Answer, NotAppended, StreamAnswer, Writer};

/// Rows of one transaction: few enough to keep the appends waiting for milliseconds only.
const MAX_GROUP: usize = 256;

type Outcome = Result<(), CatalogueError>;

/// What waits to be written. Each entry has a task of its own on its way to the writer, whose mailbox so bounds them.
#[derive(Default)]
pub(super) struct Answers(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    tickets: u64,
    waiting: Vec<Waiting>,
}

struct Waiting {
    ticket: u64,
    answer: StreamAnswer,
    tell: oneshot::Sender<Outcome>,
}

impl Answers {
    fn add(&self, answer: StreamAnswer) -> (u64, oneshot::Receiver<Outcome>) {
        let (tell, told) = oneshot::channel();
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.waiting.push(Waiting { ticket, answer, tell });
        (ticket, told)
    }

    /// False if it is being written, or was.
    fn withdraw(&self, ticket: u64) -> bool {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = queue.waiting.len();
        queue.waiting.retain(|waiting| waiting.ticket != ticket);
        queue.waiting.len() < before
    }

    fn take(&self) -> Vec<Waiting> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = queue.waiting.len().min(MAX_GROUP);
        queue.waiting.drain(..size).collect()
    }
}

impl Stores {
    /// Keeps the answer to a request that no event carries. [`CatalogueError::Unwritable`] means that it is not kept and
    /// never will be; [`CatalogueError::AnsweredBefore`] brings another answer to the same key.
    pub async fn remember(&self, answer: StreamAnswer) -> Outcome {
        let (ticket, told) = self.answers.add(answer);
        let stores = self.clone();
        let task = self.write(move |writer| {
            Box::pin(async move {
                keep(writer, stores.answers.take()).await;
                Ok(())
            })
        });
        if task.await.is_err() && self.answers.withdraw(ticket) {
            return Err(CatalogueError::Unwritable);
        }
        told.await.unwrap_or(Err(CatalogueError::Unknown))
    }
}

async fn keep(writer: &mut Writer, group: Vec<Waiting>) {
    if group.is_empty() {
        return;
    }
    let (answers, asked): (Vec<_>, Vec<_>) =
        group.into_iter().map(|Waiting { answer, tell, .. }| (answer, tell)).unzip();
    let mut outcome = writer.remember_answers(&answers).await;
    let in_doubt = outcome.as_ref().is_err_and(|error| !error.is_definite());
    if in_doubt {
        // Whatever was lost has ended before the next transaction begins, and what it left is found.
        outcome = writer.remember_answers(&answers).await;
    }
    match outcome {
        Ok(kept) => {
            for ((tell, answer), kept) in asked.into_iter().zip(&answers).zip(kept) {
                drop(tell.send(kept.or_else(|refusal| same(answer, refusal))));
            }
        }
        Err(error) => {
            tracing::error!(%error, answers = answers.len(), "answers to requests cannot be kept");
            let unknown = in_doubt || !error.is_definite();
            let failed = || if unknown { CatalogueError::Unknown } else { CatalogueError::Unwritable };
            asked.into_iter().for_each(|tell| drop(tell.send(Err(failed()))));
        }
    }
}

/// What stands there already may be this very answer.
fn same(answer: &StreamAnswer, refusal: NotAppended) -> Outcome {
    match &refusal {
        NotAppended::AnsweredBefore(Answer::Stream { fingerprint, id, version })
            if (*fingerprint, *id, *version) == (answer.key.fingerprint, answer.stream, answer.version) =>
        {
            Ok(())
        }
        _ => Err(refused(refusal)),
    }
}
