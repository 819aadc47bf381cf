//! A clock that follows the calendar only in small steps.
//!
//! Between two readings time goes by the monotonic clock, which nobody can set. A reading that differs by less than a
//! minute is followed: that is how clocks are kept right. One that differs by more is a jump: somebody has set the clock, or
//! a virtual machine has slept. Time goes on as it was reckoned before, so that no deadline passes and no answer is
//! forgotten for it, until an operator confirms the jump or the calendar has kept to it for ten minutes.
//!
//! Pure: readings are handed in.

use std::time::Duration;

use crate::order::Timestamp;

/// By how much a reading may differ and still be followed. Clocks that are kept by NTP differ by milliseconds, and no
/// deadline is so short that a minute decides it.
pub(super) const TOLERANCE: Duration = Duration::from_secs(60);

/// How long the calendar must keep to a jump that nobody confirms. A machine that has just come back sets its clock within a
/// few minutes.
pub(super) const BELIEVED_AFTER: Duration = Duration::from_secs(600);

/// What the clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Since some moment in the life of this process.
    pub(super) monotonic: Duration,
    /// The time of day: the database's where it has a clock of its own, else this machine's.
    pub(super) calendar: Timestamp,
}

impl Reading {
    /// Microseconds from the monotonic clock to the calendar.
    fn offset(self) -> i64 {
        self.calendar.as_micros().saturating_sub(micros(self.monotonic))
    }
}

/// What a reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// The calendar goes as expected, or keeps to a jump that was noted before.
    AsExpected,
    /// The calendar has jumped by so many microseconds, and is not believed yet.
    Jumped { by: i64 },
    /// The calendar is back where it was expected.
    CameBack,
    /// The calendar has kept to its jump by so many microseconds, and is believed now.
    Believed { by: i64 },
}

/// A jump that is not believed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Jump {
    /// From the monotonic clock to the calendar, when the jump was noted.
    offset: i64,
    /// The same at the last reading.
    latest: i64,
    /// When it was noted, by the monotonic clock.
    noted: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrustedClock {
    /// From the monotonic clock to the time of day, in microseconds.
    offset: i64,
    jump: Option<Jump>,
}

impl TrustedClock {
    /// Begins at the reading, but not before what has happened already: a calendar far behind that has jumped.
    pub(super) fn start(reading: Reading, not_before: Option<Timestamp>) -> (Self, Noted) {
        let calendar = not_before.map_or(reading.calendar, |happened| happened.max(reading.calendar));
        let mut clock = Self { offset: Reading { calendar, ..reading }.offset(), jump: None };
        let noted = clock.read(reading);
        (clock, noted)
    }

    /// From the monotonic clock to the time of day, in microseconds: good until the next reading.
    pub(super) fn offset(&self) -> i64 {
        self.offset
    }

    pub(super) fn read(&mut self, reading: Reading) -> Noted {
        let offset = reading.offset();
        let by = offset - self.offset;
        if !is_jump(by) {
            self.offset = offset;
            return if self.jump.take().is_some() { Noted::CameBack } else { Noted::AsExpected };
        }
        match &mut self.jump {
            Some(jump) if !is_jump(offset - jump.offset) => {
                jump.latest = offset;
                if reading.monotonic.saturating_sub(jump.noted) < BELIEVED_AFTER {
                    return Noted::AsExpected;
                }
                self.believe();
                Noted::Believed { by }
            }
            _ => {
                self.jump = Some(Jump { offset, latest: offset, noted: reading.monotonic });
                Noted::Jumped { by }
            }
        }
    }

    /// By how many microseconds the calendar has jumped, and how long it must still keep to it to be believed.
    pub(super) fn jump(&self, monotonic: Duration) -> Option<(i64, Duration)> {
        let jump = self.jump?;
        Some((jump.latest - self.offset, BELIEVED_AFTER.saturating_sub(monotonic.saturating_sub(jump.noted))))
    }

    /// Believes the calendar as it was last read. Returns by how many microseconds time moves, or none if there is no jump.
    pub(super) fn believe(&mut self) -> Option<i64> {
        let jump = self.jump.take()?;
        let by = jump.latest - self.offset;
        self.offset = jump.latest;
        Some(by)
    }
}

