//! Wiring: in which sequence the parts of the service start and stop.
//!
//! Start: address, data, journal, actors, HTTP. Stop is the reverse, with the promise that whatever was
//! acknowledged is in the journal by then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use uuid::Uuid;

use crate::access::SigningKey;
use crate::actors::{self, Clock, JournalHealth, System, WriteReport};
use crate::config::Config;
use crate::demo;
use crate::http::{self, Readiness, Services};
use crate::order::OrderId;
use crate::providers::payment::{FileLedger, Kept, Ledger, LedgerFailed, Sandbox, SandboxEntry};
use crate::store::{DataPlace, DbError, Engine, LedgerRow, PostgresPlace, SandboxLedger};
use crate::telemetry::{self, Metrics};

/// How long load balancers get to see that this process is not ready before connections are refused.
const LEAVE: Duration = Duration::from_millis(200);

/// The sandbox's books in the data directory.
const SANDBOX_LEDGER: &str = "sandbox-ledger.jsonl";

/// Another server has taken over the database of this one.
#[derive(Debug, thiserror::Error)]
#[error(
    "another server has taken over the database of this one, which has ended for good: \
     if that was not meant, look which server was started last with this database, and do not start both again"
)]
pub struct Replaced;

impl Replaced {
    /// The exit status of the process, one of its own: a service manager that started it again would only take the database
    /// back, and the two would go on replacing each other.
    pub const STATUS: u8 = 75;
}

/// Why a server ends.
enum End {
    Told,
    Replaced,
}

/// Serves until told to stop by SIGTERM or SIGINT, or until another server takes the database over, which is the error
/// [`Replaced`].
pub fn serve(config: &Config, demo: bool) -> anyhow::Result<()> {
    telemetry::start_log(config.log.format)?;
    let metrics = Metrics::start();
    actix_web::rt::System::new().block_on(async {
        let mut stop_signals = StopSignals::listen()?;
        let listener = http::bind(config.http.listen).context(
            "is another server running there? Stop it, or name another address with --listen 127.0.0.1:PORT",
        )?;
        let address = listener.local_addr()?;
        let operations = config.http.operations_listen.map(http::bind).transpose();
        let operations = operations.context("http.operations_listen must be an address that is free")?;
        let operations_at = operations.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        let engine = Engine::open(&place(config)).await?;
        let key = SigningKey::open(&config.data_dir)?;
        let sandbox = Arc::new(Sandbox::on(ledger(config)?));
        let readiness = Readiness::new();
        let (tell_replaced, mut replaced) = watch::channel(false);
        let report = report(readiness.clone(), tell_replaced);
        let clock = Clock::default();
        let (system, threads) = actors::start(config, engine, clock, sandbox, report).await?;
        actix_web::rt::spawn(metrics.clone().keep_up());

        let services = Services::new(config, &key, readiness.clone(), metrics, system.clone());
        services.issuer.self_test(&services.verifier)?;
        let (closing, issuer) = (services.closing.clone(), services.issuer.clone());
        let server = http::serve(listener, operations, &config.http, services)?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        readiness.set_started();
        if let Some(address) = operations_at {
            tracing::info!("operations and health alone are at http://{address}");
        }
        tracing::info!("baedal serves http://{address}  (interface: http://{address}/docs)");
        let people = demo.then(|| demo::start(address, issuer));

        let end = tokio::select! {
            () = stop_signals.received() => End::Told,
            Ok(_) = replaced.wait_for(|replaced| *replaced) => End::Replaced,
        };
        drop(people);
        match end {
            End::Told => tracing::info!("stopping: no new requests, finishing those under way"),
            End::Replaced => {
                tracing::error!("another server has taken over the database: refusing everything, and ending");
                // What these do from now on the other server does: who watches here shall go there, and nobody is told twice.
                closing.send_replace(true);
                threads.tell_readers_to_end();
                system.operations.dismiss().await;
            }
        }
        readiness.drain();
        tokio::time::sleep(LEAVE).await;
        closing.send_replace(true);
        handle.stop(true).await;
        serving.await.context("the server ended in a panic")??;
        stop(system, threads).await;
        match end {
            End::Told => tracing::info!("stopped: everything acknowledged is in the journal"),
            End::Replaced => return Err(Replaced.into()),
        }
        Ok(())
    })
}

