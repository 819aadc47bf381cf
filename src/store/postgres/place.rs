//! Where the database is and how long to wait for it, and the settings of every connection.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::store::OpenError;

/// A PostgreSQL database, and what may be asked of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresPlace {
    /// `postgres://user:password@host:port/database`
    pub url: String,
    /// How long to wait for the outcome of one statement.
    pub statement_timeout: Duration,
    /// How long to wait for a free connection, and for a new one.
    pub acquire_timeout: Duration,
    /// Connections for reading.
    pub readers: usize,
}

impl PostgresPlace {
    /// With the times that a service has unless told otherwise.
    pub fn new(url: impl Into<String>) -> Self {
        let (statement_timeout, acquire_timeout) = (Duration::from_millis(1_500), Duration::from_secs(1));
        Self { url: url.into(), statement_timeout, acquire_timeout, readers: 4 }
    }

    pub(super) fn address(&self) -> Result<Address, OpenError> {
        let scheme = self.url.split("://").next();
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err(OpenError::NoAddress);
        }
        // The library's own message may quote the address, and with it the password.
        let options = PgConnectOptions::from_str(&self.url).map_err(|_| OpenError::NoAddress)?;
        let database = options.get_database().unwrap_or(options.get_username()).to_owned();
        let name = format!("{}:{}/{database}", options.get_host(), options.get_port());
        let (user, readers) = (options.get_username().to_owned(), self.readers);
        let patience = Patience {
            connecting: self.acquire_timeout,
            statement: self.statement_timeout,
            server: self.statement_timeout.saturating_sub(ON_THE_WAY).max(self.statement_timeout / 2),
        };
        Ok(Address { options, name, user, database, patience, readers })
    }
}

/// Without the address: it may hold a password.
impl fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresPlace").finish_non_exhaustive()
    }
}

/// How long to wait for the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connecting: Duration,
    pub(super) statement: Duration,
    /// After this the server itself gives a statement up: sooner, so that it is nearly always the server who ends one,
    /// and the outcome definite.
    server: Duration,
}

/// How long an answer is on its way, at most and usually much less.
const ON_THE_WAY: Duration = Duration::from_millis(250);

/// The place, understood.
#[derive(Clone)]
pub(super) struct Address {
    options: PgConnectOptions,
    /// For people: host, port and database, never the password.
    pub(super) name: String,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) patience: Patience,
    pub(super) readers: usize,
}

/// How the connections of this program are called in `pg_stat_activity`.
pub(super) const WRITER: &str = "baedal journal";
pub(super) const READER: &str = "baedal readers";
pub(super) const VIEWS: &str = "baedal views";
pub(super) const SANDBOX: &str = "baedal sandbox";
pub(super) const OPENING: &str = "baedal opening";

/// How long one step of opening may take: of a migration, or of waiting for an older writer's last statement.
pub(super) const OPENING_STEP: Duration = Duration::from_secs(30);

impl Address {
    /// For a connection that serves requests.
    pub(super) fn options(&self, application: &str) -> PgConnectOptions {
        // A lock is waited for less long than a statement, so that the reason is told apart. No transaction stays open
        // in this program: one that does is a bug, and must not hold up the clearing away of old rows.
        let lock = self.patience.server.mul_f64(0.6);
        let options = self.with(application, self.patience.server, lock);
        if application == READER { options.options([("default_transaction_read_only", "on")]) } else { options }
    }

    /// For the one that opens the database.
    pub(super) fn opening(&self) -> PgConnectOptions {
        self.with(OPENING, OPENING_STEP, OPENING_STEP.mul_f64(0.5))
    }

    fn with(&self, application: &str, statement: Duration, lock: Duration) -> PgConnectOptions {
        let settings = [
            ("statement_timeout", statement.as_millis().to_string()),
            ("lock_timeout", lock.as_millis().max(1).to_string()),
            ("idle_in_transaction_session_timeout", statement.as_millis().to_string()),
            // Every statement here goes by a key or by an index that has the order it wants. A plan that reads a whole
            // table is one that was made when the table was small, and is kept when it no longer is.
            ("enable_seqscan", "off".to_owned()),
            // Such a plan reads all that there is of a stream before it hands out the first page of it, and is what the
            // server takes for cheap where most streams are short.
            ("enable_bitmapscan", "off".to_owned()),
            // Compiling a plan takes longer than any of these runs.
            ("jit", "off".to_owned()),
            ("client_min_messages", "warning".to_owned()),
        ];
        // Outcomes are logged where they are handled, once.
        self.options.clone().application_name(application).options(settings).disable_statement_logging()
    }
}
