//! The mirror, seen from the other side of Kafka: real servers, real brokers, and only what a subscriber can see.
//!
//! What must hold is in [`mirror`]; every test ends with it. Tests of ordinary days share the broker that
//! `BAEDAL_TEST_KAFKA` names, each with a topic of its own; tests that stop or kill a broker start their own.

// Nothing of a test binary is reachable from elsewhere, whatever its visibility says.
#![allow(unreachable_pub)]
// What is not there fails the test, and the line says which.
#![allow(clippy::unwrap_used)]

// Shared with the other black-box tests, which use more of it.
#[allow(dead_code, unused_imports)]
#[path = "../api/helpers/mod.rs"]
mod helpers;

mod broker;
mod mirror;
mod murmur2;
mod topic;

mod lives;
mod other_client;
mod outages;
mod subscriber;
