//! The command line: what it says, and which part of the program carries it out.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::access::{Issuer, Role, SigningKey};
use crate::app;
use crate::asyncapi;
use crate::config::{Config, Flags, LogFormat};
use crate::drill::{self, DrillArgs};
use crate::http;
use crate::load::{self, LoadArgs, Tokens};
use crate::maintenance;
use crate::order::Subject;
use crate::store::{Shard, TipsDigest};

/// The backend of an order-and-delivery service.
///
/// Settings come from defaults, then the file given with --config, then variables such as BAEDAL__HTTP__WORKERS,
/// then flags; the later one wins. `baedal config show` prints what is in effect.
///
/// Exit status: 0 done; 1 not done, and why; 2 not understood, or a run of `load` or `drill` that proves nothing; 75 this
/// server was replaced by another one on its database and must not be started again beside it.
#[derive(Debug, Parser)]
#[command(name = "baedal", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// A TOML file with settings
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the journal and the token key are [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A PostgreSQL database for journal and views, in place of SQLite in the data directory
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// How the log is written [default: auto]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the interface; everything is embedded unless told otherwise
    Serve(ServeArgs),
    /// Bring the schema of the databases up to date, and end
    Migrate,
    /// Check every promise that the journal can show; the exit status tells
    Verify(VerifyArgs),
    /// Make the list views anew from the journal, beside a running server too, and compare them with the old ones
    RebuildViews(RebuildViewsArgs),
    /// Print a token that lets its bearer act as someone
    Token(TokenArgs),
    /// Print the description of the interface (OpenAPI 3.1, JSON)
    Openapi,
    /// Print the description of the events in Kafka (AsyncAPI 3.0, JSON)
    Asyncapi,
    /// Look at the Kafka mirror of a stopped service, or send it back
    #[command(subcommand)]
    Bridge(BridgeCommand),
    Load(LoadArgs),
    Drill(DrillArgs),
    /// Check or print the settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Address and port [default: 127.0.0.1:8088]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::SocketAddr>,
    /// Mirror all orders' events to Kafka [default: kafka.bootstrap_servers, or no mirror]
    #[arg(long, value_name = "HOST:PORT,...")]
    kafka: Option<String>,
    /// Also open five stores and let simulated people order, cook and ride
    #[arg(long)]
    demo: bool,
}

#[derive(Debug, Args)]
struct RebuildViewsArgs {
    /// Where the server listens, if one runs on this data [default: 127.0.0.1:8088]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::SocketAddr>,
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// What they may do
    #[arg(long)]
    role: Role,
    /// Who they are: 1 to 64 letters, digits and . _ : @ -
    #[arg(long, value_name = "NAME")]
    sub: Subject,
    /// How long the token is good, in seconds [default: access.token_lifetime_s]
    #[arg(long, value_name = "SECONDS")]
    lifetime_s: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum BridgeCommand {
    /// Say how far it had come
    Status,
    /// Send everything of a shard from a position on again at the next start, as after the loss of a topic
    Rewind {
        #[arg(long, value_name = "0-63", value_parser = shard)]
        shard: Shard,
        /// The first position that is sent again
        #[arg(long, value_name = "POSITION")]
        from: u64,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the service could start with these settings
    Check,
    /// Print the settings in effect as TOML, passwords left out
    Show,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// What it printed before, to see that what was there then still is as it was
    #[arg(long, value_name = "EVENTS:DIGEST")]
    tips: Option<TipsDigest>,
}

impl Cli {
    /// Carries out one command. What it prints for other programs goes to `out`.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let printed = match &self.command {
            Command::Serve(args) => {
                let flags = Flags { listen: args.listen, kafka: args.kafka.clone(), ..Flags::default() };
                let config = self.common.load_with(flags)?;
                app::serve(&config, args.demo)?;
                String::new()
            }
            Command::Migrate => maintenance::migrate(&self.common.load()?)?,
            Command::Verify(args) => maintenance::verify(&self.common.load()?, args.tips.clone())?,
            Command::RebuildViews(args) => {
                let flags = Flags { listen: args.listen, ..Flags::default() };
                maintenance::rebuild_views(&self.common.load_with(flags)?)?
            }
            Command::Token(args) => token(args, &self.common.load()?)?,
            Command::Load(args) => return self.load(args, out),
            Command::Drill(args) => return drill::run(args, self.common.database.clone(), out),
            Command::Openapi => http::openapi_json().to_owned(),
            Command::Asyncapi => asyncapi::document_json(&self.common.load()?.kafka),
            Command::Bridge(BridgeCommand::Status) => maintenance::bridge_status(&self.common.load()?)?,
            Command::Bridge(BridgeCommand::Rewind { shard, from }) => {
                maintenance::rewind_bridge(&self.common.load()?, *shard, *from)?
            }
            Command::Config(ConfigCommand::Check) => {
                self.common.load()?;
                "The settings are good.\n".to_owned()
            }
            Command::Config(ConfigCommand::Show) => self.common.load()?.to_toml(),
        };
        print(out, &printed)
    }

