//! The hash chain: what breaks it, and what the tips tell of.

use super::*;
use crate::order::{CommandId, Timestamp};
use crate::store::{Due, NewEvent, Position, Shard, StreamKind};

fn append(expected_version: u32, texts: &[&str]) -> Append {
    Append {
        stream: StreamId { kind: StreamKind::Order, id: Uuid::from_u128(7) },
        shard: Shard::new(3).unwrap(),
        expected_version,
        at: Timestamp::from_micros(1_000_000),
        by: "customer:alice".into(),
        command: CommandId::new(Uuid::from_u128(9)),
        fingerprint: Some(-5),
        answer: None,
        events: texts.iter().map(|data| NewEvent { name: "order_placed", data: (*data).into() }).collect(),
        due: Due::Closed,
    }
}

fn linked(append: &Append, hashes: &[Hash]) -> Vec<Linked> {
    let events = append.events.iter().zip(hashes).zip(append.expected_version + 1..);
    let event = |version: u32, event: &NewEvent| Recorded {
        stream: append.stream,
        version,
        position: Position { shard: append.shard, position: version.into() },
        at: append.at,
        by: append.by.to_string(),
        command: append.command,
        fingerprint: append.fingerprint,
        name: event.name.to_owned(),
        data: event.data.to_string(),
    };
    let linked = |((new, hash), version): ((&NewEvent, &Hash), u32)| Linked {
        event: event(version, new),
        id: version.into(),
        hash: Some(*hash),
    };
    events.map(linked).collect()
}

fn wrong(events: &[Linked]) -> Vec<u32> {
    let mut check = ChainCheck::new(None);
    events.iter().filter_map(|linked| check.next(linked).map(|_| linked.event.version)).collect()
}

#[test]
fn the_hash_of_an_event_never_changes() {
    let hashes = Tips::default().chain(&append(0, &[r#"{"n":1}"#, r#"{"n":2}"#]));
    let hex = |hash: &Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hashes.iter().map(hex).collect::<Vec<_>>(),
        ["627d6bbc9173751e4866c8971fe78a15", "1e2760ecc5499684197ef8fe0994c3c4"]
    );
}

#[test]
fn appends_follow_on_each_other_however_they_are_cut() {
    let mut tips = Tips::default();
    let whole = tips.chain(&append(0, &["1", "2", "3"]));
    let mut parts = Tips::default();
    let first = parts.chain(&append(0, &["1"]));
    parts.written();
    let mut forgetful = Tips::default();
    assert_eq!(forgetful.unknown([append(1, &["2"]), append(2, &["3"])].iter()), [(Uuid::from_u128(7), 1)]);
    forgetful.learn(Uuid::from_u128(7), 1, Some(first[0]));
    assert_eq!(forgetful.unknown([append(1, &["2"]), append(2, &["3"])].iter()), []);
    assert_eq!(parts.unknown([append(1, &["2"])].iter()), []);
    let second = forgetful.chain(&append(1, &["2"]));
    assert_eq!(parts.chain(&append(1, &["2"])), second);
    assert_eq!(whole, [first, second, forgetful.chain(&append(2, &["3"]))].concat());
}

#[test]
fn an_append_that_was_not_written_leaves_nothing_behind() {
    let mut tips = Tips::default();
    tips.chain(&append(0, &["1"]));
    tips.written();
    tips.chain(&append(1, &["not written"]));
    let (next, after_what_was_not) = (append(1, &["2"]), append(2, &["3"]));
    assert_eq!(tips.unknown([next].iter()), [], "the one before it is still known");
    assert_eq!(tips.unknown([after_what_was_not].iter()), [(Uuid::from_u128(7), 2)]);
}

#[test]
fn whatever_is_changed_in_an_event_shows_at_that_event() {
    let append = append(0, &["1", "2", "3", "4"]);
    let events = linked(&append, &Tips::default().chain(&append));
    assert_eq!(wrong(&events), [0; 0]);
    let changes: [fn(&mut Linked); 11] = [
        |linked| linked.event.stream.kind = StreamKind::Stock,
        |linked| linked.event.position.shard = Shard::new(4).unwrap(),
        |linked| linked.event.at = Timestamp::from_micros(1_000_001),
        |linked| linked.event.by = "customer:bob".to_owned(),
        |linked| linked.event.command = CommandId::new(Uuid::from_u128(8)),
        |linked| linked.event.fingerprint = None,
        |linked| linked.event.fingerprint = Some(5),
        |linked| linked.event.name = "order_place".to_owned(),
        |linked| linked.event.data = "9".to_owned(),
        |linked| linked.hash = None,
        |linked| (linked.event.by, linked.event.name) = ("customer:aliceorder".to_owned(), "_placed".to_owned()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = events.clone();
        change(&mut changed[1]);
        assert!(wrong(&changed).contains(&2), "change {number}");
    }
    let without_one: Vec<Linked> = events.iter().filter(|linked| linked.event.version != 2).cloned().collect();
    assert_eq!(wrong(&without_one), [3], "an event was taken out");
}

#[test]
fn only_events_from_before_there_were_hashes_may_have_none() {
    let append = append(0, &["1", "2", "3"]);
    let mut tips = Tips::default();
    tips.learn(append.stream.id, 2, None);
    let later = self::append(2, &["3"]);
    let mut events = linked(&append, &[NOTHING, NOTHING, tips.chain(&later)[0]]);
    events[0].hash = None;
    events[1].hash = None;
    assert_eq!(wrong(&events), [0; 0]);
    let chains = |events: &[Linked]| {
        let mut check = ChainCheck::new(None);
        events.iter().for_each(|linked| drop(check.next(linked)));
        check.end()
    };
    assert_eq!((chains(&events).chained, chains(&events).unchained, chains(&events).broken), (1, 2, Vec::new()));
    events[1].id = 4;
    assert_eq!(chains(&events).broken.len(), 1, "written after one that has a hash");
}

#[test]
fn tips_that_were_kept_tell_a_chain_that_was_made_again() {
    let check = |texts: &[&str], kept: Option<TipsDigest>| {
        let append = append(0, texts);
        let mut check = ChainCheck::new(kept);
        for linked in linked(&append, &Tips::default().chain(&append)) {
            assert_eq!(check.next(&linked), None);
        }
        check.end()
    };
    let kept = check(&["1", "2"], None).tips;
    assert_eq!(kept.to_string().parse(), Ok(kept.clone()));
    let broken = |texts: &[&str]| check(texts, Some(kept.clone())).broken.len();
    assert_eq!(broken(&["1", "2"]), 0);
    assert_eq!(broken(&["1", "2", "3"]), 0, "what came since does not matter");
    assert_eq!(broken(&["9", "2", "3"]), 1);
    assert_eq!(broken(&["1"]), 1);
    for bad in ["", "7", "7:abc", &format!("x:{}", "a".repeat(64)), &format!("7:{}", "g".repeat(64))] {
        assert_eq!(bad.parse::<TipsDigest>(), Err(BadTips), "{bad:?}");
    }
}
