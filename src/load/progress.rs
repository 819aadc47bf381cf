//! A line each second on standard error, so that whoever waits sees that something happens.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::running::Run;
use super::tally::Lately;

const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn show(run: Rc<Run>, start: Instant) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = ticks.tick().await;
    loop {
        let now = ticks.tick().await;
        let seconds = now.saturating_duration_since(last).as_secs_f64();
        last = now;
        let mut tally = run.town.api.tally.borrow_mut();
        let lately = std::mem::replace(&mut tally.lately, Lately::new());
        let p99 = lately.took.value_at_quantile(0.99) as f64 / 1e3;
        let (refused, unknown) = tally.refused_and_unknown();
        crate::telemetry::say(format_args!(
            "{:>5.0} s  {:>7.0} orders/s  {:>7.0} commands/s  p99 {p99:>8.2} ms  {refused:>7} refused  {unknown:>5} \
             unknown  {:>6} under way\n",
            now.saturating_duration_since(start).as_secs_f64(),
            lately.placed as f64 / seconds,
            lately.done as f64 / seconds,
            run.under_way.get(),
        ));
    }
}
