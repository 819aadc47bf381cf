//! What is counted and timed while the load runs. Times are microseconds from the intended moment to the answer.
//!
//! A request belongs to the leg of the run in which it was meant to be sent; rates count the answers that came within
//! a leg. Warming up and finishing are no legs. What was *promised* is another matter and all of it counts: see
//! `promises`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::command::Command;
use super::schedule::Lateness;

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

/// All legs of a run.
pub(super) struct Tallies {
    pub(super) legs: Vec<Tally>,
    /// Since the last look, for the progress shown.
    pub(super) lately: Lately,
}

/// One leg.
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
    /// Answers that came within the leg, whenever they were asked for.
    pub(super) came: Came,
    pub(super) lateness: Lateness,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came {
    pub(super) placed: u64,
    /// Of all kinds that change an order.
    pub(super) commands: u64,
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

impl Tallies {
    pub(super) fn new() -> Self {
        Self { legs: Vec::new(), lately: Lately::new() }
    }

    /// The leg of a moment.
    pub(super) fn at(&mut self, moment: Instant) -> Option<&mut Tally> {
        self.legs.iter_mut().find(|leg| leg.window.contains(&moment))
    }

    pub(super) fn count(&mut self, at: Instant) -> bool {
        self.at(at).is_some()
    }

    pub(super) fn note_end(&mut self, command: Command, intended: Instant, ending: Ending, attempts: u32) {
        let (now, took) = (Instant::now(), micros(intended.elapsed()));
        if ending == Ending::Done && command.is_command() {
            let placed = u64::from(command == Command::Place);
            self.lately.done += 1;
            self.lately.placed += placed;
            self.lately.took.saturating_record(took);
            if let Some(leg) = self.at(now) {
                leg.came.commands += 1;
                leg.came.placed += placed;
            }
        }
        if let Some(leg) = self.at(intended) {
            leg.per_command[command as usize].note(ending, attempts, took);
        }
    }

    pub(super) fn note_refusal(&mut self, kind: String, intended: Instant, sent: Instant) {
        if let Some(leg) = self.at(intended) {
            *leg.refusals.entry(kind).or_default() += 1;
            leg.to_refuse.saturating_record(micros(sent.elapsed()));
        }
    }

    pub(super) fn note_unknown(&mut self, kind: String, intended: Instant) {
        if let Some(leg) = self.at(intended) {
            *leg.unknowns.entry(kind).or_default() += 1;
        }
    }

    pub(super) fn note_denial(&mut self, kind: String, intended: Instant) {
        if let Some(leg) = self.at(intended) {
            *leg.denials.entry(kind).or_default() += 1;
        }
    }

    pub(super) fn refused_and_unknown(&self) -> (u64, u64) {
        let all = |of: fn(&Tally) -> &BTreeMap<String, u64>| self.legs.iter().flat_map(|leg| of(leg).values()).sum();
        (all(|leg| &leg.refusals), all(|leg| &leg.unknowns))
    }
}

impl Lately {
    pub(super) fn new() -> Self {
        Self { placed: 0, done: 0, took: histogram() }
    }
}

impl PerCommand {
    fn new() -> Self {
        Self { wished: 0, done: 0, denied: 0, at_once: 0, refused: 0, unknown: 0, took: histogram() }
    }

    fn note(&mut self, ending: Ending, attempts: u32, took: u64) {
        self.wished += 1;
        match ending {
            Ending::Done => self.done += 1,
            Ending::Denied => self.denied += 1,
            Ending::Refused => self.refused += 1,
            Ending::Unknown => self.unknown += 1,
        }
        if matches!(ending, Ending::Done | Ending::Denied) {
            self.took.saturating_record(took);
            self.at_once += u64::from(attempts == 1);
        }
    }
}

impl Tally {
    pub(super) fn new(window: Range<Instant>, late_at_most: Duration) -> Self {
        Self {
            window,
            per_command: Command::ALL.iter().map(|_| PerCommand::new()).collect(),
            refusals: BTreeMap::new(),
            unknowns: BTreeMap::new(),
            denials: BTreeMap::new(),
            to_refuse: histogram(),
            lives: Lives::default(),
            came: Came::default(),
            lateness: Lateness::new(late_at_most),
        }
    }

    pub(super) fn measured(&self) -> Duration {
        self.window.end.saturating_duration_since(self.window.start)
    }

    pub(super) fn of(&self, command: Command) -> &PerCommand {
        &self.per_command[command as usize]
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

    fn two_legs(start: Instant) -> Tallies {
        let leg = |from: u64, to: u64| {
            let moment = |seconds| start + Duration::from_secs(seconds);
            Tally::new(moment(from)..moment(to), Duration::from_millis(5))
        };
        Tallies { legs: vec![leg(0, 10), leg(10, 20)], ..Tallies::new() }
    }

    #[test]
    fn a_request_belongs_to_the_leg_in_which_it_was_meant_to_be_sent() {
        let start = Instant::now();
        let mut tallies = two_legs(start);
        for seconds in [0, 11, 12, 20] {
            tallies.note_end(Command::Place, start + Duration::from_secs(seconds), Ending::Done, 1);
        }
        tallies.note_refusal("503 service_full".into(), start, start);
        tallies.note_refusal("503 service_full".into(), start + Duration::from_secs(20), start);
        let [first, second] = &tallies.legs[..] else { panic!("two legs") };
        assert_eq!((first.of(Command::Place).done, second.of(Command::Place).done), (1, 2));
        assert_eq!((first.came.placed, second.came.placed), (4, 0), "all were answered now");
        assert_eq!(tallies.refused_and_unknown(), (1, 0));
        assert_eq!(tallies.lately.placed, 4, "what is shown meanwhile is all of it");
    }

    #[test]
    fn an_answer_after_a_repeat_was_not_at_once() {
        let start = Instant::now();
        let mut tallies = two_legs(start);
        tallies.note_end(Command::Accept, start, Ending::Done, 1);
        tallies.note_end(Command::Accept, start, Ending::Done, 2);
        tallies.note_end(Command::Accept, start, Ending::Refused, 1);
        let accept = tallies.legs[0].of(Command::Accept);
        assert_eq!((accept.wished, accept.done, accept.at_once, accept.refused), (3, 2, 1, 1));
    }
}
