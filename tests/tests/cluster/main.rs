//! A whole cluster of the real binary, on a real Kafka and a real ClickHouse, against one process that was given the same.
//!
//! What the crates of the log and of the store prove of their own is not repeated here. Tests share one Kafka and one
//! ClickHouse, under names of their own; those that break an engine start theirs.

mod aggregators;
mod door;
mod equal;
mod faults;
mod lines;
mod moving;
mod outages;
mod poison;
mod roles;
