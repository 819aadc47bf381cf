//! What the commands do that look after the data: bring the schema up to date, check, make views anew, send back the
//! mirror. Each opens the data for itself, or asks the server that has it open.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::actors::{self, Follower, Projector, Rebuilt, Tail, rewound};
use crate::app::{ledger_at_rest, place};
use crate::config::Config;
use crate::running::RunningServer;
use crate::store::{Engine, Onlooker, OpenError, Reader, Shard, TipsDigest};
use crate::telemetry;
use crate::verify;

/// Brings the schema up to date, and says so.
pub fn migrate(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        Engine::migrate(&place(config)).await?;
        let place = match &config.database.url {
            None => config.data_dir.display().to_string(),
            Some(url) => format!("{url:?}"),
        };
        Ok(format!("The schema in {place} is up to date.\n"))
    })
}

/// Checks what the journal can show, and that it still has the tips of earlier, if some are given. The error says how many
/// promises are broken.
pub fn verify(config: &Config, tips: Option<TipsDigest>) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        let data = Engine::attach(&place(config)).await?;
        let behind = verify::look_at_views(&data.readers, &data.views).await?;
        catch_up(&data).await?;
        let mut report = verify::verify(&data.readers, &data.views, tips, now_and_then()).await?;
        report.add(behind);
        if let Some(ledger) = ledger_at_rest(config)? {
            report.take_charges(verify::charges(&*ledger, &data.readers).await?);
        }
        if report.broken == 0 {
            return Ok(report.to_string());
        }
        telemetry::say(format_args!("{report}"));
        anyhow::bail!("{} promises are broken", report.broken)
    })
}

/// Makes the views anew from the journal: here, or by the server that runs on the same data.
pub fn rebuild_views(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        match Engine::attach(&place(config)).await {
            Ok(data) => {
                catch_up(&data).await?;
                let rebuilt = actors::rebuild_at_rest(&data.readers, &data.views, now_and_then()).await?;
                let Rebuilt { events, checksums, left_out, .. } = rebuilt;
                let named = left_out.named.iter().map(ToString::to_string).collect();
                Ok(rebuild_report(events, &checksums.old, &checksums.new, left_out.events, named))
            }
            Err(OpenError::InUse { .. } | OpenError::ServerRuns { .. }) => {
                rebuild_by_the_server(&RunningServer::of(config)?).await
            }
            Err(error) => Err(error.into()),
        }
    })
}

async fn rebuild_by_the_server(server: &RunningServer) -> anyhow::Result<String> {
    let mut state: serde_json::Value = server.ask(Method::POST, "/v1/operations/views/rebuild").await?;
    let before = state["ended"].clone();
    loop {
        if let (Some(done), Some(all)) = (state["running"]["events_done"].as_u64(), state["running"]["events"].as_u64())
        {
            show_progress(done, all);
        }
        if state["ended"] != before {
            let last = &state["last"];
            let (Some(old), Some(new)) = (last["old_checksum"].as_str(), last["new_checksum"].as_str()) else {
                anyhow::bail!("the server could not make the views anew: {}", last["error"]);
            };
            let number = |field: &str| last[field].as_u64().unwrap_or_default();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let named = last["left_out"].as_array().into_iter().flatten().map(|stream| {
                let [kind, id, position, why] = ["kind", "id", "position", "why"].map(|field| text(&stream[field]));
                format!("the {kind} {id} cannot be read at {position}: {why}")
            });
            return Ok(rebuild_report(number("events"), old, new, number("left_out_events"), named.collect()));
        }
        tokio::time::sleep(ASK_AGAIN).await;
        state = server.ask(Method::GET, "/v1/operations/views").await?;
    }
}

/// How often a command asks how far the server is.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Between two lines about how far a command is, where they are not written over each other.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How far a long command is, for people and for logs.
fn now_and_then() -> impl FnMut(u64, u64) {
    let mut said = Instant::now();
    move |done, all| {
        if std::io::stderr().is_terminal() {
            show_progress(done, all);
        } else if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            telemetry::say(format_args!("{done} of {all} events\n"));
        }
    }
}

fn show_progress(done: u64, all: u64) {
    if std::io::stderr().is_terminal() {
        let end = if done == all { "\n" } else { "" };
        telemetry::say(format_args!("\r{done} of {all} events{end}"));
    }
}

fn rebuild_report(events: u64, old: &str, new: &str, left_out: u64, named: Vec<String>) -> String {
    let verdict = if old == new { "the same rows as before" } else { "the old rows were not what the journal says" };
    let mut report = format!("The views are made anew from {events} events: {verdict}.\nold {old}\nnew {new}\n");
    if left_out > 0 {
        report.push_str(&format!(
            "{left_out} events were left out, of streams that stand there as far as they can be read:\n"
        ));
        named.iter().for_each(|stream| report.push_str(&format!("{stream}\n")));
    }
    report
}

/// For what a running server does itself, by `route`.
async fn attach_at_rest(config: &Config, route: &str) -> anyhow::Result<Onlooker> {
    Engine::attach(&place(config)).await.map_err(|error| match error {
        OpenError::InUse { .. } | OpenError::ServerRuns { .. } => {
            anyhow::Error::from(error).context(format!("ask the running server by {route}"))
        }
        other => other.into(),
    })
}

/// How far the Kafka mirror had come when it was stopped.
pub fn bridge_status(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        let data = attach_at_rest(config, "GET /v1/operations/kafka").await?;
        let (cursor, head) = (data.views.cursor(Reader::KafkaBridge).await?, data.readers.head().await?);
        let mut text = String::new();
        let mut lag = 0;
        for mark in head.marks().filter(|mark| mark.position > 0) {
            let (shard, mirrored) = (mark.shard.number(), cursor.at(mark.shard));
            lag += mark.position - mirrored;
            text.push_str(&format!("shard {shard}: mirrored up to {mirrored} of {}\n", mark.position));
        }
        text.push_str(&format!("Kafka lacks {lag} events.\n"));
        Ok(text)
    })
}

/// Lets the next start send everything of a shard from a position on again.
pub fn rewind_bridge(config: &Config, shard: Shard, from: u64) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        let data = attach_at_rest(config, "POST /v1/operations/kafka/rewind").await?;
        let mut cursor = data.views.cursor(Reader::KafkaBridge).await?;
        let mirrored = cursor.at(shard);
        let (to, events) = rewound(&cursor, shard, from)?;
        cursor.set(to);
        data.views.save_cursor(Reader::KafkaBridge, &cursor).await?;
        let shard = shard.number();
        Ok(format!(
            "The next start with Kafka sends shard {shard} from {from} to {mirrored} again: {events} events, less \
             those of stock and riders.\n"
        ))
    })
}

async fn catch_up(data: &Onlooker) -> anyhow::Result<u64> {
    let cursor = data.views.cursor(Reader::OrderView).await?;
    let follower = Follower::new(Tail::default(), data.readers.clone(), cursor);
    let projector = Projector::at_rest(follower, data.views.clone());
    projector.catch_up().await
}
