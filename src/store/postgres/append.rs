//! A batch of appends as one statement.
//!
//! The first attempt believes the callers and lets the tables object. If they do, nothing was written, and the batch is
//! tried once more after a look at what is there (`judge.rs`). Between the look and the second attempt nobody else can
//! have written: whoever would take the journal over moves the epoch, and then the second attempt writes nothing.

use std::collections::{BTreeMap, HashMap};

use sqlx::postgres::PgBindIterExt as _;
use uuid::Uuid;

use super::classify::{Failure, Stop, get, number};
use super::statement::Statement;
use super::writer::{Session, Writer};
use crate::crash;
use crate::order::Timestamp;
use crate::store::batch::{MILESTONE, Verdicts, good, last_words, malformed, places};
use crate::store::chain::{self, Hash};
use crate::store::{Append, Committed, DbError, Due, NewEvent, NotAppended, SHARDS};

/// Writes all of a batch or fails as a whole. Parts: the versions that the members were decided on must exist, and the
/// shards must be ours; or the positions taken are 0, which `shards` refuses. A position that was not taken is null,
/// which `events` refuses. The rows of the shards are locked in the sequence of their numbers. Returns the position
/// after the last one of each shard, in the same sequence.
const APPEND: &str = "
with decided as materialized (
     select not exists (
            select from unnest($1::uuid[], $2::bigint[]) as base (stream, version)
             where (select count(*) from events e where e.stream = base.stream and e.version = base.version) = 0) as well),
mine as materialized (
     select s.shard, wanted.count from unnest($3::smallint[], $4::bigint[]) as wanted (shard, count)
       join shards s on s.shard = wanted.shard order by s.shard for update of s),
taken as (
     update shards s
        set next_position =
            case when s.epoch = $28 and (select well from decided) then s.next_position + mine.count else 0 end
       from mine where mine.shard = s.shard
  returning s.shard, s.next_position),
places as materialized (select array_agg(next_position order by shard) as next from taken),
written as (
     insert into events
            (id, shard, position, stream, version, kind, at, by_whom, command, fingerprint, epoch, name, data,
            hash)
     select $29 + e.n, e.shard, places.next[e.slot] - e.back, e.stream, e.version, e.kind, e.at, e.by_whom, e.command,
            e.fingerprint, $28, e.name, e.data, e.hash
       from places, unnest($5::smallint[], $6::integer[], $7::bigint[], $8::uuid[], $9::bigint[], $10::smallint[],
            $11::bigint[], $12::text[], $13::uuid[], $14::bigint[], $15::text[], $16::text[], $27::bytea[])
            with ordinality
            as e (shard, slot, back, stream, version, kind, at, by_whom, command, fingerprint, name, data, hash, n)),
answered as (
     insert into answers (key, fingerprint, at, stream, version)
     select * from unnest($17::uuid[], $18::bigint[], $19::bigint[], $20::uuid[], $21::bigint[])),
waiting as (
     insert into deadlines (stream, kind, shard, due_at)
     select * from unnest($22::uuid[], $23::smallint[], $24::smallint[], $25::bigint[])
         on conflict (stream) do update set due_at = excluded.due_at
      where deadlines.due_at is distinct from excluded.due_at),
finished as (delete from deadlines where stream = any ($26::uuid[])),
milestone as (
     insert into milestones (id, marks)
     select $30, (select array_agg(coalesce(t.next_position, s.next_position) - 1 order by s.shard)
                    from shards s left join taken t on t.shard = s.shard)
      where $30 is not null)
select next from places";

impl Writer {
    pub(crate) async fn append(&mut self, batch: &[Append]) -> Result<Vec<Result<Committed, NotAppended>>, DbError> {
        crash::point("journal.before_append");
        let mut verdicts: Verdicts = batch.iter().map(malformed).collect();
        let places = match self.attempt(batch, &verdicts).await {
            Err(Stop::Conflict) => {
                self.judge(batch, &mut verdicts).await?;
                self.attempt(batch, &verdicts).await.map_err(Stop::into_error)?
            }
            outcome => outcome.map_err(Stop::into_error)?,
        };
        Ok(verdicts.into_iter().zip(places).map(|(verdict, place)| verdict.map_or(Ok(place), Err)).collect())
    }

