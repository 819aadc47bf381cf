//! What a run came to, for programs (`--json`) and for `table`. Times are milliseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::audit::Audit;
use super::command::Command;
use super::plan::{Leg, Pace, Plan};
use super::promises::Finding;
use super::tally::{PerCommand, Tally};
use super::watch::Watching;

/// What a run says about the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every promise that was looked at was kept.
    #[default]
    Good,
    /// At least one was not.
    Broken,
    /// The run says nothing about the service: too late itself, or too little was seen.
    Invalid,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    /// Why the verdict is not good.
    pub because: Vec<String>,
    /// `open` or `closed`.
    pub r#loop: &'static str,
    pub seed: u64,
    pub mix: String,
    /// Seconds in the measured window.
    pub measured_s: f64,
    pub orders: Orders,
    /// Answers a second, within the measured window, to commands of all kinds that change an order.
    pub commands_per_s: f64,
    pub commands: Vec<CommandFigures>,
    /// Attempts, by status and code.
    pub refused: BTreeMap<String, u64>,
    /// How long a refusal took.
    pub to_refuse: Times,
    pub unknown: BTreeMap<String, u64>,
    /// What the rules said no to, by status and code.
    pub denied: BTreeMap<String, u64>,
    pub checked: Checked,
    pub watchers: Option<Watchers>,
    /// How late the generator was.
    pub lateness: Times,
    pub late_at_most_ms: f64,
}

/// Whole orders, in the measured window.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Orders {
    /// Orders a second that were meant to be placed; none in a closed loop.
    pub offered_per_s: Option<f64>,
    pub wished: u64,
    /// Placed, or ended at once by the rules: answered as an order.
    pub answered: u64,
    /// Answers that came within the window.
    pub placed_per_s: f64,
    /// Of those wished, answered the first time they were sent. 0 to 1.
    pub available_at_once: f64,
    /// The same, repeats included.
    pub available: f64,
    pub deferred: u64,
    /// Came to the end that was meant for them, inside the window.
    pub finished: u64,
    pub finished_per_s: f64,
    pub left_half_way: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct CommandFigures {
    pub command: &'static str,
    pub wished: u64,
    pub done: u64,
    pub denied: u64,
    pub refused: u64,
    pub unknown: u64,
    pub took: Times,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// All orders of the run, inside the window or not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// Wishes for an order.
    pub wishes: usize,
    /// Orders in the lists.
    pub listed: usize,
    pub lost: usize,
    pub duplicated: usize,
    pub refused_yet_there: usize,
    pub set_back: usize,
    pub foreign: usize,
    /// There, but not in the lists half a minute after the load.
    pub lists_behind: u64,
    /// Seconds after the load until the lists agreed with the orders.
    pub lists_took_s: f64,
    /// Placements in doubt at the end: what asking again under the key showed.
    pub unresolved: u64,
    /// Customers whose lists could not be read.
    pub unread: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Watchers {
    pub watchers: usize,
    pub frames: u64,
    pub gaps: u64,
    pub repeats: u64,
    /// Orders whose last version never came.
    pub missing: u64,
    pub resets: u64,
    pub reconnects: u64,
    /// From the event's `at` to its frame.
    pub delay: Times,
}

impl Times {
    /// Of microseconds.
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let ms = |micros: u64| (micros as f64 / 10.0).round() / 100.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: ms(histogram.max()) }
    }
}

/// A rate with one decimal.
fn per_s(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Everything that a report is made of.
pub(super) struct Seen<'a> {
    pub(super) plan: &'a Plan,
    pub(super) leg: &'a Leg,
    pub(super) tally: &'a Tally,
    pub(super) audit: &'a Audit,
    pub(super) watching: &'a Watching,
    pub(super) wishes: usize,
    /// Lives that were cut off because they did not end in time.
    pub(super) cut_off: u64,
}

