//! The payment provider is slow, does not answer, or fails at once: orders are taken all the same, nobody is charged
//! for nothing, and what was deferred is paid when it is back (N2, N3).

use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use super::server::Surroundings;
use super::stage::{Outcome, Setting, Stage, rate, users};

/// As many as in the figures that this is compared with.
const USERS: usize = 100;

/// How long it is loaded. Half of it is with a provider that is down, where that is the drill.
const LOADED: Duration = Duration::from_secs(20);

/// Orders a second while the provider is down: what a shop sells on a good day, and what the retries of two thirds of
/// it can be caught up with before the drill is over.
const SOLD_PER_S: f64 = 30.0;

/// The longest pause between two retries is a minute, give or take a quarter, and a retry may find the gate full of others.
const FINISH_WITHIN: Duration = Duration::from_secs(90);

/// The load has to open its stores first.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// Slow from before the first order until the load has ended.
pub(super) async fn slowed(setting: &Setting, least_ms: u64, most_ms: u64) -> anyhow::Result<Outcome> {
    let stage = Stage::set(setting, Surroundings::default()).await?;
    let operator = stage.operator().await?;
    operator.payments((least_ms, most_ms), None).await?;
    let plan = stage.plan(setting.time(Duration::from_secs(3)), vec![users(USERS, setting.time(LOADED))]);
    let ends_after = setting.time(LOADED);
    let ran = Stage::load(plan, async |begun| {
        let begun = timeout(BEGINS_WITHIN, begun).await??;
        sleep_until(begun + ends_after).await;
        operator.payments((0, 0), None).await
    })
    .await?;
    stage.end(&[&format!("{USERS} users, {least_ms}-{most_ms} ms")], vec![ran]).await
}

/// Good for a while, then broken, then good again.
pub(super) async fn broken(setting: &Setting, failure: &str) -> anyhow::Result<Outcome> {
    let stage = Stage::set(setting, Surroundings::default()).await?;
    let operator = stage.operator().await?;
    let quarter = setting.time(LOADED) / 4;
    let legs = vec![rate(SOLD_PER_S, quarter), rate(SOLD_PER_S, quarter * 2), rate(SOLD_PER_S, quarter)];
    let mut plan = stage.plan(setting.time(Duration::from_secs(2)), legs);
    plan.patience = FINISH_WITHIN;
    plan.finish_within = FINISH_WITHIN;
    let ran = Stage::load(plan, async |begun| {
        let begun = timeout(BEGINS_WITHIN, begun).await??;
        sleep_until(begun + quarter).await;
        operator.payments((0, 0), Some(failure)).await?;
        sleep_until(begun + quarter * 3).await;
        operator.payments((0, 0), None).await
    })
    .await?;
    let left: u64 = ran.legs.iter().map(|leg| leg.orders.left_half_way).sum();
    let mut outcome = stage.end(&["before", &format!("while it is down ({failure})"), "after"], vec![ran]).await?;
    if left == 0 {
        outcome.notes.push("every order of the outage was brought to its end afterwards".into());
    } else {
        let patience = FINISH_WITHIN.as_secs();
        outcome.broken.push(format!("{left} orders did not come to their end within {patience} s after the load"));
    }
    Ok(outcome)
}
