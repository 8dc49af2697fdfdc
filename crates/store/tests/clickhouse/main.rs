//! The engine of a cluster, on a real ClickHouse.

mod agreement;
mod faults;
mod history;
mod laws;
mod proxy;
mod quarantine;
mod schema;
mod sharded;
mod support;
