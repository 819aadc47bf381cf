//! What all drills have in common: a server, a load, something that happens meanwhile, and the settling of accounts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::books::{self, Comparison};
use super::operator::Operator;
use super::server::{Server, Surroundings};
use crate::load::{self, Leg, Mix, Pace, Plan, Ran, Report, Returning, Tokens, Verdict};

/// How long compensation may take once everything works again: money that was taken for an order that ended is on its
/// way back.
const BOOKS_SETTLE_WITHIN: Duration = Duration::from_secs(40);

/// Being late is part of the times shown, never hidden from them, and outages last for seconds: what is small beside
/// those is no reason to believe nothing.
const LATE_AT_MOST: Duration = Duration::from_millis(250);

/// The figures of a quick drill mean nothing anyway.
const NOT_JUDGED: Duration = Duration::from_secs(3_600);

/// How a drill is carried out.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) quick: bool,
    pub(super) keep: bool,
    /// Where the directory of a drill is made.
    pub(super) within: PathBuf,
    pub(super) program: PathBuf,
    /// None: SQLite, in the directory.
    pub(super) database: Option<String>,
    pub(super) scarce: Scarce,
    /// Whoever is refused in an overload comes back.
    pub(super) insistent: bool,
}

/// What an overload drill makes the bottleneck of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scarce {
    /// The server commits as if it had a slow disk. Ten times as many orders are then few enough for this machine to offer
    Disk,
    /// The server is kept on one core. Offering ten times what that can do takes several others
    Processor,
}

/// What a drill came to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    /// What else is worth saying, a line each.
    pub(super) notes: Vec<String>,
    pub(super) broken: Vec<String>,
    pub(super) invalid: Vec<String>,
}

/// A line of the table: a leg of the load, by name, and the provider's books.
pub(super) struct Row {
    pub(super) phase: String,
    pub(super) report: Report,
    pub(super) books: Comparison,
}

pub(super) struct Stage {
    pub(super) server: Server,
    directory: PathBuf,
    quick: bool,
    keep: bool,
    in_database: bool,
    /// An order's id is a time: what was ordered before belongs to another drill on the same database.
    begun: Uuid,
}

impl Setting {
    /// A length of time, or a fifth of it, but a second at least.
    pub(super) fn time(&self, usual: Duration) -> Duration {
        if self.quick { (usual / 5).max(Duration::from_secs(1)) } else { usual }
    }
}

impl Stage {
    pub(super) async fn set(setting: &Setting, mut surroundings: Surroundings) -> anyhow::Result<Self> {
        let directory = setting.within.join(format!("baedal-drill-{}", Uuid::now_v7().simple()));
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        if let Some(url) = &setting.database {
            surroundings.settings.push(("BAEDAL__DATABASE__URL", url.clone()));
        }
        let (in_database, begun) = (setting.database.is_some(), Uuid::now_v7());
        let server = Server::start(&setting.program, &directory, surroundings).await?;
        Ok(Self { server, directory, quick: setting.quick, keep: setting.keep, in_database, begun })
    }

    pub(super) async fn operator(&self) -> anyhow::Result<Operator> {
        Operator::at(self.server.address).await
    }

    /// A load for this stage. Everybody pays by card, so that the provider's books tell of every order, and those with
    /// an order under way come back when they were refused.
    pub(super) fn plan(&self, warm_up: Duration, legs: Vec<Leg>) -> Plan {
        let plan = Plan::new(self.server.address, legs);
        let mix: Mix = "on_delivery=0%".parse().unwrap_or_default();
        let plan = Plan {
            warm_up,
            mix,
            returning: Returning::Started,
            presence_every: Duration::from_secs(5),
            late_at_most: LATE_AT_MOST,
            ..plan
        };
        if self.quick {
            let late_at_most = NOT_JUDGED;
            return Plan { late_at_most, customers: 40, stores: 2, store_riders: 8, riders: 40, ..plan };
        }
        plan
    }

