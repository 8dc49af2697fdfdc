//! The data directory and who may write in it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::StoreError;

/// Creates the directory, for its owner alone. Every new entry on the way is synced: what is acknowledged must not
/// vanish with the directory it is in.
pub(super) fn create(directory: &Path) -> Result<(), StoreError> {
    let missing: Vec<_> = directory.ancestors().take_while(|path| !path.exists()).collect();
    let create = || {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        missing.iter().filter_map(|path| path.parent()).try_for_each(|parent| {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()
        })
    };
    create().map_err(|error: io::Error| io_error(directory, "cannot be created", &error))
}

/// The lock of a data directory. It ends when dropped, and with the process however that ends.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock, and writes into it who has it.
    pub(super) fn take(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join("lock");
        let mut file = private_file(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(in_use(directory, &mut file))),
            Err(TryLockError::Error(error)) => return Err(io_error(&path, "cannot be locked", &error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| io_error(&path, "cannot be written", &error))?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    /// Closing the file would not always do: a child process that is just being started has it open, too.
    fn drop(&mut self) {
        // If this fails the lock ends with the process.
        let _ = self.0.unlock();
    }
}

fn in_use(directory: &Path, lock: &mut File) -> String {
    let mut process = String::new();
    // The process id is a courtesy: without it the message is still true.
    let known = lock.read_to_string(&mut process).is_ok() && !process.trim().is_empty();
    let process = if known { format!(" (process {})", process.trim()) } else { String::new() };
    format!(
        "{} is served by another milepost{process}: talk to that one with `--server URL`, or stop it first",
        directory.display()
    )
}

/// Opens a file, creating it if need be, for its owner alone. SQLite gives the files beside it the same mode.
pub(super) fn private_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| io_error(path, "cannot be opened for writing", &error))
}

fn io_error(path: &Path, what: &str, error: &io::Error) -> StoreError {
    StoreError::Io(format!("{} {what}: {error}", path.display()))
}