    /// The report is printed first: whoever asks for it wants it most when it is not good.
    fn load(&self, args: &LoadArgs, out: &mut impl Write) -> anyhow::Result<()> {
        let plan = args.plan(io::stderr().is_terminal())?;
        let tokens = match &self.common.data_dir {
            Some(_) => Tokens::Signed(Box::new(issuer(&self.common.load()?)?)),
            None => Tokens::DevelopmentSignIn,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ran = runtime.block_on(load::run(plan, &tokens, None))?;
        let report = ran.legs.first().context("a run has a leg")?;
        let printed = if args.json { serde_json::to_string_pretty(report)? + "\n" } else { report.to_string() };
        print(out, &printed)?;
        Ok(report.outcome()?)
    }
}

fn print(out: &mut impl Write, printed: &str) -> anyhow::Result<()> {
    match out.write_all(printed.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough: `baedal openapi | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot print"),
    }
}

impl Common {
    fn load(&self) -> anyhow::Result<Config> {
        self.load_with(Flags::default())
    }

    /// With the flags of the command itself.
    fn load_with(&self, flags: Flags) -> anyhow::Result<Config> {
        let flags = Flags {
            data_dir: self.data_dir.clone(),
            database: self.database.clone(),
            log_format: self.log_format,
            ..flags
        };
        Ok(Config::load(self.config.clone(), flags)?)
    }
}

fn shard(text: &str) -> Result<Shard, &'static str> {
    text.parse().ok().and_then(Shard::new).ok_or("a shard is 0 to 63")
}

fn token(args: &TokenArgs, config: &Config) -> anyhow::Result<String> {
    let lifetime = args.lifetime_s.map_or(config.access.token_lifetime_s.duration(), std::time::Duration::from_secs);
    let issued = issuer(config)?.issue(args.role, &args.sub, lifetime);
    Ok(issued.token + "\n")
}

fn issuer(config: &Config) -> anyhow::Result<Issuer> {
    let key = SigningKey::read(&config.data_dir)?;
    Ok(Issuer::new(&key, &config.access))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::access::Verifier;

    fn run(line: &str) -> Result<String, String> {
        let cli = Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        cli.run(&mut out).map_err(|error| format!("{error:#}"))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_printed_token_opens_the_service_of_that_data_directory() {
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::open(directory.path()).unwrap();
        let printed =
            run(&format!("baedal token --role owner --sub mario --data-dir {}", directory.path().display())).unwrap();
        let config = Config::default();
        let caller = Verifier::new(&key, &config.access, &config.limits).verify(printed.trim_end()).unwrap();
        assert_eq!(caller.to_string(), "owner:mario");
    }

    #[test]
    fn a_token_is_not_signed_with_a_key_that_no_service_has() {
        let directory = tempfile::tempdir().unwrap();
        let refused = run(&format!("baedal token --role rider --sub r --data-dir {}", directory.path().display()));
        assert!(refused.unwrap_err().contains("there is no token key at"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_wrong_on_the_line_is_named() {
        assert!(run("baedal token --role chef --sub x").unwrap_err().contains("customer"));
        assert!(run("baedal token --role rider --sub a/b").unwrap_err().contains("1 to 64 characters"));
        assert!(run("baedal config show --config /no/such.toml").unwrap_err().contains("/no/such.toml"));
    }

    #[test]
    fn the_settings_shown_are_those_of_the_flags() {
        let shown = run("baedal config show --data-dir /tmp/elsewhere --database postgres://a:b@c/d").unwrap();
        assert!(shown.contains("data_dir = \"/tmp/elsewhere\""), "{shown}");
        assert!(shown.contains("url = \"postgres://a:***@c/d\""), "{shown}");
        assert!(run("baedal config check").is_ok());
    }

    #[test]
    fn a_mirror_is_sent_back_and_never_forward() {
        let directory = tempfile::tempdir().unwrap();
        let bridge = |what: &str| run(&format!("baedal bridge {what} --data-dir {}", directory.path().display()));
        assert!(bridge("status").unwrap().contains("Kafka lacks 0 events"));
        assert!(bridge("rewind --shard 64 --from 1").unwrap_err().contains("0 to 63"));
        assert!(bridge("rewind --shard 3 --from 1").unwrap_err().contains("3:1 has not been mirrored yet"));
        assert!(bridge("rewind --shard 3 --from 0").unwrap_err().contains("begin with 1"));
    }

    #[test]
    fn the_events_are_described_with_the_topic_of_the_settings() {
        let settings = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(settings.path(), "[kafka]\ntopic = 'shop.orders'").unwrap();
        let document = run(&format!("baedal asyncapi --config {}", settings.path().display())).unwrap();
        assert!(document.contains(r#""address": "shop.orders""#), "{document}");
    }

    #[test]
    fn the_description_is_printed_as_it_is_served() {
        assert_eq!(run("baedal openapi").unwrap(), http::openapi_json());
    }
}
