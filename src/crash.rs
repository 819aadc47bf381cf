//! Places where a test may kill the process, to see that the next start ends where this one would have.
//!
//! `BAEDAL_CRASH_AT=journal.before_commit:3` aborts at the third visit of that place, as `kill -9` would:
//! nothing is flushed, nothing is dropped. Builds without debug assertions have no such places.

#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ASKED_FOR: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static VISITS: AtomicU32 = AtomicU32::new(0);

    let asked_for = ASKED_FOR.get_or_init(|| {
        let wanted = std::env::var("BAEDAL_CRASH_AT").ok()?;
        let (name, visit) = wanted.rsplit_once(':')?;
        Some((name.to_owned(), visit.parse().ok()?))
    });
    if let Some((wanted, visit)) = asked_for
        && wanted == name
        && VISITS.fetch_add(1, Ordering::Relaxed) + 1 == *visit
    {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
