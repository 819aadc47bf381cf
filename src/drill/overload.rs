//! More orders than the server can take: as many as it can are served, the others are refused quickly, and it is as before
//! when the rush is over (N6).
//!
//! What the server can take is measured first. The load must really be offered, and a fast server takes as much as the same
//! machine can offer. So usually the disk is what is scarce: commits take as long as on a slow one, and little goes into
//! each. What is seen then is who is let in, and who waits. Or the server is kept on the first of several cores.

use std::process::Command;
use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use super::server::Surroundings;
use super::stage::{Outcome, Scarce, Setting, Stage, rate, users};
use crate::load::{Leg, Plan, Report, Returning};

/// A slow disk: commits of so many appends, so long each. 400 appends are some 28 whole lives.
const GROUP: usize = 8;
const COMMIT_MS: u64 = 20;

/// Enough to keep every part of the server busy, few enough to be answered.
const SATURATED_BY: usize = 64;

/// Below what it can take: what users see on any other day.
const NORMAL: f64 = 0.7;

/// More than the server works on at a time, so that it is the server who has to choose. Twice as many in all, which is
/// less than what a server takes.
const CONNECTIONS: usize = 1_900;

/// Seconds after a rush until all is as before. Those who were refused and come back are a rush of their own: the last of
/// them gives up a quarter of a minute after the first refusal.
const RECOVERS: u32 = 5;
const RECOVERS_FROM_THE_INSISTENT: u32 = 30;

/// What was admitted in the rush may take this long to be served; what is left then has been left half-way.
const FINISH_WITHIN: Duration = Duration::from_secs(20);

/// Here the load is the point: what is offered must really be offered.
const LATE_AT_MOST: Duration = Duration::from_millis(5);

const BEGINS_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn times(setting: &Setting, factor: f64) -> anyhow::Result<Outcome> {
    let stage = Stage::set(setting, surroundings(setting.scarce)).await?;
    let second = Duration::from_secs(1);
    let plan = with_enough_riders(stage.plan(second * 2, vec![users(SATURATED_BY, setting.time(second * 15))]));
    let saturation = Stage::load(plan, async |_| Ok(())).await?;
    let most = saturation.legs.first().map_or(0.0, |leg| leg.orders.finished_per_s).max(1.0);
    let normal = |seconds: u32| rate(most * NORMAL, setting.time(second * seconds));
    let (returning, recovers) =
        if setting.insistent { (Returning::All, RECOVERS_FROM_THE_INSISTENT) } else { (Returning::Started, RECOVERS) };
    let legs = vec![normal(8), rate(most * factor, setting.time(second * 12)), normal(recovers), normal(8)];
    let after_rush: Duration = legs.iter().take(2).map(|leg: &Leg| leg.duration).sum();
    let plan = with_enough_riders(stage.plan(second, legs));
    let late_at_most = if setting.quick { plan.late_at_most } else { LATE_AT_MOST };
    let plan = Plan { connections: CONNECTIONS, late_at_most, finish_within: FINISH_WITHIN, returning, ..plan };
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
    let first = format!("first {recovers} s after");
    let phases = ["saturated", "at 0.7 of it", &format!("at {factor} times"), &first, "next 8 s"];
    let mut outcome = stage.end(&phases, vec![saturation, ran]).await?;
    if let [saturated, before, rush, _, after] = &outcome.rows[..] {
        let mut notes = notes(&saturated.report, &before.report, &rush.report, &after.report, recovers);
        if let (Some(before), Some(after)) = memory {
            notes.push(format!(
                "memory of the server: {before} MiB before, {after} MiB at the end of the rush (aim: at most 64 more)"
            ));
        }
        outcome.notes.extend(notes);
    }
    Ok(outcome)
}

/// The town must not run out of riders before the server runs out of breath: answers that take seconds keep riders busy
/// for many. With so many of them, their apps say where they are less often.
fn with_enough_riders(plan: Plan) -> Plan {
    Plan {
        riders: plan.riders * 8,
        store_riders: plan.store_riders * 4,
        presence_every: Duration::from_secs(60),
        ..plan
    }
}

/// What was aimed at, and what came of it. None of it fails the drill: only broken promises do.
fn notes(saturated: &Report, before: &Report, rush: &Report, after: &Report, recovers: u32) -> Vec<String> {
    let percent = |part: f64, whole: f64| part / whole.max(0.1) * 100.0;
    let took = |report: &Report| report.of_command("place").map_or(0.0, |place| place.took.p99);
    let times_usual = |report: &Report| took(report) / took(before).max(0.01);
    let (most, finished) = (saturated.orders.finished_per_s, rush.orders.finished_per_s);
    let commands = percent(rush.commands_per_s, saturated.commands_per_s);
    vec![
        format!(
            "saturated: {most:.0} orders/s come to their end, {:.0} commands/s; in the rush {:.0}% of those orders and \
             {commands:.0}% of those commands (aim: 80%)",
            saturated.commands_per_s,
            percent(finished, most)
        ),
        format!("in the rush {:.1}% of the commands for orders under way were carried out (aim: 99%)", under_way(rush)),
        format!(
            "a refusal took p50 {:.1} ms, p99 {:.1} ms (aim: 30); p99 of placing was {:.1} times the usual (aim: 3)",
            rush.to_refuse.p50,
            rush.to_refuse.p99,
            times_usual(rush)
        ),
        format!(
            "{recovers} s after the rush {:.2}% were answered at once (aim: 99.9%), with a p99 of {:.1} times the usual (aim: 1.2)",
            after.orders.available_at_once * 100.0,
            times_usual(after)
        ),
        format!("the lists agreed with the orders {:.0} s after the load", after.checked.lists_took_s),
    ]
}

/// How many in a hundred of the commands after placing got their answer.
fn under_way(report: &Report) -> f64 {
    let after_placing = report.commands.iter().filter(|of| !["place", "(read)"].contains(&of.command));
    let (wished, answered) =
        after_placing.fold((0, 0), |(wished, answered), of| (wished + of.wished, answered + of.done + of.denied));
    answered as f64 / wished.max(1) as f64 * 100.0
}

fn surroundings(scarce: Scarce) -> Surroundings {
    match scarce {
        Scarce::Disk => {
            let group = ("BAEDAL__DATABASE__GROUP", GROUP.to_string());
            let commit = ("BAEDAL__DATABASE__COMMIT_AT_LEAST_MS", COMMIT_MS.to_string());
            Surroundings { core: None, settings: vec![group, commit] }
        }
        Scarce::Processor => Surroundings { core: first_core(), ..Surroundings::default() },
    }
}

fn first_core() -> Option<usize> {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let there = Command::new("taskset").arg("--version").output().is_ok_and(|said| said.status.success());
    (several && there).then_some(0)
}
