//! What the tests need beside Rust, fetched into a cache outside the checkout. What cannot be had is an error with its
//! remedy: a test is never skipped because something is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use milepost_services::{cache, staged, tools};

use crate::run::{Problem, cargo, checkout, output, progress, run};

/// Packages of the client in another language, pinned.
const PYTHON_REQUIREMENTS: &str = "tests/python/requirements.txt";

/// Where things are, as told to the tests through environment variables.
pub(crate) struct Needs {
    pub(crate) prometheus: PathBuf,
    pub(crate) promtool: PathBuf,
    pub(crate) python: PathBuf,
}

impl Needs {
    /// Finds everything, fetching what is not there yet.
    pub(crate) fn fetch() -> Result<Self, Problem> {
        let cache = cache()?;
        progress(format_args!("what the tests need is kept in {}", cache.display()));
        // Kafka and ClickHouse are looked up there by the tests themselves.
        tools::for_tests()?;
        there(
            "strace",
            "the tests of power cuts and failing disks watch the server by it",
            "install `strace` (on Debian and Ubuntu: apt-get install strace)",
        )?;
        there("prlimit", "the tests of full disks limit files by it", "install `util-linux`")?;
        let (prometheus, promtool) = tools::prometheus()?;
        let python = python()?;
        Ok(Self { prometheus, promtool, python })
    }

    /// Tells a command where things are.
    pub(crate) fn hand_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("MILEPOST_PROMETHEUS", &self.prometheus)
            .env("MILEPOST_PROMTOOL", &self.promtool)
            .env("MILEPOST_PYTHON", &self.python)
    }
}

/// A program that cargo builds from crates.io, of exactly this version: kept in the cache.
pub(crate) fn cargo_program(name: &'static str, version: &str) -> Result<PathBuf, Problem> {
    let directory = cache()?.join(format!("{name}-{version}"));
    if !directory.is_dir() {
        progress(format_args!("building {name} {version}"));
        let build = |directory: &Path| {
            let install = ["install", "--quiet", "--locked", "--version", version, "--root"];
            run(cargo(&install).arg(directory).arg(name))
        };
        staged(&directory, build).map_err(|reason| Problem::Unavailable {
            what: name,
            reason: reason.to_string(),
            remedy: format!("let cargo reach crates.io, or try it by hand: cargo install {name}@{version}"),
        })?;
    }
    Ok(directory.join("bin").join(name))
}

/// A program that has to be in the path.
fn there(program: &'static str, reason: &str, remedy: &str) -> Result<(), Problem> {
    if tools::in_path(program).is_some() {
        return Ok(());
    }
    let reason = format!("it is not in the PATH; {reason}");
    Err(Problem::Unavailable { what: program, reason, remedy: remedy.to_owned() })
}

/// A Python with the packages the tests import.
fn python() -> Result<PathBuf, Problem> {
    let python = python_environment("python", "a Python with gRPC", PYTHON_REQUIREMENTS)?.join("python");
    output(Command::new(&python).args(["-c", "import grpc"]))?;
    Ok(python)
}

/// The programs of a Python environment with the packages that a file of this checkout lists, made anew when it changes.
pub(crate) fn python_environment(
    name: &str,
    what: &'static str,
    requirements: &str,
) -> Result<PathBuf, Problem> {
    let path = checkout().join(requirements);
    let wanted = fs::read(&path).map_err(Problem::file(&path))?;
    let environment = cache()?.join(name);
    let installed = environment.join("requirements.txt");
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        progress(format_args!("making {what}"));
        staged(&environment, |directory| {
            run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
            let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
            run(Command::new(directory.join("bin/python")).args(pip).arg(&path))?;
            fs::write(directory.join("requirements.txt"), &wanted).map_err(Problem::file(&installed))
        })
        .map_err(|reason| Problem::Unavailable {
            what,
            reason: reason.to_string(),
            remedy: format!(
                "install Python 3.9 or newer with venv (on Debian and Ubuntu: apt-get install python3-venv) and let pip \
                 reach a package index that has what {requirements} lists"
            ),
        })?;
    }
    Ok(environment.join("bin"))
}
