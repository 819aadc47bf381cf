//! Store management is down: orders are still taken, and when it is back all of them are caught up with, each once (N1).

use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use super::server::Surroundings;
use super::stage::{Outcome, Setting, Stage, rate};

const LOADED: Duration = Duration::from_secs(20);

/// Well below what a server takes, so that what is seen is the outage.
const SOLD_PER_S: f64 = 30.0;

const BEGINS_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn paused(setting: &Setting) -> anyhow::Result<Outcome> {
    let stage = Stage::set(setting, Surroundings::default()).await?;
    let operator = stage.operator().await?;
    let quarter = setting.time(LOADED) / 4;
    let legs = vec![rate(SOLD_PER_S, quarter), rate(SOLD_PER_S, quarter * 2), rate(SOLD_PER_S, quarter)];
    let plan = stage.plan(setting.time(Duration::from_secs(2)), legs);
    let ran = Stage::load(plan, async |begun| {
        let begun = timeout(BEGINS_WITHIN, begun).await??;
        sleep_until(begun + quarter).await;
        operator.pause_store_management(true).await?;
        sleep_until(begun + quarter * 3).await;
        operator.pause_store_management(false).await
    })
    .await?;
    let left: u64 = ran.legs.iter().map(|leg| leg.orders.left_half_way).sum();
    let mut outcome = stage.end(&["before", "while it is down", "after"], vec![ran]).await?;
    if left == 0 {
        outcome.notes.push("every order of the outage was brought to its end afterwards".into());
    } else {
        outcome.broken.push(format!("{left} orders were not caught up with"));
    }
    Ok(outcome)
}
