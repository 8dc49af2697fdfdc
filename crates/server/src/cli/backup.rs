//! `milepost backup`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use milepost_store::sqlite;

use super::Failure;
use super::copying::{Copying, told};
use crate::config::PersonKeys;
use crate::engine::system_clock;

const HELP: &str = "\
Example:
  milepost backup --data milepost-data --to milepost-2026-11-01.backup

The file is a SQLite database. `milepost restore` makes a data directory of it.";

/// Back a data directory up to one file, also while a server is running on it.
///
/// The file holds everything as of one moment: events, quarantine, and the key of the persons, without which tomorrow's
/// pseudonyms are not today's. Whoever has file and key can tell whether a pseudonym is a given person's; so keep it like
/// the key, or keep the key elsewhere and say --without-key. What was written is read again and checked before the file
/// has its name. While it lasts, the WAL beside the database grows by what the server takes.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct BackupArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "milepost-data", env = "MILEPOST_DATA")]
    data: PathBuf,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Leave the key of the persons out.
    #[arg(long)]
    without_key: bool,
}

impl BackupArgs {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let key = if self.without_key { None } else { Some(self.key()?) };
        let bar = Copying::new();
        let made = sqlite::backup(&self.data, &self.to, key.as_deref(), system_clock(), &mut |stage| {
            bar.show(stage);
        });
        bar.finish();
        let made = made.map_err(Failure::new)?;
        let key =
            if self.without_key { "without the key of the persons" } else { "with the key of the persons" };
        println!("{}: {}, {key}", self.to.display(), told(&made));
        Ok(ExitCode::SUCCESS)
    }

    fn key(&self) -> Result<String, Failure> {
        let keys = PersonKeys::kept_in(&self.data).map_err(Failure::new)?;
        keys.map(|keys| keys.text()).ok_or_else(|| {
            Failure::new(format!(
                "{} has no person.key, so the backup would be without it: if the key is in the configuration, keep that with \
                 your backups and say --without-key",
                self.data.display()
            ))
        })
    }
}
