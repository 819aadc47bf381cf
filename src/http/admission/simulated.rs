//! A server in simulated time, with one core and one queue: what the controller makes of a crowd, from beginning to end.
//!
//! Every order is placed, and then asks for ten commands, each a while after the last was answered, as people and their
//! apps do. Only placements can be refused. In such a server a queue is the sum of what came in too much, and what was
//! let in too much shows late: the two things that make a controller swing. And its host may take the core away for a
//! while, which the probes cannot tell from a queue.

use std::collections::VecDeque;
use std::time::Duration;

use super::Class;
use super::bucket::Bucket;
use super::controller::{Controller, Verdict, Window};

const MS: Duration = Duration::from_millis(1);
const TARGET: Duration = Duration::from_millis(50);

/// Milliseconds of the core. An order takes one in all, so that the server sustains a thousand a second.
const PLACING: f64 = 0.2;
const COMMAND: f64 = 0.08;
const REFUSING: f64 = 0.01;
const COMMANDS: u32 = 10;
const SUSTAINED: f64 = 1_000.0;

/// On two cores.
const MIN_IN_FLIGHT: usize = 256;

/// A request that waits: what is left of its work, and how many commands follow it.
struct Waiting {
    work: f64,
    following: u32,
    /// Of a person who orders again as soon as an order is done, or refused.
    again: bool,
}

/// A request that will come.
#[derive(Clone, Copy)]
enum Coming {
    Placement,
    Command { following: u32, again: bool },
}

/// The host runs somebody else: stretches by chance, as long as this on average.
#[derive(Clone, Copy)]
struct Steal {
    runs_ms: f64,
    stolen_ms: f64,
}

struct Simulated {
    /// Milliseconds since the start.
    now: u32,
    /// Between an answer and the next command of the same order, in milliseconds.
    pause: usize,
    queue: VecDeque<Waiting>,
    /// Milliseconds of work in the queue.
    queued: f64,
    /// By the millisecond in which they come, from the next one on.
    coming: VecDeque<Vec<Coming>>,
    /// How much dearer everything is than on a fast machine.
    dearer: f64,
    steal: Option<Steal>,
    /// How long the core has been away.
    away_ms: u32,
    /// How long it stays away, or here.
    stretch_ms: f64,
    /// Milliseconds of work that refusals took from the rest.
    refusing: f64,
    dice: fastrand::Rng,
    bucket: Bucket,
    controller: Controller,
    window: Window,
    shedding: bool,
}

/// What became of a while.
#[derive(Debug, Default)]
struct Seen {
    refused: u64,
    finished: u64,
    /// Milliseconds.
    longest_queue: f64,
}

impl Simulated {
    fn new(pause: usize) -> Self {
        Self {
            now: 0,
            pause,
            queue: VecDeque::new(),
            queued: 0.0,
            coming: VecDeque::from_iter((0..=pause.max(REFUSED_PAUSE)).map(|_| Vec::new())),
            dearer: 1.0,
            steal: None,
            away_ms: 0,
            stretch_ms: 0.0,
            refusing: 0.0,
            dice: fastrand::Rng::with_seed(7),
            bucket: Bucket::default(),
            controller: Controller::new(TARGET, MIN_IN_FLIGHT),
            window: Window::default(),
            shedding: false,
        }
    }

    /// Orders come by chance, so many times what the server sustains, for so many seconds.
    fn run(&mut self, times: f64, seconds: u32) -> Seen {
        let mut seen = Seen::default();
        for _ in 0..seconds * 1_000 {
            self.millisecond(times * SUSTAINED / 1_000.0, &mut seen);
        }
        seen
    }

    /// So many people order at once, and again and again.
    fn closed_loop(&mut self, people: usize) {
        self.coming[1].extend((0..people).map(|_| Coming::Placement));
    }

