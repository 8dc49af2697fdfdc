//! The dashboards in deploy/grafana.

use std::fs;

use serde_json::Value;

use crate::checkout;

/// What Grafana puts in the place of its variables, as short as the tests scrape.
const VARIABLES: [(&str, &str); 1] = [("$__rate_interval", "1m")];

/// Every query to Prometheus, as Grafana would send it, with the title of its panel.
pub fn queries() -> Vec<(String, String)> {
    let directory = checkout().join("deploy/grafana/dashboards");
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut queries = Vec::new();
    for file in files {
        let text = fs::read_to_string(file.expect("it is listed").path()).expect("it can be read");
        let dashboard: Value = serde_json::from_str(&text).expect("dashboards are JSON");
        for panel in list(&dashboard["panels"]) {
            let title = panel["title"].as_str().unwrap_or_default();
            let sent = list(&panel["targets"]).iter().filter_map(|target| target["expr"].as_str()).map(sent);
            queries.extend(sent.map(|query| (title.to_owned(), query)));
        }
    }
    queries
}

fn sent(query: &str) -> String {
    VARIABLES.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
