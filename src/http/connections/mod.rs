//! Connections: how many there may be, of whom, and which are closed when seats run short.
//!
//! Counted here and not by the framework, which stops accepting at its bound: then nobody gets in any more, not even
//! whoever asks whether the process lives. Here a newcomer is always accepted, and then has a seat, or takes that of one
//! that has been idle, or sits on one of the reserve, where only health and operations are answered, or is told to
//! come back later.

mod accept;
mod seat;
mod stream;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Http;

pub(super) use self::accept::accept;
pub(super) use self::seat::Seat;
pub(super) use self::stream::Stream;
use super::code::Code;

/// Beyond the settings: health, measurements and operations are answered on these, however many clients there are. A
/// balancer, a scraper and an operator have a few each.
pub(super) const RESERVE: usize = 64;

/// Files that are no client's: of the database, of Kafka, of the log.
const OTHER_FILES: usize = 128;

/// A connection that has done nothing for so long gives its seat up when another wants it: longer than a client takes to
/// send its first request, or to read an answer.
const IDLE_AT_LEAST: Duration = Duration::from_secs(1);

/// Of the seats, one in so many is freed at once: looking at all of them for each newcomer would cost too much.
const FREED_OF: usize = 32;

/// Above three quarters of the seats connections are not kept after an answer.
const SHORT_AT: (usize, usize) = (3, 4);

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) most: usize,
    pub(super) per_address: usize,
    /// Not bounded by address: many clients come from there.
    pub(super) shared_addresses: Vec<IpAddr>,
    pub(super) reserve: usize,
    /// What the reserve says to others.
    pub(super) refuses: Code,
}

impl Limits {
    /// Where only operators get to: what they all need together, and nobody of them has all of it.
    pub(super) const OPERATIONS: Limits = Limits {
        most: 0,
        per_address: RESERVE,
        shared_addresses: Vec::new(),
        reserve: 4 * RESERVE,
        refuses: Code::NotFound,
    };

    /// No more than there may be open files: a connection that cannot be accepted waits, and with it all the others.
    pub(super) fn of(settings: &Http) -> Self {
        let mut most = settings.max_connections;
        if let Some(files) = open_files().filter(|files| most + RESERVE + OTHER_FILES > *files) {
            most = files.saturating_sub(RESERVE + OTHER_FILES).max(1);
            let wanted = settings.max_connections;
            tracing::warn!(
                wanted,
                most,
                files,
                "fewer connections than http.max_connections: raise the limit of open files"
            );
        }
        let shared_addresses = settings.shared_addresses.iter().map(IpAddr::to_canonical).collect();
        Self {
            most,
            per_address: settings.connections_per_address,
            shared_addresses,
            reserve: RESERVE,
            refuses: Code::ServiceFull,
        }
    }
}

/// How many files this process may have open, if there is a way to know.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Why a connection is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its address has as many as one may have.
    Address,
    /// Every seat is taken, and everyone is at work.
    Full,
}

/// All connections of one listener.
pub(super) struct Connections {
    limits: Limits,
    short: Arc<AtomicBool>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    seats: HashMap<u64, Arc<Seat>>,
    ordinary: usize,
    reserved: usize,
    by_address: HashMap<IpAddr, usize>,
    next: u64,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, short: Arc::default(), held: Mutex::default() })
    }

    /// A seat for a connection from there.
    fn enter(self: &Arc<Self>, from: IpAddr, now: Instant) -> Result<Connection, Refused> {
        let address = block(from);
        let shared = self.limits.shared_addresses.contains(&from.to_canonical());
        let mut held = self.lock();
        let theirs = held.by_address.get(&address).copied().unwrap_or_default();
        if !shared && theirs >= self.limits.per_address {
            return Err(Refused::Address);
        }
        if held.ordinary >= self.limits.most {
            held.free_idle(false, self.limits.most.div_ceil(FREED_OF), now);
        }
        let reserved = held.ordinary >= self.limits.most;
        if reserved && held.reserved >= self.limits.reserve {
            held.free_idle(true, 1, now);
            if held.reserved >= self.limits.reserve {
                return Err(Refused::Full);
            }
        }
        let id = held.next;
        held.next += 1;
        let refuses = reserved.then_some(self.limits.refuses);
        let seat = Arc::new(Seat::new(id, address, refuses, self.short.clone(), now));
        held.seats.insert(id, seat.clone());
        *held.by_address.entry(address).or_default() += 1;
        *(if reserved { &mut held.reserved } else { &mut held.ordinary }) += 1;
        self.note(&held);
        Ok(Connection { seat, of: self.clone() })
    }

    fn leave(&self, seat: &Seat) {
        let mut held = self.lock();
        held.remove(seat);
        self.note(&held);
    }

    fn note(&self, held: &Held) {
        let (part, whole) = SHORT_AT;
        self.short.store(held.ordinary * whole > self.limits.most * part, Ordering::Relaxed);
        metrics::gauge!("http_connections", "seat" => "ordinary").set(held.ordinary as f64);
        metrics::gauge!("http_connections", "seat" => "reserve").set(held.reserved as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held; poisoned or not, the counts are right.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Once for each seat, whoever is first: the connection that ends, or the newcomer who needs it.
    fn remove(&mut self, seat: &Seat) {
        if self.seats.remove(&seat.id).is_none() {
            return;
        }
        *(if seat.is_reserved() { &mut self.reserved } else { &mut self.ordinary }) -= 1;
        if let Some(count) = self.by_address.get_mut(&seat.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&seat.address);
            }
        }
    }

    /// Closes those that have been idle longest. Their seats count as free at once; they are gone a moment later.
    fn free_idle(&mut self, reserved: bool, at_most: usize, now: Instant) {
        let seats = self.seats.values().filter(|seat| seat.is_reserved() == reserved);
        let idle = seats.filter_map(|seat| Some((seat.idle_for(now)?, seat.clone())));
        let mut idle: Vec<_> = idle.filter(|(idle_for, _)| *idle_for >= IDLE_AT_LEAST).collect();
        idle.sort_unstable_by_key(|(idle_for, _)| std::cmp::Reverse(*idle_for));
        for (_, seat) in idle.into_iter().take(at_most) {
            seat.close();
            self.remove(&seat);
            metrics::counter!("http_connections_closed_total", "reason" => "idle").increment(1);
        }
    }
}

/// A seat that is taken, for as long as this lives.
struct Connection {
    seat: Arc<Seat>,
    of: Arc<Connections>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.of.leave(&self.seat);
    }
}

/// Who has one address of IPv6 has a whole /64 of them.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests;
