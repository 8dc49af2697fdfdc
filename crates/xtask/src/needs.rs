//! What the tests need beside Rust, fetched into a cache outside the checkout. What cannot be had is an error with its
//! remedy: a test is never skipped because something is missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Problem, checkout, output, progress, run};

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
        there(
            "strace",
            "the tests of power cuts and failing disks watch the server by it",
            "install `strace` (on Debian and Ubuntu: apt-get install strace)",
        )?;
        there("prlimit", "the tests of full disks limit files by it", "install `util-linux`")?;
        let (prometheus, promtool) = prometheus(&cache)?;
        let python = python(&cache)?;
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

/// The directory of the cache, made if it is not there.
fn cache() -> Result<PathBuf, Problem> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("MILEPOST_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("milepost")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/milepost")))
        .ok_or_else(|| Problem::Check("set MILEPOST_CACHE to a directory outside the checkout".into()))?;
    fs::create_dir_all(&directory).map_err(Problem::file(&directory))?;
    fs::canonicalize(&directory).map_err(Problem::file(&directory))
}

/// A program that has to be in the path.
fn there(program: &'static str, reason: &str, remedy: &str) -> Result<(), Problem> {
    if in_path(program).is_some() {
        return Ok(());
    }
    let reason = format!("it is not in the PATH; {reason}");
    Err(Problem::Unavailable { what: program, reason, remedy: remedy.to_owned() })
}

/// Prometheus and promtool: those in the path, else Debian's package, unpacked without installing it.
fn prometheus(cache: &Path) -> Result<(PathBuf, PathBuf), Problem> {
    if let (Some(prometheus), Some(promtool)) = (in_path("prometheus"), in_path("promtool")) {
        return Ok((prometheus, promtool));
    }
    let unpacked = cache.join("prometheus");
    if !unpacked.is_dir() {
        progress("fetching Prometheus and promtool from Debian");
        staged(&unpacked, debian_prometheus).map_err(|reason| Problem::Unavailable {
            what: "Prometheus",
            reason: reason.to_string(),
            remedy: "install `prometheus` and `promtool` and put them in the PATH \
                     (on Debian and Ubuntu: apt-get update && apt-get install prometheus)"
                .into(),
        })?;
    }
    Ok((unpacked.join("usr/bin/prometheus"), unpacked.join("usr/bin/promtool")))
}

fn debian_prometheus(directory: &Path) -> Result<(), Problem> {
    let download = || run(Command::new("apt-get").current_dir(directory).args(["download", "prometheus"]));
    if download().is_err() {
        // The lists of packages may be missing, as in a fresh container.
        run(Command::new("apt-get").arg("update"))?;
        download()?;
    }
    let package = fs::read_dir(directory)
        .map_err(Problem::file(directory))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| Problem::Check("apt-get download left no package behind".into()))?;
    run(Command::new("dpkg").arg("-x").arg(&package).arg(directory))?;
    fs::remove_file(&package).map_err(Problem::file(&package))
}

/// A Python with the packages the tests import, made anew when their versions change.
fn python(cache: &Path) -> Result<PathBuf, Problem> {
    let requirements = checkout().join(PYTHON_REQUIREMENTS);
    let wanted = fs::read(&requirements).map_err(Problem::file(&requirements))?;
    let environment = cache.join("python");
    let installed = environment.join("requirements.txt");
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        progress("making a Python environment");
        staged(&environment, |directory| {
            run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
            let pip = ["-m", "pip", "install", "--quiet", "--requirement"];
            run(Command::new(directory.join("bin/python")).args(pip).arg(&requirements))?;
            fs::write(directory.join("requirements.txt"), &wanted).map_err(Problem::file(&installed))
        })
        .map_err(|reason| Problem::Unavailable {
            what: "a Python with gRPC",
            reason: reason.to_string(),
            remedy: format!(
                "install Python 3.9 or newer with venv (on Debian and Ubuntu: apt-get install python3-venv) and let pip \
                 reach a package index that has what {PYTHON_REQUIREMENTS} lists"
            ),
        })?;
    }
    let python = environment.join("bin/python");
    output(Command::new(&python).args(["-c", "import grpc"]))?;
    Ok(python)
}

/// Fills a directory that appears under its name only once it is whole.
fn staged(directory: &Path, fill: impl FnOnce(&Path) -> Result<(), Problem>) -> Result<(), Problem> {
    let unfinished = directory.with_extension("unfinished");
    remove(&unfinished)?;
    fs::create_dir_all(&unfinished).map_err(Problem::file(&unfinished))?;
    fill(&unfinished)?;
    remove(directory)?;
    fs::rename(&unfinished, directory).map_err(Problem::file(directory))
}

fn remove(directory: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Problem::file(directory)(error)),
        _ => Ok(()),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_halfway_is_not_taken_for_whole() {
        let home = tempfile::tempdir().unwrap();
        let wanted = home.path().join("thing");
        let half = |directory: &Path| {
            fs::write(directory.join("half"), "").unwrap();
            Err(Problem::Check("the network went away".into()))
        };
        assert!(staged(&wanted, half).is_err());
        assert!(!wanted.exists());
        staged(&wanted, |directory| fs::write(directory.join("whole"), "").map_err(Problem::file(directory)))
            .unwrap();
        assert!(wanted.join("whole").exists());
        assert!(!wanted.join("half").exists());
    }
}
