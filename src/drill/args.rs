//! The command line of `baedal drill`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::stage::{Scarce, Setting};

/// Carries out a drill: something is broken on purpose, under load, and mended again.
///
/// Each drill starts a server of its own on a directory of its own, lets whole lives of orders run against it as `baedal
/// load` does, and ends with the provider's own books compared with the orders and with `baedal verify`. It prints one
/// line for each phase, and below it what the systems that were examined before this one printed of theirs.
///
/// Columns: share of orders answered the first time they were sent, and in the end (repeats included); orders placed a
/// second; times of placing, in milliseconds from the intended moment; payments deferred; attempts refused; orders
/// lost, duplicated; charged without an order; charged twice.
///
/// Exit status: 0 every promise was kept; 1 one was broken, or a drill could not run; 2 a run was invalid, because
/// the generator itself was late or too little was seen.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct DrillArgs {
    /// Which, or all of them, one after the other
    #[arg(value_enum)]
    name: Name,
    /// Some seconds each, to see that they work. The figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Where the servers' directories are made [default: the system's temporary directory]. One on a real disk gives
    /// real figures
    #[arg(long, value_name = "DIR")]
    within: Option<PathBuf>,
    /// What there is too little of when orders overload the server
    #[arg(long, value_enum, default_value_t = Scarce::Disk)]
    scarce: Scarce,
    /// In an overload, whoever is refused comes back after a while, again and again, as impatient people and their apps do
    #[arg(long)]
    insistent: bool,
    /// Leave the directories where they are; those of a drill that is not good are left anyway
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// 100 users while each payment takes 400 to 620 ms
    PaymentSlow,
    /// 100 users while each payment takes 1,000 to 1,220 ms
    PaymentSlower,
    /// The payment provider does not answer, and comes back
    PaymentDown,
    /// The payment provider fails at once, and recovers
    PaymentFailing,
    /// Store management is down, and comes back
    StoreDown,
    /// Twice as many orders as the server can take, and back to normal
    #[value(name = "overload-2")]
    Overload2,
    /// Five times as many
    #[value(name = "overload-5")]
    Overload5,
    /// Ten times as many
    #[value(name = "overload-10")]
    Overload10,
    /// The server is told to stop and is started again, while readiness is heeded
    RollingRestart,
    /// The server is killed, and started again
    Kill,
    /// Each of them
    All,
}

impl Name {
    pub(super) fn as_str(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What the examined systems printed of themselves in the like situation.
    pub(super) fn others(self) -> &'static str {
        match self {
            Self::PaymentSlow => {
                "the template of two systems, 100 users, payment slowed by 400-620 ms: 63.55% available, 17.15/s, longest \
                 9.20 s; run by us on 2 cores: 6.9-23.8% available, 10-16/s, p99 3.1-5.6 s, 1,140 charged for 892 orders"
            }
            Self::PaymentSlower => {
                "a system that gives up on payment after 10 ms when it takes 1,000-1,220: fallback answers, no order"
            }
            Self::PaymentDown | Self::PaymentFailing => {
                "systems whose breaker trips above 610 ms: no orders while it is open"
            }
            Self::StoreDown => "99.999% a year wanted of the core while supporting parts may be down; not measured",
            Self::Overload2 | Self::Overload5 | Self::Overload10 => {
                "54.16/s at 20 users, longest 0.42 s, after scaling from 1 to 3; 17.15/s at 96 users"
            }
            Self::RollingRestart => "rolling update: 70.45% available without a readiness probe, 100% with one",
            Self::Kill => "a liveness probe that restarts; what became of the orders was not looked at",
            Self::All => "",
        }
    }
}

impl DrillArgs {
    pub(super) fn names(&self) -> Vec<Name> {
        match self.name {
            Name::All => Name::value_variants().iter().copied().filter(|name| *name != Name::All).collect(),
            one => vec![one],
        }
    }

    pub(super) fn setting(&self, database: Option<String>) -> anyhow::Result<Setting> {
        let within = self.within.clone().unwrap_or_else(std::env::temp_dir);
        let program = std::env::current_exe().context("where this program is")?;
        let &Self { quick, keep, scarce, insistent, .. } = self;
        Ok(Setting { quick, keep, within, program, database, scarce, insistent })
    }
}
