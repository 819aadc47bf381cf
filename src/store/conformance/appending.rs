//! What [`Writer::append`](crate::store::Writer::append) promises.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::{Place, append, append_one, chains, id, on_every_engine, whole_journal, with_key};
use crate::order::{CommandId, Timestamp};
use crate::store::{Answer, Append, Due, NotAppended, StreamId, StreamKind};

on_every_engine!(
    what_was_appended_reads_back_as_it_was,
    versions_and_positions_have_no_gap,
    the_same_events_have_the_same_chains_on_every_engine,
    a_stale_decision_is_refused_and_the_rest_of_its_batch_is_not,
    a_decision_on_a_version_that_does_not_exist_is_refused,
    one_batch_may_continue_its_own_streams,
    what_was_built_on_a_refused_append_is_refused,
    the_same_key_is_answered_once,
    an_event_over_64_kib_is_refused_by_name,
    an_append_without_events_is_refused,
    the_deadlines_are_those_of_the_open_streams,
    every_member_gets_the_answer_it_would_have_got_alone,
);

async fn what_was_appended_reads_back_as_it_was(place: Place) {
    let mut engine = place.open().await;
    let mut wanted = append(1, 0, 2);
    wanted.fingerprint = Some(-5);
    wanted.events[1].data = r#"{"note":"불고기 \" \u0000"}"#.into();
    let committed = append_one(&mut engine.writer, wanted.clone()).await;

    let events = engine.readers.stream(wanted.stream, 0).await.unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].position, events[1].position), (committed.first, committed.last));
    let last = &events[1];
    assert_eq!((last.stream, last.version, last.at), (wanted.stream, 2, wanted.at));
    assert_eq!((&*last.by, last.command, last.fingerprint), (&*wanted.by, wanted.command, Some(-5)));
    assert_eq!((last.name.as_str(), &*last.data), ("order_placed", &*wanted.events[1].data));
    assert_eq!(engine.readers.stream(wanted.stream, 1).await.unwrap(), events[1..]);
    assert_eq!(engine.readers.stream_page(wanted.stream, 0, 1).await.unwrap(), events[..1]);
}

async fn the_same_events_have_the_same_chains_on_every_engine(place: Place) {
    let named = |append: Append, command| Append { command: CommandId::new(id(command)), ..append };
    let mut engine = place.open().await;
    let mut texts = named(append(8, 0, 3), 1);
    texts.events[1].data = r#"{"amount":1e2,"note":"불고기 \" \u0000"}"#.into();
    let batch = [named(append(1, 0, 2), 2), texts, named(append(1, 2, 1), 3)];
    assert!(engine.writer.append(&batch).await.unwrap().iter().all(Result::is_ok));
    drop(engine);
    let mut engine = place.open().await;
    append_one(&mut engine.writer, named(append(8, 3, 1), 4)).await;
    assert_eq!(
        chains(&engine.readers).await.tips.digest,
        "6d1c098e0aea5c990bb35da28d9adca2feb71d81e153a5034177a76ee54679d2"
    );
}

async fn versions_and_positions_have_no_gap(place: Place) {
    let mut engine = place.open().await;
    for round in 0..5 {
        let batch: Vec<Append> = (0..100).map(|n| append(n, round * 2, 2)).collect();
        let outcomes = engine.writer.append(&batch).await.unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
    assert_eq!(whole_journal(&engine.readers).await.len(), 1_000);
}

async fn a_stale_decision_is_refused_and_the_rest_of_its_batch_is_not(place: Place) {
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    let outcomes = engine.writer.append(&[append(2, 0, 1), append(1, 0, 1), append(8, 0, 1)]).await.unwrap();
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    assert_eq!(outcomes[1], Err(NotAppended::VersionConflict));
    assert_eq!(whole_journal(&engine.readers).await.len(), 3);
}

async fn a_decision_on_a_version_that_does_not_exist_is_refused(place: Place) {
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 1)).await;
    let outcomes = engine.writer.append(&[append(1, 2, 1), append(2, 1, 1)]).await.unwrap();
    assert_eq!(outcomes, [Err(NotAppended::VersionConflict), Err(NotAppended::VersionConflict)]);
    assert_eq!(whole_journal(&engine.readers).await.len(), 1);
}

