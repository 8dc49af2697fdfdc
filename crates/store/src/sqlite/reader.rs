//! Reading beside the writer.

use std::path::{Path, PathBuf};

use milepost_model::{Event, EventId, EventKey, Timestamp};
use rusqlite::{Connection, OpenFlags};

use super::identity::{self, lookup::Lookup};
use super::{BUSY_TIMEOUT, DATABASE, WAL, checkpoint, events, quarantine, retention, schema};
use crate::{Horizon, Loaded, Quarantined, Reader, Sizes, StoreError};

/// Opens a data directory for reading, whether it is being served or not.
pub fn open_reader(directory: &Path) -> Result<Box<dyn Reader>, StoreError> {
    let connection = connect(directory)?;
    Ok(Box::new(SqliteReader { connection, lookup: Lookup::new(directory), directory: directory.to_owned() }))
}

/// Opens the database of a data directory for reading.
pub(super) fn connect(directory: &Path) -> Result<Connection, StoreError> {
    schema::require_version(rusqlite::version_number())?;
    let path = directory.join(DATABASE);
    if !path.exists() {
        return Err(nothing_kept(directory));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    match schema::format(&connection, &path)? {
        0 => Err(nothing_kept(directory)),
        format if format < schema::MIGRATIONS.len() => Err(StoreError::Io(format!(
            "{} has the older format {format}: `milepost serve` brings it to format {}",
            path.display(),
            schema::MIGRATIONS.len()
        ))),
        _ => Ok(connection),
    }
}

/// What is said of a directory without a database.
pub(super) fn nothing_kept(directory: &Path) -> StoreError {
    StoreError::Io(format!(
        "{} holds no data of milepost: name the directory that `milepost serve` or `milepost import` was given",
        directory.display()
    ))
}

struct SqliteReader {
    connection: Connection,
    lookup: Lookup,
    directory: PathBuf,
}

impl Reader for SqliteReader {
    fn find(&mut self, key: EventKey, at: Timestamp) -> Result<Vec<EventId>, StoreError> {
        let connection = &self.connection;
        self.lookup.find(connection, key.0, |seqs| events::winners_at(connection, seqs, at))
    }

    fn replay(&mut self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
        events::replay(&self.connection, each)
    }

    fn load(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, StoreError> {
        checkpoint::load(&self.connection, &self.directory, progress)
    }

    fn quarantine(&mut self, before: Option<u64>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        quarantine::list(&self.connection, before, limit)
    }

    fn refusals(&mut self, after: u64, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        quarantine::oldest(&self.connection, after, limit)
    }

    fn horizon(&mut self) -> Result<Option<Horizon>, StoreError> {
        retention::horizon(&self.connection)
    }

    fn sizes(&mut self) -> Result<Sizes, StoreError> {
        // `seq` has no gaps, so only the losers, which are few, are counted one by one.
        let mut statement = self.connection.prepare_cached(
            "SELECT (SELECT ifnull(max(seq), 0) FROM event), (SELECT count(*) FROM superseded), rows, bytes, dropped
             FROM quarantine_total",
        )?;
        let [versions, superseded, quarantined, quarantined_bytes, dropped]: [i64; 5] = statement
            .query_row([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))?;
        Ok(Sizes {
            versions: versions as u64,
            superseded: superseded as u64,
            quarantined: quarantined as u64,
            quarantined_bytes: quarantined_bytes as u64,
            quarantine_dropped: dropped as u64,
            bytes: self.bytes(),
        })
    }
}

impl SqliteReader {
    /// Of the database, its WAL and the runs, of which some come and go.
    fn bytes(&self) -> u64 {
        let runs = self.directory.join(identity::DIRECTORY).read_dir();
        let runs = runs.into_iter().flatten().filter_map(Result::ok).map(|run| run.path());
        [DATABASE, WAL]
            .into_iter()
            .map(|file| self.directory.join(file))
            .chain(runs)
            .filter_map(|file| file.metadata().ok())
            .map(|file| file.len())
            .sum()
    }
}
