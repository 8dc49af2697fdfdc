//! The data directory: who may write in it, what may lie in it, and that nothing acknowledged is lost from it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{now, open, seal, used, winners};
use milepost_store::sqlite::{Options, Sqlite, open_reader};
use milepost_store::{Store, StoreError};

/// Tells [`another_process`] which directory it is about.
const DIRECTORY: &str = "MILEPOST_TEST_DIRECTORY";

#[test]
#[ignore = "not a test: what the other process of the tests below does, until it is killed"]
fn another_process() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let mut store = open(&directory);
    for batch in 0.. {
        let events: Vec<_> = (0..10).map(|event| used(&format!("{batch}-{event}"), 0, "a")).collect();
        store.append(&seal(&events), &[], now()).unwrap();
        writeln!(std::io::stderr(), "acked {batch}").unwrap();
    }
}

fn spawn_another_process(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "directory::another_process", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn refused(directory: &Path) -> StoreError {
    Sqlite::open(directory, Options::default()).map(drop).unwrap_err()
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_the_lock_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut other = spawn_another_process(directory.path());
    let mut lines = BufReader::new(other.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut acked = lines.by_ref().take(20).filter(|line| line.starts_with("acked ")).count();

    let error = refused(directory.path());
    assert!(matches!(error, StoreError::Locked(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "{} is served by another milepost (process {}): talk to that one with `--server URL`, or stop it first",
            directory.path().display(),
            other.id()
        )
    );
    let beside = winners(&mut *open_reader(directory.path()).unwrap()).len();

    other.kill().unwrap();
    other.wait().unwrap();
    acked += lines.filter(|line| line.starts_with("acked ")).count();
    assert!(acked >= 20);
    let store = open(directory.path());
    let kept = winners(&mut *store.reader().unwrap()).len();
    // The last batch may have been committed without its ack having been written.
    assert!(kept == 10 * acked || kept == 10 * (acked + 1), "{kept} events kept, {acked} batches acked");
    assert!(beside.is_multiple_of(10) && beside <= kept, "half a batch was seen");
}

#[test]
fn one_process_cannot_open_it_twice_either() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert!(matches!(refused(directory.path()), StoreError::Locked(_)));
    drop(store);
    open(directory.path());
}

#[test]
fn it_is_created_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("new/data");
    let _store = open(&directory);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in ["lock", "milepost.db", "milepost.db-wal"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_reader_of_nothing_says_so() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("milepost.db"), "").unwrap();
    for path in [directory.path().to_owned(), directory.path().join("nowhere")] {
        let error = open_reader(&path).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} holds no data of milepost", path.display())), "{error}");
        assert!(!path.join("lock").exists(), "a reader writes nothing");
    }
}

fn foreign(database: &Path) {
    rusqlite::Connection::open(database).unwrap().execute_batch("CREATE TABLE event (seq)").unwrap();
}

fn garbage(database: &Path) {
    std::fs::write(database, "not a database".repeat(999)).unwrap();
}

fn cut(database: &Path) {
    drop(open(database.parent().unwrap()));
    std::fs::File::options().write(true).open(database).unwrap().set_len(5_000).unwrap();
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    for (make, expected) in [
        (foreign as fn(&Path), "was not written by milepost"),
        (garbage, "file is not a database"),
        (cut, "malformed"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("milepost.db");
        make(&database);
        let before = std::fs::read(&database).unwrap();
        for error in [refused(directory.path()), open_reader(directory.path()).map(drop).unwrap_err()] {
            let StoreError::Corrupt(message) = &error else { panic!("{error:?}") };
            assert!(message.contains("milepost.db") && message.contains(expected), "{message}");
        }
        assert_eq!(std::fs::read(&database).unwrap(), before);
    }
}

#[test]
fn data_of_a_newer_milepost_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let connection = rusqlite::Connection::open(directory.path().join("milepost.db")).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    drop(connection);
    for error in [refused(directory.path()), open_reader(directory.path()).map(drop).unwrap_err()] {
        let message = error.to_string();
        assert!(message.contains("format 1000") && message.contains("upgrade milepost"), "{message}");
    }
}
