//! Files that are not what was written: row F31 of docs/faults.md.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{now, seal, used};
use milepost_model::Event;
use milepost_store::sqlite::{Options, Severity, Sqlite, examine};
use milepost_store::{Appended, Store, StoreError};

/// With losers, refusals and runs, all written back into the database file.
fn fill(data: &Path) -> Vec<Event> {
    let events: Vec<Event> = (0..120)
        .flat_map(|n| [used(&n.to_string(), 0, "platform"), used(&(n / 2).to_string(), 1, "checkout")])
        .collect();
    let mut store = open(data).unwrap();
    for batch in events.chunks(10) {
        store.append(&seal(batch), &[], now()).unwrap();
    }
    drop(store);
    // Runs that were finished by the end are registered by this one.
    drop(open(data).unwrap());
    events
}

fn open(data: &Path) -> Result<Sqlite, StoreError> {
    Sqlite::open(data, Options { identity_tail: 16, ..Options::default() })
}

/// All that is to be read: winners, and what becomes of events that are sent again.
fn read(data: &Path, events: &[Event]) -> Result<(Vec<Event>, Vec<Appended>), StoreError> {
    let mut store = open(data)?;
    let mut winners = Vec::new();
    store.replay(&mut |event| winners.push(event.clone()))?;
    let appended = store.append(&seal(events), &[], now())?;
    Ok((winners, appended))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &name);
        } else if !path.to_string_lossy().ends_with("-shm") {
            fs::copy(&path, name).unwrap();
        }
    }
}

fn runs(data: &Path) -> Vec<PathBuf> {
    let runs = data.join("identity").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut runs: Vec<_> = runs.filter(|path| path.extension().is_some_and(|end| end == "run")).collect();
    runs.sort();
    runs
}

fn error_is_clear(error: &StoreError) {
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert!(error.to_string().len() > 10, "{error}");
}

/// **F31**, of runs: whatever byte of them is changed and wherever they are cut, everything is found as before, as they are made
/// anew from the events.
#[test]
fn f31_a_damaged_run_is_made_anew() {
    let sound = tempfile::tempdir().unwrap();
    let events = fill(sound.path());
    let expected = {
        let copied = tempfile::tempdir().unwrap();
        copy(sound.path(), copied.path());
        read(copied.path(), &events).unwrap()
    };
    let all = runs(sound.path());
    assert!(!all.is_empty());
    for run in &all {
        let bytes = fs::read(run).unwrap();
        let damages = (0..bytes.len()).step_by(bytes.len() / 40).flat_map(|at| [(at, false), (at, true)]);
        for (at, cut) in damages {
            let directory = tempfile::tempdir().unwrap();
            copy(sound.path(), directory.path());
            let mut bytes = bytes.clone();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << (at % 8);
            }
            fs::write(directory.path().join("identity").join(run.file_name().unwrap()), bytes).unwrap();
            assert_eq!(read(directory.path(), &events).unwrap(), expected, "byte {at}, cut: {cut}");
            let report = examine(directory.path(), &mut |_, _| ()).unwrap();
            assert!(report.findings.iter().all(|finding| finding.severity != Severity::Damage), "{report:?}");
        }
    }
}

/// **F31**, of the database: cut anywhere, or with pages of something else in it, it is refused with a reason or reads as before;
/// never is anything in between.
#[test]
fn f31_a_damaged_database_is_refused() {
    let sound = tempfile::tempdir().unwrap();
    let events = fill(sound.path());
    let file = |data: &Path| data.join("milepost.db");
    // All of it in one file.
    let database = rusqlite::Connection::open(file(sound.path())).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(database);
    let bytes = fs::read(file(sound.path())).unwrap();
    let whole = read_copy(sound.path(), &bytes, &events).unwrap();
    let pages = bytes.len() / 4096;
    let mut refused = 0;
    for page in 0..pages {
        let within = page * 4096..(page + 1) * 4096;
        let mut other = bytes.clone();
        other[within.clone()].fill(0x5a);
        let mut zeros = bytes.clone();
        zeros[within.clone()].fill(0);
        let mut cut = bytes.clone();
        cut.truncate(within.start + 100);
        for (damage, bytes) in [("overwritten", other), ("zeros", zeros), ("cut", cut)] {
            match read_copy(sound.path(), &bytes, &events) {
                Ok(read) => assert_eq!(read, whole, "page {page} of {pages}, {damage}"),
                Err(error) => {
                    error_is_clear(&error);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused >= pages, "{refused} of {} damages were noticed", 3 * pages);
}

fn read_copy(
    sound: &Path,
    bytes: &[u8],
    events: &[Event],
) -> Result<(Vec<Event>, Vec<Appended>), StoreError> {
    let directory = tempfile::tempdir().unwrap();
    copy(sound, directory.path());
    fs::write(directory.path().join("milepost.db"), bytes).unwrap();
    read(directory.path(), events)
}
