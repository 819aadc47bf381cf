//! One run from start to end: the town is opened, orders arrive, those under way finish, everything is looked at.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use fastrand::Rng;
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::answer::Order;
use super::api::Api;
use super::audit::{Audit, audit};
use super::life::{End, go_on};
use super::placing::{Placement, Wish, place};
use super::plan::{Leg, Pace, Plan};
use super::pool::Pool;
use super::progress;
use super::promises::Listed;
use super::report::{Report, Seen};
use super::schedule::Arrivals;
use super::tally::{Tallies, Tally};
use super::tokens::Tokens;
use super::town::Town;
use super::watch::Watching;

/// More orders under way than this are not begun: what they would hold (some 4 KB each) must fit beside the server.
const UNDER_WAY_AT_MOST: usize = 50_000;

/// How often is looked whether anybody is still under way at the end.
const LOOKS_WHO_IS_LEFT: Duration = Duration::from_millis(100);

/// How long a customer of the closed loop waits who was refused, or asked to pay a little later.
const A_LITTLE: Duration = Duration::from_secs(1);

pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) town: Rc<Town>,
    pub(super) under_way: Cell<usize>,
    pub(super) watching: Rc<Watching>,
    /// Orders whose payment takes its time, on their way from who placed them to a life of their own.
    deferred: RefCell<Vec<(u64, Wish, Order)>>,
    someone_deferred: Notify,
}

/// What a run gives back.
pub struct Ran {
    /// By leg. What was checked at the end is the same in each.
    pub legs: Vec<Report>,
    /// Every order of the run, as the customers' lists showed them at the end.
    pub orders: Vec<Listed>,
}

/// Runs the whole plan on this thread. Wants a tokio runtime of one thread around it. `begins` hears when the first
/// leg begins, once everything is open.
pub async fn run(plan: Plan, tokens: &Tokens, begins: Option<oneshot::Sender<Instant>>) -> anyhow::Result<Ran> {
    LocalSet::new().run_until(on_this_thread(plan, tokens, begins)).await
}

async fn on_this_thread(plan: Plan, tokens: &Tokens, begins: Option<oneshot::Sender<Instant>>) -> anyhow::Result<Ran> {
    let tally = Rc::new(RefCell::new(Tallies::new()));
    let api = Api::new(Pool::new(plan.target, plan.connections), tally, plan.returning);
    let town = Rc::new(Town::open(api, tokens, &plan).await.context("the stores of the load cannot be opened")?);
    let watching = Watching::of(plan.watchers);
    let run = Rc::new(Run {
        plan,
        town,
        under_way: Cell::new(0),
        watching,
        deferred: RefCell::default(),
        someone_deferred: Notify::new(),
    });
    let mut around = JoinSet::new();
    run.open_watchers(&mut around).await?;
    around.spawn_local(run.clone().keep_riders_known());
    if run.plan.heeds_readiness {
        around.spawn_local(run.clone().look_whether_it_is_ready());
    }
    let start = Instant::now();
    let end = run.lay_out_legs(start);
    around.spawn_local(run.clone().feel_the_pulse(end));
    if run.plan.progress {
        around.spawn_local(progress::show(run.clone(), start));
    }
    if let Some(begins) = begins {
        // Whoever wanted to know may have stopped listening.
        let _ = begins.send(start + run.plan.warm_up);
    }
    let cut_off = run.clone().drive(start, end).await;
    let audit = audit(&run.town).await;
    run.watchers_catch_up(&audit.listed).await;
    Ok(run.report(audit, cut_off))
}

impl Run {
    /// The moment at which the last one ends.
    fn lay_out_legs(&self, start: Instant) -> Instant {
        let mut at = start + self.plan.warm_up;
        let mut tallies = self.town.api.tally.borrow_mut();
        for leg in &self.plan.legs {
            tallies.legs.push(Tally::new(at..at + leg.duration, self.plan.late_at_most));
            at += leg.duration;
        }
        at
    }

    fn report(&self, audit: Audit, cut_off: u64) -> Ran {
        let tallies = self.town.api.tally.borrow();
        let wishes = self.town.promises.borrow().len();
        let of_leg = |(leg, tally)| {
            Report::of(&Seen { plan: &self.plan, leg, tally, audit: &audit, watching: &self.watching, wishes, cut_off })
        };
        let legs = self.plan.legs.iter().zip(&tallies.legs).map(of_leg).collect();
        Ran { legs, orders: audit.listed.into_iter().flatten().collect() }
    }

