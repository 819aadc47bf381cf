//! Every setting, with its unit, its default and the reason for the default.
//!
//! Owned here: what can be set and what it is when nobody sets it. Where values come from is `load`, which
//! combinations are refused is `check`. Nothing else in the program reads the environment or a file for
//! settings, and no module but its owner's interprets one. Built once, at start, by `cli`.

mod check;
mod database_url;
mod load;
mod span;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::BadSetting;
pub use database_url::DatabaseUrl;
pub use kafka::{Kafka, SaslMechanism, Secret, SecurityProtocol};
pub use load::{Flags, LoadError};
pub use span::{Millis, Secs};

/// Declares a section: each setting with its documentation, its type and its default in one place.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

/// After the macro, which it uses.
mod kafka;

section! {
    /// All settings. A key that is not listed here is refused, wherever it comes from.
    Config {
        /// Where the journal, the token key and the lock file are. Created when it is missing.
        data_dir: PathBuf = PathBuf::from("./data"),
        http: Http = Http::default(),
        database: Database = Database::default(),
        mailboxes: Mailboxes = Mailboxes::default(),
        orders: Orders = Orders::default(),
        payments: Payments = Payments::default(),
        kafka: Kafka = Kafka::default(),
        access: Access = Access::default(),
        limits: Limits = Limits::default(),
        log: Log = Log::default(),
    }
}

section! {
    /// How requests come in.
    Http {
        /// Address and port. Loopback, because the development sign-in is open there: whoever opens the
        /// service to a network says so.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8088)),
        /// Threads that parse and answer. One per core; the journal's own thread mostly waits for the disk.
        workers: usize = std::thread::available_parallelism().map_or(2, usize::from),
        /// Bytes of a request body. The largest order (100 lines, note, parcel) has about 20 KB.
        body_limit_bytes: usize = 64 * 1024,
        /// From the first byte of the head to its last: an idle half-sent head holds a connection.
        head_timeout_ms: Millis = Millis(5_000),
        /// From the end of the head to the last byte of the body, for the same reason.
        body_read_timeout_ms: Millis = Millis(5_000),
        /// From the head to the answer. More than the body's and the slowest actor's time together, so
        /// that whoever fails answers for itself and this is the last net.
        request_timeout_ms: Millis = Millis(10_000),
        /// How long an idle connection is kept: longer than the 60 s that common proxies keep theirs, so that
        /// it is never the server who closes under a request.
        keep_alive_s: Secs = Secs(75),
        /// A second address where only health, measurements and operations are answered, for a network that clients do
        /// not reach. None: they share `listen`, where some connections are reserved for them.
        operations_listen: Option<SocketAddr> = None,
        /// Open connections in all, live feeds included. Some 20 KiB each: about 80 MiB. The next one takes the place of
        /// one that has been idle, or is refused; no more than the files that the process may open.
        max_connections: usize = 4_096,
        /// Of them from one address (from one /64 of IPv6): a tenth, so that nobody has them all, and a household or
        /// office behind one address has more than enough.
        connections_per_address: usize = 400,
        /// Addresses that many clients come from, and so without that bound: proxies. The machine itself is one, because
        /// there it is a proxy, or whoever could stop the process as well.
        shared_addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        /// A thread of the journal, the orders or the readers that has not turned for so long stands still, and
        /// `/livez` says so. Many times what the slowest work on one of them takes; less than people take to notice.
        stalled_after_s: Secs = Secs(15),
        /// How long running requests may take to finish after the signal to stop: `request_timeout_ms` and some.
        shutdown_grace_s: Secs = Secs(15),
    }
}

section! {
    /// Where the journal is kept.
    Database {
        /// None: SQLite in `data_dir`. Else the `postgres://` URL of a PostgreSQL database; its password is never shown.
        url: Option<DatabaseUrl> = None,
        /// How long one statement may take, its way there and back included: the server itself gives it up a quarter
        /// of a second earlier. Less than the journal's reply time, so that the journal learns the outcome before
        /// those who wait for it give up.
        statement_timeout_ms: Millis = Millis(1_500),
        /// How long a query waits for a free connection, and for a new one to open, for the same reason.
        acquire_timeout_ms: Millis = Millis(1_000),
        /// Connections for reading histories, and as many again for lists. More than cores only queue at the disk.
        readers: usize = 4,
        /// Appends that one commit takes at most. More add waiting, not throughput.
        group: usize = 512,
        /// What a commit takes at least: to practise with a disk that is slower than one's own. 0: what it takes.
        commit_at_least_ms: Millis = Millis(0),
    }
}

section! {
    /// How many messages may wait or run at each kind of actor, and how long its askers wait.
    /// What exceeds a capacity is refused at once; what exceeds a time is unknown, not undone.
    Mailboxes {
        /// Per order. Customer, store, rider and a few repeats can meet at one order; a ninth is a retry storm.
        order: Mailbox = Mailbox::new(8, 3_000),
        /// All commands on their way to orders. As many as there may be connections.
        registry: Mailbox = Mailbox::new(4_096, 3_500),
        /// Per store: a rush of orders for one shop reserves its stock here, one after the other.
        store: Mailbox = Mailbox::new(128, 2_500),
        /// Per rider. One rider's taps, and stores that assign the same rider.
        rider: Mailbox = Mailbox::new(64, 2_500),
        /// All searches for riders.
        dispatch: Mailbox = Mailbox::new(1_024, 2_500),
        payment: PaymentMailbox = PaymentMailbox::default(),
        /// Messages to people. They are kept in the journal until sent, so a refusal only delays.
        notifier: Mailbox = Mailbox::new(1_024, 2_500),
        /// Appends on their way to disk: sixteen full groups of 512, 0.2 s of work.
        journal: Mailbox = Mailbox::new(8_192, 2_000),
    }
}

