//! Who is let in when more comes than can be worked off: what is under way is finished, the rest waits outside.
//!
//! Decided here: how much new work is let in. So much at a time (`seats`), and so much a second while work stands in the
//! queues that `actors::pressure` measures (`controller`). A thread that is late proves no load, its host may let others
//! run: nobody is refused while fewer requests are `in_flight`, or fewer orders come, than the server is meant for. Which
//! route is of which [`Class`] stands in the table of routes.
//! Not decided here: whether one order, store or part has room; that is the mailboxes' business, and they keep their
//! bounds.
//!
//! A refusal costs next to nothing, or it would be no help: `around` asks before anything is made for the request, and
//! its body is read past, not read. A token is looked at first, so that nobody takes the room of those who have one. It
//! says "nothing was changed" of this request alone: whoever repeats one that was never answered asks again later.

mod bucket;
mod controller;
mod in_flight;
mod seats;
#[cfg(test)]
mod simulated;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::actors::Pressure;

use self::bucket::Bucket;
use self::controller::{Controller, Verdict, Window};
use self::in_flight::InFlight;
pub(super) use self::in_flight::UnderWay;
use self::seats::Seats;
pub(super) use self::seats::{AT_MOST, Seat, seated};

/// How often the queues are looked at: long enough for a burst to pass, short enough to be in time.
const WINDOW: Duration = Duration::from_millis(100);

/// What a request is worth to people while the service is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Brings to its end what was begun, or tells where it stands. Never refused here.
    Finish,
    /// Begins something that will ask for more.
    New,
    /// Can wait a minute. Refused before anything else is.
    Later,
}

impl Class {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Class::Finish => "finish",
            Class::New => "new",
            Class::Later => "later",
        }
    }

    /// Of the room for one order with all the commands that will follow: a read is one request of some ten.
    const fn thousandths(self) -> u64 {
        match self {
            Class::Finish => 0,
            Class::New => 1_000,
            Class::Later => 100,
        }
    }
}

/// The door of all workers together.
#[derive(Debug)]
pub(super) struct Admission {
    start: Instant,
    /// None: everything is always let in.
    target: Option<Duration>,
    bucket: Bucket,
    seats: Seats,
    in_flight: InFlight,
    /// Since the start.
    new: Counts,
    later: Counts,
    /// Orders a second, as the bits of an `f64`: for operators.
    rate: AtomicU64,
}

/// There is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What operators see of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    /// None: everything is always let in.
    pub(super) target: Option<Duration>,
    /// None: everything is let in.
    pub(super) orders_per_s: Option<f64>,
    /// How many seats there are, and how many are taken.
    pub(super) seats: usize,
    pub(super) taken: usize,
    pub(super) in_flight: usize,
    pub(super) counted: Counted,
}

impl Admission {
    /// The target of the queues, and how much new work there may be at a time.
    pub(super) fn new(target: Duration, seats: usize) -> Self {
        Self {
            start: Instant::now(),
            target: (!target.is_zero()).then_some(target),
            bucket: Bucket::default(),
            seats: Seats::new(seats),
            in_flight: InFlight::default(),
            new: Counts::default(),
            later: Counts::default(),
            rate: AtomicU64::new(0),
        }
    }

    /// Counts a request, of whatever class, for as long as the guard lives.
    pub(super) fn begin(&self) -> UnderWay {
        self.in_flight.begin()
    }

    /// Whether anybody may be refused at the moment.
    pub(super) fn is_bounded(&self) -> bool {
        self.bucket.is_bounded() || self.are_seats_scarce()
    }

    /// Seats are kept for new orders, but never because of fewer requests than the server is meant to work on at a time.
    fn are_seats_scarce(&self) -> bool {
        self.seats.are_scarce() && self.in_flight.now() >= self.seats.all()
    }

    /// Whether there is room for one more; if so, it is taken.
    pub(super) fn admit(&self, class: Class) -> Result<Option<Seat>, Full> {
        let (counts, seat) = match class {
            Class::Finish => return Ok(None),
            Class::New => (&self.new, self.seats.take().map(Some)),
            Class::Later => (&self.later, (!self.are_seats_scarce()).then_some(None)),
        };
        let admitted = seat.filter(|_| self.bucket.take(class, self.start.elapsed())).ok_or(Full);
        let count = if admitted.is_ok() { &counts.admitted } else { &counts.refused };
        count.fetch_add(1, Ordering::Relaxed);
        admitted
    }

    pub(super) fn shown(&self) -> Shown {
        let rate = f64::from_bits(self.rate.load(Ordering::Relaxed));
        let orders_per_s = self.is_bounded().then_some(rate);
        let (seats, taken, in_flight) = (self.seats.all(), self.seats.taken(), self.in_flight.now());
        Shown { target: self.target, orders_per_s, seats, taken, in_flight, counted: self.counted() }
    }