    fn millisecond(&mut self, orders: f64, seen: &mut Seen) {
        self.now += 1;
        for _ in 0..poisson(&mut self.dice, orders) {
            self.place(false, seen);
        }
        self.coming.push_back(Vec::new());
        for coming in self.coming.pop_front().unwrap_or_default() {
            match coming {
                Coming::Placement => self.place(true, seen),
                Coming::Command { following, again } => self.ask(COMMAND, following, again),
            }
        }
        if self.is_away() {
            self.away_ms += 1;
        } else {
            self.away_ms = 0;
            self.work(seen);
        }
        self.window.in_flight = self.window.in_flight.min(self.queue.len());
        seen.longest_queue = seen.longest_queue.max(self.queued);
        if self.now.is_multiple_of(20) {
            // A probe is as late as what is ready before it, and as the core has been away.
            let waits = Duration::from_secs_f64(self.queued.max(0.0) / 1_000.0) + MS * self.away_ms;
            // A fifth of the mean: five looks in a window.
            self.window.standing += waits / 5;
        }
        if self.now.is_multiple_of(100) {
            self.end_window();
        }
    }

    fn is_away(&mut self) -> bool {
        let Some(Steal { runs_ms, stolen_ms }) = self.steal else { return false };
        self.stretch_ms -= 1.0;
        let was_away = self.away_ms > 0;
        if self.stretch_ms > 0.0 {
            return was_away;
        }
        let mean = if was_away { runs_ms } else { stolen_ms };
        self.stretch_ms = -mean * (1.0 - self.dice.f64()).ln();
        !was_away
    }

    fn place(&mut self, again: bool, seen: &mut Seen) {
        self.window.offered += 1.0;
        if self.bucket.take(Class::New, MS * self.now) {
            self.window.admitted += 1.0;
            return self.ask(PLACING, COMMANDS, again);
        }
        self.window.refused += 1;
        self.refusing += REFUSING * self.dearer;
        seen.refused += 1;
        if again {
            self.coming[REFUSED_PAUSE].push(Coming::Placement);
        }
    }

    fn ask(&mut self, work: f64, following: u32, again: bool) {
        let work = work * self.dearer;
        self.queue.push_back(Waiting { work, following, again });
        self.queued += work;
    }

    /// A millisecond of the core.
    fn work(&mut self, seen: &mut Seen) {
        let lost = self.refusing.min(1.0);
        self.refusing -= lost;
        let mut left = 1.0 - lost;
        while left > 0.0
            && let Some(first) = self.queue.front_mut()
        {
            let done = first.work.min(left);
            first.work -= done;
            left -= done;
            self.queued -= done;
            if first.work > 1e-9 {
                break;
            }
            let Some(Waiting { following, again, .. }) = self.queue.pop_front() else { break };
            let next = match following {
                0 => {
                    seen.finished += 1;
                    again.then_some(Coming::Placement)
                }
                _ => Some(Coming::Command { following: following - 1, again }),
            };
            self.coming[self.pause].extend(next);
        }
    }

    fn end_window(&mut self) {
        let next = Window { in_flight: self.queue.len(), ..Window::default() };
        let window = Window { lasted: MS * 100, ..std::mem::replace(&mut self.window, next) };
        let rate = match self.controller.after(&window) {
            Verdict::Everything => None,
            Verdict::AtMost(rate) => Some(rate),
        };
        self.shedding = rate.is_some();
        self.bucket.pour(rate, MS * self.now);
    }
}

/// How many come in a millisecond in which so many are expected (Knuth).
fn poisson(dice: &mut fastrand::Rng, expected: f64) -> u32 {
    let (enough, mut product, mut count) = ((-expected).exp(), dice.f64(), 0);
    while product > enough {
        product *= dice.f64();
        count += 1;
    }
    count
}

/// Milliseconds until somebody who was refused comes back.
const REFUSED_PAUSE: usize = 1_000;

/// Pauses after which the next command follows: at once as in a load test, and as late as makes the waves longest.
const PAUSES: [usize; 3] = [1, 50, 300];

#[test]
fn a_load_that_fits_is_never_refused() {
    for pause in PAUSES {
        let mut server = Simulated::new(pause);
        let seen = server.run(0.9, 30);
        assert_eq!(seen.refused, 0, "with pauses of {pause} ms: {seen:?}");
    }
}

