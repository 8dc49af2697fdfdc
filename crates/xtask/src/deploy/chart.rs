//! The Helm chart: linted, rendered with every set of values in its `ci`, and what comes out held against the schemas of the
//! oldest and the newest Kubernetes it is for; every configuration in it is given to `milepost check`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::process::{Process, SECRET};
use super::tools::Tools;
use super::{all_of, files, judged, place};
use crate::run::{Problem, output, progress};

/// The oldest that Chart.yaml lets in, and the newest whose schemas are had.
const KUBERNETES: [&str; 2] = ["1.27", "1.37"];

pub(super) fn check(tools: &Tools, chart: &Path) -> Result<(), Problem> {
    let sets = files(&chart.join("ci"), "yaml")?;
    progress(format_args!("the chart, with {} sets of values", sets.len()));
    all_of(&sets, |values| {
        judged(Command::new(&tools.helm).args(["lint", "--strict"]).arg(chart).arg("--values").arg(values))?;
        let rendered = output(&mut template(tools, chart, values))?;
        rendered_right(tools, values, &String::from_utf8_lossy(&rendered))
    })?;
    unguarded_is_refused(tools, chart)
}

fn template(tools: &Tools, chart: &Path, values: &Path) -> Command {
    let mut template = Command::new(&tools.helm);
    template.args(["template", "release"]).arg(chart).arg("--values").arg(values);
    template
}

/// Values as they come say nothing of certificates and tokens: what is reached by others does not start without being told.
fn unguarded_is_refused(tools: &Tools, chart: &Path) -> Result<(), Problem> {
    let mut template = template(tools, chart, &chart.join("values.yaml"));
    let said = template
        .output()
        .map_err(|source| Problem::NotStarted { command: tools.helm.display().to_string(), source })?;
    let why = String::from_utf8_lossy(&said.stderr);
    if !said.status.success() && why.contains("tls.secret") {
        return Ok(());
    }
    Err(Problem::Check(format!(
        "the chart with its own values: it must ask for tls.secret, and says: {}",
        why.trim_end()
    )))
}

fn rendered_right(tools: &Tools, values: &Path, yaml: &str) -> Result<(), Problem> {
    let place = place(values);
    let directory = tempfile::tempdir().map_err(Problem::file(&std::env::temp_dir()))?;
    // What is found wrong in it is told with its name.
    let file = directory.path().join(values.file_name().unwrap_or_default());
    fs::write(&file, yaml).map_err(Problem::file(&file))?;
    all_of(&KUBERNETES, |version| {
        let module = ["-m", "kubernetes_validate", "--strict", "--quiet", "--no-warn"];
        judged(Command::new(&tools.python).args(module).args(["--kubernetes-version", version]).arg(&file))
    })?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(yaml)
        .map_err(|error| Problem::Check(format!("{place}: what is rendered is no YAML: {error}")))?;
    let processes = processes(&place, &objects)?;
    if processes.is_empty() {
        return Err(Problem::Check(format!("{place}: nothing is rendered that runs")));
    }
    all_of(&processes, |process| process.check(tools))
}

/// Every container that the objects would start.
fn processes(place: &str, objects: &[Value]) -> Result<Vec<Process>, Problem> {
    let mut processes = Vec::new();
    for object in objects {
        let pod = &object["spec"]["template"]["spec"];
        for container in list(&pod["containers"]) {
            let place = format!("{place}: {} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
            processes.push(process(place, pod, container, objects)?);
        }
    }
    Ok(processes)
}

fn process(place: String, pod: &Value, container: &Value, objects: &[Value]) -> Result<Process, Problem> {
    let variables: BTreeMap<_, _> = list(&container["env"])
        .iter()
        .map(|variable| {
            let value = variable["value"].as_str().unwrap_or(SECRET);
            (text(&variable["name"]).to_owned(), value.to_owned())
        })
        .collect();
    let missing = |what: &str| Problem::Check(format!("{place}: {what}"));
    for path in variables.values().filter(|value| value.starts_with('/')) {
        mount_of(container, Path::new(path))
            .ok_or_else(|| missing(&format!("nothing is mounted at {path}")))?;
    }
    let path = Process::config_path(&variables).ok_or_else(|| missing("it is given no configuration"))?;
    let config = mount_of(container, path)
        .and_then(|mount| list(&pod["volumes"]).iter().find(|volume| volume["name"] == mount["name"]))
        .and_then(|volume| config_map(objects, text(&volume["configMap"]["name"])))
        .and_then(|map| map["data"][text(&Value::from(path.file_name()?.to_str()?))].as_str())
        .ok_or_else(|| missing("its configuration is in no ConfigMap"))?
        .to_owned();
    Ok(Process { place, variables, config: Some(config) })
}

fn mount_of<'a>(container: &'a Value, path: &Path) -> Option<&'a Value> {
    list(&container["volumeMounts"]).iter().find(|mount| path.starts_with(text(&mount["mountPath"])))
}

fn config_map<'a>(objects: &'a [Value], name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == name)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn objects(mounted_at: &str) -> Vec<Value> {
        let variable = |name: &str, value: &str| json!({"name": name, "value": value});
        let container = json!({
            "env": [variable("MILEPOST_CONFIG", "/etc/m/milepost.toml"), variable("MILEPOST_ROLE", "query"),
                    {"name": "MILEPOST_PRIVACY__KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "volumeMounts": [{"name": "config", "mountPath": mounted_at}],
        });
        let pod =
            json!({"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "m"}}]});
        vec![
            json!({"kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"milepost.toml": "min_group = 5"}}),
            json!({"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": pod}}}),
        ]
    }

    #[test]
    fn a_container_is_found_with_its_variables_and_its_configuration() {
        let processes = processes("here", &objects("/etc/m")).unwrap();
        let [process] = &processes[..] else { panic!("one container, not {}", processes.len()) };
        assert_eq!(process.place, "here: Deployment d");
        assert_eq!(process.config.as_deref(), Some("min_group = 5"));
        assert_eq!(process.variables["MILEPOST_ROLE"], "query");
        assert_eq!(process.variables["MILEPOST_PRIVACY__KEY"], SECRET);
    }

    #[test]
    fn a_path_where_nothing_is_mounted_is_told() {
        let said = processes("here", &objects("/elsewhere")).err().map(|problem| problem.to_string());
        assert_eq!(said.as_deref(), Some("here: Deployment d: nothing is mounted at /etc/m/milepost.toml"));
    }
}
