//! The figures of the embedded default, each beside what the same machine does without us in the same minute; the
//! journal's and the lifecycles' also of PostgreSQL, if `BAEDAL_BENCH_POSTGRES` names a server.
//!
//! `cargo bench` runs all; `cargo bench -- lifecycles` one of them. `BAEDAL_BENCH_ORDERS` says how many orders the
//! figures of memory are about. No figure is a test: machines drift, so compare the ratios, and only figures of one run.

mod client;
mod engines;
mod filled;
mod growth;
mod journal;
mod lifecycles;
mod memory;
mod mirror;
mod over_http;
mod town;

use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long each measurement runs. Long enough for several hundred commits, short enough to be repeated.
const RUN: Duration = Duration::from_secs(6);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, directory] = &arguments[..]
        && flag == "--awake"
    {
        return memory::awake(directory.as_ref());
    }
    let metrics = baedal::telemetry::Metrics::start();
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    let names: Vec<&str> = engines::engines().into_iter().map(engines::Engine::name).collect();
    println!("baedal on {}, {} cores, every answer after its fsync\n", names.join(" and "), num_cores());
    if wanted("journal") {
        journal::measure();
    }
    if wanted("lifecycles") {
        lifecycles::measure(&mut Commits::new(metrics));
    }
    if wanted("http") {
        over_http::measure();
    }
    if wanted("mirror") {
        mirror::measure();
    }
    if wanted("memory") {
        memory::measure();
    }
    // Some minutes: only who asks for it waits for it.
    if arguments.iter().any(|argument| argument == "growth") {
        growth::measure();
    }
    if arguments.iter().any(|argument| argument == "filled") {
        filled::measure();
    }
}

fn num_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What this process has used of all cores, in user and in system mode. Unlike a rate it says the same when something
/// else keeps the machine busy.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything, in parentheses: utime and stime are the 12th and 13th fields.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// What the journal's writer has done since the last look: what limits most of these figures.
struct Commits {
    metrics: baedal::telemetry::Metrics,
    /// Commits, appends in them, seconds.
    seen: [f64; 3],
}

impl Commits {
    fn new(metrics: baedal::telemetry::Metrics) -> Self {
        Self { metrics, seen: [0.0; 3] }
    }

    fn since(&mut self) -> String {
        let text = self.metrics.render();
        let read = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|number| number.trim().parse::<f64>().ok()).unwrap_or_default()
        };
        let names = ["journal_commit_seconds_count", "journal_group_size_sum", "journal_commit_seconds_sum"];
        let now = names.map(read);
        let [commits, appends, seconds] = [0, 1, 2].map(|n: usize| now[n] - self.seen[n]);
        self.seen = now;
        format!("{:.0} appends in a commit of {:.2} ms", appends / commits, seconds * 1e3 / commits)
    }
}

/// Where the data of a measurement goes: beside the build, on a real disk, never in memory.
fn scratch() -> tempfile::TempDir {
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    tempfile::tempdir_in(target).expect("the target directory can be written")
}
