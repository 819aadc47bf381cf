//! The engines that are measured beside each other: SQLite always, PostgreSQL if `BAEDAL_BENCH_POSTGRES` says where.

use baedal::store::{DataPlace, PostgresPlace};

use crate::scratch;

#[path = "../../tests/servers/postgres.rs"]
#[allow(dead_code, unreachable_pub)]
mod servers;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// The address of a server whose user may create databases.
fn server() -> Option<String> {
    std::env::var("BAEDAL_BENCH_POSTGRES").ok().filter(|url| !url.is_empty())
}

pub(crate) fn engines() -> Vec<Engine> {
    let postgres = server().map(|_| Engine::Postgres);
    std::iter::once(Engine::Sqlite).chain(postgres).collect()
}

/// Where the data of one measurement is, gone with the value.
pub(crate) enum Data {
    Directory(tempfile::TempDir),
    Database(servers::Database),
}

impl Engine {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        }
    }

    pub(crate) fn fresh(self) -> Data {
        match self {
            Engine::Sqlite => Data::Directory(scratch()),
            Engine::Postgres => {
                Data::Database(servers::Database::create_on(&server().expect("it is measured because it is named")))
            }
        }
    }
}

impl Data {
    pub(crate) fn place(&self) -> DataPlace {
        match self {
            Data::Directory(directory) => DataPlace::Directory(directory.path().to_owned()),
            Data::Database(database) => DataPlace::Postgres(PostgresPlace::new(&database.url)),
        }
    }
}
