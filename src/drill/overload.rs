//! More orders than the server can take: as many as it can are served, the others are refused quickly, and it is as before
//! when the rush is over (N6).
//!
//! What the server can take is measured first. Where the machine has several cores the server is kept on the first one,
//! so that the load that is offered is really offered.

use std::process::Command;
use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use super::stage::{Outcome, Setting, Stage, rate, users};
use crate::load::{Leg, Plan, Report};

/// Enough to keep every part of the server busy, few enough to be answered.
const SATURATED_BY: usize = 64;

/// Below what it can take: what users see on any other day.
const NORMAL: f64 = 0.7;

/// More than the server works on at a time, so that it is the server who has to choose.
const CONNECTIONS: usize = 2_000;

/// Here the load is the point: what is offered must really be offered.
const LATE_AT_MOST: Duration = Duration::from_millis(5);

const BEGINS_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn times(setting: &Setting, factor: f64) -> anyhow::Result<Outcome> {
    let stage = Stage::set(setting, first_core()).await?;
    let second = Duration::from_secs(1);
    let plan = stage.plan(setting.time(second * 3), vec![users(SATURATED_BY, setting.time(second * 8))]);
    let saturation = Stage::load(plan, async |_| Ok(())).await?;
    let most = saturation.legs.first().map_or(0.0, |leg| leg.orders.finished_per_s).max(1.0);
    let normal = |seconds: u32| rate(most * NORMAL, setting.time(second * seconds));
    let legs = vec![normal(5), rate(most * factor, setting.time(second * 8)), normal(5), normal(5)];
    let after_rush: Duration = legs.iter().take(2).map(|leg: &Leg| leg.duration).sum();
    let plan = stage.plan(second, legs);
    let late_at_most = if setting.quick { plan.late_at_most } else { LATE_AT_MOST };
    let plan = Plan { connections: CONNECTIONS, late_at_most, ..plan };
    let mut memory = (None, None);
    let server = &stage.server;
    let ran = Stage::load(plan, async |begun| {
        memory.0 = server.memory_mib();
        let begun = timeout(BEGINS_WITHIN, begun).await??;
        sleep_until(begun + after_rush).await;
        memory.1 = server.memory_mib();
        Ok(())
    })
    .await?;
    let phases = ["saturated", "at 0.7 of it", &format!("at {factor} times"), "first 5 s after", "next 5 s"];
    let mut outcome = stage.end(&phases, vec![saturation, ran]).await?;
    if let [_, before, rush, _, after] = &outcome.rows[..] {
        let mut notes = notes(most, &before.report, &rush.report, &after.report);
        if let (Some(before), Some(after)) = memory {
            notes.push(format!("memory of the server: {before} MiB before, {after} MiB at the end of the rush"));
        }
        outcome.notes.extend(notes);
    }
    Ok(outcome)
}

/// What was aimed at, and what came of it. None of it fails the drill: only broken promises do.
fn notes(most: f64, before: &Report, rush: &Report, after: &Report) -> Vec<String> {
    let goodput = rush.orders.finished_per_s / most * 100.0;
    let took = |report: &Report| report.of_command("place").map_or(0.0, |place| place.took.p99);
    let started: Vec<_> = rush.commands.iter().filter(|of| !["place", "(read)"].contains(&of.command)).collect();
    let (wished, done) =
        started.iter().fold((0, 0), |(wished, done), of| (wished + of.wished, done + of.done + of.denied));
    let progress = done as f64 / (wished.max(1)) as f64 * 100.0;
    vec![
        format!(
            "saturation is {most:.0} orders/s brought to their end; in the rush {goodput:.0}% of that were (aim: 80% and more)"
        ),
        format!("orders under way got on in the rush: {progress:.1}% of their commands were carried out (aim: 99%)"),
        format!(
            "a refusal took p50 {:.1} ms, p99 {:.1} ms (aim: 30 ms); p99 of placing was {:.1} ms, {:.1} times the usual (aim: 3)",
            rush.to_refuse.p50,
            rush.to_refuse.p99,
            took(rush),
            took(rush) / took(before).max(0.01)
        ),
        format!(
            "5 s after the rush {:.2}% were answered at once (aim: 99.9%), p99 {:.1} times the usual (aim: 1.2)",
            after.orders.available_at_once * 100.0,
            took(after) / took(before).max(0.01)
        ),
    ]
}

fn first_core() -> Option<usize> {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let there = Command::new("taskset").arg("--version").output().is_ok_and(|said| said.status.success());
    (several && there).then_some(0)
}
