//! `baedal load`: whole lives of orders through the public interface, at a pace that does not ask the server, and a last
//! look at whether it kept what it promised.
//!
//! Separate on purpose: it reads the contract anew, as a client would (`kind`, `answer`), and shares only the signing of
//! tokens with the server. Pure and tested without one: `mix`, `schedule`, `promises`, `trail`, `verdict`. The
//! rest is one thread: `running` drives `life`s, which speak through `api`; `audit` and `watch` look at what came of it.

mod answer;
mod api;
mod args;
mod around;
mod audit;
mod command;
mod connection;
mod kind;
mod life;
mod mix;
mod placing;
mod plan;
mod pool;
mod progress;
mod promises;
mod report;
mod riders;
mod running;
mod schedule;
mod table;
mod tally;
mod tokens;
mod town;
mod trail;
mod verdict;
mod watch;

pub use api::Returning;
pub use args::LoadArgs;
pub use kind::Status;
pub use mix::{BadMix, Mix};
pub use plan::{Leg, Pace, Plan};
pub use promises::Listed;
pub use report::{CommandFigures, Orders, Report, Times, Verdict};
pub use running::{Ran, run};
pub use tokens::Tokens;

/// The run does not end with status 0, and why.
#[derive(Debug, thiserror::Error)]
pub enum NotGood {
    #[error("a promise was broken: {0}")]
    Broken(String),
    #[error("the run is invalid: {0}")]
    Invalid(String),
}

impl NotGood {
    /// The exit status of the process.
    pub fn status(&self) -> u8 {
        match self {
            Self::Broken(_) => 1,
            Self::Invalid(_) => 2,
        }
    }
}

impl Report {
    pub fn outcome(&self) -> Result<(), NotGood> {
        let because = self.because.join("; ");
        match self.verdict {
            Verdict::Good => Ok(()),
            Verdict::Broken => Err(NotGood::Broken(because)),
            Verdict::Invalid => Err(NotGood::Invalid(because)),
        }
    }
}
