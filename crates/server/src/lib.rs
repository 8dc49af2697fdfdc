//! Milepost: the library behind the one binary.
pub mod engine;
