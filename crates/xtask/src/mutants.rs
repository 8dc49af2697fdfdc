//! Mutation testing: the code whose mistakes would be silent is changed in every small way, and a test of its crate has to
//! notice each change. What none can notice stands in docs/mutants.md, with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::needs::cargo_program;
use crate::run::{Problem, checkout, progress};

const CARGO_MUTANTS: &str = "27.1.0";

/// Where the mutants are listed that no test can notice.
const KNOWN: &str = "docs/mutants.md";

/// The crates, and the files of them that are changed: versions, the fold, identity.
const FILES: [(&str, &[&str]); 2] = [
    ("milepost-model", &["crates/model/src/event.rs", "crates/model/src/model/*.rs"]),
    (
        "milepost-store",
        &[
            "crates/store/src/sqlite/events.rs",
            "crates/store/src/sqlite/versions.rs",
            "crates/store/src/sqlite/identity/*.rs",
        ],
    ),
];

/// Cases of a property test for each mutant: enough to see what is plainly wrong, few enough to try hundreds of mutants.
const CASES: &str = "32";

/// A mutant that makes the tests run longer than so many seconds has been noticed.
const LONGEST_RUN: &str = "300";

/// Tries every mutant, or those of one crate.
pub(crate) fn campaign(only: Option<&str>) -> Result<(), Problem> {
    let program = cargo_program("cargo-mutants", CARGO_MUTANTS)?;
    let known = known(&read(&checkout().join(KNOWN))?);
    let picked: Vec<_> =
        FILES.iter().filter(|(package, _)| only.is_none_or(|only| only == *package)).collect();
    if picked.is_empty() {
        let all = FILES.map(|(package, _)| package).join(", ");
        return Err(Problem::Check(format!("--package: mutants are tried of {all}")));
    }
    let mut missed = BTreeSet::new();
    for (package, files) in picked {
        missed.extend(missed_in(&program, package, files)?);
    }
    report(&missed, &known)
}

/// The mutants of a crate that its tests do not notice.
fn missed_in(program: &Path, package: &str, files: &[&str]) -> Result<Vec<String>, Problem> {
    let results = checkout().join("target/mutants").join(package);
    fs::create_dir_all(&results).map_err(Problem::file(&results))?;
    let mut mutants = Command::new(program);
    mutants.current_dir(checkout()).args(["mutants", "--package", package, "--output"]).arg(&results);
    mutants.args(files.iter().flat_map(|file| ["--file", file])).args(["--exclude", "**/fuzzing.rs"]);
    mutants.args(["--timeout", LONGEST_RUN, "--colors", "never"]).env("PROPTEST_CASES", CASES);
    // Compiled hundreds of times, and run briefly.
    mutants.arg("--cargo-arg=--config=profile.dev.package.milepost-model.opt-level=0");
    progress(format_args!("trying mutants of {package}: this takes hours"));
    let status =
        mutants.status().map_err(|source| Problem::NotStarted { command: "cargo-mutants".into(), source })?;
    // 0: all were noticed; 2: some were not; 3: some ran for too long, which was noticed, too.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        return Err(Problem::Failed { command: format!("cargo-mutants --package {package}"), status });
    }
    Ok(read(&results.join("mutants.out/missed.txt"))?.lines().map(without_place).collect())
}

fn report(missed: &BTreeSet<String>, known: &BTreeSet<String>) -> Result<(), Problem> {
    let new: Vec<&str> = missed.difference(known).map(String::as_str).collect();
    if new.is_empty() {
        progress(format_args!("no test missed a mutant but the {} of {KNOWN}", missed.len()));
        return Ok(());
    }
    Err(Problem::Check(format!(
        "no test notices these; add one, or list them in {KNOWN} with the reason why none can:\n{}",
        new.join("\n")
    )))
}

/// The mutants of the list: what stands between backquotes at the beginning of an item.
fn known(list: &str) -> BTreeSet<String> {
    let items = list.lines().filter_map(|line| line.strip_prefix("- `")?.split_once('`'));
    items.map(|(mutant, _)| mutant.to_owned()).collect()
}

/// `crates/a.rs:7:9: replace …` without line and column, which move with every change of the file.
fn without_place(mutant: &str) -> String {
    let Some((file, rest)) = mutant.split_once(".rs:") else { return mutant.to_owned() };
    let change = rest.split_once(": ").map_or(rest, |(_, change)| change);
    format!("{file}.rs: {change}")
}

fn read(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(Problem::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_known_wherever_in_its_file_it_stands() {
        let known =
            known("# Title\n- `crates/a.rs: replace + with - in f`: nothing depends on it.\n- other\n");
        let missed = |mutant: &str| BTreeSet::from([without_place(mutant)]);
        assert!(report(&missed("crates/a.rs:7:9: replace + with - in f"), &known).is_ok());
        let new = report(&missed("crates/a.rs:7:9: replace + with * in f"), &known).unwrap_err().to_string();
        assert!(new.ends_with("crates/a.rs: replace + with * in f"), "{new}");
    }
}
