//! Adapters to the outside, one trait each. They know nothing of actors, HTTP or the database.

pub mod payment;
