//! The embedded engine: SQLite, in one directory.
//!
//! | file | what |
//! |---|---|
//! | `lock` | locked by the one process that writes, whose id stands in it |
//! | `milepost.db` | the database, in WAL mode; its tables are described in `migrations/` |
//! | `model.checkpoint` | the Model, as of some event: a cache of the database |
//! | `identity/` | which events have an identity, as far as it is not in memory: a cache of the database |
//!
//! How the laws of [`crate::Store`] are kept:
//!
//! - **Durable.** A batch is one transaction, and `synchronous=FULL` syncs the WAL before its commit returns. A batch
//!   that failed left nothing behind, so it can simply be sent again.
//! - **Identity over all time.** The module `identity` leads from a 64-bit hash to the rows that may be meant; the
//!   `source` and `id` of those rows decide. New events, which are nearly all, find nothing, at about no cost.
//! - **Every version is kept, the largest wins.** Rows are only ever appended, though retention may drop their contents (the
//!   module `retention`), and the loser of each comparison is noted in `superseded`, with the winner. So of the versions of
//!   an event exactly one is not in there.
//! - **No number is made of a damaged row.** Every row has a checksum, compared wherever it is read: the module `stored`.
//! - **Digests are not stored**, but of contents that were dropped. They are needed only where an id and revision came before
//!   with another content, where hashing the row that has to be read anyway costs about a microsecond; stored, they would
//!   make every row 32 bytes longer and could contradict it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use milepost_model::{Event, Refusal, Rejected, Sealed, Span, Timestamp};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use self::directory::Lock;
use self::identity::Identity;
use crate::failpoint::{number, reach};
use crate::{Appended, Loaded, Reader, Retention, Retried, Store, StoreError};

mod backup;
mod checkpoint;
mod directory;
mod doctor;
mod error;
mod events;
mod identity;
mod keys;
mod quarantine;
mod reader;
mod retention;
mod rotate;
mod schema;
mod stored;
#[cfg(test)]
mod tests;
mod upgrade;
mod versions;

pub use backup::{BackedUp, Stage, backup, restore};
pub use checkpoint::{Checkpoints, discard};
pub use doctor::{Finding, Report, Severity, examine};
#[cfg(any(test, feature = "fuzzing"))]
pub use identity::fuzzing;
pub use keys::{KeysInForce, key_fingerprint, keys_in_force};
pub use reader::open_reader;
pub use retention::{Dropping, Sweeper};
pub use rotate::{Rewriter, Rotating, rotate};

/// The database, inside the data directory.
const DATABASE: &str = "milepost.db";

/// What is committed and not yet in the database file, as SQLite names it.
const WAL: &str = "milepost.db-wal";

/// How long a statement waits for a lock, such as one that somebody's `sqlite3` holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often commits look for refusals that are too old.
const EXPIRY_EVERY: Span = Span::from_seconds(3_600);

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
    /// Bytes of their texts and payloads; the oldest are dropped.
    pub quarantine_bytes: u64,
    /// How long they are kept; for ever if there is none.
    pub quarantine_age: Option<Span>,
    /// Events whose identity is kept in memory before it goes into a run.
    pub identity_tail: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quarantine_rows: 100_000,
            quarantine_bytes: 256 << 20,
            quarantine_age: None,
            identity_tail: 1 << 17,
        }
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
    /// When it is looked next for refusals that are too old.
    next_expiry: Timestamp,
    /// Up to where the past is frozen.
    horizon: Option<Timestamp>,
}

impl Sqlite {
    /// Opens the data directory for writing, creating it if need be, and locks it until dropped.
    pub fn open(directory: &Path, options: Options) -> Result<Self, StoreError> {
        let (lock, mut connection) = open_database(directory)?;
        let tail = number("identity.tail").map_or(options.identity_tail as usize, |tail| tail as usize);
        let mut identity = Identity::open(&connection, directory, tail)?;
        if !identity.is_registered() {
            // What was made anew need not be made again at the next start.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            identity.begin(&transaction)?;
            transaction.commit()?;
            reach("identity.rebuilt");
            identity.committed();
        }
        let (directory, next_expiry) = (directory.to_owned(), Timestamp::MIN);
        let horizon = retention::horizon(&connection)?.map(|horizon| horizon.at);
        Ok(Self { identity, connection, _lock: lock, directory, options, next_expiry, horizon })
    }

