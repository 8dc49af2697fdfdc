//! Real Kafka, ClickHouse and Prometheus as child processes, without a container engine: for the tests, and for
//! `cargo xtask services`.
//!
//! [`kafka::start`], [`clickhouse::start`] and [`prometheus::start`] give a [`Service`] that answers, in a directory of its
//! own with its data, its log and its ports. It can be paused, killed and restarted on the same data and ports, which is
//! what tests of faults need. What a service is made of is fetched once into a cache outside the checkout, in the versions
//! pinned here, and checked before it is used.
//!
//! [`shared`] gives tests a server they do not break: one named in the environment, else one of their own.

mod cache;
pub mod clickhouse;
mod error;
mod fetch;
pub mod go;
pub mod kafka;
mod place;
mod ports;
mod probe;
pub mod prometheus;
mod service;
pub mod shared;
mod spawn;
pub mod tools;

pub use cache::{directory as cache, staged};
pub use error::Error;
pub use place::{Kind, Place};
pub use ports::free as free_port;
pub use service::{Lifetime, Service};

/// Says what takes a while.
pub(crate) fn progress(what: impl std::fmt::Display) {
    eprintln!("services: {what}");
}