    /// Loads the server while `meanwhile` happens to it. `meanwhile` is told when the first leg begins.
    pub(super) async fn load<F: Future<Output = anyhow::Result<()>>>(
        plan: Plan,
        meanwhile: impl FnOnce(oneshot::Receiver<Instant>) -> F,
    ) -> anyhow::Result<Ran> {
        let (begins, begun) = oneshot::channel();
        let ran = load::run(plan, &Tokens::DevelopmentSignIn, Some(begins));
        let (ran, happened) = tokio::join!(ran, meanwhile(begun));
        happened?;
        ran
    }

    /// Settles accounts: the provider's books once compensation is through, then a stop, then `baedal verify`.
    pub(super) async fn end(mut self, phases: &[&str], runs: Vec<Ran>) -> anyhow::Result<Outcome> {
        let orders: Vec<_> = runs.iter().flat_map(|ran| ran.orders.iter().copied()).collect();
        let ledger = self.server.data_dir().join("sandbox-ledger.jsonl");
        let operator = self.operator().await?;
        let give_up = Instant::now() + BOOKS_SETTLE_WITHIN;
        let books = loop {
            let entries = if self.in_database {
                operator.ledger(self.begun).await
            } else {
                books::read(&ledger).map_err(anyhow::Error::from)
            };
            let entries = entries.context("the provider's books cannot be read")?;
            let books = books::compare(&entries, &orders);
            if books.is_clean() || Instant::now() > give_up {
                break books;
            }
            sleep(Duration::from_millis(250)).await;
        };
        let mut outcome = Outcome::default();
        outcome.judge_books(books);
        self.server.tell_to_stop()?;
        if let Err(error) = self.server.wait_for_end().await {
            outcome.broken.push(format!("{error:#}"));
        }
        outcome.broken.extend(self.server.verify()?);
        let reports = runs.into_iter().flat_map(|ran| ran.legs);
        for (nth, report) in reports.enumerate() {
            outcome.notes.extend(turned_away(&report, phases.get(nth)));
            let phase = phases.get(nth).copied().unwrap_or_default().to_owned();
            outcome.add(Row { phase, report, books });
        }
        if self.keep || !outcome.broken.is_empty() {
            outcome.notes.push(format!("its directory is {}", self.directory.display()));
        } else {
            remove(&self.directory);
        }
        Ok(outcome)
    }
}

/// Which refusals there were, and which answers never came.
fn turned_away(report: &Report, phase: Option<&&str>) -> Option<String> {
    let kinds = report.refused.iter().chain(&report.unknown);
    let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{count} x {kind}")).collect();
    (!kinds.is_empty()).then(|| format!("{}: {}", phase.unwrap_or(&""), kinds.join(", ")))
}

/// What cannot be removed is left: it is a temporary directory.
fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory) {
        tracing::debug!(%error, "a drill's directory stays");
    }
}

impl Outcome {
    fn judge_books(&mut self, books: Comparison) {
        let Comparison { charged, without_order, twice, unpaid } = books;
        for (count, what) in [
            (without_order, "customers are charged without an order"),
            (twice, "orders are charged twice"),
            (unpaid, "orders are completed and not paid"),
        ] {
            if count > 0 {
                self.broken.push(format!("{count} {what}"));
            }
        }
        if charged == 0 {
            self.invalid.push("nobody was charged at all".into());
        }
    }

    fn add(&mut self, row: Row) {
        let said = match row.report.verdict {
            Verdict::Good => None,
            Verdict::Broken => Some(&mut self.broken),
            Verdict::Invalid => Some(&mut self.invalid),
        };
        let because = row.report.because.join("; ");
        said.into_iter().for_each(|said| said.push(format!("{}: {because}", row.phase)));
        self.rows.push(row);
    }
}

/// A closed loop of so many users.
pub(super) fn users(users: usize, duration: Duration) -> Leg {
    Leg::new(Pace::Concurrency(users), duration)
}

pub(super) fn rate(orders_per_s: f64, duration: Duration) -> Leg {
    Leg::new(Pace::Rate(orders_per_s), duration)
}
