//! `milepost check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::config::{self, Flags};

/// Say whether the configuration is right, and all that is wrong with it.
///
/// Reads the file and the MILEPOST_* variables as `serve` would, and prints the digest that travels with every answer:
/// equal digests, equal answers to equal events. Variables that begin with MILEPOST_ and name no setting, which `serve`
/// ignores, are mistakes here.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  milepost check --config milepost.toml\n\nExit codes: 0 right, 2 wrong; all that is wrong is told, a line each."
)]
pub(super) struct CheckArgs {
    /// The configuration [default: none].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let (settings, notes) =
            config::check(self.config.as_deref(), config::process_variables(), Flags::default())
                .map_err(Failure::usage)?;
        for note in notes {
            eprintln!("milepost: {note}");
        }
        println!("config digest {}", settings.metrics().digest());
        Ok(ExitCode::SUCCESS)
    }
}
