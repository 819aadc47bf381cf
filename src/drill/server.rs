//! The server of a drill: this very program as another process, on a directory of its own, its log in a file.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

/// What the log says when the address is served.
const SERVES: &str = "baedal serves http://";

/// Longer than a start on a slow disk with many open orders takes.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// Longer than the grace that a server gives to what is under way.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// Between two looks at a process.
const LOOKS_AGAIN: Duration = Duration::from_millis(10);

/// What a server gets besides its directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// The core that it is kept on, so that it and the load do not take each other's.
    pub(super) core: Option<usize>,
    /// Variables of its environment.
    pub(super) settings: Vec<(&'static str, String)>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    program: PathBuf,
    directory: PathBuf,
    surroundings: Surroundings,
    child: Option<Child>,
    starts: u32,
}

impl Server {
    pub(super) async fn start(program: &Path, directory: &Path, surroundings: Surroundings) -> anyhow::Result<Self> {
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            program: program.to_owned(),
            directory: directory.to_owned(),
            surroundings,
            child: None,
            starts: 0,
        };
        server.start_again().await?;
        Ok(server)
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// On the same data, and at the same address if it had one.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.starts += 1;
        let log = self.directory.join(format!("server-{}.log", self.starts));
        self.child = Some(self.command(&log)?.spawn().context("the server cannot be started")?);
        let give_up = Instant::now() + STARTS_WITHIN;
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(address) = served_address(&said) {
                self.address = address;
                return Ok(());
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            anyhow::ensure!(ended.is_none(), "the server ended at once: see {}", log.display());
            anyhow::ensure!(Instant::now() < give_up, "the server does not start: see {}", log.display());
            sleep(LOOKS_AGAIN).await;
        }
    }

    fn command(&self, log: &Path) -> anyhow::Result<Command> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = match self.surroundings.core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        self.surround(&mut command);
        command.args(["serve", "--listen", &self.address.to_string(), "--log-format", "json", "--data-dir"]);
        command.arg(self.data_dir()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// A drill is the same wherever it runs: of our own settings, it has none.
    fn surround(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BAEDAL")) {
            command.env_remove(name);
        }
        command.env_remove("DATABASE_URL").envs(self.surroundings.settings.iter().cloned());
    }

    /// As a service manager does, without waiting.
    pub(super) fn tell_to_stop(&self) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("no server is running")?;
        let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        anyhow::ensure!(told.context("there is a kill command")?.success(), "the server is gone");
        Ok(())
    }

    pub(super) async fn wait_for_end(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("no server is running")?;
        let give_up = Instant::now() + STOPS_WITHIN;
        while Instant::now() < give_up {
            if let Some(status) = child.try_wait()? {
                anyhow::ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            sleep(LOOKS_AGAIN).await;
        }
        child.kill()?;
        child.wait()?;
        anyhow::bail!("the server did not stop when told to")
    }

    /// kill -9: nothing is finished, nothing is said.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("no server is running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// `baedal verify` on the data of a server that has stopped: the promises that it finds broken, if any.
    pub(super) fn verify(&self) -> anyhow::Result<Option<String>> {
        let mut command = Command::new(&self.program);
        self.surround(&mut command);
        let said = command.args(["verify", "--data-dir"]).arg(self.data_dir()).output()?;
        let complained = String::from_utf8_lossy(&said.stderr);
        Ok((!said.status.success()).then(|| format!("baedal verify: {}", complained.trim())))
    }

    /// Memory in use, in MiB, as the system counts it.
    pub(super) fn memory_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn served_address(log: &str) -> Option<SocketAddr> {
    let (_, after) = log.split_once(SERVES)?;
    let (address, _) = after.split_once(|c: char| !(c.is_ascii_hexdigit() || "[].:".contains(c)))?;
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        let log = r#"{"level":"INFO","message":"baedal serves http://127.0.0.1:8088  (interface: http://127.0.0.1:8088/docs)"}"#;
        assert_eq!(served_address(log), "127.0.0.1:8088".parse().ok());
        assert_eq!(served_address("baedal serves http://127.0.0.1"), None, "the line is not written to its end");
    }
}
