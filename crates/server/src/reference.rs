//! The reference of all metrics, `docs/metrics.md`: the rules that hold for all of them, then each as it describes
//! itself in the registry.

use std::fmt::Write as _;

use milepost_model::metrics::{self, Spec};

/// What is true of every metric.
const RULES: &str = include_str!("reference.md");

/// The page, as Markdown.
pub fn reference() -> String {
    let mut page = RULES.to_owned();
    for metric in metrics::registry() {
        // Writing to a string does not fail.
        let _ = section(&mut page, metric.spec());
    }
    page
}

fn section(page: &mut String, spec: &Spec) -> std::fmt::Result {
    let Spec { name, help, definition, parameters, counts, needs, .. } = spec;
    let dimensions: Vec<_> = spec.dimensions.iter().map(|dimension| dimension.as_str()).collect();
    writeln!(page, "\n## `{name}`\n\n{help}\n\n{}\n", definition.trim())?;
    writeln!(page, "A {}. By {}. Needs {}.\n", spec.kind.as_str(), listed(&dimensions), listed(needs))?;
    if spec.exported {
        writeln!(page, "Goes out to Prometheus with its defaults: {}.\n", families(spec).join(", "))?;
    }
    writeln!(page, "| parameter | default | what it does |\n|---|---|---|")?;
    for parameter in *parameters {
        writeln!(page, "| `{}` | {} | {} |", parameter.name, cell(parameter.default), cell(parameter.help))?;
    }
    if !counts.is_empty() {
        writeln!(page, "\n| count | what it counts |\n|---|---|")?;
        for (name, help) in *counts {
            writeln!(page, "| `{name}` | {} |", cell(help))?;
        }
    }
    Ok(())
}

fn families(spec: &Spec) -> Vec<String> {
    crate::exporter::business::names(spec).into_iter().map(|name| format!("`{name}`")).collect()
}

fn listed(words: &[&str]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { format!("`{}`", words.join("`, `")) }
}

fn cell(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.replace('|', "\\|") }
}
