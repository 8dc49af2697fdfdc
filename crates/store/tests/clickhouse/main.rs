//! The engine of a cluster, on a real ClickHouse.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod agreement;
mod faults;
mod history;
mod laws;
mod proxy;
mod quarantine;
mod retention;
mod schema;
mod sharded;
mod support;
mod tls;
