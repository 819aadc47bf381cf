//! A bounded number of connections to one address, kept alive between requests.
//!
//! Whoever finds none free waits for one, and the wait is part of the request's time: it was meant to be sent
//! earlier. Not here: repeating anything; a lost connection is told to the caller.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::connection::{Broken, Connection, Reply};

/// How long a connection may take to open: on the machine's own network it takes less than a millisecond, or the
/// server's queue of connections is full.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Pool {
    address: SocketAddr,
    new: Semaphore,
    under_way: Semaphore,
    idle: RefCell<Vec<Connection>>,
    /// How often the server was not there.
    missed: Cell<u64>,
}

/// Whose connection it is. People who wait for a courier at the door, and those who bring it, do not stand behind a crowd
/// that only begins to order: each has a telephone of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    New,
    UnderWay,
}

/// There is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// Nothing of the request has left: it was definitely not carried out.
    #[error("no connection was free in time")]
    NotSent,
    /// Nobody listens there: it was definitely not carried out.
    #[error("the server cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The outcome is unknown.
    #[error("the connection was lost")]
    Lost(#[from] Broken),
    /// The outcome is unknown.
    #[error("no answer came in time")]
    TooLate,
}

impl Pool {
    /// So many for each lane.
    pub(super) fn new(address: SocketAddr, connections: usize) -> Self {
        Self {
            address,
            new: Semaphore::new(connections),
            under_way: Semaphore::new(connections),
            idle: RefCell::new(Vec::with_capacity(connections)),
            missed: Cell::new(0),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed.get()
    }

    /// Sends on a free connection and gives the whole answer, all before `deadline`.
    pub(super) async fn send(&self, request: &[u8], lane: Lane, deadline: Instant) -> Result<Reply, NoAnswer> {
        let slots = match lane {
            Lane::New => &self.new,
            Lane::UnderWay => &self.under_way,
        };
        let slot = timeout_at(deadline, slots.acquire()).await.map_err(|_| NoAnswer::NotSent)?;
        let _slot = slot.expect("the slots are never closed");
        let mut connection = self.connection(deadline).await?;
        match timeout_at(deadline, connection.send(request)).await {
            Ok(Ok((reply, usable))) => {
                if usable {
                    self.idle.borrow_mut().push(connection);
                }
                Ok(reply)
            }
            Ok(Err(broken)) => Err(broken.into()),
            Err(_) => Err(NoAnswer::TooLate),
        }
    }

    async fn connection(&self, deadline: Instant) -> Result<Connection, NoAnswer> {
        loop {
            // The one used last: the others may rest.
            let Some(idle) = self.idle.borrow_mut().pop() else { break };
            if idle.is_open() {
                return Ok(idle);
            }
        }
        let deadline = deadline.min(Instant::now() + OPENS_WITHIN);
        let opened = match timeout_at(deadline, Connection::open(self.address)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        opened.map_err(|error| {
            self.missed.set(self.missed.get() + 1);
            NoAnswer::Unreachable(error)
        })
    }
}
