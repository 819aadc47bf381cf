//! What one watcher has seen of each order: versions, which must come one after the other.
//!
//! Pure; the socket is in `watch`.

use std::collections::HashMap;

use uuid::Uuid;

use super::promises::Listed;

#[derive(Debug, Default)]
pub(super) struct Trail {
    last: HashMap<Uuid, u32>,
    pub(super) frames: u64,
    pub(super) gaps: u64,
    pub(super) repeats: u64,
    /// The service said that it cannot replay: whatever is missed then was announced.
    pub(super) resets: u64,
    announced_holes: bool,
}

impl Trail {
    /// The watcher was there before any order, so the first version of each is 1.
    pub(super) fn note(&mut self, order: Uuid, version: u32) {
        self.frames += 1;
        let last = self.last.entry(order).or_default();
        let expected = *last + 1;
        if version > expected && !self.announced_holes {
            self.gaps += 1;
        }
        if version < expected {
            self.repeats += 1;
        }
        *last = version.max(*last);
    }

    pub(super) fn reset(&mut self) {
        self.resets += 1;
        self.announced_holes = true;
    }

    /// Orders of which the last version never came.
    pub(super) fn missing(&self, listed: &[Listed]) -> u64 {
        let behind = |row: &&Listed| self.last.get(&row.id).copied().unwrap_or(0) < row.version;
        listed.iter().filter(behind).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Status;
    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn trail(seen: &[(Uuid, u32)]) -> Trail {
        let mut trail = Trail::default();
        seen.iter().for_each(|(order, version)| trail.note(*order, *version));
        trail
    }

    #[test]
    fn versions_one_after_the_other_are_good_however_orders_mix() {
        let good = trail(&[(A, 1), (B, 1), (A, 2), (B, 2), (A, 3)]);
        assert_eq!((good.frames, good.gaps, good.repeats), (5, 0, 0));
    }

    #[test]
    fn a_gap_and_a_repeat_are_each_found_once() {
        let holey = trail(&[(A, 1), (A, 3), (A, 4)]);
        assert_eq!((holey.gaps, holey.repeats), (1, 0));
        let again = trail(&[(A, 1), (A, 2), (A, 2), (A, 3)]);
        assert_eq!((again.gaps, again.repeats), (0, 1));
        assert_eq!(trail(&[(A, 2)]).gaps, 1, "the first version was missed");
    }

    #[test]
    fn an_end_that_never_came_is_missing() {
        let row = |id, version| Listed { id, version, status: Status::Placed, wish: 0 };
        let seen = trail(&[(A, 1), (A, 2), (B, 1)]);
        assert_eq!(seen.missing(&[row(A, 2), row(B, 1)]), 0);
        assert_eq!(seen.missing(&[row(A, 3), row(B, 1), row(Uuid::from_u128(3), 1)]), 2);
    }

    #[test]
    fn a_hole_that_was_announced_is_no_gap() {
        let mut trail = trail(&[(A, 1)]);
        trail.reset();
        trail.note(A, 7);
        assert_eq!((trail.gaps, trail.resets), (0, 1));
    }
}
