//! The oracle: answers worked out by brute force in another language (tests/oracle), and comparing them with ours.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};

use crate::binary::finish;
use crate::served::percent_encoded;
use crate::{checkout, needed};

/// A generated history.
pub struct History {
    /// Its events, as lines.
    pub events: Vec<String>,
    /// Its configuration, as the oracle reads it.
    pub config: Value,
    /// What to ask about it.
    pub questions: Vec<Value>,
}

/// How many histories a test looks at: `MILEPOST_SEEDS`, by default a few.
pub fn seeds() -> u64 {
    std::env::var("MILEPOST_SEEDS").map_or(20, |text| text.parse().expect("MILEPOST_SEEDS is a number"))
}

/// The history of a seed.
pub fn history(seed: u64) -> History {
    let directory = tempfile::tempdir().expect("a temporary directory");
    python("generate.py", &["--seed", &seed.to_string(), "--out", &directory.path().to_string_lossy()]);
    let read = |name| fs::read_to_string(directory.path().join(name)).expect("the generator writes it");
    History {
        events: read("events.ndjson").lines().map(str::to_owned).collect(),
        config: serde_json::from_str(&read("config.json")).expect("JSON"),
        questions: json_lines(&read("questions.ndjson")),
    }
}

/// The oracle's answers: one array for each question.
pub fn answers(events: &Path, config: &Value, questions: &[Value]) -> Vec<Value> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("it can be written");
        path.to_string_lossy().into_owned()
    };
    let config = write("config.json", config.to_string());
    let questions = write("questions.ndjson", crate::events::lines(questions).join("\n"));
    let events = events.to_string_lossy();
    json_lines(&python("oracle.py", &["--events", &events, "--config", &config, "--questions", &questions]))
}

fn python(script: &str, arguments: &[&str]) -> String {
    let script = checkout().join("tests/oracle").join(script);
    finish(Command::new(needed("MILEPOST_PYTHON")).arg(script).args(arguments)).expect_success()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The oracle's configuration in the form of `milepost.toml`.
pub fn toml(config: &Value) -> String {
    let entries = object(config).iter().map(|(name, value)| match name.as_str() {
        "privacy_key" => format!("privacy = {{ key = {} }}\n", inline(value)),
        name => format!("{name} = {}\n", inline(value)),
    });
    entries.collect()
}

/// A value as inline TOML, whose strings, numbers and arrays are written as in JSON.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{} = {}", Value::from(name.as_str()), inline(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Where to ask this over HTTP.
pub fn path_of(question: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parameters: Vec<_> = object(question)
        .iter()
        .filter(|(name, _)| *name != "metric")
        .map(|(name, value)| format!("{name}={}", percent_encoded(&text(value))))
        .collect();
    format!("/v1/metrics/{}?{}", text(&question["metric"]), parameters.join("&"))
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}"))
}

/// Where two answers differ, if they do: real numbers within 1e-9, all else exactly.
pub fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    const TOLERANCE: f64 = 1e-9;
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| difference(a, b).map(|inner| format!("[{index}]{inner}"))),
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => a
            .iter()
            .find_map(|(name, value)| difference(value, &b[name]).map(|inner| format!(".{name}{inner}"))),
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) if (a - b).abs() <= TOLERANCE => None,
            _ => Some(format!(": ours {a}, the oracle's {b}")),
        },
        _ if ours == theirs => None,
        _ => Some(format!(": ours {ours}, the oracle's {theirs}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_found_where_it_is() {
        let ours = json!([{"value": 0.5, "counts": {"cohort": 3}}]);
        assert_eq!(difference(&ours, &json!([{"value": 0.500_000_000_01, "counts": {"cohort": 3}}])), None);
        let found = difference(&ours, &json!([{"value": 0.5, "counts": {"cohort": 4}}]));
        assert_eq!(found.as_deref(), Some("[0].counts.cohort: ours 3, the oracle's 4"));
        assert!(difference(&ours, &json!([{"value": null, "counts": {"cohort": 3}}])).is_some());
        assert!(difference(&ours, &json!([])).is_some());
    }

    #[test]
    fn a_configuration_becomes_toml() {
        let config =
            json!({"capabilities": {"a b": {"golden_path": true}}, "min_group": 5, "privacy_key": "00"});
        let expected = "capabilities = { \"a b\" = { \"golden_path\" = true } }\nmin_group = 5\nprivacy = { key = \"00\" }\n";
        assert_eq!(toml(&config), expected);
    }
}
