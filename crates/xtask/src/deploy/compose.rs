//! deploy/compose.yaml, read by the library that reads it for `docker compose`: every image is pinned, every file is there,
//! every variable is explained, and `milepost check` takes every configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};

use super::process::{Process, SECRET};
use super::tools::Tools;
use super::{all_of, place};
use crate::run::{Problem, output, progress};

pub(super) fn check(tools: &Tools, root: &Path) -> Result<(), Problem> {
    let read = ["-no-interpolation", "-format", "json", "compose.yaml"];
    let json = output(Command::new(&tools.compose).current_dir(root).args(read))?;
    let project: Value = serde_json::from_slice(&json)
        .map_err(|error| Problem::Check(format!("what compose-go prints is no JSON: {error}")))?;
    let services: Vec<_> = project["services"].as_object().into_iter().flatten().collect();
    progress(format_args!("{} services of compose.yaml", services.len()));
    let example = root.join(".env.example");
    let explained = fs::read_to_string(&example).map_err(Problem::file(&example))?;
    all_of(&services, |(name, service)| {
        let mut violations = violations(service);
        violations.extend(asked_for(&environment(service)).filter_map(|variable| {
            let is_there = explained.lines().any(|line| line == format!("{variable}="));
            (!is_there).then(|| format!("{variable} is not in {}", place(&example)))
        }));
        let place = format!("deploy/compose.yaml: {name}");
        if !violations.is_empty() {
            return Err(Problem::Check(format!("{place}: {}", violations.join("; "))));
        }
        if service["build"].is_null() { Ok(()) } else { process(place, service)?.check(tools) }
    })
}

fn violations(service: &Value) -> Vec<String> {
    let image = service["image"].as_str().unwrap_or_default();
    let unpinned = service["build"].is_null() && !is_pinned(image);
    let unpinned = unpinned.then(|| format!("the image `{image}` has no version"));
    let missing = mounts(service)
        .filter(|(source, _)| !Path::new(source).exists())
        .map(|(source, _)| format!("{source} is mounted and not there"));
    unpinned.into_iter().chain(missing).collect()
}

/// A whole version: `latest`, `4` and `26.7` are moved on.
fn is_pinned(image: &str) -> bool {
    image.rsplit_once(':').is_some_and(|(_, tag)| {
        let numbers: Vec<_> = tag.trim_start_matches('v').split('.').collect();
        numbers.len() >= 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
    })
}

/// What is mounted from the host: the path there, and the one in the container.
fn mounts(service: &Value) -> impl Iterator<Item = (&str, &str)> {
    let volumes = service["volumes"].as_array().into_iter().flatten();
    volumes
        .filter(|volume| volume["type"] == "bind")
        .filter_map(|volume| Some((volume["source"].as_str()?, volume["target"].as_str()?)))
}

fn environment(service: &Value) -> Map<String, Value> {
    service["environment"].as_object().cloned().unwrap_or_default()
}

/// The variables of the host that are asked for, as `${NAME:?why}`.
fn asked_for(environment: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let values = environment.values().filter_map(Value::as_str);
    values.filter_map(|value| value.strip_prefix("${")?.split_once(':').map(|(name, _)| name))
}

fn process(place: String, service: &Value) -> Result<Process, Problem> {
    let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = |value: &Value| Some(said(value)).filter(|text| !text.starts_with("${"));
    let variables: BTreeMap<_, _> = environment(service)
        .iter()
        .map(|(name, given)| (name.clone(), value(given).unwrap_or_else(|| SECRET.to_owned())))
        .collect();
    let path = Process::config_path(&variables);
    let source = path.and_then(|path| mounts(service).find(|(_, target)| Path::new(target) == path));
    let Some((source, _)) = source else {
        return Err(Problem::Check(format!("{place}: no file is mounted where its configuration should be")));
    };
    let config = fs::read_to_string(source).map_err(Problem::file(Path::new(source)))?;
    Ok(Process { place, variables, config: Some(config) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_whole_version_is_pinned() {
        for (image, pinned) in [
            ("apache/kafka:4.3.1", true),
            ("prom/prometheus:v3.15.0", true),
            ("grafana/grafana", false),
            ("grafana/grafana:latest", false),
            ("clickhouse/clickhouse-server:26.7", false),
            ("registry.example:5000/grafana", false),
        ] {
            assert_eq!(is_pinned(image), pinned, "{image}");
        }
    }

    #[test]
    fn variables_of_the_host_are_found() {
        let service = json!({"environment": {"A": "${SECRET:?say it}", "B": "plain", "C": 1}});
        assert_eq!(asked_for(&environment(&service)).collect::<Vec<_>>(), ["SECRET"]);
    }

    #[test]
    fn what_is_mounted_must_be_there() {
        let bind = json!({"type": "bind", "source": "/nowhere/at/all", "target": "/etc/x"});
        let service = json!({"image": "a:1.2.3", "volumes": [bind, {"type": "volume", "source": "data"}]});
        assert_eq!(violations(&service), ["/nowhere/at/all is mounted and not there"]);
    }
}
