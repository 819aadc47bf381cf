//! Connections: who gets a seat, who gives one up, and what the reserved ones answer.

use std::task::Waker;

use super::*;

fn limits(most: usize, per_address: usize) -> Limits {
    Limits { most, per_address, shared_addresses: vec![from(9)], reserve: 2, refuses: Code::ServiceFull }
}

fn from(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// Connections, and a clock of the test's own.
struct Door {
    connections: Arc<Connections>,
    now: Instant,
}

impl Door {
    fn with(limits: Limits) -> Self {
        Self { connections: Connections::new(limits), now: Instant::now() }
    }

    fn enter(&self, from: impl Into<IpAddr>) -> Result<Connection, Refused> {
        self.connections.enter(from.into(), self.now)
    }

    fn seated(&self, last: u8, count: usize) -> Vec<Connection> {
        (0..count).map(|_| self.enter(from(last)).ok().unwrap()).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

fn is_closed(connection: &Connection) -> bool {
    connection.seat.is_closed(Waker::noop())
}

fn ipv6(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_address_has_its_share_and_a_shared_one_has_more() {
    let door = Door::with(limits(10, 2));
    let mut theirs = door.seated(1, 2);
    assert_eq!(door.enter(from(1)).err(), Some(Refused::Address));
    assert_eq!(door.enter(ipv6("::ffff:10.0.0.1")).err(), Some(Refused::Address));
    let others = door.seated(2, 1).into_iter().chain(door.seated(9, 3)).collect::<Vec<_>>();
    assert!(others.iter().all(|connection| !connection.seat.is_reserved()));
    theirs.pop();
    assert!(door.enter(from(1)).is_ok(), "one of theirs has gone");
}

#[test]
fn a_network_of_ipv6_is_one_address() {
    let door = Door::with(limits(10, 1));
    let _one = door.enter(ipv6("2001:db8::1")).ok().unwrap();
    assert_eq!(door.enter(ipv6("2001:db8::2")).err(), Some(Refused::Address));
    assert!(door.enter(ipv6("2001:db8:0:1::1")).is_ok());
}

#[test]
fn when_all_seats_are_taken_the_longest_idle_one_is_given_up() {
    let mut door = Door::with(limits(3, 9));
    let worker = door.seated(1, 1);
    let working = worker[0].seat.work();
    let idle = door.seated(1, 1);
    door.pass(IDLE_AT_LEAST / 2);
    let fresh = door.seated(1, 1);
    door.pass(IDLE_AT_LEAST / 2);
    let newcomer = door.enter(from(2)).ok().unwrap();
    assert!(!newcomer.seat.is_reserved());
    assert_eq!([&worker, &idle, &fresh].map(|connections| is_closed(&connections[0])), [false, true, false]);
    drop((worker, working, idle, fresh));
    assert_eq!(door.connections.lock().ordinary, 1, "a seat is given back once");
    assert_eq!(door.connections.lock().by_address.len(), 1);
}

#[test]
fn when_everyone_works_the_reserve_is_left_and_then_nothing() {
    let mut door = Door::with(limits(2, 9));
    let all = door.seated(1, 2);
    let working: Vec<_> = all.iter().map(|connection| connection.seat.work()).collect();
    door.pass(IDLE_AT_LEAST);
    let reserve = door.seated(2, 2);
    assert!(reserve.iter().all(|connection| connection.seat.is_reserved()));
    assert_eq!(door.enter(from(3)).err(), Some(Refused::Full));
    door.pass(IDLE_AT_LEAST);
    let newcomer = door.enter(from(3));
    assert!(newcomer.is_ok_and(|connection| connection.seat.is_reserved()), "silence holds no place there either");
    drop(working);
    door.pass(IDLE_AT_LEAST);
    assert!(door.enter(from(3)).is_ok_and(|connection| !connection.seat.is_reserved()));
}

#[test]
fn seats_are_short_above_three_quarters() {
    let door = Door::with(limits(8, 9));
    let mut all = door.seated(1, 6);
    assert!(all[0].seat.is_kept());
    all.extend(door.seated(1, 1));
    assert!(!all[0].seat.is_kept());
    all.truncate(6);
    assert!(all[0].seat.is_kept());
}
