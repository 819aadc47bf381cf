//! A batch of appends as one transaction, and nearly always as one text.
//!
//! Each text that is sent costs about as much as ten rows, so a batch travels with its begin, its bookkeeping and its
//! commit together. The first attempt believes the callers and lets the tables object. Only if they do, the batch is
//! rolled back and tried once more after a look at what is there (`judge.rs`), so that a bad member costs the others
//! time but never their outcome. Losers are known before positions are given: positions have no gaps.

use std::collections::HashMap;

use sqlx::sqlite::SqliteConnection;

use super::Writer;
use super::batch_texts::{COLUMNS, PARAMETERS, ROWS, Text};
use super::classify::Stop;
use super::judge::judge;
use super::read::read_tips;
use super::values::Values;
use super::writer::check_epoch;
use crate::crash;
use crate::order::Timestamp;
use crate::store::batch::{MILESTONE, Verdicts, good, malformed};
use crate::store::chain::{Hash, Tips};
use crate::store::{Append, Committed, DbError, Due, NewEvent, NotAppended, Position, SHARDS};

/// The next position of each shard.
pub(super) type NextPositions = [u64; SHARDS];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Away,
}

impl Writer {
    pub(crate) async fn append(&mut self, batch: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, DbError> {
        crash::point("journal.before_append");
        let verdicts: Verdicts = batch.iter().map(malformed).collect();
        match self.attempt(batch, verdicts.clone(), Look::Away).await {
            Err(Stop::Conflict) => self.attempt(batch, verdicts, Look::First).await.map_err(Stop::into_error),
            outcomes => outcomes.map_err(Stop::into_error),
        }
    }

    async fn attempt(
        &mut self,
        batch: &[Append],
        mut verdicts: Verdicts,
        look: Look,
    ) -> Result<Vec<Result<Committed, NotAppended>>, Stop> {
        // Taken out: after anything but a clean end they are read again.
        let next = match self.next_positions.take() {
            Some(next) => next,
            None => self.read_positions().await?,
        };
        let mut connection = match look {
            Look::Away => self.connected().await?,
            Look::First => self.begin().await?,
        };
        if look == Look::First
            && let Err(stop) = look_first(&mut connection, self.epoch, batch, &mut verdicts).await
        {
            return self.end(connection, Err(stop)).await;
        }
        if let Err(stop) = self.know_tips(&mut connection, batch, &verdicts).await {
            return self.end(connection, Err(stop)).await;
        }
        let plan = Plan::new(batch, &verdicts, next, &mut self.tips);
        if plan.rows.is_empty() {
            // Nobody is left to be written. The transaction, if it was begun, is rolled back.
            self.give_back(connection, look == Look::First).await;
        } else {
            self.write(connection, &plan, look).await?;
        }
        self.tips.written();
        self.next_positions = Some(plan.next);
        Ok(verdicts.into_iter().zip(plan.places).map(|(verdict, place)| verdict.map_or(Ok(place), Err)).collect())
    }

    /// Reads the hashes that the batch follows on, where they are not remembered.
    async fn know_tips(
        &mut self,
        connection: &mut SqliteConnection,
        batch: &[Append],
        verdicts: &Verdicts,
    ) -> Result<(), Stop> {
        let unknown = self.tips.unknown(good(batch, verdicts));
        if !unknown.is_empty() {
            for (stream, version, hash) in read_tips(connection, &unknown).await? {
                self.tips.learn(stream, version, hash);
            }
        }
        Ok(())
    }

    /// The rows in parts, of which the last brings everything else of the batch, and the commit.
    async fn write(&mut self, mut connection: SqliteConnection, plan: &Plan<'_>, look: Look) -> Result<(), Stop> {
        let mut begins = look == Look::Away;
        let mut parts = plan.rows.chunks(ROWS).peekable();
        while let Some(part) = parts.next() {
            let text = Text { begins, rows: part.len(), ends: parts.peek().is_none() };
            begins = false;
            let mut values = Values::with_capacity(part.len() * COLUMNS + PARAMETERS.len());
            values.rows(part, self.epoch);
            if text.ends {
                values.rest(plan, self.epoch);
            }
            let query = values.of(text.get());
            if text.ends {
                return self.end_with(connection, query).await;
            }
            if let Err(error) = query.execute(&mut connection).await {
                return self.end(connection, Err(error.into())).await;
            }
        }
        Ok(())
    }
}

async fn look_first(
    connection: &mut SqliteConnection,
    epoch: i64,
    batch: &[Append],
    verdicts: &mut Verdicts,
) -> Result<(), Stop> {
    check_epoch(connection, epoch).await?;
    judge(connection, batch, verdicts).await
}

/// One event on its way: its position, its version, where it comes from, and its hash.
type Row<'b> = (u64, u32, &'b Append, &'b NewEvent, Hash);

/// All that a batch writes, worked out beforehand.
struct Plan<'b> {
    /// A place for each member, meaningless for those that are left out.
    places: Vec<Committed>,
    rows: Vec<Row<'b>>,
    /// Shard, the position expected of it, and how many are taken.
    taken: Vec<(u8, u64, u64)>,
    answers: Vec<(uuid::fmt::Simple, i64, i64, uuid::fmt::Simple, u32)>,
    /// The key of the batch's last event, if a milestone is due there.
    milestone: Option<u64>,
    open: Vec<(uuid::fmt::Simple, u8, u8, Option<i64>)>,
    closed: Vec<uuid::fmt::Simple>,
    /// Where the shards stand afterwards.
    next: NextPositions,
}

