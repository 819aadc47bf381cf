//! A PostgreSQL server that a test may break.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, PgConnection};

use crate::helpers::{PATIENCE, left_out};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");

/// Gone with the value.
pub struct Server {
    directory: PathBuf,
    pub port: u16,
}

impl Server {
    /// None: whoever runs the tests leaves these out.
    pub fn start() -> Option<Self> {
        if left_out() {
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("postgres-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Not below the sources: the server runs as another user, who may have no way in there.
        let directory = std::env::temp_dir().join(format!("baedal-{name}"));
        let mut server = Self { directory, port: 0 };
        server.port = port_of(&server.script("start", &[]));
        Some(server)
    }

    fn script(&self, command: &str, more: &[&str]) -> String {
        let output = Command::new(SCRIPT).arg(command).arg(&self.directory).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// Without encryption, so that a proxy can read along.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://baedal@127.0.0.1:{port}/baedal?sslmode=disable")
    }

    pub fn start_again(&self) {
        self.script("start", &[&self.port.to_string()]);
    }

    /// The first process, and those that it has started.
    fn processes(&self) -> Vec<String> {
        let pid = std::fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap();
        let first = pid.lines().next().unwrap().to_owned();
        let children = Command::new("pgrep").args(["-P", &first]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        std::iter::once(first).chain(children.lines().map(str::to_owned)).collect()
    }

    pub fn signal_first(&self, signal: &str) {
        kill(signal, &self.processes()[..1]);
    }

    /// The first process first, so that it starts no others.
    pub fn signal_all(&self, signal: &str) {
        self.signal_first(signal);
        kill(signal, &self.processes()[1..]);
    }

    /// Waits until the first process has ended.
    pub async fn ended(&self, first: &str) {
        let gone = || async { (!std::path::Path::new("/proc").join(first).exists()).then_some(()) };
        crate::helpers::wait_until("the database server has ended", gone).await;
    }

    pub fn first(&self) -> String {
        self.processes().remove(0)
    }

    pub async fn numbers(&self, sql: &'static str) -> Vec<i64> {
        let asking = async {
            let mut connection = PgConnection::connect(&self.url()).await?;
            sqlx::query_scalar(sql).fetch_all(&mut connection).await
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("the server answers").unwrap()
    }
}

fn kill(signal: &str, pids: &[String]) {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", pids.join(" "))]).status().unwrap();
    assert!(status.success() || pids.len() > 1, "{pids:?} are gone");
}

fn port_of(said: &str) -> u16 {
    let address = said.lines().last().unwrap();
    address.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        Command::new(SCRIPT).arg("stop").arg(&self.directory).output().ok();
    }
}
