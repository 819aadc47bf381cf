//! The program as a process: started, told to stop, killed, and what it has to say about its own data.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// What the log says when the address is served.
const SERVES: &str = "baedal serves http://";

/// The program, with nothing of our own environment that could change what it does.
pub fn baedal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baedal"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BAEDAL") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// What strace is asked for: whatever goes to a disk or a client. As a grandchild (`-D`), so that the process that was
/// started is the server itself.
const STRACE: [&str; 10] = [
    "-D",
    "-f",
    "-q",
    "-y",
    "-xx",
    "--seccomp-bpf",
    "-s",
    "65536",
    "-e",
    "trace=pwrite64,ftruncate,fsync,fdatasync,unlink,write,writev,sendto,sendmsg",
];

/// The program under strace, which writes into `file`.
fn under_strace(program: &Command, file: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(STRACE).arg("-o").arg(file).arg(program.get_program()).stdin(Stdio::null());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts a server on a free port and waits until it serves; none if it ends before that.
    pub fn start(
        data_dir: &Path,
        log: &Path,
        environment: &BTreeMap<String, String>,
        traced_into: Option<&Path>,
    ) -> Option<Self> {
        let mut command = Self::command(data_dir, log, environment, traced_into);
        let mut child = command.spawn().expect("the program can be run");
        // Asked in this sequence: one that has ended may have served before.
        let address = look_until("the server serves", log, || match served_address(&read(log)) {
            Some(address) => Some(Some(address)),
            None => child.try_wait().expect("it is our child").map(|_| None),
        });
        if address.is_none() {
            eprintln!("the server ended at once:\n{}", read(log));
        }
        address.map(|address| Self { child, address, log: log.to_owned() })
    }

    fn command(
        data_dir: &Path,
        log: &Path,
        environment: &BTreeMap<String, String>,
        traced_into: Option<&Path>,
    ) -> Command {
        let log = File::create(log).expect("the directory of the test can be written");
        let mut command = traced_into.map_or_else(baedal, |file| under_strace(&baedal(), file));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data-dir"]).arg(data_dir);
        command.envs(environment).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        command
    }

    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// As a machine that loses its power would end it, but for what the kernel still holds.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Asks it to stop, as a service manager does, without waiting.
    pub fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(status.success(), "the server is gone already");
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let log = self.log.clone();
        look_until("the server has stopped", &log, || self.has_ended())
    }
}

/// [`wait_until`](super::wait_until) for those who cannot await.
fn look_until<T>(what: &str, log: &Path, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}:\n{}", read(log));
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned()
}

fn served_address(log: &str) -> Option<SocketAddr> {
    let (_, after) = log.split_once(SERVES)?;
    let (address, _) = after.split_once(|c: char| !(c.is_ascii_hexdigit() || "[].:".contains(c)))?;
    address.parse().ok()
}

/// What `baedal verify` counted.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifyReport {
    pub events: u64,
    pub orders: u64,
    pub open: u64,
}

impl VerifyReport {
    /// What `baedal verify` came to; panics when a promise is broken.
    pub fn of(verify: &mut Command) -> Self {
        let Output { status, stdout, stderr } = verify.output().expect("the program can be run");
        let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "baedal verify: {said}{complained}");
        let counts: Vec<u64> = said.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        match counts[..] {
            [events, orders, open, ..] => Self { events, orders, open },
            _ => panic!("baedal verify says something else: {said}"),
        }
    }
}