impl<'b> Plan<'b> {
    fn new(batch: &'b [Append], verdicts: &Verdicts, before: NextPositions, tips: &mut Tips) -> Self {
        let mut next = before;
        let mut rows = Vec::with_capacity(batch.len() * 2);
        let mut answers = Vec::new();
        let mut last_word = HashMap::new();
        let mut places = Vec::with_capacity(batch.len());
        for (append, verdict) in batch.iter().zip(verdicts) {
            let next = &mut next[usize::from(append.shard.number())];
            let first = Position { shard: append.shard, position: *next };
            let count = if verdict.is_none() { append.events.len() as u64 } else { 0 };
            *next += count;
            places.push(Committed { first, last: Position { position: (*next).saturating_sub(1), ..first } });
            if verdict.is_some() {
                continue;
            }
            let places = (first.position..).zip(append.expected_version + 1..);
            let events = append.events.iter().zip(tips.chain(append));
            rows.extend(places.zip(events).map(|((p, v), (event, hash))| (p, v, append, event, hash)));
            if let Some(answer) = append.answer {
                let version = append.expected_version + append.events.len() as u32;
                let (key, stream) = (answer.key.simple(), append.stream.id.simple());
                answers.push((key, answer.fingerprint, append.at.as_micros(), stream, version));
            }
            // If a batch says something about a stream twice, the last word counts.
            if append.due != Due::Unchanged {
                last_word.insert(append.stream.id, append);
            }
        }
        let (open, closed) = split_deadlines(last_word.into_values());
        let taken = (0..SHARDS as u8)
            .zip(before.into_iter().zip(next))
            .filter(|(_, (before, after))| before != after)
            .map(|(shard, (before, after))| (shard, before, after - before))
            .collect();
        // Events are keyed in commit order without a gap, so the last key is the number of events there are.
        let last: u64 = next.iter().map(|next| next - 1).sum();
        let milestone = (last / MILESTONE > (last - rows.len() as u64) / MILESTONE).then_some(last);
        Self { places, rows, taken, answers, milestone, open, closed, next }
    }
}

impl Values {
    fn rows(&mut self, part: &[Row<'_>], epoch: i64) {
        for &(position, version, append, event, hash) in part {
            self.add(i64::from(append.shard.number()));
            self.add(position.cast_signed());
            self.add(append.stream.id.as_bytes().to_vec());
            self.add(i64::from(version));
            self.add(append.stream.kind as i64);
            self.add(append.at.as_micros());
            self.add(append.by.clone());
            self.add(append.command.uuid().as_bytes().to_vec());
            self.add(append.fingerprint);
            self.add(epoch);
            self.add(event.name);
            self.add(event.data.clone());
            self.add(hash.to_vec());
        }
    }

    fn rest(&mut self, plan: &Plan<'_>, epoch: i64) {
        let marks: Vec<u64> = plan.next.iter().map(|next| next - 1).collect();
        self.add(json(&plan.taken));
        self.add(epoch);
        self.add(json(&plan.answers));
        self.add(plan.milestone.map(u64::cast_signed));
        self.add(plan.milestone.map(|_| json(&marks)));
        self.add(json(&plan.open));
        self.add(json(&plan.closed));
    }
}

/// The streams that stay open, and those that leave.
#[expect(clippy::type_complexity, reason = "the columns of the two statements")]
fn split_deadlines<'b>(
    last_words: impl Iterator<Item = &'b Append>,
) -> (Vec<(uuid::fmt::Simple, u8, u8, Option<i64>)>, Vec<uuid::fmt::Simple>) {
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for append in last_words {
        let stream = append.stream.id.simple();
        match append.due {
            Due::Open(due) => {
                open.push((stream, append.stream.kind as u8, append.shard.number(), due.map(Timestamp::as_micros)));
            }
            Due::Closed | Due::Unchanged => closed.push(stream),
        }
    }
    (open, closed)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("numbers and hex are JSON")
}
