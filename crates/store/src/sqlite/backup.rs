//! A backup: one file that has all that is needed to go on from its moment.
//!
//! It is the database itself, as of one moment, without the cache of identities and with a table `backup` more: when it was
//! made, the digest of all rows, the key of the persons if it is meant to be in there, and a digest of all else that counts: the
//! first three and the schema. Any `sqlite3` can read it.
//!
//! Laws:
//!
//! 1. A file of the name that was asked for is whole and was verified: it is written under another name, checked, synced
//!    and only then renamed. So is the database of a restored directory.
//! 2. What is restored has row for row what was backed up: both sides compute the digest anew from what they wrote.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use milepost_model::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::directory::{self, Lock};
use super::stored::check_all;
use super::{BUSY_TIMEOUT, DATABASE, keys, reader, schema};
use crate::StoreError;
use crate::failpoint::reach;

/// Pages copied between two reports of progress.
const PAGES: i32 = 1_024;

/// The tables whose rows are what counts, with the order they are in.
const TABLES: [&str; 3] = [
    "SELECT * FROM event ORDER BY seq",
    "SELECT * FROM superseded ORDER BY seq",
    "SELECT * FROM quarantine ORDER BY number",
];

/// Those that came with later formats.
const LATER_TABLES: [(&str, &str); 3] = [
    ("person_key", "SELECT * FROM person_key"),
    ("horizon", "SELECT * FROM horizon"),
    ("frozen", "SELECT * FROM frozen ORDER BY number"),
];

/// All else that counts.
const SEALED: [&str; 3] = [
    "SELECT at, digest, person_key FROM backup",
    "SELECT user_version FROM pragma_user_version",
    "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name",
];

/// A part of the work, for whoever shows how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// So many pages of so many are copied.
    Copying(u64, u64),
    /// All that was copied is read again.
    Verifying,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// When it was made.
    pub at: Timestamp,
    /// Versions of events.
    pub versions: u64,
    /// Refusals.
    pub quarantined: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The keys of the persons, one a line.
    pub person_key: Option<String>,
}

/// Backs a data directory up to a new file, whether it is being served or not.
pub fn backup(
    data: &Path,
    file: &Path,
    person_key: Option<&str>,
    now: Timestamp,
    progress: &mut dyn FnMut(Stage),
) -> Result<BackedUp, StoreError> {
    if file.exists() {
        return Err(StoreError::Io(format!("{} exists: give the backup another name", file.display())));
    }
    let source = reader::connect(data)?;
    let new = beside(file);
    directory::private_file(&new)?;
    let made = (|| {
        // Of one moment, and not begun anew whenever something is written meanwhile.
        let snapshot = source.unchecked_transaction()?;
        let counted = counts(&snapshot)?;
        person_key.map_or(Ok(()), |keys| keys::require(&snapshot, keys))?;
        reach("backup.begun");
        let copy = copy(&snapshot, &new, progress)?;
        drop(snapshot);
        reach("backup.copied");
        // The file alone has to be enough.
        copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
        copy.execute_batch(
            "DELETE FROM identity_run;
             CREATE TABLE backup (at INTEGER NOT NULL, digest TEXT NOT NULL, person_key TEXT, seal TEXT) STRICT;",
        )?;
        progress(Stage::Verifying);
        verify(&copy, file, counted)?;
        // What is damaged must not be given a digest as if it were not.
        check_all(&copy)?;
        let values = (now.micros(), digest(&copy)?, person_key);
        copy.execute("INSERT INTO backup (at, digest, person_key) VALUES (?1, ?2, ?3)", values)?;
        copy.execute("UPDATE backup SET seal = ?1", [seal(&copy)?])?;
        let contents = contents(&copy, &new)?;
        copy.close().map_err(|(_, error)| error)?;
        reach("backup.verified");
        put(&new, file)?;
        Ok(contents)
    })();
    if made.is_err() {
        // What failed is told; that half a file stays is not worth another word.
        let _ = fs::remove_file(&new);
    }
    made
}

