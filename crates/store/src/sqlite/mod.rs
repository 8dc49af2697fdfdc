//! The embedded engine: SQLite, in one directory.
//!
//! | file | what |
//! |---|---|
//! | `lock` | locked by the one process that writes, whose id stands in it |
//! | `milepost.db` | the database, in WAL mode; its tables are described in `migrations/` |
//! | `identity/` | which events have an identity, as far as it is not in memory: a cache of the database |
//!
//! How the laws of [`crate::Store`] are kept:
//!
//! - **Durable.** A batch is one transaction, and `synchronous=FULL` syncs the WAL before its commit returns. A batch
//!   that failed left nothing behind, so it can simply be sent again.
//! - **Identity over all time.** The module `identity` leads from a 64-bit hash to the rows that may be meant; the
//!   `source` and `id` of those rows decide. New events, which are nearly all, find nothing, at about no cost.
//! - **Every version is kept, the largest wins.** Rows are only ever appended, and the loser of each comparison is
//!   noted in `superseded`, with the winner. So of the versions of an event exactly one is not in there.
//! - **Digests are not stored.** They are needed only where an id and revision came before with another content, where
//!   hashing the row that has to be read anyway costs about a microsecond; stored, they would make every row 32 bytes longer
//!   and could contradict it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use milepost_model::{Event, Rejected, Sealed, Timestamp};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use self::directory::Lock;
use self::identity::Identity;
use crate::{Appended, Reader, Store, StoreError};

mod backup;
mod directory;
mod doctor;
mod error;
mod events;
mod identity;
mod quarantine;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod upgrade;
mod versions;

pub use backup::{BackedUp, Stage, backup, restore};
pub use doctor::{Finding, Report, Severity, examine};
pub use reader::open_reader;

/// The database, inside the data directory.
const DATABASE: &str = "milepost.db";

/// What is committed and not yet in the database file, as SQLite names it.
const WAL: &str = "milepost.db-wal";

/// How long a statement waits for a lock, such as one that somebody's `sqlite3` holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a page. Events are appended, a thousand at a time, so most pages are written full and once: the fewer there are,
/// the fewer system calls it takes. The last one is written again by each small commit, so there is a limit to it.
const PAGE_BYTES: i64 = 16 * 1024;

/// Bytes that are committed before a commit also brings them into the database file.
const CHECKPOINT_BYTES: i64 = 16 << 20;

/// How much is kept beside the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Refusals in the quarantine; the oldest are dropped.
    pub quarantine_rows: u32,
    /// Events whose identity is kept in memory before it goes into a run.
    pub identity_tail: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { quarantine_rows: 100_000, identity_tail: 1 << 17 }
    }
}

/// The one writer of a data directory.
#[derive(Debug)]
pub struct Sqlite {
    /// Declared before the lock, so that its threads end before the lock is given up.
    identity: Identity,
    /// Declared before the lock, too.
    connection: Connection,
    _lock: Lock,
    directory: PathBuf,
    options: Options,
}

impl Sqlite {
    /// Opens the data directory for writing, creating it if need be, and locks it until dropped.
    pub fn open(directory: &Path, options: Options) -> Result<Self, StoreError> {
        schema::require_version(rusqlite::version_number())?;
        directory::create(directory)?;
        let lock = Lock::take(directory)?;
        let path = directory.join(DATABASE);
        directory::private_file(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Before anything is written: the file may be somebody else's.
        let format = schema::format(&connection, &path)?;
        configure(&connection, &path)?;
        schema::migrate(&mut connection, format, schema::MIGRATIONS)?;
        let mut identity = Identity::open(&connection, directory, options.identity_tail as usize)?;
        if !identity.is_registered() {
            // What was made anew need not be made again at the next start.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            identity.begin(&transaction)?;
            transaction.commit()?;
            identity.committed();
        }
        Ok(Self { identity, connection, _lock: lock, directory: directory.to_owned(), options })
    }
}

fn configure(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    // Of a new file. One that exists keeps the size it was made with.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let path = path.display();
        return Err(StoreError::Io(format!(
            "{path}: this file system cannot share memory between processes, which SQLite needs: put the data \
             directory on a local disk"
        )));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    // macOS: a plain fsync does not reach the disk there.
    connection.pragma_update(None, "fullfsync", true)?;
    // Events are appended, so few pages are touched twice.
    connection.pragma_update(None, "cache_size", "-16384")?; // KiB
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_BYTES / page_bytes.max(1))?; // pages
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?; // bytes, after a long read held it up
    Ok(())
}

impl Store for Sqlite {
    fn append(
        &mut self,
        events: &[Sealed],
        rejected: &[Rejected],
        now: Timestamp,
    ) -> Result<Vec<Appended>, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.identity.begin(&transaction)?;
        let appended = events::append(&transaction, &mut self.identity, events, now)?;
        quarantine::append(&transaction, rejected, now, self.options.quarantine_rows)?;
        transaction.commit()?;
        self.identity.committed();
        Ok(appended)
    }

    fn replay(&mut self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
        events::replay(&self.connection, each)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        open_reader(&self.directory)
    }
}