/// The sandbox's books: with the journal, wherever that is.
fn ledger(config: &Config) -> anyhow::Result<Arc<dyn Ledger>> {
    Ok(match SandboxLedger::open(&place(config))? {
        Some(ledger) => Arc::new(InDatabase(ledger)),
        None => Arc::new(FileLedger::open(&config.data_dir.join(SANDBOX_LEDGER))?),
    })
}

/// The sandbox's books of a service that is at rest; none if the sandbox was never used here.
pub(crate) fn ledger_at_rest(config: &Config) -> anyhow::Result<Option<Arc<dyn Ledger>>> {
    let in_a_file = config.database.url.is_none();
    if in_a_file && !config.data_dir.join(SANDBOX_LEDGER).exists() {
        return Ok(None);
    }
    ledger(config).map(Some)
}

/// Neither the provider nor the store knows of the other.
struct InDatabase(SandboxLedger);

impl Ledger for InDatabase {
    fn enter(&self, entry: SandboxEntry) -> Kept<'_, bool> {
        let SandboxEntry { key, of, order_id: order, operation, amount } = entry;
        let entering = self.0.enter(LedgerRow { key, of, order, operation, amount });
        Box::pin(async { entering.await.map_err(failed) })
    }

    fn holds(&self, key: Uuid) -> Kept<'_, bool> {
        Box::pin(async move { self.0.holds(key).await.map_err(failed) })
    }

    fn of_order(&self, order: OrderId) -> Kept<'_, Vec<SandboxEntry>> {
        Box::pin(async move { self.0.of_order(order).await.map(entries).map_err(failed) })
    }

    fn page(&self, after: OrderId, orders: usize) -> Kept<'_, Vec<SandboxEntry>> {
        Box::pin(async move { self.0.page(after, orders).await.map(entries).map_err(failed) })
    }
}

fn entries(rows: Vec<LedgerRow>) -> Vec<SandboxEntry> {
    let entry = |row| {
        let LedgerRow { key, of, order, operation, amount } = row;
        SandboxEntry { key, of, order_id: order, operation, amount }
    };
    rows.into_iter().map(entry).collect()
}

fn failed(error: DbError) -> LedgerFailed {
    tracing::warn!(%error, "the sandbox cannot use its ledger");
    LedgerFailed
}

/// Tells readiness what the journal reports, and whoever waits for it that this process was replaced.
fn report(readiness: Arc<Readiness>, replaced: watch::Sender<bool>) -> WriteReport {
    Box::new(move |health| match health {
        JournalHealth::Writable => readiness.set_journal_writable(true),
        JournalHealth::Unwritable => readiness.set_journal_writable(false),
        JournalHealth::Replaced => {
            readiness.set_replaced();
            replaced.send_replace(true);
        }
    })
}

/// Where the settings say that the data is.
pub(crate) fn place(config: &Config) -> DataPlace {
    let database = &config.database;
    match &database.url {
        None => DataPlace::Directory(config.data_dir.clone()),
        Some(url) => DataPlace::Postgres(PostgresPlace {
            url: url.as_str().to_owned(),
            statement_timeout: database.statement_timeout_ms.duration(),
            acquire_timeout: database.acquire_timeout_ms.duration(),
            readers: database.readers,
        }),
    }
}

/// SIGTERM and SIGINT, from the moment on at which this is made: one that comes during the start is heeded after it.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn stop(system: System, threads: actors::Threads) {
    system.operations.dismiss().await;
    drop(system);
    threads.stop();
}
