//! How much new work is let in: a pure function of what was measured, window by window. No clock, no I/O.
//!
//! What is steered is a *rate* of new orders, not the share of them that DAGOR (Zhou et al., SoCC '18) steers: an order
//! brings some ten commands later, and a share that was right for yesterday's crowd lets in ten times as much the
//! moment the crowd is ten times as large. A rate stays what it is, whatever is offered. Breakwater (Cho et al., OSDI '20)
//! steers credits for the same reason, and like there the input is a target for the time that work waits.
//!
//! Two parts, as in PIE (RFC 8033): one that follows the queue at once and forgets it at once, so that a jump is
//! answered in the window in which it is seen; and a slow one, the rate that the server is believed to sustain, which
//! a jump hardly moves, so that all of it is there again the moment the queue is gone.

use std::time::Duration;

/// From this many targets on next to nothing new is let in. The nearer to 1, the sooner the queue is gone, and the more
/// the admitted rate swings: what is let in shows in the queue a window or two later.
const FULL_STOP_AT: f64 = 3.0;

/// Let in all the same, of what the server is believed to sustain: so that it is noticed when it can work again.
const TRICKLE: f64 = 0.02;

/// How far above what is believed to be sustained it goes while no queue stands at all.
const PROBING: f64 = 1.25;

/// A queue stands: more than usual was too much, and how much more will show.
const MORE_THAN_USUAL: f64 = 1.2;

/// How fast belief follows the queue, for each window and each target that it is too long or too short. A queue is a sum
/// of what came in too much, so that belief must change more slowly than the queue answers, or the two chase each other.
const BELIEVES_LESS: f64 = 0.03;
const BELIEVES_MORE: f64 = 0.12;

/// The same beyond what was usual. Until the commands of what was let in have come, a short queue proves little: measured
/// at five times the load, twice what could be finished was let in for seconds, while the commands of those orders
/// still stood in line outside.
const EXPLORES: f64 = 0.03;

/// Orders a second below which nobody is ever refused: a few people are no crowd, whatever the probes say, and a
/// machine that cannot work off twenty orders a second is broken, not overloaded. It is also the least that is let in while
/// others are refused, so that it is noticed when the server can work again.
pub(super) const MIN_ORDERS_PER_S: f64 = 20.0;

/// Windows without a queue and without a refusal, after which everything is let in again: a second.
const CALM: u32 = 10;

/// How much a window counts in the rate of the moment: a second.
const REMEMBERS: f64 = 0.1;

/// What is left after a window of the best rate ever: half of it after five minutes. It outlasts a quiet minute, so that
/// whoever comes after it is not taken for more than there ever were; and a database that has become slower is noticed.
const FORGETS: f64 = 0.99977;

/// What was measured in one window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// How long the window was. Long ones count as one: the thread that measures was late too.
    pub(super) lasted: Duration,
    /// How long work waited in the queues, one after the other.
    pub(super) standing: Duration,
    /// New orders that were let in, or as much as them.
    pub(super) admitted: f64,
    /// The same, with those that were refused.
    pub(super) offered: f64,
    pub(super) refused: u64,
    /// The fewest requests in flight at any moment of it. A thread that is late because its host lets others run is
    /// late with the few requests that there are; a crowd is there all the time.
    pub(super) in_flight: usize,
}

/// What follows for new work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Everything,
    /// So many orders a second.
    AtMost(f64),
}

#[derive(Debug)]
pub(super) struct Controller {
    target: Duration,
    /// With fewer requests in flight than this, a queue is somebody else's doing: what 100 people offer who each wait
    /// for their answer is never refused.
    min_in_flight: usize,
    /// New orders offered a second, over the last second or so.
    offered: f64,
    /// What comes in a second, while nobody is refused.
    lately: f64,
    /// The most of it lately, without a queue.
    usual: f64,
    /// While somebody is refused.
    shedding: Option<Shedding>,
}

