//! The doctor: silent about what is well, and right about what is not.

use std::path::Path;

use crate::support::{now, rejected, seal, used};
use milepost_store::Store;
use milepost_store::sqlite::{Options, Report, Severity, Sqlite, examine};
use rusqlite::Connection;

/// With losers, refusals and at least one run.
fn fill(data: &Path) {
    let options = Options { identity_tail: 4, ..Options::default() };
    let mut store = Sqlite::open(data, options).unwrap();
    for number in 0..20_u64 {
        let events = [used(&number.to_string(), 0, "a"), used(&(number / 2).to_string(), number, "b")];
        store.append(&seal(&events), &[], now()).unwrap();
    }
    // Until a run is registered.
    while database(data)
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM identity_run)", [], |row| row.get(0))
        .unwrap()
    {
        store.append(&[], &[], now()).unwrap();
    }
    store.append(&[], &[rejected("x", None)], now()).unwrap();
}

/// As if the oldest events were of before there were checksums.
const WITHOUT: &str = "UPDATE event SET crc = NULL WHERE seq <= 7; UPDATE checksum SET first_seq = 8";

fn database(data: &Path) -> Connection {
    Connection::open(data.join("milepost.db")).unwrap()
}

fn report(data: &Path) -> Report {
    examine(data, &mut |_, _| ()).unwrap()
}

fn damages(report: &Report) -> Vec<&str> {
    let damages = report.findings.iter().filter(|finding| finding.severity == Severity::Damage);
    damages.map(|finding| finding.what.as_str()).collect()
}

#[test]
fn a_sound_directory_has_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    // Also while it is served.
    let _store = Sqlite::open(directory.path(), Options::default()).unwrap();
    let mut seen = Vec::new();
    let report = examine(directory.path(), &mut |read, of| seen.push((read, of))).unwrap();
    assert_eq!(damages(&report), Vec::<&str>::new());
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].what, "1 refused events are in the quarantine");
    assert_eq!((report.versions, report.quarantined), (40, 1));
    assert!(
        report.superseded > 0 && report.runs > 0 && report.identity_bytes > 0 && report.database_bytes > 0
    );
    assert_eq!(seen, [(40, 40)]);
}

#[test]
fn every_damage_is_found_and_named() {
    let loser = "SELECT min(seq) FROM superseded";
    for (damage, expected) in [
        ("UPDATE event SET content = '{}' WHERE seq = 3".to_owned(), "event 3 is not what was written"),
        ("UPDATE event SET crc = NULL WHERE seq = 3".to_owned(), "event 3 is not what was written"),
        (format!("{WITHOUT}; UPDATE event SET content = '{{}}' WHERE seq = 3"), "event 3 cannot be read"),
        (
            format!("{WITHOUT}; UPDATE event SET content = replace(content, '{{\"body\"', '{{ \"body\"') WHERE seq = 5"),
            "event 5 cannot be read, or is not in canonical form",
        ),
        (format!("UPDATE superseded SET crc = NULL WHERE seq = ({loser})"), "is said to have lost"),
        (format!("DELETE FROM superseded WHERE seq = ({loser})"), "are versions of one, and both win"),
        (format!("UPDATE superseded SET by = seq WHERE seq = ({loser})"), "is said to have lost"),
        (format!("UPDATE superseded SET by = 9999 WHERE seq = ({loser})"), "is said to have lost"),
        (
            "INSERT INTO superseded SELECT seq, 1, NULL FROM event WHERE id = '19' AND seq NOT IN (SELECT seq FROM superseded)".to_owned(),
            "is said to have lost",
        ),
        ("UPDATE event SET id = 'another' WHERE seq = 1".to_owned(), "does not agree with the events"),
        ("UPDATE identity_run SET checksum = checksum + 1".to_owned(), "it is another file"),
        ("DELETE FROM identity_run WHERE first_seq = 1; INSERT INTO identity_run VALUES (999, 1, 3, 0)".to_owned(), "00000999.run"),
        ("UPDATE quarantine SET reason = 'none'".to_owned(), "refusal 1 in milepost.db cannot be read: reason"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fill(directory.path());
        database(directory.path()).execute_batch(&damage).unwrap();
        let report = report(directory.path());
        let damages = damages(&report);
        assert!(damages.iter().any(|what| what.contains(expected)), "{damage}: {damages:?}");
        assert!(report.findings.is_sorted_by(|one, next| one.severity >= next.severity));
        assert!(report.findings.iter().all(|finding| !finding.advice.is_empty()));
    }
}

#[test]
fn of_many_damages_some_are_named_and_all_counted() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    database(directory.path()).execute("UPDATE event SET content = '{}'", []).unwrap();
    let report = report(directory.path());
    assert!(damages(&report).contains(&"30 more events that are damaged"), "{report:?}");
}

#[test]
fn a_damaged_page_is_found() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let file = directory.path().join("milepost.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // Not the header and the schema: with those gone it cannot be opened at all.
    let third = 2 * usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    bytes[third + 4..third + 200].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    assert_ne!(damages(&report(directory.path())), Vec::<&str>::new());
}

#[test]
fn events_without_checksums_are_counted_and_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    database(directory.path()).execute_batch(WITHOUT).unwrap();
    let report = report(directory.path());
    assert_eq!(damages(&report), Vec::<&str>::new());
    let note = report.findings.iter().find(|finding| finding.what.contains("checksums")).unwrap();
    assert!(note.what.starts_with("7 events are of before there were checksums"), "{note:?}");
}
