//! Files that are not what was written: row F31 of docs/faults.md.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{now, seal, used};
use milepost_model::Event;
use milepost_store::sqlite::{Options, Report, Severity, Sqlite, backup, examine, open_reader};
use milepost_store::{Appended, Reader, Store, StoreError};

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

/// What reads a row and can tell that it is another one.
fn said_of(data: &Path, events: &[Event], seq: i64) -> Vec<(&'static str, Result<(), StoreError>)> {
    let damages = |report: Report| -> Result<(), StoreError> {
        let told = format!("event {seq} ");
        let damage = report.findings.into_iter().filter(|finding| finding.severity == Severity::Damage);
        let mut named = damage.map(|finding| finding.what).filter(|what| what.contains(&told));
        named.next().map_or(Ok(()), |what| Err(StoreError::Corrupt(what)))
    };
    let file = data.join("backup");
    let find = |reader: &mut dyn Reader| {
        events.iter().try_for_each(|event| reader.find(event.id.key(), event.at()).map(drop))
    };
    vec![
        ("doctor", examine(data, &mut |_, _| ()).and_then(damages)),
        ("backup", backup(data, &file, None, now(), &mut |_| ()).map(drop)),
        ("explanation", open_reader(data).and_then(|mut reader| find(&mut *reader))),
        ("start", open(data).and_then(|mut store| store.load(&mut |_, _| ()).map(drop))),
        (
            "event sent again",
            open(data).and_then(|mut store| store.append(&seal(events), &[], now()).map(drop)),
        ),
    ]
}

/// **F31**, of a letter or a digit in an event, such that it is still an event: whoever reads it says which one it is.
#[test]
fn f31_a_changed_letter_of_an_event_is_noticed() {
    let sound = tempfile::tempdir().unwrap();
    let events = fill(sound.path());
    let (winner, loser) = (180, 1);
    let whole = tempfile::tempdir().unwrap();
    copy(sound.path(), whole.path());
    let all = said_of(whole.path(), &events, winner);
    assert!(all.iter().all(|(_, said)| said.is_ok()), "{all:?}");
    for change in [
        "content = replace(content, '\"team\":\"', '\"team\":\"x')",
        "content = replace(content, 'pipeline', 'pipelinf')",
        "content = replace(content, '00:08:20', '00:08:21')",
        "id = id || '0'",
        "source = 'cj'",
        "revision = revision + 1",
        "received_at = received_at + 1",
        "crc = crc + 1",
    ] {
        for seq in [winner, loser] {
            let directory = tempfile::tempdir().unwrap();
            copy(sound.path(), directory.path());
            let database = rusqlite::Connection::open(directory.path().join("milepost.db")).unwrap();
            let column = change.split(' ').next().unwrap();
            let sql = format!(
                "SELECT {column} IS NOT ({}) FROM event WHERE seq = {seq}",
                &change[column.len() + 3..]
            );
            assert!(
                database.query_row(&sql, [], |row| row.get::<_, bool>(0)).unwrap(),
                "{change}: nothing changes"
            );
            database.execute_batch(&format!("UPDATE event SET {change} WHERE seq = {seq}")).unwrap();
            drop(database);
            for (reader, said) in said_of(directory.path(), &events, seq) {
                match said {
                    Err(error) => {
                        error_is_clear(&error);
                        assert!(
                            error.to_string().contains(&format!("event {seq} ")),
                            "{change}, {reader}: {error}"
                        );
                    }
                    Ok(()) => panic!("{change} of event {seq}: not noticed: {reader}"),
                }
            }
            assert!(!directory.path().join("backup").exists());
        }
    }
}

/// **F31**, of any one bit of the events in the file: what is read is what was written, or nothing is.
#[test]
fn f31_no_bit_of_an_event_changes_what_is_read() {
    let sound = tempfile::tempdir().unwrap();
    fill(sound.path());
    let file = sound.path().join("milepost.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(database);
    let bytes = fs::read(&file).unwrap();
    let winners = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let mut winners = Vec::new();
        let mut reader = open_reader(sound.path())?;
        reader.replay(&mut |event| winners.push(event.clone())).map(|()| winners)
    };
    let whole = winners(&bytes).unwrap();
    let begin = b"{\"body\"";
    let events: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(begin)).collect();
    let (mut tried, mut noticed) = (0, 0);
    for event in [events[0], events[events.len() / 2], events[events.len() - 1]] {
        // What SQLite keeps of the row before its texts, and what is in it after them.
        for at in event - 30..(event + 150).min(bytes.len()) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            tried += 1;
            match winners(&bytes) {
                Ok(read) => assert_eq!(read, whole, "byte {at}"),
                Err(error) => {
                    error_is_clear(&error);
                    noticed += 1;
                }
            }
        }
    }
    assert!(noticed > tried / 2, "{noticed} of {tried} damages were noticed");
}

/// **F31**, of who lost to whom: no start takes another event for the loser.
#[test]
fn f31_a_changed_loser_is_noticed() {
    let sound = tempfile::tempdir().unwrap();
    fill(sound.path());
    for change in ["seq = seq + 1000", "by = by + 1", "crc = crc - 1"] {
        let directory = tempfile::tempdir().unwrap();
        copy(sound.path(), directory.path());
        let mut store = open(directory.path()).unwrap();
        store.load(&mut |_, _| ()).unwrap();
        let database = rusqlite::Connection::open(directory.path().join("milepost.db")).unwrap();
        database
            .execute_batch(&format!(
                "UPDATE superseded SET {change} WHERE seq = (SELECT min(seq) FROM superseded)"
            ))
            .unwrap();
        drop(database);
        let loaded = store.load(&mut |_, _| ()).map(drop).unwrap_err();
        error_is_clear(&loaded);
        let backed_up = backup(directory.path(), &directory.path().join("b"), None, now(), &mut |_| ());
        error_is_clear(&backed_up.unwrap_err());
    }
}