async fn one_batch_may_continue_its_own_streams(place: Place) {
    let mut engine = place.open().await;
    let outcomes = engine.writer.append(&[append(1, 0, 2), append(2, 0, 1), append(1, 2, 3)]).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let stream = StreamId { kind: StreamKind::Order, id: id(1) };
    assert_eq!(engine.readers.stream(stream, 0).await.unwrap().len(), 5);
}

async fn what_was_built_on_a_refused_append_is_refused(place: Place) {
    let mut engine = place.open().await;
    append_one(&mut engine.writer, append(1, 0, 2)).await;
    // The second expects version 2, which exists; but it was decided on the first one's version 2.
    let outcomes = engine.writer.append(&[append(1, 1, 1), append(1, 2, 1), append(2, 0, 1)]).await.unwrap();
    assert_eq!(outcomes[..2], [Err(NotAppended::VersionConflict), Err(NotAppended::VersionConflict)]);
    assert!(outcomes[2].is_ok());
}

async fn the_same_key_is_answered_once(place: Place) {
    let mut engine = place.open().await;
    let first = Answer::Stream { fingerprint: 7, id: id(1), version: 2 };
    let twice = [with_key(append(1, 0, 2), 99), with_key(append(2, 0, 1), 99)];
    let outcomes = engine.writer.append(&twice).await.unwrap();
    assert!(outcomes[0].is_ok());
    assert_eq!(outcomes[1], Err(NotAppended::AnsweredBefore(first.clone())));

    let later = engine.writer.append(&[append(3, 0, 1), with_key(append(4, 0, 1), 99)]).await.unwrap();
    assert!(later[0].is_ok());
    assert_eq!(later[1], Err(NotAppended::AnsweredBefore(first.clone())));
    assert_eq!(engine.readers.answer(id(99)).await.unwrap(), Some(first));
    assert_eq!(engine.readers.answer(id(98)).await.unwrap(), None);
    assert_eq!(whole_journal(&engine.readers).await.len(), 3);
}

async fn an_event_over_64_kib_is_refused_by_name(place: Place) {
    let mut engine = place.open().await;
    let sized = |n, bytes| {
        let mut append = append(n, 0, 1);
        append.events[0].data = "x".repeat(bytes).into();
        append
    };
    let outcomes = engine.writer.append(&[sized(1, 65_537), sized(2, 65_536)]).await.unwrap();
    assert_eq!(outcomes[0], Err(NotAppended::TooLarge { name: "order_placed", bytes: 65_537 }));
    assert!(outcomes[1].is_ok());
}

async fn an_append_without_events_is_refused(place: Place) {
    let mut engine = place.open().await;
    let outcomes = engine.writer.append(&[append(1, 0, 0)]).await.unwrap();
    assert_eq!(outcomes, [Err(NotAppended::Empty)]);
    assert_eq!(engine.readers.open_streams(None, 10).await.unwrap(), []);
}

async fn the_deadlines_are_those_of_the_open_streams(place: Place) {
    let mut engine = place.open().await;
    let due = |append: Append, due| Append { due, ..append };
    let at = |micros| Due::Open(Some(Timestamp::from_micros(micros)));
    let batch = [
        due(append(1, 0, 1), at(10)),
        due(append(2, 0, 1), at(20)),
        due(append(3, 0, 1), Due::Unchanged),
        due(append(4, 0, 1), Due::Open(None)),
        due(append(2, 1, 1), Due::Closed),
        due(append(1, 1, 1), at(30)),
        due(append(1, 2, 1), Due::Unchanged),
    ];
    assert!(engine.writer.append(&batch).await.unwrap().iter().all(Result::is_ok));

    let open = engine.readers.open_streams(None, 10).await.unwrap();
    let open: Vec<_> = open.iter().map(|open| (open.stream.id, open.due.map(Timestamp::as_micros))).collect();
    assert_eq!(open, [(id(1), Some(30)), (id(4), None)]);
    let next = engine.readers.open_streams(Some(id(1)), 10).await.unwrap();
    assert_eq!(next.len(), 1);

    assert!(engine.writer.append(&[due(append(4, 1, 1), Due::Closed)]).await.unwrap()[0].is_ok());
    assert_eq!(engine.readers.open_streams(None, 10).await.unwrap().len(), 1);
}

