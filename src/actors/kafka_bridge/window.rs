//! What has been handed to the producer and how much of it has arrived: the cursor moves over contiguous
//! acknowledgements only.
//!
//! Pure: told of everything that is sent, passed over and acknowledged, in whatever sequence acknowledgements come.
//! It also says when to stop sending, in events and in bytes.

use std::collections::VecDeque;

use crate::order::Timestamp;
use crate::store::{Cursor, Position, SHARDS};

/// How much may be on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Events between the cursor and the last one sent, the acknowledged ones among them too: as many are sent again
    /// after a failure.
    pub(super) events: usize,
    /// Bytes that are not acknowledged: as many are in memory.
    pub(super) bytes: usize,
}

/// An event behind the cursor's next one.
struct Sent {
    at: Timestamp,
    bytes: usize,
    done: bool,
}

pub(super) struct Window {
    cursor: Cursor,
    /// Per shard what comes after the cursor, without a gap.
    shards: Vec<VecDeque<Sent>>,
    limits: Limits,
    events: usize,
    in_flight: usize,
    bytes: usize,
    has_room: bool,
}

impl Window {
    pub(super) fn new(cursor: Cursor, limits: Limits) -> Self {
        let shards = std::iter::repeat_with(VecDeque::new).take(SHARDS).collect();
        Self { cursor, shards, limits, events: 0, in_flight: 0, bytes: 0, has_room: true }
    }

    /// Everything up to here has been acknowledged, or needs no acknowledgement.
    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Once full, there is room again when a quarter of it is free: so that sending and waiting take turns seldom.
    pub(super) fn has_room(&self) -> bool {
        self.has_room
    }