impl Report {
    pub(super) fn of(seen: &Seen<'_>) -> Self {
        let Seen { plan, leg, tally, .. } = seen;
        let measured = tally.measured();
        let mut report = Self {
            verdict: Verdict::Good,
            because: Vec::new(),
            r#loop: if leg.is_open_loop() { "open" } else { "closed" },
            seed: plan.seed,
            mix: plan.mix.to_string(),
            measured_s: measured.as_secs_f64(),
            orders: orders(seen, measured),
            commands_per_s: per_s(tally.came.commands, measured),
            commands: commands(tally),
            refused: tally.refusals.clone(),
            to_refuse: Times::of(&tally.to_refuse),
            unknown: tally.unknowns.clone(),
            denied: tally.denials.clone(),
            checked: checked(seen),
            watchers: (plan.watchers > 0).then(|| watchers(seen)),
            lateness: Times::of(tally.lateness.histogram()),
            late_at_most_ms: tally.lateness.bound().as_secs_f64() * 1e3,
        };
        report.judge(seen);
        report
    }

    /// Broken counts for more than invalid: a late generator does not lose anybody's order.
    fn judge(&mut self, seen: &Seen<'_>) {
        let broken = super::verdict::broken(self);
        // A closed loop waits for the server anyway: being late itself, it only asks for less.
        let late = seen.tally.lateness.verdict().filter(|_| seen.leg.is_open_loop());
        let invalid = super::verdict::invalid(self, late);
        self.verdict = match (broken.is_empty(), invalid.is_empty()) {
            (false, _) => Verdict::Broken,
            (true, false) => Verdict::Invalid,
            (true, true) => Verdict::Good,
        };
        self.because = broken.into_iter().chain(invalid).collect();
    }

    pub fn of_command(&self, command: &str) -> Option<&CommandFigures> {
        self.commands.iter().find(|figures| figures.command == command)
    }
}

fn orders(seen: &Seen<'_>, measured: Duration) -> Orders {
    let (tally, place) = (seen.tally, seen.tally.of(Command::Place));
    let answered = place.done + place.denied;
    Orders {
        offered_per_s: match seen.leg.pace {
            Pace::Rate(rate) => Some(rate),
            Pace::Concurrency(_) => None,
        },
        wished: place.wished,
        answered,
        placed_per_s: per_s(tally.came.placed, measured),
        available_at_once: share(place.at_once, place.wished),
        available: share(answered, place.wished),
        deferred: tally.lives.deferred,
        finished: tally.lives.finished,
        finished_per_s: per_s(tally.lives.finished, measured),
        left_half_way: tally.lives.left + seen.cut_off,
    }
}

fn commands(tally: &Tally) -> Vec<CommandFigures> {
    let figures = |(command, counted): (Command, &PerCommand)| CommandFigures {
        command: command.as_str(),
        wished: counted.wished,
        done: counted.done,
        denied: counted.denied,
        refused: counted.refused,
        unknown: counted.unknown,
        took: Times::of(&counted.took),
    };
    tally.commands().filter(|(_, counted)| counted.wished > 0).map(figures).collect()
}

fn checked(seen: &Seen<'_>) -> Checked {
    let count = |is: fn(&Finding) -> bool| seen.audit.judgement.findings.iter().filter(|finding| is(finding)).count();
    Checked {
        wishes: seen.wishes,
        listed: seen.audit.listed.iter().map(Vec::len).sum(),
        lost: count(|finding| matches!(finding, Finding::Lost { .. })),
        duplicated: count(|finding| matches!(finding, Finding::Duplicated { .. })),
        refused_yet_there: count(|finding| matches!(finding, Finding::RefusedYetThere { .. })),
        set_back: count(|finding| matches!(finding, Finding::SetBack { .. })),
        foreign: count(|finding| matches!(finding, Finding::Foreign { .. })),
        lists_behind: seen.audit.lists_behind,
        lists_took_s: seen.audit.lists_took.as_secs_f64(),
        unresolved: seen.audit.unresolved,
        unread: seen.audit.unread,
    }
}

fn watchers(seen: &Seen<'_>) -> Watchers {
    let trails = seen.watching.trails.borrow();
    Watchers {
        watchers: trails.len(),
        frames: trails.iter().map(|trail| trail.frames).sum(),
        gaps: trails.iter().map(|trail| trail.gaps).sum(),
        repeats: trails.iter().map(|trail| trail.repeats).sum(),
        missing: seen.watching.missing(&seen.audit.listed),
        resets: trails.iter().map(|trail| trail.resets).sum(),
        reconnects: *seen.watching.reconnects.borrow(),
        delay: Times::of(&seen.watching.delay.borrow()),
    }
}