/// What a member of a random batch tries, in terms of a handful of streams and keys.
#[derive(Clone, Debug)]
struct Try {
    stream: u128,
    /// How far the expected version is off the true one.
    off: i64,
    events: usize,
    key: Option<u128>,
    large: bool,
}

fn tries() -> impl Strategy<Value = Vec<Vec<Try>>> {
    let one = (1..9_u128, prop_oneof![8 => Just(0_i64), 1 => Just(-1), 1 => Just(1)], 1..4_usize).prop_flat_map(
        |(stream, off, events)| {
            (proptest::option::weighted(0.3, 1..6_u128), proptest::bool::weighted(0.1))
                .prop_map(move |(key, large)| Try { stream, off, events, key, large })
        },
    );
    proptest::collection::vec(proptest::collection::vec(one, 1..20), 1..4)
}

/// The journal as a few lines of Rust: it takes one append at a time.
#[derive(Default)]
struct Model {
    versions: HashMap<u128, u32>,
    answers: HashMap<u128, Answer>,
}

impl Model {
    fn append(&mut self, of: &Try, append: &Append) -> Result<(), NotAppended> {
        if of.large {
            return Err(NotAppended::TooLarge { name: "order_placed", bytes: append.events[0].data.len() });
        }
        if let Some(answer) = of.key.and_then(|key| self.answers.get(&key)) {
            return Err(NotAppended::AnsweredBefore(answer.clone()));
        }
        let version = self.versions.entry(of.stream).or_insert(0);
        if append.expected_version != *version {
            return Err(NotAppended::VersionConflict);
        }
        *version += of.events as u32;
        if let Some(key) = of.key {
            self.answers.insert(key, Answer::Stream { fingerprint: 7, id: id(of.stream), version: *version });
        }
        Ok(())
    }
}

async fn every_member_gets_the_answer_it_would_have_got_alone(place: Place) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
    let mut engine = place.open().await;
    let mut next_world = 0_u128;
    // The strategy is drawn from by hand because a property cannot await.
    for _ in 0..60 {
        next_world += 1_000;
        let batches = tries().new_tree(&mut runner).unwrap().current();
        let mut model = Model::default();
        for batch in batches {
            one_batch(&mut engine, &mut model, next_world, &batch).await;
        }
    }
    whole_journal(&engine.readers).await;
}

/// `world` keeps the streams and keys of one run apart from those of the others.
async fn one_batch(engine: &mut crate::store::Engine, model: &mut Model, world: u128, batch: &[Try]) {
    let mut appends = Vec::new();
    let mut wanted = Vec::new();
    let mut refused_streams = std::collections::HashSet::new();
    for of in batch {
        // What is built on a refused append has a promise of its own.
        if refused_streams.contains(&of.stream) {
            continue;
        }
        let version = i64::from(model.versions.get(&of.stream).copied().unwrap_or(0));
        let mut append = append(world + of.stream, (version + of.off).max(0) as u32, of.events);
        append.answer = of.key.map(|key| crate::store::AnswerKey { key: id(world + key), fingerprint: 7 });
        if of.large {
            append.events[0].data = "x".repeat(70_000).into();
        }
        let mut want = model.append(of, &append);
        if want.is_err() {
            refused_streams.insert(of.stream);
        }
        if let Err(NotAppended::AnsweredBefore(Answer::Stream { id: stream, .. })) = &mut want {
            *stream = id(world + stream.as_u128());
        }
        appends.push(append);
        wanted.push(want);
    }
    let got = engine.writer.append(&appends).await.unwrap();
    let got: Vec<Result<(), NotAppended>> = got.into_iter().map(|outcome| outcome.map(|_| ())).collect();
    assert_eq!(got, wanted, "{batch:?}");
}
