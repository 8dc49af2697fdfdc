//! The SQLite engine from outside.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod backup;
mod checkpoint;
mod damage;
mod directory;
mod doctor;
mod laws;
mod quarantine;
mod reading;
mod retention;
mod rotate;
mod support;
mod upgrade;
