//! Rules about docs/decisions: the index is complete, every record has its parts, and what records name exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::run::Problem;

const FOLDER: &str = "docs/decisions";
const PARTS: &[&str] = &["Context", "Decision", "Consequences", "Rejected"];

/// Text in backticks that begins with one of these is a path in this repository.
const TOP_LEVEL: &[&str] =
    &[".ci/", ".github/", "benches/", "crates/", "deploy/", "docs/", "proto/", "schemas/", "tests/"];

pub(super) fn violations(root: &Path) -> Result<Vec<String>, Problem> {
    let folder = root.join(FOLDER);
    let index_path = folder.join("README.md");
    let index = fs::read_to_string(&index_path).map_err(Problem::file(&index_path))?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&folder).map_err(Problem::file(&folder))? {
        names.insert(entry.map_err(Problem::file(&folder))?.file_name().to_string_lossy().into_owned());
    }
    names.remove("README.md");

    let mut violations = index_violations(&index, &names);
    for name in &names {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(Problem::file(&path))?;
        violations.extend(record_violations(name, &text, |path| root.join(path).exists()));
    }
    Ok(violations)
}

/// Every record is linked from the index once, every link leads to a record, and no number is used twice.
fn index_violations(index: &str, names: &BTreeSet<String>) -> Vec<String> {
    let linked: Vec<&str> = index
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains(':'))
        .collect();
    let mut violations = Vec::new();
    for name in names {
        let links = linked.iter().filter(|link| *link == name).count();
        if links != 1 {
            violations.push(format!("{FOLDER}/README.md links {name} {links} times; it must once"));
        }
    }
    for link in linked.iter().filter(|link| !names.contains(**link)) {
        violations.push(format!("{FOLDER}/README.md links {link}, which is not there"));
    }
    let numbers: BTreeSet<_> = names.iter().map(|name| name.split('-').next()).collect();
    if numbers.len() != names.len() {
        violations.push(format!("{FOLDER}: two records have the same number"));
    }
    violations
}

fn record_violations(name: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let parts = PARTS
        .iter()
        .filter(|part| {
            !text.lines().any(|line| line.strip_prefix("## ").is_some_and(|title| title == **part))
        })
        .map(|part| format!("{FOLDER}/{name}: has no part `## {part}`"));
    let files = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| {
            TOP_LEVEL.iter().any(|top| quoted.starts_with(top)) && !quoted.contains(['*', '<', ' '])
        })
        .filter(|path| !exists(path))
        .map(|path| format!("{FOLDER}/{name}: names `{path}`, which does not exist"));
    parts.chain(files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_and_the_folder_agree() {
        let names = BTreeSet::from(["0001-a.md".to_owned(), "0002-b.md".to_owned()]);
        assert_eq!(
            index_violations("[1](0001-a.md) [2](0002-b.md) [site](https://x.org)", &names),
            Vec::<String>::new()
        );
        assert_eq!(index_violations("[1](0001-a.md)", &names).len(), 1);
        assert_eq!(index_violations("[1](0001-a.md) [2](0002-b.md) [3](0003-c.md)", &names).len(), 1);
    }

    #[test]
    fn a_record_has_its_parts_and_names_what_exists() {
        let whole = "# A\n## Context\nsee `crates/a.rs`\n## Decision\n## Consequences\n## Rejected\n";
        assert!(record_violations("0001-a.md", whole, |path| path == "crates/a.rs").is_empty());
        assert_eq!(record_violations("0001-a.md", whole, |_| false).len(), 1);
        assert_eq!(
            record_violations("0001-a.md", "## Context\n## Decision\n## Consequences\n", |_| true).len(),
            1
        );
    }
}
