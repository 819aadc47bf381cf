//! Reads the command line and carries out one command. A failure is one line and status 1, unless it says another.

use std::process::ExitCode;

use baedal::app::Replaced;
use baedal::cli::Cli;
use baedal::load::NotGood;
use baedal::telemetry;
use clap::Parser as _;

/// For SQLite and librdkafka too: the C library's own allocator takes a tenth of a commit.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = Cli::parse().run(&mut std::io::stdout());
    telemetry::flush_log();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::say(format_args!("baedal: {error:#}\n"));
            status(&error)
        }
    }
}

fn status(error: &anyhow::Error) -> ExitCode {
    if error.is::<Replaced>() {
        return Replaced::STATUS.into();
    }
    error.downcast_ref::<NotGood>().map_or(ExitCode::FAILURE, |run| run.status().into())
}
