//! Which crate may depend on which: model ← wire ← log ← ingest ← server, model ← store ← server.

use std::path::Path;

use serde_json::Value;

use crate::run::{Problem, cargo, output};

/// The crates of this workspace that each of them may use.
const INTERNAL: &[(&str, &[&str])] = &[
    ("milepost-model", &[]),
    ("milepost-wire", &["milepost-model"]),
    ("milepost-log", &["milepost-model", "milepost-wire"]),
    ("milepost-ingest", &["milepost-model", "milepost-wire", "milepost-log"]),
    ("milepost-store", &["milepost-model"]),
    ("milepost", &["milepost-model", "milepost-wire", "milepost-log", "milepost-ingest", "milepost-store"]),
    // End-to-end tests see the public forms only; what needs `now` as an argument, or opens what a crash has left a
    // thousand times, asks the library.
    (
        "milepost-tests",
        &["milepost-ingest", "milepost-model", "milepost-services", "milepost-wire", "milepost-store"],
    ),
    (
        "milepost-benches",
        &[
            "milepost-model",
            "milepost-wire",
            "milepost-log",
            "milepost-ingest",
            "milepost-store",
            "milepost-services",
            "milepost",
        ],
    ),
    ("milepost-services", &[]),
    ("xtask", &["milepost-services"]),
];

/// All that the pure core may use from outside: nothing in here opens a file, a socket or a clock on its own.
const MODEL_DEPENDENCIES: &[&str] =
    &["crc32fast", "hashbrown", "jiff", "rustc-hash", "serde", "serde_json", "sha2", "thiserror"];

/// The feature by which a test can end the process, and the only crate that may ask for it.
const FAILPOINTS: (&str, &str) = ("failpoints", "milepost-tests");

/// One crate's dependency on another, tests of its own apart.
struct Edge {
    from: String,
    to: String,
    features: Vec<String>,
}

pub(super) fn violations(root: &Path) -> Result<Vec<String>, Problem> {
    let metadata = output(cargo(&["metadata", "--no-deps", "--format-version", "1"]).current_dir(root))?;
    let metadata: Value = serde_json::from_slice(&metadata)
        .map_err(|error| Problem::Check(format!("cargo metadata cannot be read: {error}")))?;
    Ok(edges(&metadata).iter().filter_map(violation).collect())
}

fn edges(metadata: &Value) -> Vec<Edge> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            let from = name(package);
            list(&package["dependencies"]).into_iter().filter(|dependency| dependency["kind"] != "dev").map(
                move |dependency| {
                    let features = list(&dependency["features"])
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect();
                    Edge { from: from.clone(), to: name(&dependency), features }
                },
            )
        })
        .collect()
}

fn violation(Edge { from, to, features }: &Edge) -> Option<String> {
    let (failpoints, tests) = FAILPOINTS;
    if from != tests && features.iter().any(|feature| feature == failpoints) {
        return Some(format!("{from} must not ask for the feature {failpoints} of {to}: only {tests} may"));
    }
    let internal = INTERNAL.iter().any(|(name, _)| name == to);
    let allowed = match INTERNAL.iter().find(|(name, _)| name == from) {
        None => return Some(format!("{from}: say in xtask's structure/graph.rs which crates it may use")),
        Some((_, allowed)) if internal => *allowed,
        Some(_) if from == "milepost-model" => MODEL_DEPENDENCIES,
        Some(_) => return None,
    };
    let message = format!("{from} must not depend on {to}; it may on {}", allowed.join(", "));
    (!allowed.contains(&to.as_str())).then_some(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_directions_of_the_design_pass() {
        for (from, to, passes) in [
            ("milepost-wire", "milepost-model", true),
            ("milepost-model", "milepost-wire", false),
            ("milepost-store", "milepost-wire", false),
            ("milepost-model", "tokio", false),
            ("milepost-model", "serde", true),
            ("milepost-store", "rusqlite", true),
            ("milepost-new", "serde", false),
        ] {
            let edge = Edge { from: from.into(), to: to.into(), features: Vec::new() };
            assert_eq!(violation(&edge).is_none(), passes, "{from} → {to}");
        }
    }

    #[test]
    fn only_the_tests_can_end_the_process() {
        for (from, passes) in [("milepost", false), ("milepost-tests", true)] {
            let edge =
                Edge { from: from.into(), to: "milepost-store".into(), features: vec!["failpoints".into()] };
            assert_eq!(violation(&edge).is_none(), passes, "{from}");
        }
    }

    #[test]
    fn tests_may_use_what_the_crate_may_not() {
        let metadata = json!({"packages": [{"name": "milepost-model", "dependencies": [
            {"name": "serde", "kind": null}, {"name": "proptest", "kind": "dev"}, {"name": "cc", "kind": "build"},
        ]}]});
        let to: Vec<_> = edges(&metadata).into_iter().map(|edge| edge.to).collect();
        assert_eq!(to, ["serde", "cc"]);
    }
}
