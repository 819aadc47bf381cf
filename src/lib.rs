//! The backend of an order-and-delivery service. Read `order` first: what may happen to an order is all there.

/// Who is asking: our own tokens, and what a checked one says.
pub mod access;
/// The living parts: orders, stores, riders, payment, and the readers of the journal.
pub mod actors;
/// In which sequence the parts of the service start and stop.
pub mod app;
/// The events in Kafka, described for their consumers.
pub mod asyncapi;
/// The command line.
pub mod cli;
/// Every setting, its unit, its default and the reason for it.
pub mod config;
mod crash;
/// Simulated people for `serve --demo`.
pub mod demo;
/// `baedal drill`: outages on purpose, on servers of their own, under `load`.
pub mod drill;
/// The public interface. The only folder that knows actix-web.
pub mod http;
/// `baedal load`: a load generator that checks what it was promised. Knows the public interface only.
pub mod load;
/// What the commands do that look after the data.
pub mod maintenance;
/// What an order is and what may happen to it. Pure: no clock, no I/O.
pub mod order;
/// Adapters to the outside: payment providers.
pub mod providers;
mod running;
/// The journal, the views and the catalogue. The only folder that knows sqlx.
pub mod store;
/// The log and the metrics.
pub mod telemetry;
mod verify;
