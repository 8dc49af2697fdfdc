//! A client in another language that knows nothing but the address: it learns the services by reflection.

use std::process::Command;

use milepost_tests::binary::finish;
use milepost_tests::{Installation, checkout, needed};

#[test]
fn python_by_reflection() {
    let installation = Installation::new("");
    let served = installation.serve();
    let client = checkout().join("tests/python/client.py");
    let run = finish(Command::new(needed("MILEPOST_PYTHON")).arg(client).arg(served.address().to_string()));
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
}
