//! `milepost key`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use milepost_store::sqlite::{self, Rotating, Severity};

use super::Failure;
use super::copying::bar;
use crate::config::{self, Flags};
use crate::rotation;

const HELP: &str = "\
Example:
  milepost key rotate --data milepost-data

When: somebody may have the key who should not, or a rule says how often. Afterwards person.key has one key more, and all
of them belong into the backup. Backups made before have the old pseudonyms and the old keys: make a new one, and delete
them when they are not needed any more. A rotation that was stopped has happened wholly or not at all: run it again.";

/// The key that persons' pseudonyms are made with.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    Rotate(RotateArgs),
}

/// Make another key for persons, and other pseudonyms of all there are.
///
/// No server may be running on the data directory. All of it is written anew beside the old, which needs as much room again
/// while it lasts. Numbers stay what they are, except where an event came with two contents under one revision: which of
/// them wins is decided by their digests, and those change.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct RotateArgs {
    /// The data directory [default: milepost-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration, which must not have a key of its own [default: none].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
    /// Not possible: a server has to be stopped first.
    #[arg(long, value_name = "URL", hide = true)]
    server: Option<String>,
}

impl KeyCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Self::Rotate(args) = self;
        args.run()
    }
}

impl RotateArgs {
    fn run(self) -> Result<ExitCode, Failure> {
        if self.server.is_some() {
            let message = "a key is not rotated under a running server: stop it, and give its --data";
            return Err(Failure::usage(format!("--server: {message}")));
        }
        let flags = Flags { data: self.data, ..Flags::default() };
        let settings = config::load(self.config.as_deref(), flags).map_err(Failure::usage)?;
        let data = &settings.data;
        if settings.privacy.key.is_some() {
            return Err(Failure::usage(format!(
                "privacy.key: a rotation cannot change the configuration: put the key into {} instead, readable by its \
                 owner only, and take it out of the configuration",
                data.join("person.key").display()
            )));
        }
        let progress = bar("{bar:40} {pos} of {len} {msg} {eta}");
        let rotated = rotation::rotate(data, &mut |step| match step {
            Rotating::Writing(written, of) => {
                progress.set_length(of);
                progress.set_position(written);
            }
            Rotating::Verifying => progress.set_message("verifying"),
            _ => {}
        });
        rotated.map_err(Failure::new)?;
        progress.set_message("looking at everything once more");
        let report = sqlite::examine(data, &mut |read, of| {
            progress.set_length(of);
            progress.set_position(read);
        });
        progress.finish_and_clear();
        let report = report.map_err(Failure::new)?;
        if report.findings.iter().any(|finding| finding.severity == Severity::Damage) {
            super::asking::print(&super::doctor::text(&report))?;
            return Ok(ExitCode::from(1));
        }
        let keys = sqlite::keys_in_force(data).map_err(Failure::new)?.count;
        println!(
            "{}: {} events and {} refusals have other pseudonyms, verified; person.key has {keys} keys now: back them up",
            data.display(),
            report.versions,
            report.quarantined
        );
        Ok(ExitCode::SUCCESS)
    }
}