    async fn attempt(&mut self, batch: &[Append], verdicts: &Verdicts) -> Result<Vec<Committed>, Stop> {
        let mut wanted = Wanted::of(good(batch, verdicts)).ok_or(Stop::Conflict)?;
        if wanted.events.is_empty() {
            return Ok(places(batch, verdicts, [1; SHARDS]));
        }
        self.know_tips(good(batch, verdicts)).await.map_err(Stop::Failed)?;
        wanted.hashes = wanted.members.iter().flat_map(|append| self.tips.chain(append)).collect();
        let (statement, events) = (wanted.statement(), wanted.events.len() as i64);
        let after = self.with(async move |mut session| session.append(statement, events).await).await?;
        self.tips.written();
        if after.len() != wanted.counts.len() {
            return Err(Stop::Failed(DbError::Corrupt("shards: rows are missing".into())));
        }
        let mut first = [1; SHARDS];
        for ((&shard, &count), after) in wanted.counts.iter().zip(after) {
            first[shard as usize] = (after - count).unsigned_abs();
        }
        Ok(places(batch, verdicts, first))
    }

    /// Reads the hashes that the batch follows on, where they are not remembered.
    async fn know_tips(&mut self, good: impl Iterator<Item = &Append>) -> Result<(), DbError> {
        let unknown = self.tips.unknown(good);
        if unknown.is_empty() {
            return Ok(());
        }
        let wanted = tips_of(&unknown);
        let rows = self
            .with(async |mut session| {
                // What is still on its way may be what these follow on.
                session.ready().await?;
                session.read(wanted).await.map_err(Failure::of_read)
            })
            .await?;
        for row in &rows {
            self.tips.learn(get(row, 0)?, number(row, 1)?, chain::read(get::<Option<&[u8]>>(row, 2)?));
        }
        Ok(())
    }
}

fn tips_of(unknown: &[(Uuid, u32)]) -> Statement {
    Statement::new(
        "select e.stream, e.version, e.hash from unnest($1::uuid[], $2::bigint[]) as wanted (stream, version)
           join events e on e.stream = wanted.stream and e.version = wanted.version",
    )
    .bind(unknown.iter().map(|(stream, _)| stream).bind_iter())
    .bind(unknown.iter().map(|(_, version)| i64::from(*version)).bind_iter())
}

impl Session {
    /// Adds what only this session knows, and counts on.
    async fn append(&mut self, statement: Statement, events: i64) -> Result<Vec<i64>, Stop> {
        self.ready().await.map_err(Stop::Failed)?;
        let last = self.last_id + events;
        let passed = |id: i64| id.unsigned_abs() / MILESTONE;
        let milestone = (passed(last) > passed(self.last_id)).then_some(last);
        let rows = self.write(statement.bind(self.epoch).bind(self.last_id).bind(milestone)).await?;
        self.last_id = last;
        let row = rows.first().ok_or_else(|| DbError::Corrupt("shards: no row was written".into()));
        row.and_then(|row| get(row, 0)).map_err(Stop::Failed)
    }
}

/// The good members of a batch, taken apart for the statement.
struct Wanted<'b> {
    members: Vec<&'b Append>,
    /// The events of each shard.
    counts: BTreeMap<i16, i64>,
    /// The versions that streams must have, but those that are to begin.
    base: Vec<(Uuid, i64)>,
    events: Vec<Place<'b>>,
    /// Of the events, in the same sequence.
    hashes: Vec<Hash>,
}

struct Place<'b> {
    append: &'b Append,
    event: &'b NewEvent,
    version: i64,
    /// Which of the batch's shards it is, from 1.
    slot: i32,
    /// How far before the shard's next position.
    back: i64,
}