/// Makes a data directory of a backup. The directory must be empty or not exist. `keep` is told what is in the backup
/// before the database has its name: what belongs beside it, such as the key of the persons, is there when it is.
pub fn restore(
    file: &Path,
    data: &Path,
    keep: &mut dyn FnMut(&BackedUp) -> Result<(), StoreError>,
    progress: &mut dyn FnMut(Stage),
) -> Result<BackedUp, StoreError> {
    let io = |path: &Path, error: std::io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    File::open(file).map_err(|error| io(file, error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(file, flags)?;
    let no_backup =
        || StoreError::Corrupt(format!("{} is no backup that `milepost backup` made", file.display()));
    if schema::format(&source, file)? == 0 || !source.table_exists(None, "backup")? {
        return Err(no_backup());
    }
    directory::create(data)?;
    if data.read_dir().map_err(|error| io(data, error))?.next().is_some() {
        return Err(StoreError::Io(format!(
            "{} is not empty: restore into a new directory, and nothing is overwritten",
            data.display()
        )));
    }
    let _lock = Lock::take(data)?;
    let (new, database) = (beside(&data.join(DATABASE)), data.join(DATABASE));
    directory::private_file(&new)?;
    let made = (|| {
        let copy = copy(&source, &new, progress)?;
        progress(Stage::Verifying);
        verify(&copy, file, counts(&source)?)?;
        if !is_sealed(&copy)? {
            return Err(StoreError::Corrupt(format!(
                "{} is not what `milepost backup` wrote: take another backup",
                file.display()
            )));
        }
        let contents = contents(&copy, file)?;
        copy.execute_batch("DROP TABLE backup")?;
        copy.close().map_err(|(_, error)| error)?;
        reach("restore.copied");
        keep(&contents)?;
        reach("restore.kept");
        put(&new, &database)?;
        Ok(contents)
    })();
    if made.is_err() {
        let _ = fs::remove_file(&new);
        let _ = fs::remove_file(data.join("lock"));
    }
    made
}

/// What a file is called until it is finished.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    file.with_file_name(name)
}

/// Copies a database page by page, as of the moment `source` is in.
fn copy(source: &Connection, new: &Path, progress: &mut dyn FnMut(Stage)) -> Result<Connection, StoreError> {
    let mut copy = Connection::open(new)?;
    let backup = Backup::new(source, &mut copy)?;
    loop {
        let step = backup.step(PAGES)?;
        let pages = backup.progress();
        progress(Stage::Copying((pages.pagecount - pages.remaining) as u64, pages.pagecount as u64));
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            // Somebody else's lock on the file; SQLite has waited for it as long as it is told to.
            _ => return Err(StoreError::Unavailable("the database is locked: try again".to_owned())),
        }
    }
    drop(backup);
    copy.busy_timeout(BUSY_TIMEOUT)?;
    Ok(copy)
}

/// Whether SQLite finds the copy sound, and it holds as much as what was copied.
fn verify(copy: &Connection, file: &Path, expected: [i64; 3]) -> Result<(), StoreError> {
    let verdict: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    let verdict =
        if verdict == "ok" && counts(copy)? != expected { "it has other rows".to_owned() } else { verdict };
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "{}: the copy is not sound: {verdict}: `milepost doctor` says more about the original",
        file.display()
    )))
}

/// Rows of the tables in [`TABLES`].
pub(super) fn counts(connection: &Connection) -> Result<[i64; 3], StoreError> {
    let counts = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM superseded), \
                         (SELECT count(*) FROM quarantine)";
    Ok(connection.query_row(counts, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?)
}

/// Whether everything is as it was written. Backups of before there was a seal have their rows alone to go by.
fn is_sealed(copy: &Connection) -> Result<bool, StoreError> {
    let has_seal = copy.prepare("SELECT * FROM backup")?.column_count() > 3;
    let column = |name: &str| -> Result<String, StoreError> {
        Ok(copy.query_row(&format!("SELECT {name} FROM backup"), [], |row| row.get(0))?)
    };
    Ok(digest(copy)? == column("digest")? && (!has_seal || seal(copy)? == column("seal")?))
}

/// SHA-256 of all rows, in hex.
fn digest(connection: &Connection) -> Result<String, StoreError> {
    // Those of older formats lack some.
    let mut queries = TABLES.to_vec();
    for (table, query) in LATER_TABLES {
        if connection.table_exists(None, table)? {
            queries.push(query);
        }
    }
    digest_of(connection, queries)
}

/// SHA-256 of what the rows do not say, in hex.
fn seal(connection: &Connection) -> Result<String, StoreError> {
    digest_of(connection, SEALED)
}

fn digest_of(
    connection: &Connection,
    queries: impl IntoIterator<Item = &'static str>,
) -> Result<String, StoreError> {
    let mut hash = Sha256::new();
    for table in queries {
        let mut statement = connection.prepare(table)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => hash.update([0]),
                    ValueRef::Integer(number) => hash_value(&mut hash, 1, &number.to_le_bytes()),
                    ValueRef::Real(number) => hash_value(&mut hash, 2, &number.to_le_bytes()),
                    ValueRef::Text(text) => hash_value(&mut hash, 3, text),
                    ValueRef::Blob(bytes) => hash_value(&mut hash, 4, bytes),
                }
            }
        }
        hash.update([5]);
    }
    let digits = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
}

fn hash_value(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn contents(copy: &Connection, file: &Path) -> Result<BackedUp, StoreError> {
    let [versions, _, quarantined] = counts(copy)?;
    let (at, person_key): (i64, Option<String>) =
        copy.query_row("SELECT at, person_key FROM backup", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let at = Timestamp::from_micros(at).ok_or_else(|| {
        StoreError::Corrupt(format!("{}: the time it was made cannot be read", file.display()))
    })?;
    let bytes = file.metadata().map_or(0, |file| file.len());
    Ok(BackedUp { at, versions: versions as u64, quarantined: quarantined as u64, bytes, person_key })
}

/// Gives a finished file its name, durably.
pub(super) fn put(new: &Path, file: &Path) -> Result<(), StoreError> {
    let put = || {
        File::open(new)?.sync_all()?;
        reach("put.synced");
        fs::rename(new, file)?;
        reach("put.renamed");
        match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    };
    put().map_err(|error| StoreError::Io(format!("{}: {error}", file.display())))
}
