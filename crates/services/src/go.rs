//! Go, for programs that are had as their source alone: what is built by it is pinned by a `go.sum`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fetch::{Pin, Pinned, fetch, go_proxy, run};
use crate::tools::{in_path, named};
use crate::{Error, cache, progress};

/// The toolchain, as the proxy of Go modules has it, and its digest.
const VERSION: &str = "1.26.8";
const ARCHIVE: &str = "golang.org/toolchain/@v/v0.0.1-go1.26.8.linux-amd64.zip";
const SHA256: &str = "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7";
/// Where it is in the archive, and which of its directories have programs: an archive of a module does not say so.
const ROOT: &str = "golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64";
const PROGRAMS: [&str; 2] = ["bin", "pkg/tool/linux_amd64"];

/// The directory with the tools that the `go.mod` in `module` names, built once from exactly what its `go.sum` lists.
pub fn tools(name: &str, module: &Path) -> Result<PathBuf, Error> {
    let read = |file: &str| fs::read_to_string(module.join(file)).map_err(Error::file(&module.join(file)));
    let files = [("go.mod", read("go.mod")?), ("go.sum", read("go.sum")?)];
    cache::kept(&named(name, &files.each_ref().map(|(_, text)| text.as_str()).concat()), |directory| {
        progress(format_args!("building {name}, which takes minutes"));
        build(&files, directory).map_err(|error| Error::Unavailable {
            what: "what Go builds",
            reason: error.to_string(),
            remedy: "let Go reach the proxy of Go modules, or set MILEPOST_GO_PROXY to the URL of a mirror"
                .into(),
        })
    })
}

/// What Go reads, fetches and keeps on the way is in a directory of its own, and removed again, Go included.
fn build(files: &[(&str, String)], directory: &Path) -> Result<(), Error> {
    let scratch = directory.join("scratch");
    fs::create_dir(&scratch).map_err(Error::file(&scratch))?;
    for (name, text) in files {
        let file = scratch.join(name);
        fs::write(&file, text).map_err(Error::file(&file))?;
    }
    let mut build = Command::new(toolchain(&scratch)?);
    build
        .current_dir(&scratch)
        .args(["build", "-mod=readonly", "-modcacherw", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(directory.join(""))
        .arg("tool")
        .env("GOPATH", scratch.join("path"))
        .env("GOCACHE", scratch.join("cache"))
        .env("GOPROXY", go_proxy())
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .env_remove("GOFLAGS")
        .env_remove("GOMODCACHE");
    run(&mut build)?;
    cache::remove(&scratch)
}

/// The program `go`: the one in the path, if it is new enough, else the pinned one.
fn toolchain(scratch: &Path) -> Result<PathBuf, Error> {
    if let Some(go) = in_path("go").filter(|go| is_new_enough(go)) {
        return Ok(go);
    }
    let unavailable = |reason: String| Error::Unavailable {
        what: "Go",
        reason,
        remedy: format!(
            "install Go {VERSION} or newer, or install curl and Python and let curl reach the proxy of Go modules; \
             MILEPOST_GO_PROXY names the URL of a mirror"
        ),
    };
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(unavailable("what is pinned is for Linux on x86_64".into()));
    }
    progress(format_args!("fetching Go {VERSION} (72 MB)"));
    unpacked(scratch).map_err(|error| unavailable(error.to_string()))
}

fn unpacked(scratch: &Path) -> Result<PathBuf, Error> {
    let file = scratch.join("go.zip");
    let url = format!("{}/{ARCHIVE}", go_proxy());
    fetch(&[Pinned { url, file, pin: Pin::Sha256(SHA256) }])?;
    run(Command::new("python3").current_dir(scratch).args(["-m", "zipfile", "-e", "go.zip", "."]))?;
    let root = scratch.join(ROOT);
    for programs in PROGRAMS.map(|programs| root.join(programs)) {
        for program in fs::read_dir(&programs).map_err(Error::file(&programs))? {
            let program = program.map_err(Error::file(&programs))?.path();
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&program, executable).map_err(Error::file(&program))?;
        }
    }
    Ok(root.join("bin/go"))
}

fn is_new_enough(go: &Path) -> bool {
    // It says `go version go1.26.8 linux/amd64`.
    let said = Command::new(go).arg("version").env("GOTOOLCHAIN", "local").output();
    said.is_ok_and(|said| {
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().nth(2).and_then(|word| word.strip_prefix("go")).and_then(minor);
        version.is_some() && version >= minor(VERSION)
    })
}

/// The first two numbers of a version: a language, as Go counts.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(minor("1.9.1") < minor("1.26.8"));
        assert!(minor("1.27.0") >= minor(VERSION));
        assert_eq!(minor("devel"), None);
    }

    #[test]
    fn one_version_is_pinned() {
        assert!(ARCHIVE.contains(VERSION) && ROOT.contains(VERSION));
    }
}
