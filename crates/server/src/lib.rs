//! Milepost: the library behind the one binary.
pub mod answers;
pub mod checkpointer;
pub mod cli;
pub mod config;
pub mod engine;
pub mod exporter;
pub mod guard;
pub mod health;
pub mod import;
pub mod installation;
pub mod keeper;
pub mod quarantine;
pub mod query;
pub mod reference;
pub mod remote;
pub mod retention;
pub mod roles;
pub mod rotation;
mod secret_file;
pub mod serve;
pub mod shutdown;
#[cfg(test)]
mod testing;
