//! What a run of the load is: how fast, how long, of what, watched by how many.

use std::net::SocketAddr;
use std::time::Duration;

use super::api::Returning;
use super::mix::Mix;

/// A part of a run that is measured by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    pub pace: Pace,
    pub duration: Duration,
}

/// How orders arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop: so many orders a second, whether the earlier ones are answered or not.
    Rate(f64),
    /// Closed loop: so many orders under way, each followed by the next. It slows down with the server, so that it
    /// finds the most that a server does, and hides how long anybody would have waited.
    Concurrency(usize),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub target: SocketAddr,
    /// Loaded as in the first leg, but not measured.
    pub warm_up: Duration,
    /// One after the other, without a pause. At least one.
    pub legs: Vec<Leg>,
    /// How long orders under way may take to come to their end afterwards.
    pub finish_within: Duration,
    /// How long an order waits for what happens by itself before it is left.
    pub patience: Duration,
    pub mix: Mix,
    pub seed: u64,
    pub customers: usize,
    /// Of each kind in the mix.
    pub stores: usize,
    /// Of each store that has its own.
    pub store_riders: usize,
    /// Of no store.
    pub riders: usize,
    pub watchers: usize,
    pub connections: usize,
    pub returning: Returning,
    /// How late the generator itself may be, 99 times in 100.
    pub late_at_most: Duration,
    /// How often every rider's app says where they are.
    pub presence_every: Duration,
    /// Whether requests wait while `/readyz` says that the service takes none, as a load balancer has them wait.
    pub heeds_readiness: bool,
    /// Shows a line each second on standard error.
    pub progress: bool,
}

impl Plan {
    /// What the command line has for defaults.
    pub fn new(target: SocketAddr, legs: Vec<Leg>) -> Self {
        Self {
            target,
            warm_up: Duration::from_secs(2),
            legs,
            finish_within: Duration::from_secs(30),
            patience: Duration::from_secs(60),
            mix: Mix::default(),
            seed: 1,
            customers: 200,
            stores: 8,
            store_riders: 16,
            riders: 200,
            watchers: 0,
            connections: 512,
            returning: Returning::Nobody,
            late_at_most: Duration::from_millis(5),
            presence_every: Duration::from_secs(10),
            heeds_readiness: false,
            progress: false,
        }
    }
}

impl Leg {
    pub fn new(pace: Pace, duration: Duration) -> Self {
        Self { pace, duration }
    }

    pub fn is_open_loop(&self) -> bool {
        matches!(self.pace, Pace::Rate(_))
    }
}
