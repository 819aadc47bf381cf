//! Wiring: in which sequence the parts start and stop, and what the commands of the command line do with them.
//!
//! Start: address, data, journal, actors, HTTP. Stop is the reverse, with the promise that whatever was
//! acknowledged is in the journal by then.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::SigningKey;
use crate::actors::{self, Clock, Follower, Projector, Rebuilt, System, Tail};
use crate::config::Config;
use crate::demo;
use crate::http::{self, Readiness, Services};
use crate::providers::payment::Sandbox;
use crate::running::RunningServer;
use crate::store::{DataPlace, Engine, OpenError, Reader};
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

/// Makes the views anew from the journal: here, or by the server that runs on the same data.
pub fn rebuild_views(config: &Config) -> anyhow::Result<String> {
    actix_web::rt::System::new().block_on(async {
        match open(config).await {
            Ok(engine) => {
                catch_up(&engine).await?;
                let rebuilt = actors::rebuild_at_rest(&engine.readers, &engine.views, show_progress).await?;
                let Rebuilt { events, checksums, .. } = rebuilt;
                Ok(rebuild_report(events, &checksums.old, &checksums.new))
            }
            Err(error) if matches!(error.downcast_ref(), Some(OpenError::InUse { .. })) => {
                rebuild_by_the_server(&RunningServer::of(config)?).await
            }
            Err(error) => Err(error),
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
            return Ok(rebuild_report(last["events"].as_u64().unwrap_or_default(), old, new));
        }
        tokio::time::sleep(ASK_AGAIN).await;
        state = server.ask(Method::GET, "/v1/operations/views").await?;
    }
}

/// How often a command asks how far the server is.
const ASK_AGAIN: Duration = Duration::from_millis(200);

fn show_progress(done: u64, all: u64) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{done} of {all} events{}", if done == all { "\n" } else { "" });
    }
}

fn rebuild_report(events: u64, old: &str, new: &str) -> String {
    let verdict = if old == new { "the same rows as before" } else { "the old rows were not what the journal says" };
    format!("The views are made anew from {events} events: {verdict}.\nold {old}\nnew {new}\n")
}

async fn catch_up(engine: &Engine) -> anyhow::Result<u64> {
    let cursor = engine.views.cursor(Reader::OrderView).await?;
    let follower = Follower::new(Tail::default(), engine.readers.clone(), cursor);
    let (projector, _) = Projector::new(follower, engine.views.clone());
    projector.catch_up().await
}