#[test]
fn ten_times_as_many_as_fit_leave_the_server_as_busy_as_it_can_be_with_a_queue_that_does_not_grow() {
    for pause in PAUSES {
        for times in [2.0, 10.0] {
            let mut server = Simulated::new(pause);
            server.run(0.7, 5);
            let jump = server.run(times, 5);
            assert!(jump.longest_queue < 400.0, "{times} times, pauses of {pause} ms: {jump:?}");
            // In thirds of the rest: no wave of its own making comes back.
            for third in 1..=3 {
                let seen = server.run(times, 5);
                let what = format!("{times} times, pauses of {pause} ms, {third}: {seen:?}");
                let most = 5.0 * SUSTAINED * (1.0 - times * SUSTAINED * REFUSING / 1_000.0);
                assert!(seen.finished as f64 > 0.8 * most, "{what}");
                assert!(seen.longest_queue < 4.0 * 50.0, "{what}");
            }
        }
    }
}

#[test]
fn five_seconds_after_the_crowd_has_gone_nobody_is_refused_and_nothing_waits() {
    for pause in PAUSES {
        let mut server = Simulated::new(pause);
        server.run(0.7, 5);
        server.run(10.0, 6);
        server.run(0.7, 5);
        let seen = server.run(0.7, 10);
        assert_eq!(seen.refused, 0, "pauses of {pause} ms: {seen:?}");
        assert!(seen.longest_queue < 10.0 && !server.shedding, "pauses of {pause} ms: {seen:?}");
    }
}

#[test]
fn a_crowd_that_comes_out_of_nowhere_is_served_as_well_as_one_that_grew() {
    let mut server = Simulated::new(50);
    server.run(10.0, 5);
    let seen = server.run(10.0, 5);
    assert!(seen.finished as f64 > 0.7 * 5.0 * SUSTAINED, "{seen:?}");
    assert!(seen.longest_queue < 200.0, "{seen:?}");
}

/// Two fifths of the processor, in stretches as a busy host takes them.
const STOLEN: Steal = Steal { runs_ms: 180.0, stolen_ms: 120.0 };

#[test]
fn an_idle_server_refuses_nobody_however_much_of_its_core_is_stolen() {
    for steal in [STOLEN, Steal { runs_ms: 300.0, stolen_ms: 700.0 }] {
        let mut server = Simulated { steal: Some(steal), ..Simulated::new(50) };
        let seen = server.run(0.0003, 1_600);
        assert!(seen.finished > 0, "{seen:?}");
        assert_eq!(seen.refused, 0, "{seen:?}");
    }
}

#[test]
fn what_a_hundred_people_offer_is_never_refused_on_a_host_that_steals() {
    for (pause, dearer) in [(1, 1.0), (50, 1.0), (300, 1.0), (1, 30.0)] {
        let mut server = Simulated { steal: Some(STOLEN), dearer, ..Simulated::new(pause) };
        server.closed_loop(100);
        let seen = server.run(0.0, 60);
        assert!(seen.finished > 100, "{seen:?}");
        assert_eq!(seen.refused, 0, "pauses of {pause} ms, {dearer} times as dear: {seen:?}");
    }
}

#[test]
fn a_crowd_is_held_off_on_a_host_that_steals_as_well() {
    for pause in PAUSES {
        let mut server = Simulated { steal: Some(STOLEN), ..Simulated::new(pause) };
        server.run(0.4, 5);
        server.run(10.0, 5);
        let seen = server.run(10.0, 15);
        let left = 15.0 * SUSTAINED * 0.6 * (1.0 - 10.0 * SUSTAINED * REFUSING / 1_000.0);
        assert!(seen.refused > 100_000, "{seen:?}");
        assert!(seen.finished as f64 > 0.7 * left, "pauses of {pause} ms: {seen:?}");
        assert!(seen.longest_queue < 600.0, "pauses of {pause} ms: {seen:?}");
    }
}