#[derive(Clone, Copy, Debug)]
struct Shedding {
    /// Orders a second that the server is believed to sustain.
    sustained: f64,
    /// Up to here it has been seen to finish what it lets in; infinite when nothing was usual: then it finds out quickly.
    proven: f64,
    calm: u32,
}

impl Controller {
    pub(super) fn new(target: Duration, min_in_flight: usize) -> Self {
        Self { target, min_in_flight, offered: 0.0, lately: 0.0, usual: 0.0, shedding: None }
    }

    /// Takes in a window and says what holds until the next one.
    pub(super) fn after(&mut self, window: &Window) -> Verdict {
        let targets = window.standing.as_secs_f64() / self.target.as_secs_f64();
        let a_second = |count: f64| count / window.lasted.as_secs_f64().max(0.001);
        let admitted = a_second(window.admitted);
        self.offered += REMEMBERS * (a_second(window.offered) - self.offered);
        let crowded = self.offered >= MIN_ORDERS_PER_S;
        let Some(shedding) = &mut self.shedding else {
            let queued = targets > 1.0;
            if !queued || !crowded || window.in_flight < self.min_in_flight {
                self.lately += REMEMBERS * (admitted - self.lately);
                self.usual = (self.usual * FORGETS).max(if queued { 0.0 } else { self.lately });
                return Verdict::Everything;
            }
            // What was usual was finished without a queue. What came in just now says nothing: placing an order is a small
            // part of finishing it.
            let sustained = (self.usual * MORE_THAN_USUAL).max(MIN_ORDERS_PER_S);
            let proven = if self.usual >= MIN_ORDERS_PER_S { sustained } else { f64::INFINITY };
            let shedding = self.shedding.insert(Shedding { sustained, proven, calm: 0 });
            return shedding.verdict(targets);
        };
        shedding.believe(targets, window.refused > 0);
        if shedding.calm == CALM || !crowded {
            self.shedding = None;
            return Verdict::Everything;
        }
        shedding.verdict(targets)
    }
}

impl Shedding {
    fn verdict(&self, targets: f64) -> Verdict {
        Verdict::AtMost((self.sustained * follow(targets)).max(MIN_ORDERS_PER_S))
    }

    fn believe(&mut self, targets: f64, held_back: bool) {
        if targets > 1.0 {
            self.sustained *= 1.0 - BELIEVES_LESS * (targets.min(FULL_STOP_AT) - 1.0);
        } else if held_back {
            // Only then: what nobody asked for says nothing about what could be done.
            let more = if self.sustained < self.proven { BELIEVES_MORE } else { EXPLORES };
            self.sustained *= 1.0 + more * (1.0 - targets);
        }
        self.sustained = self.sustained.max(MIN_ORDERS_PER_S);
        self.calm = if targets <= 1.0 && !held_back { self.calm + 1 } else { 0 };
    }
}

