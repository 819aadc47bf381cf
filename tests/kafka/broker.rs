//! Where Kafka is: the broker of everyone, and brokers that a test may treat as it likes.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

/// What `BAEDAL_TEST_WITHOUT` leaves out is left out, and said: past the harness, which keeps what passing tests print.
pub fn left_out() -> bool {
    let left_out = std::env::var("BAEDAL_TEST_WITHOUT").is_ok_and(|names| names.split(',').any(|name| name == "kafka"));
    if left_out {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            writeln!(std::io::stderr(), "the tests with Kafka are left out: BAEDAL_TEST_WITHOUT says so").ok();
        });
    }
    left_out
}

/// The broker that tests share; none if Kafka is left out.
pub fn shared() -> Option<String> {
    if left_out() {
        return None;
    }
    let named = std::env::var("BAEDAL_TEST_KAFKA").ok().filter(|address| !address.is_empty());
    Some(named.unwrap_or_else(|| {
        panic!(
            "no broker: run ./scripts/test, or set BAEDAL_TEST_KAFKA=$(scripts/kafka start), \
             or leave these tests out with BAEDAL_TEST_WITHOUT=kafka"
        )
    }))
}

/// A broker of a test's own, with its data. Killed when dropped; what one that was not dropped has left is removed by
/// the next of its name.
pub struct Broker {
    directory: PathBuf,
    port: u16,
    credentials: Option<(&'static str, &'static str)>,
}

impl Broker {
    /// A broker that is not there yet, but whose address is known.
    pub fn to_come(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka").join(name);
        let broker = Self { directory, port: free_port(), credentials: None };
        broker.script("stop");
        if broker.directory.exists() {
            std::fs::remove_dir_all(&broker.directory).expect("the target directory is ours");
        }
        broker
    }

    pub fn start(name: &str) -> Self {
        let broker = Self::to_come(name);
        broker.start_again();
        broker
    }

    /// One that lets in only this user.
    pub fn start_for(name: &str, user: &'static str, password: &'static str) -> Self {
        let mut broker = Self::to_come(name);
        broker.credentials = Some((user, password));
        broker.start_again();
        broker
    }

    /// Starts it on its data, at its address.
    pub fn start_again(&self) {
        assert_eq!(self.script("start"), self.address());
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it at once: what it had not synced is in the kernel only.
    pub fn kill(&self) {
        self.signal("KILL");
    }

    /// Stops it in its tracks: connections stay open, and nobody answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let process = std::fs::read_to_string(self.directory.join("pid")).expect("it has been started");
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
        assert!(status.expect("there is a shell").success(), "the broker is gone already");
    }

    fn script(&self, verb: &str) -> String {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka"));
        script.arg(verb).arg(&self.directory).env("KAFKA_PORT", self.port.to_string());
        if let Some((user, password)) = self.credentials {
            script.env("KAFKA_SASL_USER", user).env("KAFKA_SASL_PASSWORD", password);
        }
        let said = script.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("the script can be run");
        assert!(said.status.success(), "scripts/kafka {verb} failed");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.directory.join("pid")).unwrap_or_default();
        // There is nothing to be kept: killing is faster than asking.
        let kill = format!("kill -KILL {pid} 2> /dev/null");
        Command::new("sh").args(["-c", &kill]).status().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

/// Below the ports that the kernel gives to connections, so that none takes it while the broker is away.
fn free_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(12_000..20_000))
        .take(100)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}
