//! What can be said about a batch of appends without knowing the engine: what is wrong with a member, who loses a race,
//! where each comes to stand.
//!
//! The engines read what is needed for it and write what comes of it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Answer, Append, Committed, Due, NotAppended, Position, SHARDS};

/// The largest event, in bytes: a Kafka broker takes 1 MiB by default, and the mirror must never be stuck on one.
const MAX_EVENT: usize = 64 * 1024;

/// A milestone is set by the batch that reaches the next multiple of this. A reader looks in vain at so many events
/// at most, and a batch; a milestone takes about 400 bytes.
pub(super) const MILESTONE: u64 = 256;

/// For each member of a batch why it is left out, if it is.
pub(super) type Verdicts = Vec<Option<NotAppended>>;

/// What is wrong with an append whatever the journal holds.
pub(super) fn malformed(append: &Append) -> Option<NotAppended> {
    if append.events.is_empty() {
        return Some(NotAppended::Empty);
    }
    let large = append.events.iter().find(|event| event.data.len() > MAX_EVENT)?;
    Some(NotAppended::TooLarge { name: large.name, bytes: large.data.len() })
}

/// The members that are to be written.
pub(super) fn good<'b>(batch: &'b [Append], verdicts: &'b Verdicts) -> impl Iterator<Item = &'b Append> {
    batch.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_none()).map(|(append, _)| append)
}

/// What the journal holds of the streams and keys of a batch.
pub(super) struct Held {
    pub(super) versions: HashMap<Uuid, u32>,
    pub(super) answers: HashMap<Uuid, Answer>,
}

/// Walks the batch in order and gives each member the answer it would have got if it had come alone, with one
/// exception: a member that was decided on the events of a refused one is refused too, even if someone else's
/// event has taken that version. Its decision was made on a history that does not exist.
pub(super) fn judge(batch: &[Append], verdicts: &mut Verdicts, Held { mut versions, mut answers }: Held) {
    let mut never_made: HashSet<(Uuid, u32)> = HashSet::new();
    for (append, verdict) in batch.iter().zip(verdicts) {
        let stream = append.stream.id;
        let version = versions.entry(stream).or_insert(0);
        let makes = append.expected_version + append.events.len() as u32;
        if verdict.is_none() {
            *verdict = if let Some(answer) = append.answer.and_then(|answer| answers.get(&answer.key)) {
                Some(NotAppended::AnsweredBefore(answer.clone()))
            } else if append.expected_version != *version || never_made.contains(&(stream, *version)) {
                Some(NotAppended::VersionConflict)
            } else {
                None
            };
        }
        if verdict.is_some() {
            never_made.insert((stream, makes));
            continue;
        }
        *version = makes;
        never_made.remove(&(stream, makes));
        if let Some(answer) = append.answer {
            let made = Answer::Stream { fingerprint: answer.fingerprint, id: stream, version: makes };
            answers.insert(answer.key, made);
        }
    }
}

/// Where each member comes to stand, meaningless for those with a verdict. `next` is the first position that was
/// taken of each shard.
pub(super) fn places(batch: &[Append], verdicts: &Verdicts, mut next: [u64; SHARDS]) -> Vec<Committed> {
    let place = |(append, verdict): (&Append, &Option<NotAppended>)| {
        let next = &mut next[usize::from(append.shard.number())];
        let count = if verdict.is_none() { append.events.len() as u64 } else { 0 };
        let first = Position { shard: append.shard, position: *next };
        *next += count;
        Committed { first, last: Position { position: *next - 1, ..first } }
    };
    batch.iter().zip(verdicts).map(place).collect()
}

/// What a batch says about the deadlines of the open streams: those that stay open, and those that are closed. If it
/// says something about a stream twice, the last word counts.
pub(super) fn last_words<'b>(good: impl Iterator<Item = &'b Append>) -> (Vec<&'b Append>, Vec<Uuid>) {
    let mut last_word = HashMap::new();
    for append in good.filter(|append| append.due != Due::Unchanged) {
        last_word.insert(append.stream.id, append);
    }
    let (open, closed): (Vec<&Append>, Vec<&Append>) =
        last_word.into_values().partition(|append| matches!(append.due, Due::Open(_)));
    (open, closed.into_iter().map(|append| append.stream.id).collect())
}

/// The command and the position of events, by stream and version.
pub(super) type Found = HashMap<(Uuid, u32), (Uuid, Position)>;

/// What became of an append whose outcome was unknown. It is all there or not at all, so its first event stands for it.
pub(super) fn fate(append: &Append, found: &Found) -> Result<Committed, NotAppended> {
    if let Some(wrong) = malformed(append) {
        return Err(wrong);
    }
    match found.get(&(append.stream.id, append.expected_version + 1)) {
        Some(&(command, first)) if command == append.command.uuid() => {
            let last = Position { position: first.position + append.events.len() as u64 - 1, ..first };
            Ok(Committed { first, last })
        }
        Some(_) | None => Err(NotAppended::DidNotHappen),
    }
}
