//! `milepost check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::config::{self, Flags};

/// Say whether the configuration is right, and all that is wrong with it.
///
/// Reads the file and the MILEPOST_* variables as `serve` would, and prints the digest that travels with every answer:
/// equal digests, equal answers to equal events.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  milepost check --config milepost.toml")]
pub(super) struct CheckArgs {
    /// The configuration [default: none].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let (settings, foreign) =
            config::read(self.config.as_deref(), config::process_variables(), Flags::default())
                .map_err(Failure::usage)?;
        for variable in foreign {
            eprintln!("milepost: {variable} names no setting and is ignored");
        }
        println!("config digest {}", settings.metrics().digest());
        Ok(ExitCode::SUCCESS)
    }
}