fn is_jump(by: i64) -> bool {
    by.unsigned_abs() > micros(TOLERANCE).unsigned_abs()
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * SECOND;
    /// What the calendar says when the monotonic clock is at zero.
    const NOON: i64 = 1_800_000_000 * SECOND;

    /// The clocks `s` seconds later, with the calendar ahead by so many microseconds of where it should be.
    fn at(s: u64, ahead: i64) -> Reading {
        let monotonic = Duration::from_secs(s);
        Reading { monotonic, calendar: Timestamp::from_micros(NOON + micros(monotonic) + ahead) }
    }

    fn started() -> TrustedClock {
        let (clock, noted) = TrustedClock::start(at(0, 0), None);
        assert_eq!(noted, Noted::AsExpected);
        clock
    }

    /// How far ahead of where it should be the trusted time is.
    fn ahead(clock: &TrustedClock) -> i64 {
        clock.offset() - NOON
    }

    #[test]
    fn small_steps_are_followed_both_ways() {
        let mut clock = started();
        for by in [3, -20, 60 - 20, 1] {
            assert_eq!(clock.read(at(1, by * SECOND)), Noted::AsExpected);
            assert_eq!(ahead(&clock), by * SECOND);
        }
        assert_eq!(clock.jump(Duration::from_secs(1)), None);
    }

    #[test]
    fn a_jump_moves_nothing_and_is_told_once() {
        for by in [HOUR, -HOUR, 61 * SECOND, 74 * HOUR] {
            let mut clock = started();
            assert_eq!(clock.read(at(1, by)), Noted::Jumped { by });
            assert_eq!(clock.read(at(2, by + SECOND)), Noted::AsExpected);
            assert_eq!(ahead(&clock), 0);
            assert_eq!(clock.jump(Duration::from_secs(2)), Some((by + SECOND, Duration::from_secs(599))));
        }
    }

    #[test]
    fn a_jump_that_lasts_ten_minutes_is_believed() {
        for by in [HOUR, -HOUR] {
            let mut clock = started();
            clock.read(at(1, by));
            assert_eq!(clock.read(at(600, by)), Noted::AsExpected);
            assert_eq!(ahead(&clock), 0);
            assert_eq!(clock.read(at(601, by)), Noted::Believed { by });
            assert_eq!((ahead(&clock), clock.jump(Duration::from_secs(601))), (by, None));
            assert_eq!(clock.read(at(602, by)), Noted::AsExpected);
        }
    }

    #[test]
    fn a_jump_that_is_taken_back_never_was() {
        let mut clock = started();
        clock.read(at(1, HOUR));
        assert_eq!(clock.read(at(300, SECOND)), Noted::CameBack);
        assert_eq!((ahead(&clock), clock.jump(Duration::from_secs(300))), (SECOND, None));
    }

    #[test]
    fn the_ten_minutes_begin_again_when_the_calendar_jumps_again() {
        let mut clock = started();
        clock.read(at(1, HOUR));
        assert_eq!(clock.read(at(500, 2 * HOUR)), Noted::Jumped { by: 2 * HOUR });
        assert_eq!(clock.read(at(700, 2 * HOUR)), Noted::AsExpected);
        assert_eq!(clock.read(at(1_100, 2 * HOUR)), Noted::Believed { by: 2 * HOUR });
    }

    #[test]
    fn a_jump_that_creeps_on_is_not_the_same_jump() {
        let mut clock = started();
        clock.read(at(1, HOUR));
        clock.read(at(2, HOUR + 50 * SECOND));
        let by = HOUR + 100 * SECOND;
        assert_eq!(clock.read(at(3, by)), Noted::Jumped { by });
    }

    #[test]
    fn an_operator_confirms_a_jump_at_once_and_only_if_there_is_one() {
        let mut clock = started();
        assert_eq!(clock.believe(), None);
        clock.read(at(1, -HOUR));
        assert_eq!(clock.believe(), Some(-HOUR));
        assert_eq!(ahead(&clock), -HOUR);
        assert_eq!(clock.read(at(2, -HOUR)), Noted::AsExpected);
    }

    #[test]
    fn a_start_is_never_before_what_has_happened() {
        let happened = Some(Timestamp::from_micros(NOON + HOUR));
        let (mut clock, noted) = TrustedClock::start(at(0, 0), happened);
        assert_eq!((noted, ahead(&clock)), (Noted::Jumped { by: -HOUR }, HOUR));
        assert_eq!(clock.read(at(600, 0)), Noted::Believed { by: -HOUR });
        assert_eq!(ahead(&clock), 0);
    }

    #[test]
    fn a_start_after_what_has_happened_believes_the_calendar() {
        for happened in [NOON - 100 * HOUR, NOON, NOON + 30 * SECOND] {
            let (clock, noted) = TrustedClock::start(at(0, 0), Some(Timestamp::from_micros(happened)));
            assert_eq!((noted, ahead(&clock)), (Noted::AsExpected, 0));
        }
    }
}