/// The part that follows the queue: all of what is sustained at the target, a little more below it, less above.
fn follow(targets: f64) -> f64 {
    if targets <= 1.0 {
        return 1.0 + (PROBING - 1.0) * (1.0 - targets);
    }
    ((FULL_STOP_AT - targets) / (FULL_STOP_AT - 1.0)).max(TRICKLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    const MIN_IN_FLIGHT: usize = 256;

    /// A tenth of a second of a crowd in which so many orders came and the queue was so many targets long.
    fn window(targets: f64, admitted: f64, refused: u64) -> Window {
        let offered = admitted + refused as f64;
        let standing = TARGET.mul_f64(targets);
        Window { lasted: TARGET * 2, standing, admitted, offered, refused, in_flight: MIN_IN_FLIGHT }
    }

    fn at_most(verdict: Verdict) -> f64 {
        match verdict {
            Verdict::Everything => f64::INFINITY,
            Verdict::AtMost(rate) => rate,
        }
    }

    /// Used to a thousand orders a second.
    fn used_to_a_thousand() -> Controller {
        let mut controller = Controller::new(TARGET, MIN_IN_FLIGHT);
        for _ in 0..600 {
            assert_eq!(controller.after(&window(0.5, 100.0, 0)), Verdict::Everything);
        }
        controller
    }

    #[test]
    fn a_queue_at_the_target_is_no_reason_to_refuse_anyone() {
        let mut controller = used_to_a_thousand();
        assert_eq!(controller.after(&window(1.0, 1_000.0, 0)), Verdict::Everything);
    }

    #[test]
    fn a_jump_is_answered_at_once_and_in_proportion() {
        let short = at_most(used_to_a_thousand().after(&window(1.5, 500.0, 0)));
        let long = at_most(used_to_a_thousand().after(&window(2.5, 500.0, 0)));
        let very_long = at_most(used_to_a_thousand().after(&window(40.0, 500.0, 0)));
        assert!(700.0 < short && short < 2_000.0, "{short}");
        assert!(very_long < 100.0 && very_long < long && long < short, "{very_long}, {long}, {short}");
    }

    #[test]
    fn what_it_sustained_before_the_jump_is_let_in_again_when_the_queue_is_gone() {
        let mut controller = used_to_a_thousand();
        for _ in 0..5 {
            controller.after(&window(8.0, 5.0, 500));
        }
        let after = at_most(controller.after(&window(0.9, 5.0, 500)));
        assert!(700.0 < after && after < 1_300.0, "{after}");
    }

    #[test]
    fn twenty_orders_a_second_are_let_in_however_long_the_queue_is() {
        let mut controller = used_to_a_thousand();
        let least = (0..10_000).map(|_| at_most(controller.after(&window(100.0, 2.0, 900)))).fold(f64::MAX, f64::min);
        assert_eq!(least, MIN_ORDERS_PER_S);
    }

    #[test]
    fn a_late_probe_alone_closes_nothing() {
        let mut controller = used_to_a_thousand();
        for _ in 0..100 {
            let few = Window { in_flight: MIN_IN_FLIGHT - 1, ..window(40.0, 100.0, 0) };
            assert_eq!(controller.after(&few), Verdict::Everything);
        }
    }

    #[test]
    fn fewer_orders_than_the_floor_are_let_in_whatever_else_is_in_flight() {
        let mut controller = Controller::new(TARGET, MIN_IN_FLIGHT);
        for _ in 0..1_000 {
            let commands = Window { in_flight: MIN_IN_FLIGHT * 4, ..window(40.0, 1.9, 0) };
            assert_eq!(controller.after(&commands), Verdict::Everything);
        }
    }

    #[test]
    fn a_crowd_that_has_gone_leaves_the_door_open_though_the_probes_are_late() {
        let mut controller = used_to_a_thousand();
        assert_ne!(controller.after(&window(8.0, 100.0, 500)), Verdict::Everything);
        let late = |_| controller.after(&Window { in_flight: 3, ..window(8.0, 0.1, 0) });
        assert_eq!((0..100).map(late).last(), Some(Verdict::Everything));
    }

    #[test]
    fn everything_is_let_in_again_after_a_calm_second_and_not_before() {
        let mut controller = used_to_a_thousand();
        controller.after(&window(2.0, 400.0, 0));
        for calm in 1..CALM {
            assert_ne!(controller.after(&window(0.1, 60.0, 0)), Verdict::Everything, "after {calm} windows");
        }
        assert_ne!(controller.after(&window(0.1, 60.0, 1)), Verdict::Everything, "somebody was refused");
        for _ in 1..CALM {
            assert_ne!(controller.after(&window(0.1, 60.0, 0)), Verdict::Everything);
        }
        assert_eq!(controller.after(&window(0.1, 60.0, 0)), Verdict::Everything);
    }

    #[test]
    fn what_nobody_asks_for_is_not_believed_in() {
        let mut controller = used_to_a_thousand();
        let first = at_most(controller.after(&window(1.2, 100.0, 0)));
        let mut last = first;
        for _ in 1..CALM {
            last = at_most(controller.after(&window(0.0, 10.0, 0)));
        }
        assert!(last < first * 1.5, "{first}, {last}");
    }
}
