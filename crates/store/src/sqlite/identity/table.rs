//! What the database says: which runs are registered, and the identities of events themselves.

use std::path::Path;

use milepost_model::EventKey;
use rusqlite::Connection;

use super::run::{Registration, Run, RunWriter};
use super::tail::Entry;
use crate::StoreError;
use crate::sqlite::stored::{Stored, columns};

/// Events that a rebuilt run has at most: so many are sorted in memory.
pub(super) const REBUILT: i64 = 1 << 20;

/// The registered runs, in the order of their ranges.
pub(in crate::sqlite) fn registered(connection: &Connection) -> Result<Vec<Registration>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, first_seq, last_seq, checksum FROM identity_run ORDER BY first_seq",
    )?;
    let runs = statement.query_map([], |row| {
        let number: i64 = row.get(0)?;
        Ok(Registration {
            number: number as u64,
            first: row.get(1)?,
            last: row.get(2)?,
            checksum: row.get(3)?,
        })
    })?;
    Ok(runs.collect::<Result<_, _>>()?)
}

/// Makes these the registered runs, within the transaction that `connection` is in.
pub(super) fn register(
    connection: &Connection,
    runs: impl Iterator<Item = Registration>,
) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM identity_run")?.execute([])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO identity_run (number, first_seq, last_seq, checksum) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for Registration { number, first, last, checksum } in runs {
        insert.execute((number as i64, first, last, checksum))?;
    }
    Ok(())
}

/// The number of the newest event.
pub(in crate::sqlite) fn newest(connection: &Connection) -> Result<i64, StoreError> {
    let mut statement = connection.prepare_cached("SELECT ifnull(max(seq), 0) FROM event")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Calls `each` with the key of every event in the range, in the order of their numbers.
pub(in crate::sqlite) fn keys(
    connection: &Connection,
    (first, last): (i64, i64),
    mut each: impl FnMut(Entry),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq"
    ))?;
    let mut rows = statement.query((first, last))?;
    while let Some(row) = rows.next()? {
        let stored = Stored::read(row)?;
        let (source, id) = stored.texts()?;
        each((EventKey::of(source, id).0, stored.seq));
    }
    Ok(())
}

/// Writes the runs of the events in the range anew.
pub(super) fn rebuild(
    connection: &Connection,
    directory: &Path,
    (first, last): (i64, i64),
    mut next_number: impl FnMut() -> u64,
) -> Result<Vec<Run>, StoreError> {
    let mut runs = Vec::new();
    for first in (first..=last).step_by(REBUILT as usize) {
        let last = last.min(first + REBUILT - 1);
        let mut entries = Vec::new();
        keys(connection, (first, last), |entry| entries.push(entry))?;
        entries.sort_unstable();
        let run = write(directory, next_number(), (first, last), &entries);
        runs.push(run.map_err(|error| StoreError::Unavailable(format!("identity: {error}")))?);
    }
    Ok(runs)
}

/// Writes a run of sorted entries.
pub(super) fn write(
    directory: &Path,
    number: u64,
    range: (i64, i64),
    entries: &[Entry],
) -> Result<Run, super::run::RunError> {
    let mut writer = RunWriter::new(directory, number, range, entries.len() as u64)?;
    entries.iter().try_for_each(|entry| writer.push(*entry))?;
    writer.finish()
}
