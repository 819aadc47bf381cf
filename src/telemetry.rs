//! The log and the metrics: where they go and in what form.
//!
//! What is logged is decided where it happens; `BAEDAL_LOG` filters it (`info` by default, the syntax is that of
//! `tracing_subscriber::EnvFilter`). Metrics are pulled from `/metrics`; nothing is sent anywhere.

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

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

/// The filter in `BAEDAL_LOG` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("BAEDAL_LOG is no filter such as `info` or `baedal=debug`")]
pub struct BadFilter(#[source] tracing_subscriber::filter::ParseError);

/// Starts logging to standard error, panics included. A second call in one process changes nothing.
pub fn start_log(format: LogFormat) -> Result<(), BadFilter> {
    let wanted = std::env::var(FILTER).unwrap_or_else(|_| USUAL.into());
    let filter: EnvFilter = wanted.parse().map_err(BadFilter)?;
    let for_people = match format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if for_people {
        log.compact().with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
    } else {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    match started {
        Ok(()) => std::panic::set_hook(Box::new(log_panic)),
        Err(_) => tracing::debug!("the log was started before"),
    }
    Ok(())
}

/// One line, inside the span of the request or the actor that panicked. Each is a bug of ours.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(panic.message = message, panic.location = location, "panicked");
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
