//! What is in deploy/, as the tools judge it that will read it: Helm, Kubernetes' schemas, the Compose specification, hadolint,
//! promtool, amtool, and `milepost check` for every configuration, wherever it is written.

mod chart;
mod compose;
mod grafana;
mod process;
mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Problem, all, checkout, line, progress};
use process::Process;
use tools::Tools;

/// Checks everything.
pub(crate) fn check() -> Result<(), Problem> {
    let tools = Tools::fetch()?;
    let root = checkout().join("deploy");
    all([
        &|| samples(&tools, &root) as Result<_, _>,
        &|| chart::check(&tools, &root.join("helm/milepost")),
        &|| compose::check(&tools, &root),
        &|| image(&tools, &root),
        &|| monitoring(&tools, &root),
        &|| grafana::check(&root.join("grafana")),
    ] as [&dyn Fn() -> _; 6])
}

/// The configurations to start from, as they are and under the secrets that belong beside them.
fn samples(tools: &Tools, root: &Path) -> Result<(), Problem> {
    let mut files = files(&root.join("cluster"), "toml")?;
    files.push(root.join("milepost.toml"));
    progress(format_args!("{} sample configurations", files.len()));
    all_of(&files, |file| {
        let secrets = ["MILEPOST_PRIVACY__KEY", "MILEPOST_CLICKHOUSE__PASSWORD"];
        let variables = secrets.map(|name| (name.to_owned(), process::SECRET.to_owned()));
        let config = fs::read_to_string(file).map_err(Problem::file(file))?;
        Process { place: place(file), variables: BTreeMap::from(variables), config: Some(config) }
            .check(tools)
    })
}

fn image(tools: &Tools, root: &Path) -> Result<(), Problem> {
    judged(Command::new(&tools.hadolint).arg(root.join("Dockerfile")))
}

fn monitoring(tools: &Tools, root: &Path) -> Result<(), Problem> {
    all_of(&files(&root.join("prometheus"), "yml")?, |file| {
        judged(Command::new(&tools.promtool).args(["check", "config"]).arg(file))
    })?;
    all_of(&files(&root.join("alertmanager"), "yml")?, |file| {
        judged(Command::new(&tools.amtool).arg("check-config").arg(file))
    })
}

/// Runs what finds faults, and is silent where it finds none.
fn judged(command: &mut Command) -> Result<(), Problem> {
    let said = command.output().map_err(|source| Problem::NotStarted { command: line(command), source })?;
    if said.status.success() {
        return Ok(());
    }
    let all = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    Err(Problem::Check(format!("`{}` finds:\n{}", line(command), all.trim_end())))
}

/// All files of a directory with this ending, in order. There are some: a check of nothing would pass.
fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, Problem> {
    let entries = fs::read_dir(directory).map_err(Problem::file(directory))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Problem::Check(format!("{}: no .{extension} file", place(directory))));
    }
    Ok(files)
}

/// Does it with each, and fails with all that went wrong.
fn all_of<T>(things: &[T], check: impl Fn(&T) -> Result<(), Problem>) -> Result<(), Problem> {
    let check = &check;
    let steps: Vec<_> = things.iter().map(|thing| move || check(thing)).collect();
    all(steps.iter().map(|step| step as &dyn Fn() -> _))
}

/// A file as somebody in the checkout calls it.
fn place(file: &Path) -> String {
    file.strip_prefix(checkout()).unwrap_or(file).display().to_string()
}