impl<'b> Wanted<'b> {
    /// None if a member was not decided on what the ones before it leave.
    fn of(good: impl Iterator<Item = &'b Append>) -> Option<Self> {
        let members: Vec<&Append> = good.collect();
        let (mut counts, mut versions, mut base) = (BTreeMap::new(), HashMap::new(), Vec::new());
        for append in &members {
            *counts.entry(i16::from(append.shard.number())).or_insert(0) += append.events.len() as i64;
            let makes = append.expected_version + append.events.len() as u32;
            match versions.insert(append.stream.id, makes) {
                Some(version) if version != append.expected_version => return None,
                Some(_) => {}
                None if append.expected_version == 0 => {}
                None => base.push((append.stream.id, i64::from(append.expected_version))),
            }
        }
        let slots: HashMap<i16, i32> = counts.keys().copied().zip(1..).collect();
        let mut left = counts.clone();
        let mut events = Vec::with_capacity(members.len() * 2);
        for append in &members {
            let shard = i16::from(append.shard.number());
            let (slot, left) = (slots[&shard], left.entry(shard).or_insert(0));
            for (event, version) in append.events.iter().zip(i64::from(append.expected_version) + 1..) {
                events.push(Place { append, event, version, slot, back: *left });
                *left -= 1;
            }
        }
        Some(Self { members, counts, base, events, hashes: Vec::new() })
    }

    fn statement(&self) -> Statement {
        let statement = Statement::new(APPEND)
            .bind(self.base.iter().map(|(stream, _)| stream).bind_iter())
            .bind(self.base.iter().map(|(_, version)| version).bind_iter())
            .bind(self.counts.keys().bind_iter())
            .bind(self.counts.values().bind_iter());
        let hashes: Vec<&[u8]> = self.hashes.iter().map(|hash| &hash[..]).collect();
        self.bind_deadlines(self.bind_answers(self.bind_events(statement))).bind(hashes)
    }

    fn bind_events(&self, statement: Statement) -> Statement {
        let events = || self.events.iter();
        statement
            .bind(events().map(|place| i16::from(place.append.shard.number())).bind_iter())
            .bind(events().map(|place| place.slot).bind_iter())
            .bind(events().map(|place| place.back).bind_iter())
            .bind(events().map(|place| place.append.stream.id).bind_iter())
            .bind(events().map(|place| place.version).bind_iter())
            .bind(events().map(|place| place.append.stream.kind as i16).bind_iter())
            .bind(events().map(|place| place.append.at.as_micros()).bind_iter())
            .bind(events().map(|place| &*place.append.by).bind_iter())
            .bind(events().map(|place| place.append.command.uuid()).bind_iter())
            .bind(events().map(|place| place.append.fingerprint).bind_iter())
            .bind(events().map(|place| place.event.name).bind_iter())
            .bind(events().map(|place| &*place.event.data).bind_iter())
    }

    fn bind_answers(&self, statement: Statement) -> Statement {
        let answers = || self.members.iter().filter_map(|append| Some((append.answer?, *append)));
        let made = |append: &Append| i64::from(append.expected_version) + append.events.len() as i64;
        statement
            .bind(answers().map(|(answer, _)| answer.key).bind_iter())
            .bind(answers().map(|(answer, _)| answer.fingerprint).bind_iter())
            .bind(answers().map(|(_, append)| append.at.as_micros()).bind_iter())
            .bind(answers().map(|(_, append)| append.stream.id).bind_iter())
            .bind(answers().map(|(_, append)| made(append)).bind_iter())
    }

    fn bind_deadlines(&self, statement: Statement) -> Statement {
        let (open, closed) = last_words(self.members.iter().copied());
        let due = |append: &Append| if let Due::Open(due) = append.due { due.map(Timestamp::as_micros) } else { None };
        statement
            .bind(open.iter().map(|append| append.stream.id).bind_iter())
            .bind(open.iter().map(|append| append.stream.kind as i16).bind_iter())
            .bind(open.iter().map(|append| i16::from(append.shard.number())).bind_iter())
            .bind(open.iter().map(|append| due(append)).bind_iter())
            .bind(closed)
    }
}
