//! A real Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;
use crate::{binary, needed, served};

/// A Prometheus that scrapes one target, killed when dropped.
pub struct Prometheus {
    // Dropped in this order: the process first, then its directory.
    _process: Process,
    _directory: TempDir,
    url: String,
}

impl Prometheus {
    /// Starts one that scrapes `target` (`host:port`) every half second.
    pub fn scraping(target: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = directory.path().join("prometheus.yml");
        let scrape = format!(
            "scrape_configs: [{{job_name: milepost, scrape_interval: 500ms, scrape_timeout: 500ms, \
             static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        fs::write(&config, scrape).expect("it can be written");
        let mut command = Command::new(needed("MILEPOST_PROMETHEUS"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0");
        let (process, address) = Process::start(&mut command);
        Self { _process: process, _directory: directory, url: format!("http://{address}") }
    }

    /// The instant vector a query gives: values by their labels, `name=value` without `job` and `instance`.
    pub fn query(&self, query: &str) -> BTreeMap<String, f64> {
        let reply =
            served::get(&self.url, &format!("/api/v1/query?query={}", served::percent_encoded(query)), "*/*");
        if reply.status == 503 {
            // Not ready yet.
            return BTreeMap::new();
        }
        let answer = reply.json();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        series.iter().map(|series| (labels(&series["metric"]), value(&series["value"][1]))).collect()
    }
}

fn labels(metric: &Value) -> String {
    let own = ["__name__", "instance", "job"];
    let labels = metric.as_object().into_iter().flatten().filter(|(name, _)| !own.contains(&name.as_str()));
    labels
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}

fn value(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).expect("Prometheus gives numbers as text")
}

/// What `promtool check metrics` says about an exposition; empty where it finds nothing.
pub fn lint(exposition: &str) -> String {
    let mut promtool = Command::new(needed("MILEPOST_PROMTOOL"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be started");
    let mut stdin = promtool.stdin.take().expect("its stdin is piped");
    stdin.write_all(exposition.as_bytes()).expect("promtool reads");
    drop(stdin);
    let finished = binary::finished(&promtool.wait_with_output().expect("promtool ends"));
    match finished.code {
        0 => finished.stdout + &finished.stderr,
        code => format!("exit code {code}: {}{}", finished.stdout, finished.stderr),
    }
}
