//! The harness of the end-to-end tests: the real binary, real Prometheus and a real client in another language, spoken to
//! through their public forms only.
//!
//! What a test needs beside Rust is handed to it in environment variables by `cargo xtask test`. A test whose needs are not
//! met fails and says so.

#![allow(clippy::missing_panics_doc, reason = "a harness panics where a test fails")]

pub mod binary;
pub mod cluster;
pub mod dashboards;
pub mod delivery;
pub mod disk;
pub mod engines;
pub mod events;
pub mod exposition;
pub mod grpc;
pub mod load;
pub mod oracle;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod served;
pub mod state;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use cluster::Cluster;
pub use served::{Installation, Served};

/// The root of the checkout.
pub fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The real input: see crates/server/data/README.md.
pub fn real_data() -> PathBuf {
    checkout().join("crates/server/data/helm-charts.ndjson.gz")
}

/// The configuration the real input is measured with.
pub const REAL_CONFIG: &str = "[capabilities.\"release-pipeline\"]\ngolden_path = true\n";

/// A program `cargo xtask test` has found, by the variable it is told in.
pub fn needed(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => panic!(
            "{variable} is not set: run the tests through `cargo xtask test`, which fetches what they need"
        ),
    }
}

/// Asks again and again until there is an answer. For processes that have no way of telling when they are ready.
#[track_caller]
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(60), what, ask)
}

/// As [`eventually`], with this patience: generous, as tests share the machine.
#[track_caller]
pub fn eventually_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    const BETWEEN: Duration = Duration::from_millis(50);
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(BETWEEN);
    }
}
