//! Runs the fuzz targets of fuzz/: briefly, as CI does, or for as long as one likes.
//!
//! They are built by cargo-fuzz and then run by themselves, as many at once as there are cores.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::needs::cargo_program;
use crate::run::{Problem, checkout, output, progress, run};

const CARGO_FUZZ: &str = "0.13.2";

/// Longer inputs are not tried; those that the code must refuse for their length alone have tests.
const LONGEST_INPUT: u32 = 16 * 1024;

/// Targets whose input says how a file is damaged: a little says much.
const DAMAGING: [&str; 4] = ["backup_file", "database", "identity_run", "page_token"];

/// Of those.
const LONGEST_DAMAGE: u32 = 256;

/// A single input that takes longer is a finding, in seconds.
const LONGEST_RUN: u32 = 60;

/// What the process of a target may hold, in MB; an input that takes more is a finding.
const MOST_MEMORY: u32 = 1024;

/// Examples that stand elsewhere and are seeds as well.
const EXAMPLES: [(&str, &str); 2] =
    [("json_event", "schemas/examples"), ("json_event", "crates/wire/tests/conformance")];

/// What the code is watched with beside its own assertions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// Nothing: there is no `unsafe` of ours.
    None,
    /// `AddressSanitizer`, for what we depend on.
    Address,
}

impl Sanitizer {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Address => "address",
        }
    }
}

/// Every target, from its seeds alone: the same work on every machine.
pub(crate) fn briefly(time: Duration, only: Option<&str>) -> Result<(), Problem> {
    let fuzzing = Fuzzing::build(Sanitizer::None, only)?;
    fuzzing.run_all(time, Corpus::Forgotten)
}

/// Every target; what it learns is kept in fuzz/corpus for the next campaign.
pub(crate) fn campaign(time: Duration, only: Option<&str>, sanitizer: Sanitizer) -> Result<(), Problem> {
    let fuzzing = Fuzzing::build(sanitizer, only)?;
    fuzzing.run_all(time, Corpus::Kept)
}

/// Whether inputs that reached something new are there for the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Corpus {
    Kept,
    Forgotten,
}

/// Targets that are built.
struct Fuzzing {
    programs: PathBuf,
    targets: Vec<String>,
}

impl Fuzzing {
    fn build(sanitizer: Sanitizer, only: Option<&str>) -> Result<Self, Problem> {
        let targets = select(targets()?, only)?;
        let cargo_fuzz = cargo_program("cargo-fuzz", CARGO_FUZZ)?;
        if sanitizer == Sanitizer::Address {
            require_nightly()?;
        }
        let directory = build_directory().join(format!("fuzz-{}", sanitizer.as_str()));
        let mut build = Command::new(cargo_fuzz);
        build.current_dir(checkout()).args(["fuzz", "build", "--sanitizer", sanitizer.as_str()]);
        if sanitizer == Sanitizer::Address {
            build.env("RUSTUP_TOOLCHAIN", "nightly");
        }
        // Flags for programs that are shipped are none for these.
        build.env_remove("CARGO_TARGET_DIR").arg("--target-dir").arg(&directory);
        run(build.args(only))?;
        let programs = directory.join(host()?).join("release");
        Ok(Self { programs, targets })
    }

    /// Runs every target, and fails with all that did.
    fn run_all(&self, time: Duration, corpus: Corpus) -> Result<(), Problem> {
        let scratch = Scratch::make()?;
        let waiting = Mutex::new(self.targets.iter());
        let failed = Mutex::new(Vec::new());
        let work = || {
            while let Some(target) = waiting.lock().ok().and_then(|mut waiting| waiting.next()) {
                if let Err(problem) = self.run_one(target, time, corpus, &scratch.0)
                    && let Ok(mut failed) = failed.lock()
                {
                    failed.push(problem.to_string());
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(work);
            }
        });
        let failed = failed.into_inner().unwrap_or_default();
        if failed.is_empty() { Ok(()) } else { Err(Problem::Check(failed.join("\n"))) }
    }

