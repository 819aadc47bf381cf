//! What is counted and timed while the load runs. Times are microseconds from the intended moment to the answer.
//!
//! Only what was meant to be sent inside the measured window counts: warming up and finishing do not. What was
//! *promised* is another matter and all of it counts: see `promises`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::command::Command;

/// Two minutes: longer than any request is waited for, repeats included.
const LONGEST_MICROS: u64 = 120_000_000;

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3).expect("the bounds are in sequence")
}

/// One kind of command.
pub(super) struct PerCommand {
    pub(super) wished: u64,
    /// Answered with what was asked for, repeats included.
    pub(super) done: u64,
    /// The rules said no.
    pub(super) denied: u64,
    /// Answered, with a yes or a no of the rules, the first time it was sent.
    pub(super) at_once: u64,
    /// Given up after a definite refusal.
    pub(super) refused: u64,
    /// Given up without ever knowing.
    pub(super) unknown: u64,
    /// Of what was done and what was denied.
    pub(super) took: Histogram<u64>,
}

pub(super) struct Tally {
    window: Range<Instant>,
    per_command: Vec<PerCommand>,
    /// By status and code, every attempt.
    pub(super) refusals: BTreeMap<String, u64>,
    pub(super) unknowns: BTreeMap<String, u64>,
    pub(super) denials: BTreeMap<String, u64>,
    /// How long a refusal took.
    pub(super) to_refuse: Histogram<u64>,
    pub(super) lives: Lives,
    /// Since the last look, for the progress shown: commands done, and their times.
    pub(super) lately: Lately,
}

/// What became of whole orders inside the window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lives {
    /// Answered at first with `awaiting_payment`, or still `placed`: the payment takes its time.
    pub(super) deferred: u64,
    /// Brought to the end that was meant for them, by the moment of that end.
    pub(super) finished: u64,
    /// Left before their end: refused on the way, or something did not happen in time.
    pub(super) left: u64,
}

pub(super) struct Lately {
    pub(super) placed: u64,
    pub(super) done: u64,
    pub(super) took: Histogram<u64>,
}

/// How a wish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Denied,
    Refused,
    Unknown,
}

impl Tally {
    pub(super) fn new(window: Range<Instant>) -> Self {
        let per_command =
            || PerCommand { wished: 0, done: 0, denied: 0, at_once: 0, refused: 0, unknown: 0, took: histogram() };
        Self {
            window,
            per_command: Command::ALL.iter().map(|_| per_command()).collect(),
            refusals: BTreeMap::new(),
            unknowns: BTreeMap::new(),
            denials: BTreeMap::new(),
            to_refuse: histogram(),
            lives: Lives::default(),
            lately: Lately { placed: 0, done: 0, took: histogram() },
        }
    }

    /// Measures from here on.
    pub(super) fn set_window(&mut self, window: Range<Instant>) {
        self.window = window;
    }

    pub(super) fn measured(&self) -> Duration {
        self.window.end.saturating_duration_since(self.window.start)
    }

    pub(super) fn of(&self, command: Command) -> &PerCommand {
        &self.per_command[command as usize]
    }

    pub(super) fn counts(&self, at: Instant) -> bool {
        self.window.contains(&at)
    }

    pub(super) fn note_end(&mut self, command: Command, intended: Instant, ending: Ending, attempts: u32) {
        let took = micros(intended.elapsed());
        if ending == Ending::Done && command.is_command() {
            self.lately.done += 1;
            self.lately.placed += u64::from(command == Command::Place);
            self.lately.took.saturating_record(took);
        }
        if !self.counts(intended) {
            return;
        }
        let entry = &mut self.per_command[command as usize];
        entry.wished += 1;
        match ending {
            Ending::Done => entry.done += 1,
            Ending::Denied => entry.denied += 1,
            Ending::Refused => entry.refused += 1,
            Ending::Unknown => entry.unknown += 1,
        }
        if matches!(ending, Ending::Done | Ending::Denied) {
            entry.took.saturating_record(took);
            entry.at_once += u64::from(attempts == 1);
        }
    }

    pub(super) fn note_refusal(&mut self, kind: String, intended: Instant, sent: Instant) {
        if self.counts(intended) {
            *self.refusals.entry(kind).or_default() += 1;
            self.to_refuse.saturating_record(micros(sent.elapsed()));
        }
    }

    pub(super) fn note_unknown(&mut self, kind: String, intended: Instant) {
        if self.counts(intended) {
            *self.unknowns.entry(kind).or_default() += 1;
        }
    }

    pub(super) fn note_denial(&mut self, kind: String, intended: Instant) {
        if self.counts(intended) {
            *self.denials.entry(kind).or_default() += 1;
        }
    }

    /// All commands together.
    pub(super) fn commands(&self) -> impl Iterator<Item = (Command, &PerCommand)> {
        Command::ALL.into_iter().map(|command| (command, self.of(command)))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_meant_to_be_sent_inside_the_window_counts() {
        let start = Instant::now();
        let mut tally = Tally::new(start..start + Duration::from_secs(10));
        tally.note_end(Command::Place, start, Ending::Done, 1);
        tally.note_end(Command::Place, start + Duration::from_secs(11), Ending::Done, 1);
        tally.note_refusal("503 service_full".into(), start, start);
        tally.note_refusal("503 service_full".into(), start + Duration::from_secs(10), start);
        assert_eq!(tally.of(Command::Place).done, 1);
        assert_eq!(tally.refusals.get("503 service_full"), Some(&1));
        assert_eq!(tally.lately.placed, 2, "what is shown meanwhile is all of it");
    }

    #[test]
    fn an_answer_after_a_repeat_was_not_at_once() {
        let start = Instant::now();
        let mut tally = Tally::new(start..start + Duration::from_secs(10));
        tally.note_end(Command::Accept, start, Ending::Done, 1);
        tally.note_end(Command::Accept, start, Ending::Done, 2);
        tally.note_end(Command::Accept, start, Ending::Refused, 1);
        let accept = tally.of(Command::Accept);
        assert_eq!((accept.wished, accept.done, accept.at_once, accept.refused), (3, 2, 1, 1));
    }
}
