//! Failpoints: places where a test makes the process crash, a part of it panic, or a thread stand still.
//!
//! `BAEDAL_CRASH_AT=journal.before_commit:3` aborts at the third visit of that place, as `kill -9` would: nothing is
//! flushed, nothing is dropped. `BAEDAL_FAIL_AT=feed.hand_out=panic:2x3,order.execute=block:1` lets the feed panic at
//! its second, third and fourth visit, and the thread of the orders stand still for good at the first. Builds without
//! debug assertions have no such places.
//!
//! `BAEDAL_CLOCK_WRONG_BY` names a file in which stands by how many seconds the machine's clock is wrong.

#[cfg(debug_assertions)]
pub(crate) use armed::{fail, point};

#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}

#[cfg(not(debug_assertions))]
pub(crate) fn fail(_: &str) {}

/// Microseconds by which this machine's clock shall be wrong. The file is looked at each time, so that a test can let the
/// clock jump.
#[cfg(debug_assertions)]
pub(crate) fn clock_wrong_by() -> i64 {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();

    let file = FILE.get_or_init(|| std::env::var_os("BAEDAL_CLOCK_WRONG_BY").map(PathBuf::from));
    let seconds = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()?.trim().parse::<i64>().ok());
    seconds.unwrap_or(0).saturating_mul(1_000_000)
}

#[cfg(not(debug_assertions))]
pub(crate) fn clock_wrong_by() -> i64 {
    0
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// What is to happen at a place, and at which visits.
    struct Failure {
        name: String,
        act: Act,
        first: u32,
        times: u32,
        visits: AtomicU32,
    }

    #[derive(Clone, Copy)]
    enum Act {
        Abort,
        Panic,
        Block,
    }

    /// A place where the process may be killed.
    pub(crate) fn point(name: &str) {
        static ASKED_FOR: OnceLock<Vec<Failure>> = OnceLock::new();
        let asked_for = ASKED_FOR.get_or_init(|| {
            let wanted = std::env::var("BAEDAL_CRASH_AT").ok();
            wanted.and_then(|wanted| crash(&wanted)).into_iter().collect()
        });
        visit(asked_for, name);
    }

    /// A place where the part that visits it may panic, or hold up its thread.
    pub(crate) fn fail(name: &str) {
        static ASKED_FOR: OnceLock<Vec<Failure>> = OnceLock::new();
        let asked_for = ASKED_FOR.get_or_init(|| {
            let wanted = std::env::var("BAEDAL_FAIL_AT").unwrap_or_default();
            wanted.split(',').filter_map(failure).collect()
        });
        visit(asked_for, name);
    }

    fn crash(wanted: &str) -> Option<Failure> {
        let (name, visit) = wanted.rsplit_once(':')?;
        Some(Failure::new(name, Act::Abort, visit.parse().ok()?, 1))
    }

    fn failure(wanted: &str) -> Option<Failure> {
        let (name, rest) = wanted.split_once('=')?;
        let (act, visits) = rest.split_once(':')?;
        let act = match act {
            "panic" => Act::Panic,
            "block" => Act::Block,
            _ => return None,
        };
        let (first, times) = visits.split_once('x').unwrap_or((visits, "1"));
        Some(Failure::new(name, act, first.parse().ok()?, times.parse().ok()?))
    }

    impl Failure {
        fn new(name: &str, act: Act, first: u32, times: u32) -> Self {
            Self { name: name.to_owned(), act, first, times, visits: AtomicU32::new(0) }
        }

        fn is_due(&self) -> bool {
            let visit = self.visits.fetch_add(1, Ordering::Relaxed) + 1;
            visit.checked_sub(self.first).is_some_and(|since| since < self.times)
        }
    }

    fn visit(asked_for: &[Failure], name: &str) {
        for failure in asked_for.iter().filter(|failure| failure.name == name) {
            if !failure.is_due() {
                continue;
            }
            match failure.act {
                Act::Abort => std::process::abort(),
                Act::Panic => panic!("the failpoint {name} wants a panic"),
                Act::Block => loop {
                    std::thread::park();
                },
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_failpoint_fails_at_the_visits_it_names_and_at_no_other() {
            let failure = failure("feed.hand_out=panic:2x3").expect("a failpoint");
            let due: Vec<bool> = (0..6).map(|_| failure.is_due()).collect();
            assert_eq!(due, [false, true, true, true, false, false]);
            assert!(super::failure("feed.hand_out=shout:1").is_none());
        }
    }
}
