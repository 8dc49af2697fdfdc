//! docs/faults.md: every row has its tests, and they are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::sources::rust_files;
use crate::run::Problem;

const TABLE: &str = "docs/faults.md";

pub(super) fn violations(root: &Path) -> Result<Vec<String>, Problem> {
    let path = root.join(TABLE);
    let table = fs::read_to_string(&path).map_err(Problem::file(&path))?;
    let mut files = Vec::new();
    for directory in ["crates", "tests"] {
        rust_files(&root.join(directory), &[], &mut files)?;
    }
    let mut sources = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(Problem::file(&file))?;
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        sources.push((name, text));
    }
    Ok(in_table(&table, &sources))
}

/// The rows `| F1 | fault | invariant | tests | where |`: what stands in backticks is a test in one of the files, and every test
/// that is named after a row is in it.
fn in_table(table: &str, sources: &[(String, String)]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut named = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| F")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, fault, _, _, tests, places, _] = cells[..] else {
            violations.push(format!("{TABLE}: not five cells: {row}"));
            continue;
        };
        let places: Vec<&str> = quoted(places).collect();
        for test in quoted(tests) {
            let definition = format!("fn {test}(");
            let there = places
                .iter()
                .any(|place| sources.iter().any(|(name, text)| name == place && text.contains(&definition)));
            if !there {
                violations.push(format!(
                    "{TABLE}: {fault} names the test `{test}`, which is not in {}",
                    places.join(", ")
                ));
            }
            named.insert(test.to_owned());
        }
        if quoted(tests).next().is_none() && tests != "not yet" {
            violations.push(format!("{TABLE}: {fault} has no test, and does not say `not yet`"));
        }
    }
    for (name, text) in sources {
        for test in text.lines().filter_map(named_after_a_row).filter(|test| !named.contains(*test)) {
            violations.push(format!("{name}: the test `{test}` is in no row of {TABLE}"));
        }
    }
    violations
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The test that begins in this line, if it is called `f12_…`.
fn named_after_a_row(line: &str) -> Option<&str> {
    let name = line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?.split('(').next()?;
    let digits = name.strip_prefix('f')?.split('_').next()?;
    (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(table: &str, text: &str) -> usize {
        in_table(table, &[("tests/a.rs".to_owned(), text.to_owned())]).len()
    }

    #[test]
    fn rows_and_tests_belong_together() {
        let row = "| F1 | killed | equal | `f01_killed`, `also` | `tests/a.rs` |";
        assert_eq!(wrong(row, "fn f01_killed() {}\nfn also() {}"), 0);
        assert_eq!(wrong(row, "fn f01_killed() {}"), 1);
        assert_eq!(wrong(row, "fn f01_killed() {}\nfn also() {}\n    fn f02_other(x: u8) {}"), 1);
        assert_eq!(wrong("| F1 | killed | equal | not yet | - |", ""), 0);
        assert_eq!(wrong("| F1 | killed | equal | | - |", ""), 1);
        assert_eq!(wrong("| F1 | killed | equal |", ""), 1);
    }
}