    /// Steers for as long as it is polled. On a thread that does nothing else, so that it is not itself late.
    pub(super) async fn steer(&self, pressure: &Pressure) {
        // As many as may be new orders at a time: what waits then, waits for the server.
        let mut controller = self.target.map(|target| Controller::new(target, self.seats.all()));
        let mut begun = Instant::now();
        let mut counted = self.counted();
        let mut shedding: Option<Shedding> = None;
        loop {
            tokio::time::sleep_until((begun + WINDOW).into()).await;
            let before = std::mem::replace(&mut counted, self.counted());
            let lately = counted.since(before);
            let window = Window {
                lasted: begun.elapsed(),
                standing: pressure.read(),
                admitted: lately.orders(|count| count.admitted),
                offered: lately.orders(|count| count.admitted + count.refused),
                refused: lately.new.refused + lately.later.refused,
                in_flight: self.in_flight.read(),
            };
            begun = Instant::now();
            measure(lately, pressure);
            let Some(controller) = &mut controller else { continue };
            let verdict = controller.after(&window);
            self.pour(verdict);
            match (verdict, &shedding) {
                (Verdict::AtMost(orders_per_s), None) => {
                    shedding = Some(Shedding { since: begun, before: counted });
                    log_begin(&window, orders_per_s, pressure);
                }
                (Verdict::Everything, Some(was)) => {
                    was.log_end(counted);
                    shedding = None;
                }
                (Verdict::AtMost(_), Some(_)) | (Verdict::Everything, None) => {}
            }
        }
    }

    fn pour(&self, verdict: Verdict) {
        let orders_per_s = match verdict {
            Verdict::Everything => None,
            Verdict::AtMost(orders_per_s) => Some(orders_per_s),
        };
        self.rate.store(orders_per_s.unwrap_or(0.0).to_bits(), Ordering::Relaxed);
        self.bucket.pour(orders_per_s, self.start.elapsed());
    }

    fn counted(&self) -> Counted {
        Counted { new: self.new.read(), later: self.later.read() }
    }
}

#[derive(Debug, Default)]
struct Counts {
    admitted: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    fn read(&self) -> Count {
        Count { admitted: self.admitted.load(Ordering::Relaxed), refused: self.refused.load(Ordering::Relaxed) }
    }
}

/// Requests of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) admitted: u64,
    pub(super) refused: u64,
}

/// Requests of the classes that may be refused, since the start or between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) new: Count,
    pub(super) later: Count,
}

impl Counted {
    fn since(self, before: Self) -> Self {
        let since = |now: Count, then: Count| Count {
            admitted: now.admitted - then.admitted,
            refused: now.refused - then.refused,
        };
        Self { new: since(self.new, before.new), later: since(self.later, before.later) }
    }

    /// In room for one order with all its commands.
    fn orders(self, of: impl Fn(Count) -> u64) -> f64 {
        let thousandths = of(self.new) * Class::New.thousandths() + of(self.later) * Class::Later.thousandths();
        thousandths as f64 / 1_000.0
    }
}

/// From the first refusal that is due to the last.
struct Shedding {
    since: Instant,
    before: Counted,
}

impl Shedding {
    fn log_end(&self, now: Counted) {
        let refused = now.since(self.before);
        tracing::info!(
            lasted_ms = self.since.elapsed().as_millis() as u64,
            refused_new = refused.new.refused,
            refused_later = refused.later.refused,
            "everything is let in again"
        );
    }
}

/// One line for all the refusals that follow.
fn log_begin(window: &Window, orders_per_s: f64, pressure: &Pressure) {
    let queue = pressure.standing().into_iter().max_by_key(|(_, standing)| *standing).map_or("", |(name, _)| name);
    let (standing_ms, in_flight) = (window.standing.as_millis() as u64, window.in_flight);
    tracing::warn!(
        queue,
        standing_ms,
        in_flight,
        orders_per_s,
        "more comes in than can be worked off: new work is held back"
    );
}

fn measure(lately: Counted, pressure: &Pressure) {
    for (queue, standing) in pressure.standing() {
        metrics::gauge!("queue_standing_seconds", "queue" => queue).set(standing.as_secs_f64());
    }
    for (class, count) in [(Class::New, lately.new), (Class::Later, lately.later)] {
        metrics::counter!("admission_refused_total", "class" => class.as_str()).increment(count.refused);
        let asked = (count.admitted + count.refused).max(1);
        metrics::gauge!("admission_share", "class" => class.as_str()).set(1.0 - count.refused as f64 / asked as f64);
    }
}
