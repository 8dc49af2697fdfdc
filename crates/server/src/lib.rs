//! Milepost: the library behind the one binary.
pub mod engine;
pub mod shutdown;
pub mod serve;
pub mod keeper;
pub mod installation;
pub mod import;
pub mod config;
pub mod cli;
pub mod answers;
pub mod exporter;
pub mod health;
pub mod query;
pub mod reference;
#[cfg(test)]
mod testing;
