//! Black-box tests: the real program, a real port, a real database, HTTP and WebSocket only.
//!
//! One file per question; the five source systems and the non-functional requirements are named by their ids. Each
//! test has a server and a data directory of its own, and ends with `baedal verify`: see [`helpers::TestApp`].

// Nothing of a test binary is reachable from elsewhere, whatever its visibility says.
#![allow(unreachable_pub)]

mod helpers;

mod food_delivery;
mod pages;
mod quick_service;
mod restaurant;
mod retail;
mod store_delivered;
