//! Black-box tests: the real program, a real port, a real database, HTTP and WebSocket only.
//!
//! One file per question; the five source systems and the non-functional requirements are named by their ids. Each
//! test has a server and a data directory of its own, and ends with `baedal verify`: see [`helpers::TestApp`].

// Nothing of a test binary is reachable from elsewhere, whatever its visibility says.
#![allow(unreachable_pub)]
// What is not there fails the test, and the line says which.
#![allow(clippy::unwrap_used)]

mod helpers;

mod access;
mod clock;
mod commands;
mod connections;
mod damage;
mod deadlines;
mod feed_rights;
mod feeds;
mod food_delivery;
mod idempotency;
mod linearizability;
mod lists;
mod load;
mod logging;
mod money;
mod non_functional;
mod operations;
mod overload;
mod pages;
mod placing;
mod positions;
mod power_cut;
mod quick_service;
mod rebuilding;
mod recovery;
mod restarts;
mod restaurant;
mod retail;
mod riders;
mod starting;
mod stock;
mod store_delivered;
mod stores;
mod supervision;
