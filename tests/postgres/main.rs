//! Faults of a real PostgreSQL server, with people ordering all the while: every acknowledged command stays, none is
//! applied twice, nobody waits without end, and all goes on when the database is back.
//!
//! Each test has a server of its own (`scripts/postgres`), because it breaks it.

// Nothing of a test binary is reachable from elsewhere, whatever its visibility says.
#![allow(unreachable_pub)]
// What is not there fails the test, and the line says which.
#![allow(clippy::unwrap_used)]

#[path = "../api/helpers/mod.rs"]
#[allow(dead_code, unused_imports)]
mod helpers;
mod proxy;
mod rush;
mod server;

mod cut;
mod down;
mod heard;
mod taken_over;