    /// Events that were sent and are not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The time of the oldest event that the cursor waits for.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(|shard| shard.front()).map(|sent| sent.at).min()
    }

    /// The next event of its shard is on its way.
    pub(super) fn sent(&mut self, position: Position, at: Timestamp, bytes: usize) {
        self.push(position, Sent { at, bytes, done: false });
        self.in_flight += 1;
        self.bytes += bytes;
        if self.events >= self.limits.events || self.bytes >= self.limits.bytes {
            self.has_room = false;
        }
    }

    /// The next event of its shard is none that is mirrored.
    pub(super) fn passed(&mut self, position: Position, at: Timestamp) {
        self.push(position, Sent { at, bytes: 0, done: true });
        self.move_on(position);
    }

    /// Kafka has it. Says whether it was waited for: a second word about the same event changes nothing.
    pub(super) fn acknowledged(&mut self, position: Position) -> bool {
        let Some(ahead) = position.position.checked_sub(self.cursor.at(position.shard) + 1) else { return false };
        let shard = &mut self.shards[usize::from(position.shard.number())];
        let Some(sent) = shard.get_mut(ahead as usize).filter(|sent| !sent.done) else { return false };
        sent.done = true;
        self.bytes -= sent.bytes;
        self.in_flight -= 1;
        self.move_on(position);
        true
    }

    fn push(&mut self, position: Position, sent: Sent) {
        let shard = &mut self.shards[usize::from(position.shard.number())];
        let next = self.cursor.at(position.shard) + shard.len() as u64 + 1;
        assert_eq!(position.position, next, "a shard is sent without a gap");
        shard.push_back(sent);
        self.events += 1;
    }

    fn move_on(&mut self, Position { shard, .. }: Position) {
        let waiting = &mut self.shards[usize::from(shard.number())];
        let mut position = self.cursor.at(shard);
        while waiting.front().is_some_and(|sent| sent.done) {
            waiting.pop_front();
            self.events -= 1;
            position += 1;
        }
        self.cursor.advance(Position { shard, position });
        let roomy = |used: usize, limit: usize| used <= limit / 4 * 3;
        if roomy(self.events, self.limits.events) && roomy(self.bytes, self.limits.bytes) {
            self.has_room = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Shard;

    const LIMITS: Limits = Limits { events: 8, bytes: 1_000 };

    fn at(shard: u8, position: u64) -> Position {
        Position { shard: Shard::new(shard).unwrap(), position }
    }

    fn time(position: u64) -> Timestamp {
        Timestamp::from_micros(position as i64)
    }

    #[test]
    fn the_cursor_waits_for_the_event_in_the_middle() {
        let mut window = Window::new(Cursor::start(), LIMITS);
        for position in 1..=3 {
            window.sent(at(7, position), time(position), 1);
        }
        assert!(window.acknowledged(at(7, 1)) && window.acknowledged(at(7, 3)));
        assert_eq!(window.cursor().at(at(7, 1).shard), 1, "2 is still on its way");
        assert_eq!(window.oldest(), Some(time(2)));
        assert!(window.acknowledged(at(7, 2)) && !window.acknowledged(at(7, 2)));
        assert_eq!(window.cursor().at(at(7, 1).shard), 3);
        assert_eq!((window.oldest(), window.in_flight()), (None, 0));
    }

    #[test]
    fn what_is_not_mirrored_is_passed_but_not_before_its_turn() {
        let mut window = Window::new(Cursor::start(), LIMITS);
        window.passed(at(1, 1), time(1));
        assert_eq!(window.cursor().at(at(1, 1).shard), 1);
        window.sent(at(1, 2), time(2), 1);
        window.passed(at(1, 3), time(3));
        assert_eq!(window.cursor().at(at(1, 1).shard), 1);
        assert!(window.acknowledged(at(1, 2)));
        assert_eq!(window.cursor().at(at(1, 1).shard), 3);
    }

    #[test]
    fn a_full_window_takes_more_when_a_quarter_is_free() {
        for limits in [LIMITS, Limits { events: 1_000, bytes: 8 }] {
            let mut window = Window::new(Cursor::start(), limits);
            for position in 1..=8 {
                assert!(window.has_room());
                window.sent(at(0, position), time(position), 1);
            }
            assert!(!window.has_room());
            assert!(window.acknowledged(at(0, 1)) && !window.has_room());
            assert!(window.acknowledged(at(0, 2)) && window.has_room());
        }
    }

    #[test]
    fn events_behind_a_gap_count_until_the_gap_is_closed() {
        let mut window = Window::new(Cursor::start(), LIMITS);
        (1..=8).for_each(|position| window.sent(at(0, position), time(position), 1));
        (2..=8).for_each(|position| assert!(window.acknowledged(at(0, position))));
        assert!(!window.has_room(), "all of it would be sent again");
        assert!(window.acknowledged(at(0, 1)) && window.has_room());
    }

    proptest! {
        /// Against the plain definition: a shard's mark is the last position that only done ones come before.
        #[test]
        fn the_cursor_is_the_end_of_the_contiguous_part(
            steps in prop::collection::vec((0..3_u8, 0..3_u8, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut window = Window::new(Cursor::start(), Limits { events: 1_000, bytes: 100_000 });
            let mut done: [Vec<bool>; 3] = Default::default();
            for (shard, what, which) in steps {
                let events = &mut done[usize::from(shard)];
                match what {
                    0 => {
                        window.sent(at(shard, events.len() as u64 + 1), time(1), 10);
                        events.push(false);
                    }
                    1 => {
                        window.passed(at(shard, events.len() as u64 + 1), time(1));
                        events.push(true);
                    }
                    _ => {
                        let n = which.index(events.len() + 2);
                        let waited_for = events.get(n).is_some_and(|done| !done);
                        prop_assert_eq!(window.acknowledged(at(shard, n as u64 + 1)), waited_for);
                        if waited_for {
                            events[n] = true;
                        }
                    }
                }
                let mut waiting = 0;
                for (shard, events) in (0_u8..).zip(&done) {
                    let contiguous = events.iter().take_while(|done| **done).count() as u64;
                    prop_assert_eq!(window.cursor().at(at(shard, 1).shard), contiguous);
                    waiting += events.iter().filter(|done| !**done).count();
                }
                prop_assert_eq!((window.in_flight(), window.bytes), (waiting, 10 * waiting));
            }
        }
    }
}
