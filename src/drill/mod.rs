//! `baedal drill`: outages on purpose. Each drill starts a server of its own, loads it, breaks something, mends it, and
//! prints what its users saw, beside what the systems that this one is to replace printed of theirs.
//!
//! Decided here: which drills there are. What each does is in the file of that name; what all have in common (server,
//! load, the provider's books, `baedal verify`) is `stage`. Breaking and mending go through the public interface and
//! signals: nothing here reaches into the server.

mod args;
mod books;
mod operator;
mod overload;
mod payment;
mod restarts;
mod server;
mod stage;
mod store_down;
mod table;

use std::io::Write;

pub use args::{DrillArgs, Name};
use stage::{Outcome, Setting};

use crate::load::NotGood;

/// Carries the drills out, one after the other, and prints each as it ends. An error if any was not good; the first
/// broken promise counts for more than any number of invalid runs. Their servers keep their data in `database`, or in a
/// directory each.
pub fn run(args: &DrillArgs, database: Option<String>, out: &mut impl Write) -> anyhow::Result<()> {
    let setting = args.setting(database)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut broken, mut invalid) = (Vec::new(), Vec::new());
    writeln!(out, "{}", table::heading())?;
    for name in args.names() {
        let outcome = runtime.block_on(carry_out(name, &setting))?;
        write!(out, "{}", table::lines(name, &outcome))?;
        out.flush()?;
        let of_this = |because: String| format!("{}: {because}", name.as_str());
        broken.extend(outcome.broken.into_iter().map(of_this));
        invalid.extend(outcome.invalid.into_iter().map(of_this));
    }
    match (broken.is_empty(), invalid.is_empty()) {
        (false, _) => Err(NotGood::Broken(broken.join("; ")).into()),
        (true, false) => Err(NotGood::Invalid(invalid.join("; ")).into()),
        (true, true) => Ok(()),
    }
}

async fn carry_out(name: Name, setting: &Setting) -> anyhow::Result<Outcome> {
    match name {
        Name::PaymentSlow => payment::slowed(setting, 400, 620).await,
        Name::PaymentSlower => payment::slowed(setting, 1_000, 1_220).await,
        Name::PaymentDown => payment::broken(setting, "hang").await,
        Name::PaymentFailing => payment::broken(setting, "error").await,
        Name::StoreDown => store_down::paused(setting).await,
        Name::Overload2 => overload::times(setting, 2.0).await,
        Name::Overload5 => overload::times(setting, 5.0).await,
        Name::Overload10 => overload::times(setting, 10.0).await,
        Name::RollingRestart => restarts::rolling(setting).await,
        Name::Kill => restarts::kill(setting).await,
        Name::All => unreachable!("all is each of the others"),
    }
}