section! {
    /// The way to the payment provider, narrower than the other mailboxes: what is refused here is not lost
    /// but deferred.
    PaymentMailbox {
        /// Waiting and running together: a peak of one second at the rate that the target asks for.
        capacity: usize = 1_024,
        /// Running at the provider at a time. At 200 ms a call that is 320 payments a second; when every call
        /// hangs, the gate is shut after 64 of them.
        running: usize = 64,
        /// More than one call, so that a call that times out is reported as such.
        reply_timeout_ms: Millis = Millis(12_000),
    }
}

section! {
    /// The life of an order's actor.
    Orders {
        /// How long an order stays in memory when nothing asks for it: a few minutes bridge two taps of a
        /// customer, and waking takes well under a millisecond.
        idle_after_s: Secs = Secs(300),
        /// How many open orders are woken at a time after a start. Commands overtake the waking.
        wake_concurrency: usize = 64,
        /// How long a placement waits for stock and payment before it answers with the order as it stands.
        placement_answer_within_ms: Millis = Millis(1_500),
        /// The first pause before an order asks again for what a store or rider part refused; doubles from there.
        ask_again_first_ms: Millis = Millis(250),
        /// The longest such pause: how late an order notices that a part is back.
        ask_again_at_most_ms: Millis = Millis(5_000),
        /// How many deliveries a rider holds at a time.
        rider_capacity: usize = crate::order::DEFAULT_CAPACITY,
        /// How long a rider counts as on duty whose app was not heard of: apps say it every few seconds, and two minutes
        /// bridge a tunnel or a lift.
        presence_expires_s: Secs = Secs(120),
    }
}

section! {
    /// Calls to the payment provider, and what happens after a failed one.
    Payments {
        /// One call. Providers answer a card in two seconds, now and then in eight.
        call_timeout_ms: Millis = Millis(10_000),
        /// After this a running call counts as slow: its place no longer speaks for the provider.
        slow_after_ms: Millis = Millis(2_000),
        /// The first retry of a deferred payment comes after this, the next ones after twice as long each,
        /// spread by chance.
        retry_first_ms: Millis = Millis(2_000),
        /// Retries are never further apart than this.
        retry_at_most_ms: Millis = Millis(60_000),
        /// A failed call keeps its place at the gate for this long, then twice as long: fast failures shut
        /// the gate as slow ones do.
        penalty_first_ms: Millis = Millis(500),
        /// No place is kept longer than this after a failure.
        penalty_at_most_ms: Millis = Millis(30_000),
        /// For how long the provider knows an idempotency key. A request that is older is not repeated, because it would
        /// be a new one; a twenty-fourth of it is left as a margin. Providers promise 24 hours and more.
        key_window_s: Secs = Secs(24 * 60 * 60),
        /// The longest that the provider works on a request that it has taken. Its books are believed only after so
        /// long without asking: what they do not have until then they may yet get.
        settles_within_s: Secs = Secs(10 * 60),
    }
}

section! {
    /// Who may come in.
    Access {
        /// The `iss` of our own tokens.
        issuer: String = "baedal".into(),
        /// The `aud` that a token must name.
        audience: String = "baedal".into(),
        /// The life of a token. Short, because a token cannot be taken back.
        token_lifetime_s: Secs = Secs(15 * 60),
        /// The life of a token of the development sign-in: a working day, because there is no password that
        /// a page could ask for again.
        development_token_lifetime_s: Secs = Secs(12 * 60 * 60),
        /// Whether anyone may have any token from `POST /v1/tokens`.
        development_sign_in: Switch = Switch::Auto,
        /// Whether an admin may set the clock of deadlines ahead, for demonstrations and tests.
        development_clock: bool = false,
    }
}

section! {
    /// Bounds of what is kept in memory.
    Limits {
        /// Tokens whose signature was checked and need not be checked again. About 200 bytes each: 3 MB; more
        /// people than this at one time only cost a signature check (50 us) now and then.
        verified_tokens: usize = 16_384,
        /// Actors of one kind that live at a time. An idle order takes 1.8 KiB: 3.5 GiB at the most.
        live_actors: usize = 2_000_000,
        /// Requests with an idempotency key that are being worked on. One per connection is the most there can be.
        running_requests: usize = 4_096,
        /// Live feeds of one person: a phone, a tablet, some pages in a browser, and those that were lost and are not
        /// given up yet.
        feeds_per_person: usize = 10,
        /// New orders on their way through the server at a time, for each of `http.workers`; the next one is refused at
        /// once, so that those under way are finished. 64 keep a core busy; more only wait.
        new_at_a_time: usize = 128,
        /// How long work may stand in the queues of the server, all together, before new orders are refused for the same
        /// reason: a customer begins to notice. 0: never refused because of queues.
        queue_target_ms: Millis = Millis(100),
    }
}

section! {
    /// What the process says about itself.
    Log {
        /// `auto` is for people on a terminal and JSON elsewhere. What is logged is set by `BAEDAL_LOG`.
        format: LogFormat = LogFormat::Auto,
    }
}

/// How many messages may wait or run, and how long an asker waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    pub capacity: usize,
    pub reply_timeout_ms: Millis,
}

impl Mailbox {
    const fn new(capacity: usize, reply_timeout_ms: u64) -> Self {
        Self { capacity, reply_timeout_ms: Millis(reply_timeout_ms) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// On while the server listens on a loopback address only.
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Auto,
    Human,
    Json,
}
