//! Reading `/metrics` as a test needs it.

use std::collections::BTreeMap;

/// Every sample by its whole name, labels included.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|error| panic!("{error}: {line}")))
        })
        .collect()
}

/// The sum of all samples of a family whose labels contain all of these texts, such as `fate="stored"`.
pub fn sum(text: &str, family: &str, labels: &[&str]) -> f64 {
    samples(text)
        .iter()
        .filter(|(name, _)| {
            name.split('{').next() == Some(family) && labels.iter().all(|label| name.contains(label))
        })
        .map(|(_, value)| value)
        .sum()
}

/// The lines about these metrics, comments included: what the events alone decide.
pub fn business<'a>(text: &'a str, metrics: &[String]) -> Vec<&'a str> {
    let families: Vec<String> = metrics.iter().map(|metric| format!("milepost_{metric}")).collect();
    text.lines()
        .filter(|line| {
            let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
            families.iter().any(|family| name.starts_with(family.as_str()))
        })
        .collect()
}
