//! The binary under test, and running it to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::checkout;

/// The binary: `MILEPOST_BIN`, else the one of this checkout, built if it is not up to date.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os("MILEPOST_BIN").map_or_else(build, PathBuf::from))
}

/// What builds the binary as `cargo test --workspace` does. Features of dependencies are chosen for all packages together,
/// and with a test among the targets those that tests alone turn on count too: whatever features the tests give crate
/// milepost, its binary has here. Asked in any other way, cargo would build most of the dependencies a second time.
const LIKE_THE_TESTS: [&str; 3] = ["--workspace", "--test", "doors"];

/// What cargo tells the programs it runs about their package. A build script that asks for any of it (that of ring does)
/// would otherwise run again, and all that depends on it be built again, because tests started cargo and no shell.
const OF_THE_CALLER: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// Cargo itself says whether the binary is up to date, so a stale one is never tested.
fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        if OF_THE_CALLER.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .current_dir(checkout())
        .args(["build", "--bin", "milepost", "--message-format", "json-render-diagnostics"])
        .args(LIKE_THE_TESTS)
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "milepost does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|message| message["target"]["name"] == "milepost" && message["executable"].is_string())
        .and_then(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo says where the binary is")
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to its output.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Finished {
    /// The output of a run that succeeded.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// The last line of the output, as JSON.
    #[track_caller]
    pub fn last_json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The binary, to be given arguments.
pub fn command() -> Command {
    unconfigured(Command::new(path()))
}

/// A command without the `MILEPOST_*` variables there are: they are about the tests, and would configure the binary otherwise.
pub fn unconfigured(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILEPOST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `milepost` with these arguments.
pub fn milepost<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Finished {
    finish(command().args(arguments))
}

/// Runs any command to its end.
pub fn finish(command: &mut Command) -> Finished {
    finished(&command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// A command that has run.
pub fn finished(output: &Output) -> Finished {
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
