//! Databases of a test's own, on the PostgreSQL server that the environment names.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Whether whoever runs the tests leaves these out.
pub fn left_out() -> bool {
    let without = std::env::var("BAEDAL_TEST_WITHOUT").unwrap_or_default();
    let left_out = without.split(',').any(|left_out| left_out == "postgres");
    if left_out {
        eprintln!("LEFT OUT by BAEDAL_TEST_WITHOUT: this needs PostgreSQL");
    }
    left_out
}

/// The address of the server, or none if it is left out.
pub fn server() -> Option<String> {
    if left_out() {
        return None;
    }
    Some(std::env::var("BAEDAL_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "no PostgreSQL to test with: run ./scripts/test, or start one with scripts/postgres start and set \
             BAEDAL_TEST_POSTGRES to what it prints, or leave it out with BAEDAL_TEST_WITHOUT=postgres"
        )
    }))
}

/// An empty database, gone with the value.
pub struct Database {
    server: String,
    name: String,
    pub url: String,
}

impl Database {
    pub fn create() -> Option<Self> {
        Some(Self::create_on(&server()?))
    }

    pub fn create_on(server: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("baedal_test_{}_{number}_{}", std::process::id(), fastrand::u16(..));
        execute(server, format!("create database {name}"));
        let (before, _) = server.rsplit_once('/').expect("an address ends with a database");
        Self { server: server.to_owned(), url: format!("{before}/{name}"), name }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        execute(&self.server, format!("drop database if exists {} with (force)", self.name));
    }
}

/// Also for tests that run in a runtime already, and for `drop`: the statement has a thread of its own.
pub fn execute(url: &str, sql: String) {
    let url = url.to_owned();
    let executing = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
            connection.close().await
        })
    });
    let outcome = executing.join().expect("the thread does not panic");
    outcome.unwrap_or_else(|error| panic!("the test's PostgreSQL refuses: {error}"));
}
