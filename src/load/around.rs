//! What goes on beside the orders: riders say where they are, watchers watch, and the generator looks whether it is itself
//! late and whether the server takes requests.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::promises::Listed;
use super::running::Run;

/// How often the generator looks whether it is itself late.
const PULSE: Duration = Duration::from_millis(10);

/// How soon after a server came back its riders say where they are.
const LOOKS_FOR_RETURN: Duration = Duration::from_millis(200);

/// How often readiness is looked at. A server that is told to stop says so for 200 ms before it refuses anyone.
const LOOKS_FOR_READINESS: Duration = Duration::from_millis(20);

/// How long a watcher's first hello may take.
const WATCHERS_OPEN_WITHIN: Duration = Duration::from_secs(20);

/// How long watchers may take to see the last change.
const WATCHERS_CATCH_UP_WITHIN: Duration = Duration::from_secs(5);

impl Run {
    pub(super) async fn feel_the_pulse(self: Rc<Self>, end: Instant) {
        while Instant::now() < end {
            let intended = Instant::now() + PULSE;
            sleep_until(intended).await;
            self.note_lateness(intended, Instant::now());
        }
    }

    /// Requests wait while it is not, as behind a load balancer. Nobody missed it then, so that riders are told here.
    pub(super) async fn look_whether_it_is_ready(self: Rc<Self>) {
        loop {
            let ready = self.town.api.is_ready().await;
            let was = self.town.api.ready.send_replace(ready);
            if ready && !was {
                // Those who are refused say it again in their own time.
                let _ = self.town.everyone_says_where_they_are().await;
            }
            sleep(LOOKS_FOR_READINESS).await;
        }
    }

    /// Riders' apps say where they are now and then, and at once when the server was away: it does not remember.
    pub(super) async fn keep_riders_known(self: Rc<Self>) {
        let (town, mut missed) = (&self.town, 0);
        loop {
            let round_ends = Instant::now() + self.plan.presence_every;
            for nth in 0..town.riders.len() {
                let due = round_ends - self.plan.presence_every.mul_f64(1.0 - nth as f64 / town.riders.len() as f64);
                while Instant::now() < due {
                    sleep(LOOKS_FOR_RETURN.min(due.saturating_duration_since(Instant::now()))).await;
                    if town.api.pool.missed() != missed {
                        missed = town.api.pool.missed();
                        // Refused as long as it is away: then it is missed again, and asked again.
                        let _ = town.everyone_says_where_they_are().await;
                    }
                }
                let _ = town.says_where_they_are(&town.riders[nth]).await;
            }
            sleep_until(round_ends).await;
        }
    }

    pub(super) async fn open_watchers(self: &Rc<Self>, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
        let watchers = self.plan.watchers;
        let (opened, mut hello) = mpsc::channel(watchers.max(1));
        for nth in 0..watchers {
            tasks.spawn_local(self.watching.clone().watch(self.town.clone(), nth, opened.clone()));
        }
        let all = async {
            for _ in 0..watchers {
                hello.recv().await;
            }
        };
        timeout(WATCHERS_OPEN_WITHIN, all).await.context("the watchers' feeds do not open")
    }

    pub(super) async fn watchers_catch_up(&self, listed: &[Vec<Listed>]) {
        let give_up = Instant::now() + WATCHERS_CATCH_UP_WITHIN;
        while self.watching.missing(listed) > 0 && Instant::now() < give_up {
            sleep(LOOKS_FOR_RETURN).await;
        }
    }
}
