//! The log on a real broker and on librdkafka's mock cluster, which shows faults that no real one shows on demand.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod brokers;
mod faults;
mod groups;
mod offsets;
mod support;
mod topics;
