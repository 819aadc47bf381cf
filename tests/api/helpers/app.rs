//! A server of a test's own, with its data directory, and the promise that every test ends with all promises checked.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;

use super::server::{Server, VerifyReport, baedal};
use super::servers::{Database, execute};
use super::{Answer, Engine, PATIENCE, Person, engine};

/// How the server of a test differs from an ordinary one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    environment: BTreeMap<String, String>,
    errors_expected: bool,
    panics_expected: bool,
    traced_into: Option<PathBuf>,
}

/// The variable that names a database.
const DATABASE: &str = "BAEDAL__DATABASE__URL";

impl Options {
    /// Sets `section.key`, as `baedal config show` names it.
    pub fn set(mut self, setting: &str, value: impl Display) -> Self {
        let name = format!("BAEDAL__{}", setting.to_uppercase().replace('.', "__"));
        self.environment.insert(name, value.to_string());
        self
    }

    /// Aborts the process at the given visit of a crash point, counted from the start.
    pub fn crash_at(mut self, point: &str, visit: u32) -> Self {
        self.environment.insert("BAEDAL_CRASH_AT".into(), format!("{point}:{visit}"));
        self
    }

    /// Lets parts fail at the given visits of failpoints, as `src/crash.rs` reads them: `feed.hand_out=panic:2x3`.
    #[allow(dead_code, reason = "tests/api breaks parts")]
    pub fn fail_at(mut self, failpoints: &str) -> Self {
        self.environment.insert("BAEDAL_FAIL_AT".into(), failpoints.into());
        self.panics_expected = true;
        self.expect_errors()
    }

    /// Lets the server's machine have a clock that is wrong by as many seconds as stand in the file.
    #[allow(dead_code, reason = "not for tests/postgres")]
    pub fn machine_clock_wrong_by(mut self, file: &Path) -> Self {
        self.environment.insert("BAEDAL_CLOCK_WRONG_BY".into(), file.display().to_string());
        self
    }

    /// The test makes the server log errors; a panic is still none that anyone expects.
    #[allow(dead_code, reason = "tests/postgres breaks databases")]
    pub fn expect_errors(mut self) -> Self {
        self.errors_expected = true;
        self
    }

    /// Writes the system calls of the first start into this file.
    #[allow(dead_code, reason = "tests/postgres has no disk of its own")]
    pub fn traced_into(mut self, file: &Path) -> Self {
        self.traced_into = Some(file.to_owned());
        self
    }

    pub async fn start(self) -> TestApp {
        TestApp::with(self).await
    }

