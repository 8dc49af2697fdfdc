//! Running other programs, and what can go wrong.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Why a development command failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("`{command}` failed: {status}")]
    Failed { command: String, status: ExitStatus },
    #[error("`{command}` cannot be started: {source}")]
    NotStarted { command: String, source: io::Error },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{what} cannot be had: {reason}\n  remedy: {remedy}")]
    Unavailable { what: &'static str, reason: String, remedy: String },
    #[error(transparent)]
    Services(#[from] milepost_services::Error),
    #[error("{0}")]
    Check(String),
}

impl Problem {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

/// Says what is being done.
pub(crate) fn progress(what: impl std::fmt::Display) {
    eprintln!("xtask: {what}");
}

/// Runs it where the caller sees its output.
pub(crate) fn run(command: &mut Command) -> Result<(), Problem> {
    progress(line(command));
    let status = command.status().map_err(|source| Problem::NotStarted { command: line(command), source })?;
    if status.success() { Ok(()) } else { Err(Problem::Failed { command: line(command), status }) }
}

/// Runs it and gives what it wrote to its output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Problem> {
    let output = command.output().map_err(|source| Problem::NotStarted { command: line(command), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(Problem::Failed { command: line(command), status: output.status })
}

/// Runs every step even if one fails, so that one run tells everything, and fails with all that went wrong.
pub(crate) fn all<'a>(
    steps: impl IntoIterator<Item = &'a dyn Fn() -> Result<(), Problem>>,
) -> Result<(), Problem> {
    let problems: Vec<String> =
        steps.into_iter().filter_map(|step| step().err()).map(|problem| problem.to_string()).collect();
    if problems.is_empty() { Ok(()) } else { Err(Problem::Check(problems.join("\n"))) }
}

/// What cargo tells this program about its package. A build script that asks for any of it (that of ring does) would run
/// again, and all that depends on it be built again, each time after cargo was started from a shell.
const OF_THE_CALLER: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// The cargo that runs this, in the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if OF_THE_CALLER.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.current_dir(checkout()).args(arguments);
    command
}

/// The root of the checkout.
pub(crate) fn checkout() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).unwrap_or(Path::new("."))
}

/// A command as somebody would type it, without the directory of its program.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
