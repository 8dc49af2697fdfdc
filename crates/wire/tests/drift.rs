//! The committed code is what the contract generates.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

#[path = "../../xtask/src/gen.rs"]
mod generator;

use std::fs;
use std::path::Path;

#[test]
fn generated_code_follows_the_contract() {
    let fresh = tempfile::tempdir().unwrap();
    generator::generate(fresh.path()).unwrap();

    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    assert_eq!(names(&committed), names(fresh.path()), "run `cargo xtask gen` and commit what it writes");
    for name in names(fresh.path()) {
        let (old, new) =
            (fs::read(committed.join(&name)).unwrap(), fs::read(fresh.path().join(&name)).unwrap());
        assert!(
            old == new,
            "{name} is not what proto/ generates: run `cargo xtask gen` and commit what it writes"
        );
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