    fn run_one(&self, target: &str, time: Duration, corpus: Corpus, scratch: &Path) -> Result<(), Problem> {
        let fuzz = checkout().join("fuzz");
        let learnt = match corpus {
            Corpus::Kept => fuzz.join("corpus"),
            Corpus::Forgotten => scratch.join("corpus"),
        };
        let (learnt, artifacts) = (learnt.join(target), fuzz.join("artifacts").join(target));
        for directory in [&learnt, &artifacts] {
            fs::create_dir_all(directory).map_err(Problem::file(directory))?;
        }
        let mut command = Command::new(self.programs.join(target));
        command.env("TMPDIR", scratch).arg(&learnt).arg(fuzz.join("seeds").join(target));
        command.args(EXAMPLES.iter().filter(|(of, _)| *of == target).map(|(_, path)| checkout().join(path)));
        let dictionary = fuzz.join("dictionaries").join(format!("{target}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.arg(format!("-max_total_time={}", time.as_secs().max(1)));
        if DAMAGING.contains(&target) {
            command.arg(format!("-max_len={LONGEST_DAMAGE}")).arg("-len_control=0");
        } else {
            command.arg(format!("-max_len={LONGEST_INPUT}"));
        }
        command.arg(format!("-timeout={LONGEST_RUN}"));
        command.arg(format!("-rss_limit_mb={MOST_MEMORY}")).args(["-print_final_stats=1", "-verbosity=1"]);
        progress(format_args!("fuzzing {target} for {} s", time.as_secs()));
        let ran =
            command.output().map_err(|source| Problem::NotStarted { command: target.into(), source })?;
        let said = String::from_utf8_lossy(&ran.stderr);
        if ran.status.success() {
            progress(format_args!("{target}: {}", summary(&said)));
            return Ok(());
        }
        Err(Problem::Check(format!(
            "{target}: a finding, kept in {}:\n{}",
            artifacts.display(),
            tail(&said, FINDING_LINES)
        )))
    }
}

/// Lines of what a target said last that tell what it found.
const FINDING_LINES: usize = 30;

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// How much was tried, and how much of the code was reached: before, and at the end.
fn summary(said: &str) -> String {
    let stat = |name: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let coverage = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "cov:");
        words.nth(1).and_then(|number| number.parse::<u64>().ok())
    };
    let mut reached = said.lines().filter_map(coverage);
    let first = reached.next().unwrap_or_default();
    let last = reached.next_back().unwrap_or(first);
    format!(
        "{} inputs, {} a second, coverage {first} to {last}",
        stat("number_of_executed_units").unwrap_or("?"),
        stat("average_exec_per_sec").unwrap_or("?")
    )
}

/// The targets, by the files they are in.
fn targets() -> Result<Vec<String>, Problem> {
    let directory = checkout().join("fuzz/targets");
    let mut targets = Vec::new();
    for file in fs::read_dir(&directory).map_err(Problem::file(&directory))? {
        let path = file.map_err(Problem::file(&directory))?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}

fn select(targets: Vec<String>, only: Option<&str>) -> Result<Vec<String>, Problem> {
    let Some(only) = only else { return Ok(targets) };
    if targets.iter().any(|target| target == only) {
        return Ok(vec![only.to_owned()]);
    }
    Err(Problem::Check(format!("--target: there is no target {only}; there are {}", targets.join(", "))))
}

fn require_nightly() -> Result<(), Problem> {
    let unavailable = |reason: String| Problem::Unavailable {
        what: "a nightly Rust, which sanitizers need",
        reason,
        remedy: "rustup toolchain install nightly --profile minimal, or fuzz with --sanitizer none".into(),
    };
    output(Command::new("rustc").env("RUSTUP_TOOLCHAIN", "nightly").arg("--version"))
        .map(|_| ())
        .map_err(|problem| unavailable(problem.to_string()))
}

/// Where cargo puts what it builds.
fn build_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from)
}

/// What this machine is to rustc.
fn host() -> Result<String, Problem> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let version = String::from_utf8_lossy(&version).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Problem::Check("rustc does not say which machine this is".into()))
}

/// A directory for what the targets write, in memory where there is one: they sync all they write. Gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, Problem> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = base.join(format!("milepost-fuzz-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(Problem::file(&directory))?;
        Ok(Self(directory))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays there is nobody's.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built_and_has_seeds() {
        let manifest = fs::read_to_string(checkout().join("fuzz/Cargo.toml")).unwrap();
        for target in targets().unwrap() {
            assert!(
                manifest.contains(&format!("name = \"{target}\"\npath = \"targets/{target}.rs\"")),
                "{target}"
            );
            let seeds = checkout().join("fuzz/seeds").join(&target);
            assert!(fs::read_dir(&seeds).is_ok_and(|seeds| seeds.count() > 0), "{target} has no seeds");
        }
    }

    #[test]
    fn only_a_target_that_there_is_can_be_picked() {
        let targets = || vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(select(targets(), None).unwrap(), targets());
        assert_eq!(select(targets(), Some("b")).unwrap(), ["b"]);
        assert!(select(targets(), Some("c")).unwrap_err().to_string().contains("a, b"));
    }

    #[test]
    fn what_a_target_reached_is_summed_up() {
        let said = "#2\tINITED cov: 10 ft: 11 corp: 1/1b\n#9\tNEW    cov: 12 ft: 14 corp: 2/2b\n#99\tDONE   cov: 31 ft: 9\n\
                    stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     33\n";
        assert_eq!(summary(said), "99 inputs, 33 a second, coverage 10 to 31");
    }
}