    /// Lets orders come until `end` and those under way finish. How many had to be cut off.
    async fn drive(self: Rc<Self>, start: Instant, end: Instant) -> u64 {
        let mut lives = JoinSet::new();
        let (mut from, mut to) = (start, start + self.plan.warm_up);
        for (nth, leg) in self.plan.legs.iter().enumerate() {
            to += leg.duration;
            self.clone().drive_leg(leg, nth as u64, from..to, &mut lives).await;
            from = to;
        }
        let give_up = end + self.plan.finish_within;
        while Instant::now() < give_up {
            // Whoever placed an order in the last moment may have left it to go on by itself.
            let _ = timeout(LOOKS_WHO_IS_LEFT, self.take_on_deferred(&mut lives)).await;
            while lives.try_join_next().is_some() {}
            if lives.is_empty() {
                return 0;
            }
        }
        let cut_off = self.under_way.get() as u64;
        lives.shutdown().await;
        self.town.promises.borrow_mut().doubt_all_under_way();
        cut_off
    }

    async fn drive_leg(self: Rc<Self>, leg: &Leg, nth: u64, during: Range<Instant>, lives: &mut JoinSet<()>) {
        let seed = self.plan.seed.wrapping_mul(1_000_003).wrapping_add(nth << 32);
        match leg.pace {
            Pace::Rate(rate) => {
                let mut rng = Rng::with_seed(seed);
                for at in Arrivals::new(during.start, during.end, rate, rng.u64(..)) {
                    sleep_until(at).await;
                    while lives.try_join_next().is_some() {}
                    if lives.len() < UNDER_WAY_AT_MOST {
                        let wish = self.wish(&mut rng, at);
                        lives.spawn_local(self.clone().live(wish));
                    } else {
                        self.not_begun(at);
                    }
                }
            }
            Pace::Concurrency(orders) => {
                for nth in 0..orders as u64 {
                    let rng = Rng::with_seed(seed.wrapping_add(nth));
                    lives.spawn_local(self.clone().one_after_the_other(rng, during.end));
                }
            }
        }
        tokio::select! {
            () = sleep_until(during.end) => {}
            () = self.take_on_deferred(lives) => {}
        }
    }

    /// A customer who is asked to pay a little later waits that little and goes on; the order does too, by itself.
    async fn one_after_the_other(self: Rc<Self>, mut rng: Rng, end: Instant) {
        while Instant::now() < end {
            let wish = self.wish(&mut rng, Instant::now());
            let (number, placement) = self.place(wish).await;
            match placement {
                Placement::Taken(order) => self.go_on(number, wish, order).await,
                Placement::Deferred(order) => {
                    self.deferred.borrow_mut().push((number, wish, order));
                    self.someone_deferred.notify_one();
                    sleep(A_LITTLE).await;
                }
                Placement::EndedAtOnce => self.count_end(wish, End::Finished),
                Placement::Refused | Placement::NotTaken => sleep(A_LITTLE).await,
            }
        }
    }

    /// Lets deferred orders go on beside those who placed them. Never ends.
    async fn take_on_deferred(self: &Rc<Self>, lives: &mut JoinSet<()>) {
        loop {
            let deferred = std::mem::take(&mut *self.deferred.borrow_mut());
            for (number, wish, order) in deferred {
                let run = self.clone();
                lives.spawn_local(async move { run.go_on(number, wish, order).await });
            }
            self.someone_deferred.notified().await;
        }
    }

    fn wish(&self, rng: &mut Rng, intended: Instant) -> Wish {
        let taste = self.plan.mix.taste(rng);
        Wish { taste, store: rng.usize(..self.plan.stores), customer: rng.usize(..self.plan.customers), intended }
    }

    async fn live(self: Rc<Self>, wish: Wish) {
        let (number, placement) = self.place(wish).await;
        match placement {
            Placement::Taken(order) | Placement::Deferred(order) => self.go_on(number, wish, order).await,
            Placement::EndedAtOnce => self.count_end(wish, End::Finished),
            Placement::Refused | Placement::NotTaken => {}
        }
    }

    async fn place(&self, wish: Wish) -> (u64, Placement) {
        self.note_lateness(wish.intended, Instant::now());
        let number = self.town.note(wish);
        (number, place(&self.town, number, wish).await)
    }

    async fn go_on(&self, number: u64, wish: Wish, order: Order) {
        self.under_way.set(self.under_way.get() + 1);
        let end = go_on(&self.town, number, wish, order, self.plan.patience).await;
        self.under_way.set(self.under_way.get() - 1);
        self.count_end(wish, end);
    }

    fn count_end(&self, wish: Wish, end: End) {
        let mut tally = self.town.api.tally.borrow_mut();
        match end {
            End::Finished => tally.at(Instant::now()).into_iter().for_each(|leg| leg.lives.finished += 1),
            End::Left => tally.at(wish.intended).into_iter().for_each(|leg| leg.lives.left += 1),
        }
    }

    fn not_begun(&self, intended: Instant) {
        let kind = "too many orders under way".to_owned();
        self.town.api.tally.borrow_mut().note_refusal(kind, intended, intended);
    }

    pub(super) fn note_lateness(&self, intended: Instant, began: Instant) {
        if let Some(leg) = self.town.api.tally.borrow_mut().at(intended) {
            leg.lateness.note(intended, began);
        }
    }
}
