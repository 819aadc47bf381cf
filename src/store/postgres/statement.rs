//! One statement with its arguments, and running it.

use std::io;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments, Connection, Encode, Postgres, SqlSafeStr, SqlStr, Type};

use super::classify::Failure;

/// Can be sent more than once.
#[derive(Clone)]
pub(super) struct Statement {
    sql: SqlStr,
    /// None for a script.
    arguments: Option<PgArguments>,
}

impl Statement {
    pub(super) fn new(sql: impl SqlSafeStr) -> Self {
        Self { sql: sql.into_sql_str(), arguments: Some(PgArguments::default()) }
    }

    /// Several statements without arguments, all of them or none.
    pub(super) fn script(sql: &'static str) -> Self {
        Self { sql: sql.into_sql_str(), arguments: None }
    }

    pub(super) fn bind<'v, T: Encode<'v, Postgres> + Type<Postgres>>(mut self, value: T) -> Self {
        let arguments = self.arguments.get_or_insert_default();
        arguments.add(value).expect("numbers, names and texts of bounded length are encoded");
        self
    }

    /// All rows, once the server has said that it is ready for the next statement: only then it has committed.
    pub(super) async fn run(self, connection: &mut PgConnection, within: Duration) -> Result<Vec<PgRow>, Failure> {
        let rows = async {
            match self.arguments {
                Some(arguments) => sqlx::query_with(self.sql, arguments).fetch_all(connection).await,
                // One message of several statements is one transaction of the server's own.
                None => sqlx::raw_sql(self.sql).fetch_all(connection).await,
            }
        };
        match tokio::time::timeout(within, rows).await {
            Ok(outcome) => outcome.map_err(Failure::of),
            Err(_) => Err(Failure::Silent(no_answer())),
        }
    }
}

/// Connects, TLS and password included. The deadline covers all of it: a black hole does not refuse.
pub(super) async fn connect(
    options: &sqlx::postgres::PgConnectOptions,
    within: Duration,
) -> Result<PgConnection, sqlx::Error> {
    match tokio::time::timeout(within, PgConnection::connect_with(options)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"))
}