    /// Which keys of persons are in force.
    pub fn keys_in_force(&self) -> Result<KeysInForce, StoreError> {
        keys::in_force(&self.connection)
    }

    /// Notes the [`key_fingerprint`] of the keys in force, for the starts to come.
    pub fn note_key_fingerprint(&mut self, fingerprint: &str) -> Result<(), StoreError> {
        keys::note(&self.connection, fingerprint)
    }
}

/// Locks a data directory and opens its database for writing, creating both if need be, in the newest format.
fn open_database(directory: &Path) -> Result<(Lock, Connection), StoreError> {
    schema::require_version(rusqlite::version_number())?;
    directory::create(directory)?;
    let lock = Lock::take(directory)?;
    reach("open.locked");
    let path = directory.join(DATABASE);
    rotate::sweep(&path)?;
    directory::private_file(&path)?;
    reach("open.created");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before anything is written: the file may be somebody else's.
    let format = schema::format(&connection, &path)?;
    configure(&connection, &path)?;
    reach("open.configured");
    schema::migrate(&mut connection, format, schema::MIGRATIONS)?;
    Ok((lock, connection))
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
    let checkpoint = number("wal.pages").unwrap_or(CHECKPOINT_BYTES / page_bytes.max(1)); // pages
    connection.pragma_update(None, "wal_autocheckpoint", checkpoint)?;
    let most = number("wal.bytes").unwrap_or(64 << 20); // bytes, after a long read held it up
    connection.pragma_update(None, "journal_size_limit", most)?;
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
        reach("store.begun");
        let appended = events::append(&transaction, &mut self.identity, events, now)?;
        reach("store.inserted");
        quarantine::append(&transaction, rejected, now)?;
        let expire = self.options.quarantine_age.is_some() && self.next_expiry <= now;
        if expire || !rejected.is_empty() {
            quarantine::make_room(&transaction, &self.options, now)?;
        }
        reach("store.refused");
        transaction.commit()?;
        reach("store.committed");
        self.identity.committed();
        if expire {
            self.next_expiry = now + EXPIRY_EVERY;
        }
        Ok(appended)
    }

    fn retry(
        &mut self,
        retried: &Retried,
        now: Timestamp,
        rehearsal: bool,
    ) -> Result<Vec<Appended>, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.identity.begin(&transaction)?;
        let appended = events::append(&transaction, &mut self.identity, &retried.events, now)?;
        if rehearsal {
            // As if the commit had failed.
            return Ok(appended);
        }
        quarantine::settle(&transaction, retried)?;
        transaction.commit()?;
        reach("store.committed");
        self.identity.committed();
        Ok(appended)
    }

    fn refusals(&mut self, events: &[Sealed]) -> Result<Vec<Option<Refusal>>, StoreError> {
        let Some(horizon) = self.horizon else { return Ok(Vec::new()) };
        // Only read; but what the identities notice on the way may have to be written.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.identity.begin(&transaction)?;
        retention::refusals(&transaction, &mut self.identity, horizon, events)
    }

    fn retain(&mut self, step: &Retention) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        retention::retain(&transaction, step)?;
        transaction.commit()?;
        reach("retention.committed");
        if let Retention::Advance(to) = step {
            self.horizon = self.horizon.max(Some(*to));
        }
        Ok(())
    }

    fn replay(&mut self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
        events::replay(&self.connection, each)
    }

    fn load(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, StoreError> {
        checkpoint::load(&self.connection, &self.directory, progress)
    }

    fn position(&self) -> u64 {
        self.identity.last().cast_unsigned()
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        open_reader(&self.directory)
    }
}
