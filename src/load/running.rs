//! One run from start to end: the town is opened, orders arrive, those under way finish, everything is looked at.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use fastrand::Rng;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::api::Api;
use super::audit::audit;
use super::life::{End, Wish, live};
use super::plan::{Pace, Plan};
use super::pool::Pool;
use super::progress;
use super::report::{Report, Seen};
use super::schedule::{Arrivals, Lateness};
use super::tally::Tally;
use super::tokens::Tokens;
use super::town::Town;
use super::watch::Watching;

/// More orders under way than this are not begun: what they would hold (some 4 KB each) must fit beside the server.
const UNDER_WAY_AT_MOST: usize = 50_000;

/// How often the generator looks whether it is itself late.
const PULSE: Duration = Duration::from_millis(10);

/// How soon after a server came back its riders say where they are.
const LOOKS_FOR_RETURN: Duration = Duration::from_millis(200);

/// How long a watcher's first hello may take.
const WATCHERS_OPEN_WITHIN: Duration = Duration::from_secs(20);

/// How long watchers may take to see the last change.
const WATCHERS_CATCH_UP_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) town: Rc<Town>,
    pub(super) lateness: RefCell<Lateness>,
    pub(super) under_way: Cell<usize>,
    watching: Rc<Watching>,
}

/// Runs the whole plan on this thread. Wants a tokio runtime of one thread around it.
pub async fn run(plan: Plan, tokens: &Tokens) -> anyhow::Result<Report> {
    LocalSet::new().run_until(on_this_thread(plan, tokens)).await
}

async fn on_this_thread(plan: Plan, tokens: &Tokens) -> anyhow::Result<Report> {
    let now = Instant::now();
    let tally = Rc::new(RefCell::new(Tally::new(now..now)));
    let api = Api::new(Pool::new(plan.target, plan.connections), tally, plan.returning);
    let town = Rc::new(Town::open(api, tokens, &plan).await.context("the stores of the load cannot be opened")?);
    let (watching, lateness) = (Watching::of(plan.watchers), RefCell::new(Lateness::new(plan.late_at_most)));
    let run = Rc::new(Run { plan, town, lateness, under_way: Cell::new(0), watching });
    let mut around = JoinSet::new();
    run.open_watchers(&mut around).await?;
    around.spawn_local(run.clone().keep_riders_known());
    let start = Instant::now();
    let measured = start + run.plan.warm_up..start + run.plan.warm_up + run.plan.duration;
    run.town.api.tally.borrow_mut().set_window(measured.clone());
    around.spawn_local(run.clone().feel_the_pulse(measured.end));
    if run.plan.progress {
        around.spawn_local(progress::show(run.clone(), start));
    }
    let cut_off = run.clone().drive(start, measured.end).await;
    let audit = audit(&run.town).await;
    run.watchers_catch_up(&audit.listed).await;
    let tally = run.town.api.tally.borrow();
    let wishes = run.town.promises.borrow().len();
    let (lateness, watching) = (&*run.lateness.borrow(), &*run.watching);
    let seen = Seen { plan: &run.plan, tally: &tally, lateness, audit: &audit, watching, wishes, cut_off };
    Ok(Report::of(&seen))
}

impl Run {
    /// Lets orders come until `end` and those under way finish. How many had to be cut off.
    async fn drive(self: Rc<Self>, start: Instant, end: Instant) -> u64 {
        let mut lives = JoinSet::new();
        match self.plan.pace {
            Pace::Rate(rate) => {
                let mut rng = Rng::with_seed(self.plan.seed);
                for at in Arrivals::new(start, end, rate, rng.u64(..)) {
                    sleep_until(at).await;
                    while lives.try_join_next().is_some() {}
                    if lives.len() < UNDER_WAY_AT_MOST {
                        let wish = self.wish(&mut rng, at);
                        lives.spawn_local(self.clone().live(wish));
                    } else {
                        self.not_begun(at);
                    }
                }
                sleep_until(end).await;
            }
            Pace::Concurrency(customers) => {
                for nth in 0..customers as u64 {
                    let rng = Rng::with_seed(self.plan.seed.wrapping_mul(1_000_003).wrapping_add(nth));
                    lives.spawn_local(self.clone().one_after_the_other(rng, end));
                }
            }
        }
        let give_up = end + self.plan.finish_within;
        let finished = async { while lives.join_next().await.is_some() {} };
        if tokio::time::timeout_at(give_up, finished).await.is_ok() {
            return 0;
        }
        let cut_off = self.under_way.get() as u64;
        lives.shutdown().await;
        self.town.promises.borrow_mut().doubt_all_under_way();
        cut_off
    }

    async fn one_after_the_other(self: Rc<Self>, mut rng: Rng, end: Instant) {
        while Instant::now() < end {
            let wish = self.wish(&mut rng, Instant::now());
            self.clone().live(wish).await;
        }
    }

    fn wish(&self, rng: &mut Rng, intended: Instant) -> Wish {
        let taste = self.plan.mix.taste(rng);
        Wish { taste, store: rng.usize(..self.plan.stores), customer: rng.usize(..self.plan.customers), intended }
    }

    async fn live(self: Rc<Self>, wish: Wish) {
        let began = Instant::now();
        if self.counts(wish.intended) {
            self.lateness.borrow_mut().note(wish.intended, began);
        }
        self.under_way.set(self.under_way.get() + 1);
        let number = self.town.note(wish);
        let end = live(&self.town, number, wish, self.plan.patience).await;
        self.under_way.set(self.under_way.get() - 1);
        let mut tally = self.town.api.tally.borrow_mut();
        match end {
            End::Finished if tally.counts(Instant::now()) => tally.lives.finished += 1,
            End::Left if tally.counts(wish.intended) => tally.lives.left += 1,
            End::Finished | End::Left | End::NotPlaced => {}
        }
    }

    fn not_begun(&self, intended: Instant) {
        let kind = "too many orders under way".to_owned();
        self.town.api.tally.borrow_mut().note_refusal(kind, intended, intended);
    }

    fn counts(&self, at: Instant) -> bool {
        self.town.api.tally.borrow().counts(at)
    }

    async fn feel_the_pulse(self: Rc<Self>, end: Instant) {
        while Instant::now() < end {
            let intended = Instant::now() + PULSE;
            sleep_until(intended).await;
            if self.counts(intended) {
                self.lateness.borrow_mut().note(intended, Instant::now());
            }
        }
    }

    /// Riders' apps say where they are now and then, and at once when the server was away: it does not remember.
    async fn keep_riders_known(self: Rc<Self>) {
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

    async fn open_watchers(self: &Rc<Self>, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
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

    async fn watchers_catch_up(&self, listed: &[Vec<super::promises::Listed>]) {
        let give_up = Instant::now() + WATCHERS_CATCH_UP_WITHIN;
        while self.watching.missing(listed) > 0 && Instant::now() < give_up {
            sleep(LOOKS_FOR_RETURN).await;
        }
    }
}
