//! Rules about source files: how long they may be, and what the pure core may not mention.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::Problem;

/// Lines of production code a file may have: what is longer has two reasons to change.
const LONGEST: usize = 400;

/// What would give the model a clock, a file, a socket, an environment or chance.
const IMPURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net",
    "std::env",
    "std::io",
    "std::process",
    "std::thread",
    "std::time",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "rand::",
    "getrandom",
    "println!",
    "eprintln!",
];

pub(super) fn violations(root: &Path) -> Result<Vec<String>, Problem> {
    let mut files = Vec::new();
    for directory in ["crates", "tests", "benches"] {
        rust_files(&root.join(directory), &["generated", "tests"], &mut files)?;
    }
    files.retain(|file| file.file_name().is_some_and(|name| name != "tests.rs"));
    files.sort();
    let mut violations = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).map_err(Problem::file(file))?;
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
        violations.extend(in_file(&name, &text));
    }
    Ok(violations)
}

/// All Rust files below, but for those in directories of these names.
pub(super) fn rust_files(
    directory: &Path,
    without: &[&str],
    files: &mut Vec<PathBuf>,
) -> Result<(), Problem> {
    for entry in fs::read_dir(directory).map_err(Problem::file(directory))? {
        let path = entry.map_err(Problem::file(directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !without.contains(&&*name) {
                rust_files(&path, without, files)?;
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn in_file(name: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let length = production(text).count();
    if length > LONGEST {
        violations.push(format!(
            "{name}: {length} lines of production code; at most {LONGEST}: split it by reason to change"
        ));
    }
    if name.starts_with("crates/model/src/") {
        violations.extend(production(text).enumerate().filter_map(|(index, line)| {
            let code = line.split("//").next().unwrap_or_default();
            let word = IMPURE.iter().find(|word| code.contains(**word))?;
            Some(format!("{name}:{}: the model is pure and must not mention `{word}`", index + 1))
        }));
    }
    violations
}

/// The lines before the tests inside the file.
fn production(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.trim_end() != "#[cfg(test)]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_in_a_file_do_not_count() {
        let long = "x\n".repeat(LONGEST);
        assert!(in_file("crates/store/src/lib.rs", &format!("{long}#[cfg(test)]\n{long}")).is_empty());
        assert_eq!(in_file("crates/store/src/lib.rs", &format!("{long}x\n")).len(), 1);
    }

    #[test]
    fn the_model_reads_no_clock() {
        let clock = "fn now() {\n    let now = std::time::SystemTime::now();\n}\n";
        assert_eq!(in_file("crates/model/src/model/mod.rs", clock).len(), 1);
        assert!(in_file("crates/server/src/engine.rs", clock).is_empty());
        assert!(in_file("crates/model/src/time.rs", "/// Not std::time: see there.\n").is_empty());
    }
}
