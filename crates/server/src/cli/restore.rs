//! `milepost restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use milepost_store::StoreError;
use milepost_store::sqlite::{self, Options, Sqlite};

use super::Failure;
use super::copying::{Copying, told};
use crate::config::PersonKeys;

/// Make a data directory of a backup.
///
/// The directory must be empty or not exist; nothing is ever overwritten. Every row is checked against the digest that
/// `milepost backup` wrote.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  milepost restore --from milepost-2026-11-01.backup --data milepost-data")]
pub(super) struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The data directory to make.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl RestoreArgs {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let bar = Copying::new();
        let keep = &mut |backup: &sqlite::BackedUp| {
            let Some(keys) = &backup.person_key else { return Ok(()) };
            let keys: PersonKeys = keys.parse().map_err(|_| {
                StoreError::Corrupt(format!("{}: the key of the persons in it is none", self.from.display()))
            })?;
            keys.keep_in(&self.data).map_err(|error| StoreError::Io(error.to_string()))
        };
        let restored = sqlite::restore(&self.from, &self.data, keep, &mut |stage| bar.show(stage));
        bar.finish();
        let restored = restored.map_err(Failure::new)?;
        // Brings an older format to the newest, and makes the cache of identities, which no backup has.
        Sqlite::open(&self.data, Options::default()).map_err(Failure::new)?;
        println!("{}: {}, as of {}", self.data.display(), told(&restored), restored.at);
        if restored.person_key.is_none() {
            eprintln!(
                "milepost: the backup is without the key of the persons: put person.key into {}, or the key into the \
                 configuration, before you start a server",
                self.data.display()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
