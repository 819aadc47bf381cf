//! A log that nobody reads, or that cannot be written, loses lines and nothing else.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::helpers::{PATIENCE, baedal, wait_until};

/// A server whose log is the test's business.
struct Logged {
    child: Child,
    address: SocketAddr,
    client: Client,
}

impl Logged {
    async fn start(data: &Path, filter: &str, stderr: impl Into<Stdio>) -> Self {
        // Free a moment ago. The log, which would say the address, may lead nowhere.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = baedal();
        command.args(["serve", "--listen", &address.to_string(), "--log-format", "json", "--data-dir"]).arg(data);
        command.env("BAEDAL_LOG", filter).env("BAEDAL__HTTP__WORKERS", "1").stdout(Stdio::null()).stderr(stderr);
        let child = command.spawn().unwrap();
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        let server = Self { child, address, client };
        let ready = || async { server.try_get("/readyz").await.is_some().then_some(()) };
        wait_until("the server is ready", ready).await;
        server
    }

    async fn try_get(&self, path: &str) -> Option<String> {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().await.ok()?;
        answer.status().is_success().then_some(())?;
        answer.text().await.ok()
    }

    async fn send(&self, method: Method, token: &str, path: &str, body: &Value) -> Value {
        let request = self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(token);
        let answer = request.json(body).send().await.expect("the server answers");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.json().await.unwrap_or_default()
    }

    async fn token(&self, role: &str) -> String {
        let wish = json!({"role": role, "sub": role});
        self.send(Method::POST, "", "/v1/tokens", &wish).await["token"].as_str().unwrap().to_owned()
    }

    /// Each time an operator does so, a line is logged.
    async fn pause_and_resume(&self) {
        let token = self.token("admin").await;
        for paused in [true, false] {
            self.send(Method::PUT, &token, "/v1/operations/store-management", &json!({"paused": paused})).await;
        }
    }

    async fn lost(&self) -> u64 {
        let metrics = self.try_get("/metrics").await.expect("the server is there");
        let line = metrics.lines().find(|line| line.starts_with("log_lines_lost_total ")).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }

    async fn opens_a_store(&self) {
        let place = crate::helpers::place("1 Sejong-daero", crate::helpers::STORE_AT);
        let wish = json!({"name": "Soup", "location": place, "policy": "food_delivery"});
        self.send(Method::POST, &self.token("owner").await, "/v1/stores", &wish).await;
    }

    async fn stops_in_order(mut self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "the server is gone already");
        let child = &mut self.child;
        let status = wait_until("the server has stopped", || std::future::ready(child.try_wait().unwrap())).await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn a_server_outlives_the_reader_of_its_log() {
    let data = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Logged::start(data.path(), "info", writer).await;
    drop(reader);

    server.pause_and_resume().await;
    server.opens_a_store().await;

    wait_until("lines are counted as lost", || async { (server.lost().await > 0).then_some(()) }).await;
    server.stops_in_order().await;
}

#[tokio::test]
async fn a_server_outlives_a_disk_that_is_full_for_its_log() {
    let data = tempfile::tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let server = Logged::start(data.path(), "info", full).await;

    server.pause_and_resume().await;
    server.opens_a_store().await;

    wait_until("lines are counted as lost", || async { (server.lost().await > 0).then_some(()) }).await;
    server.stops_in_order().await;
}

#[tokio::test]
async fn a_reader_of_the_log_that_sleeps_holds_nobody_up() {
    let data = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    // Several hundred bytes for each thing that happens: the pipe, which takes 64 KiB, is full at once.
    let server = Logged::start(data.path(), "trace", writer).await;

    let full = || async {
        server.pause_and_resume().await;
        (server.lost().await > 0).then_some(())
    };
    wait_until("the queue is full too", full).await;
    server.opens_a_store().await;

    // Awake again, it is told what it missed.
    let told = std::thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map_while(Result::ok);
        lines.filter(|line| line.contains("log lines were lost")).count()
    });
    wait_until("it has caught up", || async {
        server.pause_and_resume().await;
        let before = server.lost().await;
        (server.lost().await == before).then_some(())
    })
    .await;
    server.stops_in_order().await;
    assert!(told.join().unwrap() > 0);
}
