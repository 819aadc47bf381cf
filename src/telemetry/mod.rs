//! The log and the metrics: where they go and in what form.
//!
//! What is logged is decided where it happens; `BAEDAL_LOG` filters it (`info` by default, the syntax is that of
//! `tracing_subscriber::EnvFilter`). Metrics are pulled from `/metrics`; nothing is sent anywhere. A log that cannot be
//! written loses lines and stops nobody.

mod log_writer;

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use self::log_writer::LogWriter;
use crate::config::LogFormat;

/// The variable that says what is logged.
const FILTER: &str = "BAEDAL_LOG";

/// What is logged when nobody says. actix counts its workers at every start, which helps nobody.
const USUAL: &str = "info,actix_server=warn";

/// Seconds. An actor answers in tens of microseconds, a commit takes about one millisecond, and the longest
/// wait for an answer is ten seconds.
const DURATION_BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How many things a group held: powers of two up to the largest group of the journal.
const SIZE_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Samples wait in memory until they are gathered: at 20,000 requests a second, five seconds are a megabyte.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long the end of the process waits for the log. A reader that takes nothing for so long sleeps.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// The same after a panic, which may be the last that the process says, or not: whoever panicked waits no longer.
const FLUSH_PANIC_WITHIN: Duration = Duration::from_millis(100);

/// The log of this process, once it was started.
static LOG: OnceLock<LogWriter> = OnceLock::new();

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("BAEDAL_LOG is no filter such as `info` or `baedal=debug`")]
    BadFilter(#[source] tracing_subscriber::filter::ParseError),
    #[error("cannot start a thread")]
    NoThread(#[source] std::io::Error),
}

/// Starts logging to standard error, panics included. A second call in one process changes nothing.
pub fn start_log(format: LogFormat) -> Result<(), LogError> {
    let wanted = std::env::var(FILTER).unwrap_or_else(|_| USUAL.into());
    let filter: EnvFilter = wanted.parse().map_err(LogError::BadFilter)?;
    let for_people = match format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let notice = if for_people { lost_for_people } else { lost_as_json };
    let writer = LogWriter::start(std::io::stderr(), notice).map_err(LogError::NoThread)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer.clone()).log_internal_errors(false);
    let started = if for_people {
        log.compact().with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    match started {
        Ok(()) => {
            LOG.set(writer).ok();
            std::panic::set_hook(Box::new(log_panic));
        }
        Err(_) => tracing::debug!("the log was started before"),
    }
    Ok(())
}

/// Waits, at most a second, until what was logged is written. For the end of the process.
pub fn flush_log() {
    if let Some(log) = LOG.get() {
        log.flush(FLUSH_WITHIN);
    }
}

/// Says something to whoever runs a command. The macros of the standard library panic if nobody reads it.
pub fn say(text: std::fmt::Arguments<'_>) {
    std::io::stderr().lock().write_fmt(text).ok();
}

fn lost_for_people(lost: u64) -> String {
    format!("{}  WARN {lost} log lines were lost\n", jiff::Timestamp::now())
}

fn lost_as_json(lost: u64) -> String {
    let (at, message) = (jiff::Timestamp::now().to_string(), format!("{lost} log lines were lost"));
    let target = module_path!();
    let line =
        serde_json::json!({"timestamp": at, "level": "WARN", "message": message, "lost": lost, "target": target});
    format!("{line}\n")
}

/// One line, inside the span of the request or the actor that panicked. Each is a bug of ours.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(panic.message = message, panic.location = location, "panicked");
    if let Some(log) = LOG.get() {
        log.flush(FLUSH_PANIC_WITHIN);
    }
}

/// What has been measured so far, to be rendered for a scrape.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts measuring for the whole process; a second call gives the same measurements.
    ///
    /// Call it before anything is measured: what comes earlier goes nowhere.
    pub fn start() -> Self {
        static STARTED: OnceLock<Metrics> = OnceLock::new();
        STARTED.get_or_init(Self::install).clone()
    }

    fn install() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &DURATION_BUCKETS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), &SIZE_BUCKETS))
            .expect("the lists of buckets are not empty");
        let recorder = builder.build_recorder();
        let metrics = Self(recorder.handle());
        // Only this function installs a recorder, and it runs once.
        metrics::set_global_recorder(recorder).ok();
        metrics
    }

    /// In the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Gathers the samples every few seconds, for as long as it is polled.
    pub async fn keep_up(self) {
        let mut every = tokio::time::interval(UPKEEP);
        loop {
            every.tick().await;
            self.0.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lines_are_told_in_the_form_of_the_log() {
        let told: serde_json::Value = serde_json::from_str(&lost_as_json(3)).unwrap();
        assert_eq!((&told["level"], &told["message"]), (&"WARN".into(), &"3 log lines were lost".into()));
        assert!(lost_for_people(3).ends_with(" WARN 3 log lines were lost\n"));
    }

    #[test]
    fn a_duration_is_rendered_in_buckets_and_not_as_quantiles() {
        let metrics = Metrics::start();
        metrics::histogram!("telemetry_test_seconds").record(0.003);
        let text = metrics.render();
        assert!(text.contains("telemetry_test_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(!text.contains("quantile"), "{text}");
    }

    #[test]
    fn starting_twice_gives_the_same_measurements() {
        let (first, second) = (Metrics::start(), Metrics::start());
        metrics::counter!("telemetry_test_total").increment(1);
        assert!(first.render().contains("telemetry_test_total 1"));
        assert!(second.render().contains("telemetry_test_total 1"));
    }
}
