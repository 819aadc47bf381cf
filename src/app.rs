//! Wiring: in which sequence the parts start and stop, and what the commands of the command line do with them.
//!
//! Start: address, data, journal, actors, HTTP. Stop is the reverse, with the promise that whatever was
//! acknowledged is in the journal by then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::SigningKey;
use crate::actors::{self, Clock, Follower, Projector, System, Tail, rewound};
use crate::config::Config;
use crate::demo;
use crate::http::{self, Readiness, Services};
use crate::providers::payment::Sandbox;
use crate::store::{DataPlace, Engine, OpenError, Reader, Shard};
use crate::telemetry::{self, Metrics};
use crate::verify;

/// How long load balancers get to see that this process is not ready before connections are refused.
const LEAVE: Duration = Duration::from_millis(200);

/// Serves until told to stop by SIGTERM or SIGINT.
pub fn serve(config: &Config, demo: bool) -> anyhow::Result<()> {
    telemetry::start_log(config.log.format)?;
    let metrics = Metrics::start();
    actix_web::rt::System::new().block_on(async {
        let listener = http::bind(config.http.listen).context(
            "is another server running there? Stop it, or name another address with --listen 127.0.0.1:PORT",
        )?;
        let address = listener.local_addr()?;
        let engine = open(config).await?;
        let key = SigningKey::open(&config.data_dir)?;
        let sandbox = Arc::new(Sandbox::open(&config.data_dir.join("sandbox-ledger.jsonl"))?);
        let readiness = Readiness::new();
        let report = {
            let readiness = readiness.clone();
            Box::new(move |written| readiness.set_journal_writable(written))
        };
        let clock = Clock::default();
        let (system, threads) = actors::start(config, engine, clock, sandbox, report).await?;
        actix_web::rt::spawn(metrics.clone().keep_up());

        let services = Services::new(config, &key, readiness.clone(), metrics, system.clone());
        services.issuer.self_test(&services.verifier)?;
        let (closing, issuer) = (services.closing.clone(), services.issuer.clone());
        let server = http::serve(listener, &config.http, services)?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        readiness.set_started();
        tracing::info!("baedal serves http://{address}  (interface: http://{address}/docs)");
        let people = demo.then(|| demo::start(address, issuer));

        told_to_stop().await?;
        drop(people);
        tracing::info!("stopping: no new requests, finishing those under way");
        readiness.drain();
        tokio::time::sleep(LEAVE).await;
        closing.send_replace(true);
        handle.stop(true).await;
        serving.await.context("the server ended in a panic")??;
        stop(system, threads).await;
        tracing::info!("stopped: everything acknowledged is in the journal");
        Ok(())
    })
}

async fn open(config: &Config) -> anyhow::Result<Engine> {
    anyhow::ensure!(
        config.database.url.is_none(),
        "this build keeps its journal in SQLite only: leave database.url out"
    );
    Ok(Engine::open(&DataPlace::Directory(config.data_dir.clone())).await?)
}

async fn told_to_stop() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn stop(system: System, threads: actors::Threads) {
    system.operations.dismiss().await;
    drop(system);
    threads.stop();
}

/// Brings the schemas up to date, which opening does, and says so.
pub fn migrate(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        drop(open(config).await?);
        Ok(format!("The schema in {} is up to date.\n", config.data_dir.display()))
    })
}

/// Checks what the journal can show. The error says how many promises are broken.
pub fn verify(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        let engine = open(config).await?;
        catch_up(&engine).await?;
        let report = verify::verify(&engine.readers, &engine.views).await?;
        if report.broken.is_empty() {
            return Ok(report.to_string());
        }
        eprint!("{report}");
        anyhow::bail!("{} promises are broken", report.broken.len())
    })
}

/// Makes the views anew from the journal.
pub fn rebuild_views(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        let engine = open(config).await?;
        engine.views.wipe().await?;
        let rows = catch_up(&engine).await?;
        Ok(format!("The views are made anew: {rows} rows written.\n"))
    })
}

/// For commands that a running service carries out by `route` instead.
async fn open_at_rest(config: &Config, route: &str) -> anyhow::Result<Engine> {
    open(config).await.map_err(|error| match error.downcast_ref() {
        Some(OpenError::InUse { .. }) => error.context(format!("ask the running service by {route}")),
        _ => error,
    })
}

/// How far the Kafka mirror had come when it was stopped.
pub fn bridge_status(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        let engine = open_at_rest(config, "GET /v1/operations/kafka").await?;
        let (cursor, head) = (engine.views.cursor(Reader::KafkaBridge).await?, engine.readers.head().await?);
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
        let engine = open_at_rest(config, "POST /v1/operations/kafka/rewind").await?;
        let mut cursor = engine.views.cursor(Reader::KafkaBridge).await?;
        let mirrored = cursor.at(shard);
        let (to, events) = rewound(&cursor, shard, from)?;
        cursor.set(to);
        engine.views.save_cursor(Reader::KafkaBridge, &cursor).await?;
        let shard = shard.number();
        Ok(format!(
            "The next start with Kafka sends shard {shard} from {from} to {mirrored} again: {events} events, less \
             those of stock and riders.\n"
        ))
    })
}

async fn catch_up(engine: &Engine) -> anyhow::Result<u64> {
    let cursor = engine.views.cursor(Reader::OrderView).await?;
    let follower = Follower::new(Tail::default(), engine.readers.clone(), cursor);
    let (projector, _) = Projector::new(follower, engine.views.clone(), Clock::default());
    projector.catch_up().await
}