    /// Two processes with many threads each would share two cores; and a payment that fails is tried again sooner
    /// than a customer would like.
    fn environment(&self) -> BTreeMap<String, String> {
        let mut environment: BTreeMap<String, String> = [
            ("BAEDAL__HTTP__WORKERS", "1"),
            ("BAEDAL__DATABASE__READERS", "2"),
            ("BAEDAL__ACCESS__DEVELOPMENT_CLOCK", "true"),
            ("BAEDAL__ORDERS__ASK_AGAIN_AT_MOST_MS", "300"),
            ("BAEDAL__PAYMENTS__RETRY_FIRST_MS", "100"),
            ("BAEDAL__PAYMENTS__RETRY_AT_MOST_MS", "300"),
            ("BAEDAL__PAYMENTS__PENALTY_FIRST_MS", "20"),
            ("BAEDAL__PAYMENTS__PENALTY_AT_MOST_MS", "100"),
            // Dozens of servers share this machine: that one of them is late is no news, and nobody shall be refused for it.
            ("BAEDAL__LIMITS__QUEUE_TARGET_MS", "0"),
            ("BAEDAL__LIMITS__NEW_AT_A_TIME", "4096"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        environment.extend(self.environment.clone());
        environment
    }
}

/// The server under test.
///
/// When it is dropped the server is told to stop, `baedal verify` must find every promise kept, and the log must be
/// free of errors; unless the test has failed already, in which case the log is printed.
pub struct TestApp {
    server: Option<Server>,
    directory: TempDir,
    database: Option<Database>,
    options: Options,
    client: Client,
    pub admin: Person,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("the system has room for a directory");
        let database = match engine() {
            _ if options.environment.contains_key(DATABASE) => None,
            Engine::Sqlite => None,
            Engine::Postgres => Some(Database::create().expect("the engine of these tests cannot be left out")),
        };
        let client = Client::builder().timeout(PATIENCE).build().expect("the client needs nothing");
        let nobody = Person { role: "admin", sub: String::new(), token: String::new() };
        let mut app = Self { server: None, directory, database, options, client, admin: nobody };
        app.start_again();
        app.admin = app.person("admin", "ops").await;
        app
    }

    /// Starts a server on the same data, after the last one has ended. It has another address.
    pub fn start_again(&mut self) {
        assert!(self.starts_again(), "the server ended at once");
    }

    /// The same for a server that may end before it serves, because the test wants it to.
    pub fn starts_again(&mut self) -> bool {
        assert!(self.server.is_none(), "a server is running");
        let log = self.directory.path().join("server.log");
        let mut environment = self.options.environment();
        environment.extend(self.database_setting());
        let traced_into = self.options.traced_into.take();
        self.server = Server::start(&self.data_dir(), &log, &environment, traced_into.as_deref());
        self.server.is_some()
    }

    /// Changes the settings of the next start.
    pub fn change_options(&mut self, change: impl FnOnce(Options) -> Options) {
        self.options = change(std::mem::take(&mut self.options));
    }

    pub fn forget_crash_point(&mut self) {
        self.options.environment.remove("BAEDAL_CRASH_AT");
    }

    /// Stops as a service manager would, checks everything, and starts again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Stops as a service manager would, and checks everything.
    pub fn stop(&mut self) -> VerifyReport {
        self.tell_to_stop();
        self.wait_for_end()
    }

    /// Ends the process at once, as a crash does.
    pub fn kill(&mut self) {
        self.server.take().expect("a server is running").kill();
    }

    /// Waits for a process that crashes by itself.
    pub fn has_crashed(&mut self) -> bool {
        let server = self.server.as_mut().expect("a server was running");
        let crashed = server.has_ended().is_some_and(|status| !status.success());
        if crashed {
            self.server = None;
        }
        crashed
    }

    /// Waits for a server that ends without being told to, and says its exit status.
    #[allow(dead_code, reason = "tests/postgres takes databases over")]
    pub fn ended_by_itself(&mut self) -> Option<i32> {
        let mut server = self.server.take().expect("a server was running");
        let status = server.wait();
        self.check_log(&server.log());
        status.code()
    }

    /// Asks the server to stop, as a service manager does, without waiting.
    pub fn tell_to_stop(&self) {
        self.server.as_ref().expect("a server is running").terminate();
    }

    /// Waits for a server that was told to stop, and checks everything.
    pub fn wait_for_end(&mut self) -> VerifyReport {
        let mut server = self.server.take().expect("a server was running");
        let status = server.wait();
        assert!(status.success(), "the server ended with {status}:\n{}", server.log());
        self.check_log(&server.log());
        VerifyReport::of(&mut self.baedal(&["verify"]))
    }

    /// The program, to do something else with the data of this server.
    pub fn baedal(&self, arguments: &[&str]) -> Command {
        let mut command = baedal();
        command.args(arguments).arg("--data-dir").arg(self.data_dir()).envs(self.database_setting());
        command
    }

    /// Changes rows of the journal behind the program's back, which the tables themselves would refuse. No server runs.
    pub fn change_journal(&self, sql: &str) {
        match &self.database {
            Some(database) => {
                let [off, on] = ["disable", "enable"].map(|how| format!("alter table events {how} trigger user"));
                execute(&database.url, format!("{off}; {sql}; {on}"));
            }
            None => execute_in(
                &self.data_dir().join("journal.sqlite3"),
                format!("drop trigger if exists events_never_change; {sql}"),
            ),
        }
    }

    /// The name of an order's stream, as SQL.
    pub fn stream(&self, order: &str) -> String {
        match &self.database {
            Some(_) => format!("'{order}'"),
            None => format!("x'{}'", order.replace('-', "")),
        }
    }

    fn database_setting(&self) -> Option<(String, String)> {
        let url = self.database.as_ref().map(|database| &database.url);
        Some((DATABASE.to_owned(), url.or(self.options.environment.get(DATABASE))?.clone()))
    }

    fn check_log(&self, log: &str) {
        let is_error = |line: &str| !self.options.errors_expected && line.contains("\"level\":\"ERROR\"");
        let is_panic = |line: &str| !self.options.panics_expected && line.contains("panicked");
        let suspicious = |line: &&str| is_error(line) || is_panic(line);
        let found: Vec<&str> = log.lines().filter(suspicious).collect();
        assert!(found.is_empty(), "the server logged errors:\n{}", found.join("\n"));
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A place for the test's own files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("a server is running").address
    }

    pub fn log(&self) -> String {
        self.server.as_ref().expect("a server is running").log()
    }

    /// A request to be completed by the caller.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address()))
    }

    /// The answer, which has to come.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    /// The answer, if the server lives long enough to give one.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        Answer::read(request.send().await?).await
    }

    /// Reads what is open to everyone.
    pub async fn open(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn get(&self, who: &Person, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(&who.token)).await
    }

    pub async fn post(&self, who: &Person, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).bearer_auth(&who.token).json(body)).await
    }

    pub async fn put(&self, who: &Person, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).bearer_auth(&who.token).json(body)).await
    }

    pub async fn patch(&self, who: &Person, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).bearer_auth(&who.token).json(body)).await
    }

    pub async fn delete(&self, who: &Person, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).bearer_auth(&who.token)).await
    }

    pub async fn person(&self, role: &'static str, sub: &str) -> Person {
        let request = self.request(Method::POST, "/v1/tokens").json(&json!({"role": role, "sub": sub}));
        let body = self.send(request).await.ok();
        let token = body["token"].as_str().expect("a token is a text").to_owned();
        Person { role, sub: sub.to_owned(), token }
    }

    pub async fn customer(&self, name: &str) -> Person {
        self.person("customer", name).await
    }

    pub async fn owner(&self, name: &str) -> Person {
        self.person("owner", name).await
    }

    /// A rider on duty at the customers' place.
    pub async fn rider(&self, name: &str) -> Person {
        let rider = self.person("rider", name).await;
        self.report_for_duty(&rider).await;
        rider
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(server) = &self.server {
                eprintln!("the server's log:\n{}", server.log());
            }
        } else if self.server.is_some() {
            self.stop();
        }
    }
}

/// On a thread of its own: the test runs in a runtime already.
fn execute_in(file: &Path, sql: String) {
    let file = SqliteConnectOptions::new().filename(file);
    let executing = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&file).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
            connection.close().await
        })
    });
    let executed: sqlx::Result<()> = executing.join().expect("the thread does not panic");
    executed.expect("the file takes it");
}
