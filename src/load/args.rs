//! The command line of `baedal load`.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::api::Returning;
use super::mix::Mix;
use super::plan::{Leg, Pace, Plan};

/// Lets whole lives of orders run against a server, through its public interface, and checks what it promised.
///
/// Customers place, owners accept and prepare, riders deliver, customers confirm, cancel or watch, at stores of all
/// five kinds that are opened for this run. At the end every acknowledged order must be there, once, and at least as
/// far as was acknowledged; what was never answered is asked again under its Idempotency-Key.
///
/// --rate is an open loop: orders arrive at random, so many a second, whether the earlier ones are answered or not, and
/// times count from the moment at which a request was meant to be sent. --concurrency is a closed loop: so many
/// orders are under way, and the next begins when one ends. It finds the most that a server does; its times hide how
/// long anybody waited.
///
/// Tokens are signed with the server's key if --data-dir names its data directory, and else come from its development
/// sign-in, which is open while it listens on loopback only.
///
/// A request without an answer, or with 504, is repeated with the same key until it is answered. 503 and 429 are
/// counted, and repeated only as --returning says.
///
/// Exit status: 0 all is well; 1 a promise was broken, or it could not run; 2 the run is invalid: the generator itself
/// was late, or too little was seen to say anything.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct LoadArgs {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8088")]
    target: String,
    /// Open loop: orders a second
    #[arg(long, value_name = "ORDERS/S", required_unless_present = "concurrency", conflicts_with = "concurrency")]
    rate: Option<f64>,
    /// Closed loop: orders under way
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// How long is measured: 30s, 2m, 500ms
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,
    /// How long there is load before anything is measured
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    warm_up: Duration,
    /// How long orders under way may take to come to their end
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    finish_within: Duration,
    /// Kinds of store with their weights, and shares of all orders: food_delivery=4,retail=2,quick_service=1 (or
    /// parcel), restaurant=2,store_delivered=2,cancellations=5%,rejections=3%,declined=1%,on_delivery=10%. Kinds that
    /// are not named are left out, unless none is
    #[arg(long, value_name = "MIX", default_value_t)]
    mix: Mix,
    /// Customers who watch their orders over WebSocket: no gap, no repeat, and how late
    #[arg(long, value_name = "N", default_value_t = 0)]
    watchers: usize,
    /// Who comes back after a refusal (503, 429, nobody there) when its Retry-After is over
    #[arg(long, value_name = "WHO", default_value = "nobody")]
    returning: Returning,
    /// Customers; each has lists of their own
    #[arg(long, value_name = "N", default_value_t = 200)]
    customers: usize,
    /// Stores of each kind
    #[arg(long, value_name = "N", default_value_t = 8)]
    stores: usize,
    /// Riders of each store that has its own
    #[arg(long, value_name = "N", default_value_t = 16)]
    store_riders: usize,
    /// Riders of no store
    #[arg(long, value_name = "N", default_value_t = 200)]
    riders: usize,
    /// Connections at the most for placing orders, and as many for all else. A server has 4,096 by default; with more than
    /// a few hundred, waiting only moves from here to there
    #[arg(long, value_name = "N", default_value_t = 512)]
    connections: usize,
    /// How late the generator itself may be 99 times in 100 before the run is invalid
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = duration)]
    late_at_most: Duration,
    /// The same seed wants the same orders at the same moments
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl LoadArgs {
    pub fn plan(&self, progress: bool) -> anyhow::Result<Plan> {
        let pace = match (self.rate, self.concurrency) {
            (Some(rate), _) if rate > 0.0 && rate.is_finite() => Pace::Rate(rate),
            (None, Some(orders)) if orders > 0 => Pace::Concurrency(orders),
            _ => anyhow::bail!("--rate and --concurrency are above 0"),
        };
        for (count, flag) in [
            (self.customers, "--customers"),
            (self.stores, "--stores"),
            (self.store_riders, "--store-riders"),
            (self.riders, "--riders"),
            (self.connections, "--connections"),
        ] {
            anyhow::ensure!(count > 0, "{flag} is at least 1");
        }
        Ok(Plan {
            warm_up: self.warm_up,
            finish_within: self.finish_within,
            mix: self.mix.clone(),
            seed: self.seed,
            customers: self.customers,
            stores: self.stores,
            store_riders: self.store_riders,
            riders: self.riders,
            watchers: self.watchers,
            connections: self.connections,
            returning: self.returning,
            late_at_most: self.late_at_most,
            progress,
            ..Plan::new(address(&self.target)?, vec![Leg::new(pace, self.duration)])
        })
    }
}

/// `http://host:port`, without TLS: the load is put on a server, not on the proxy before it.
fn address(target: &str) -> anyhow::Result<SocketAddr> {
    let rest = target.strip_prefix("http://").context("--target begins with http://")?;
    let host = rest.trim_end_matches('/');
    let named = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut found = named.to_socket_addrs().with_context(|| format!("--target {target} is no address"))?;
    found.next().with_context(|| format!("--target {target} has no address"))
}

/// `30s`, `2m`, `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let (number, unit) = units
        .iter()
        .find_map(|(unit, seconds)| text.strip_suffix(unit).map(|number| (number, *seconds)))
        .ok_or("write a number and ms, s or m")?;
    let number: f64 = number.trim().parse().map_err(|_| "write a number and ms, s or m")?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| "this is no length of time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert!(["30", "s", "-1s", "1h", "NaNs"].iter().all(|text| duration(text).is_err()));
    }

    #[test]
    fn a_target_is_an_address_without_tls() {
        assert_eq!(address("http://127.0.0.1:8088/").ok(), "127.0.0.1:8088".parse().ok());
        assert_eq!(address("http://127.0.0.1").ok(), "127.0.0.1:80".parse().ok());
        assert!(address("https://127.0.0.1:1").is_err());
    }
}
