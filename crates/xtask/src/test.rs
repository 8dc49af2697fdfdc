//! Running the tests with all they need.

use std::process::Command;

use crate::needs::Needs;
use crate::run::{Problem, all, cargo, checkout, run};

/// Every test there is.
pub(crate) fn everything() -> Result<(), Problem> {
    let needs = Needs::fetch()?;
    let rust = || run(needs.hand_to(&mut cargo(&["test", "--workspace", "--no-fail-fast"])));
    // What checks the answers is checked itself.
    let oracle = || {
        let discover = ["-m", "unittest", "discover", "--start-directory", "tests/oracle"];
        run(Command::new(&needs.python).current_dir(checkout()).args(discover))
    };
    all([&rust as &dyn Fn() -> _, &oracle])
}

/// `cargo test` with these arguments and environment.
pub(crate) fn cargo_test(arguments: &[String], environment: &[(&str, String)]) -> Result<(), Problem> {
    let needs = Needs::fetch()?;
    run(needs.hand_to(&mut cargo(&["test"])).args(arguments).envs(environment.iter().cloned()))
}

/// One file of the end-to-end tests, so often and with this chance, telling how far it is.
pub(crate) fn end_to_end(test: &str, (variable, times): (&str, u32), seed: u64) -> Result<(), Problem> {
    let arguments = ["--package", "milepost-tests", "--test", test, "--", "--nocapture"].map(String::from);
    cargo_test(&arguments, &[(variable, times.to_string()), ("MILEPOST_SEED", seed.to_string())])
}
