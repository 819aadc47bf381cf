//! The server goes away and comes back on the same data: told to stop, or killed.
//!
//! The embedded journal has one server at a time, so that there is a moment without any. Told to stop, it says that it is
//! not ready before it refuses anybody; whoever heeds that waits and is not refused.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::server::Surroundings;
use super::stage::{Outcome, Setting, Stage, rate};
use crate::load::Returning;

const LOADED: Duration = Duration::from_secs(20);
const SOLD_PER_S: f64 = 30.0;
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// Stopped and started again twice, while requests wait as long as it is not ready.
pub(super) async fn rolling(setting: &Setting) -> anyhow::Result<Outcome> {
    again_and_again(setting, true).await
}

/// Killed twice, with whatever it is doing. Nobody is warned.
pub(super) async fn kill(setting: &Setting) -> anyhow::Result<Outcome> {
    again_and_again(setting, false).await
}

async fn again_and_again(setting: &Setting, gently: bool) -> anyhow::Result<Outcome> {
    let mut stage = Stage::set(setting, Surroundings::default()).await?;
    let loaded = setting.time(LOADED);
    let mut plan = stage.plan(setting.time(Duration::from_secs(2)), vec![rate(SOLD_PER_S, loaded)]);
    plan.heeds_readiness = gently;
    plan.watchers = 20;
    plan.returning = Returning::All;
    let server = &mut stage.server;
    let mut away = Vec::new();
    let ran = Stage::load(plan, async |begun| {
        let begun = timeout(BEGINS_WITHIN, begun).await??;
        for nth in 1..=2 {
            sleep_until(begun + loaded * nth / 3).await;
            let gone = Instant::now();
            if gently {
                server.tell_to_stop()?;
                server.wait_for_end().await?;
            } else {
                server.kill()?;
            }
            server.start_again().await?;
            away.push(gone.elapsed());
        }
        Ok(())
    })
    .await?;
    let phase = if gently { "two stops and starts" } else { "killed twice" };
    let mut outcome = stage.end(&[phase], vec![ran]).await?;
    let away: Vec<String> = away.iter().map(|time| format!("{:.2} s", time.as_secs_f64())).collect();
    let from = if gently { "from the signal" } else { "from the kill" };
    outcome.notes.push(format!("{from} until it served again: {}", away.join(", ")));
    Ok(outcome)
}
