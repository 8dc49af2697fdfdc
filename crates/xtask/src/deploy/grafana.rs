//! What Grafana is provisioned with: files it can read, and dashboards that ask data sources there are. That every query has
//! an answer is a test of tests/, on a real scrape.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{all_of, files, place};
use crate::run::{Problem, progress};

pub(super) fn check(root: &Path) -> Result<(), Problem> {
    let dashboards = files(&root.join("dashboards"), "json")?;
    progress(format_args!("{} dashboards", dashboards.len()));
    all_of(&files(&root.join("provisioning/dashboards"), "yaml")?, |file| read_yaml(file).map(drop))?;
    let mut sources = BTreeSet::new();
    for file in files(&root.join("provisioning/datasources"), "yaml")? {
        let provisioned = read_yaml(&file)?;
        let list = provisioned["datasources"].as_array().cloned().unwrap_or_default();
        sources.extend(list.iter().filter_map(|source| Some(source["uid"].as_str()?.to_owned())));
    }
    all_of(&dashboards, |file| {
        let text = fs::read_to_string(file).map_err(Problem::file(file))?;
        let dashboard: Value = serde_json::from_str(&text)
            .map_err(|error| Problem::Check(format!("{}: {error}", place(file))))?;
        let violations = violations(&dashboard, &sources);
        if violations.is_empty() {
            return Ok(());
        }
        Err(Problem::Check(format!("{}: {}", place(file), violations.join("; "))))
    })
}

fn read_yaml(file: &Path) -> Result<Value, Problem> {
    let text = fs::read_to_string(file).map_err(Problem::file(file))?;
    serde_saphyr::from_str(&text).map_err(|error| Problem::Check(format!("{}: {error}", place(file))))
}

fn violations(dashboard: &Value, sources: &BTreeSet<String>) -> Vec<String> {
    let mut violations = Vec::new();
    if dashboard["uid"].as_str().is_none_or(str::is_empty) {
        violations.push("it has no uid: links to it would change with every start".to_owned());
    }
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    for panel in panels.iter().filter(|panel| panel["type"] != "row" && panel["type"] != "text") {
        let title = panel["title"].as_str().unwrap_or("a panel without a title");
        let source = panel["datasource"]["uid"].as_str().unwrap_or("none");
        if !sources.contains(source) {
            violations.push(format!("{title}: the data source `{source}` is not provisioned"));
        }
        if panel["targets"].as_array().is_none_or(Vec::is_empty) {
            violations.push(format!("{title}: it asks nothing"));
        }
        if panel["description"].as_str().is_none_or(str::is_empty) {
            violations.push(format!("{title}: it does not say what it shows"));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_panel_asks_a_source_there_is_and_says_what_it_shows() {
        let sources = BTreeSet::from(["prometheus".to_owned()]);
        let panel = |source: &str| {
            json!({"type": "stat", "title": "Share", "description": "Of teams", "targets": [{"expr": "up"}],
                   "datasource": {"uid": source}})
        };
        let dashboard = |panel: Value| json!({"uid": "milepost", "panels": [{"type": "row"}, panel]});
        assert!(violations(&dashboard(panel("prometheus")), &sources).is_empty());
        assert_eq!(
            violations(&dashboard(panel("loki")), &sources),
            ["Share: the data source `loki` is not provisioned"]
        );
        assert_eq!(violations(&dashboard(json!({"type": "stat", "title": "Share"})), &sources).len(), 3);
    }
}
