//! The SQLite engine from outside.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod backup;
mod checkpoint;
mod directory;
mod doctor;
mod laws;
mod reading;
mod support;
mod upgrade;
