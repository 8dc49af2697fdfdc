//! What readers see, what the quarantine keeps, and what is noticed when the database is not what was written.

use std::path::Path;

use crate::support::{at, now, open, rejected, seal, used, winners};
use milepost_model::{Payload, Rejected};
use milepost_store::sqlite::{Options, Sqlite, open_reader};
use milepost_store::{Store, StoreError};
use rusqlite::Connection;

fn database(directory: &Path) -> Connection {
    Connection::open(directory.join("milepost.db")).unwrap()
}

#[test]
fn a_reader_sees_one_moment_while_the_writer_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.append(&seal(&[used("1", 0, "a"), used("2", 0, "a")]), &[], now()).unwrap();
    let mut reader = store.reader().unwrap();
    let mut seen = Vec::new();
    reader
        .replay(&mut |event| {
            store.append(&seal(&[used("2", 1, "b"), used("3", 0, "b")]), &[], now()).unwrap();
            seen.push(event.clone());
        })
        .unwrap();
    assert_eq!(seen, [used("1", 0, "a"), used("2", 0, "a")]);
    assert_eq!(winners(&mut *reader), [used("1", 0, "a"), used("2", 1, "b"), used("3", 0, "b")]);
}

#[test]
fn a_reader_needs_no_writer() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&seal(&[used("1", 0, "a")]), &[], now()).unwrap();
    let mut reader = open_reader(directory.path()).unwrap();
    assert_eq!(winners(&mut *reader), [used("1", 0, "a")]);
    // And does not keep one out.
    open(directory.path()).append(&seal(&[used("2", 0, "a")]), &[], now()).unwrap();
    assert_eq!(winners(&mut *reader).len(), 2);
}

#[test]
fn only_winners_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let mut moved = used("1", 1, "a");
    moved.content.occurred_at = at(900);
    store.append(&seal(&[used("1", 0, "a"), moved.clone()]), &[], now()).unwrap();
    let mut reader = store.reader().unwrap();
    assert_eq!(reader.find(moved.id.key(), used("1", 0, "a").at()).unwrap(), []);
    assert_eq!(reader.find(moved.id.key(), moved.at()).unwrap(), [moved.id]);
}

#[test]
fn content_can_be_asked_with_sql() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&seal(&[used("1", 7, "a")]), &[], now()).unwrap();
    let row: (i64, String, String, i64) = database(directory.path())
        .query_row(
            "SELECT received_at, id, content ->> '$.body.type', revision FROM event WHERE content ->> 'team' = 'a'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(row, (now().micros(), "1".to_owned(), "capability_used".to_owned(), 7));
}

#[test]
fn an_event_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.append(&seal(&[used("1", 0, "a"), used("2", 0, "a")]), &[], now()).unwrap();
    database(directory.path()).execute("UPDATE event SET content = '{}' WHERE seq = 2", []).unwrap();
    let mut seen = 0;
    let error = store.replay(&mut |_| seen += 1).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(message) if message.contains("event 2")), "{error}");
    assert_eq!(seen, 1);
}

#[test]
fn refusals_come_back_as_they_were_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let mut nameless = rejected("", None);
    (nameless.source, nameless.id) = (None, None);
    let kept = [
        rejected("1", Some(Payload::Json("{\"a\":1}".to_owned()))),
        rejected("2", Some(Payload::Protobuf(vec![0, 255]))),
        nameless,
    ];
    store.append(&[], &kept, now()).unwrap();
    let mut reader = store.reader().unwrap();
    let page = reader.quarantine(None, 2).unwrap();
    assert_eq!(page.iter().map(|refusal| refusal.number).collect::<Vec<_>>(), [3, 2]);
    let rest = reader.quarantine(Some(2), 10).unwrap();
    let back: Vec<Rejected> = rest
        .into_iter()
        .chain(page.into_iter().rev())
        .map(|refusal| {
            assert_eq!(refusal.at, now());
            refusal.rejected
        })
        .collect();
    assert_eq!(back, kept);
    assert_eq!(reader.quarantine(Some(u64::MAX), usize::MAX).unwrap().len(), 3);
}

#[test]
fn the_quarantine_drops_the_oldest() {
    let directory = tempfile::tempdir().unwrap();
    let mut store =
        Sqlite::open(directory.path(), Options { quarantine_rows: 3, ..Options::default() }).unwrap();
    let mut reader = store.reader().unwrap();
    for (batch, expected) in [(2, vec![2, 1]), (2, vec![4, 3, 2]), (0, vec![4, 3, 2]), (5, vec![9, 8, 7])] {
        store.append(&seal(&[used("1", 0, "a")]), &vec![rejected("1", None); batch], now()).unwrap();
        let numbers: Vec<_> =
            reader.quarantine(None, 10).unwrap().into_iter().map(|refusal| refusal.number).collect();
        assert_eq!(numbers, expected);
        assert_eq!(reader.sizes().unwrap().quarantined, expected.len() as u64);
    }
}

#[test]
fn of_a_long_payload_only_the_reason_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let payload = |bytes| Some(Payload::Json("x".repeat(bytes)));
    store.append(&[], &[rejected("1", payload(65_536)), rejected("2", payload(65_537))], now()).unwrap();
    let [long, short] = store.reader().unwrap().quarantine(None, 10).unwrap().try_into().unwrap();
    assert_eq!(short.rejected, rejected("1", payload(65_536)));
    assert_eq!(long.rejected.payload, None);
    assert_eq!(
        long.rejected.refusal.message,
        "11 is not a score (what was sent is not kept: it has 65537 bytes, and at most 65536 are)"
    );
}
