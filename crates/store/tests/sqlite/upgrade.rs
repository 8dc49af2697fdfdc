//! Data of older formats, as the binaries of their time wrote them, brought to the newest.

use std::path::Path;

use crate::support::{now, open, seal, used, winners};
use milepost_model::Event;
use milepost_store::sqlite::{Severity, examine, open_reader};
use milepost_store::{Appended, Effect, Store};
use proptest::prelude::*;
use rusqlite::{Connection, params};

/// A database of format 1 with these events, of which the store said this.
fn format_1(directory: &Path, events: &[Event], appended: &[Appended]) {
    let database = Connection::open(directory.join("milepost.db")).unwrap();
    database.execute_batch(include_str!("../../src/sqlite/migrations/0001_events.sql")).unwrap();
    database
        .execute_batch(
            "PRAGMA application_id = 0x6d696c65; PRAGMA user_version = 1; PRAGMA journal_mode = wal",
        )
        .unwrap();
    for (event, appended) in events.iter().zip(appended) {
        let Appended::Stored { effect, .. } = appended else { continue };
        let id = &event.id;
        let content = String::from_utf8(event.content.canonical()).unwrap();
        database
            .execute(
                "INSERT INTO event (received_at, source, id, revision, content) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![now().micros(), id.source, id.id, event.revision as i64, content],
            )
            .unwrap();
        let seq = database.last_insert_rowid();
        let loser = match effect {
            Effect::Wins => None,
            Effect::Loses => Some(seq),
            Effect::Replaces(replaced) => Some(
                database
                    .query_row(
                        "SELECT event.seq FROM identity JOIN event USING (seq)
                         WHERE key = ?1 AND content = ?2 AND revision = ?3",
                        params![
                            id.key().0 as i64,
                            String::from_utf8(replaced.content.canonical()).unwrap(),
                            replaced.revision as i64
                        ],
                        |row| row.get(0),
                    )
                    .unwrap(),
            ),
        };
        database.execute("INSERT INTO identity VALUES (?1, ?2)", [id.key().0 as i64, seq]).unwrap();
        database.execute("INSERT INTO superseded SELECT ?1 WHERE ?1 IS NOT NULL", [loser]).unwrap();
    }
}

fn superseded(directory: &Path) -> Vec<(i64, i64)> {
    let database = Connection::open(directory.join("milepost.db")).unwrap();
    let mut statement = database.prepare("SELECT seq, by FROM superseded ORDER BY seq").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = ("[1-4]", prop_oneof![4 => 0..3_u64, 1 => Just(u64::MAX)], "[ab]");
    prop::collection::vec(event.prop_map(|(id, revision, team)| used(&id, revision, &team)), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn format_1_becomes_what_the_newest_would_have_written(events in events()) {
        let [fresh, old] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let appended = open(fresh.path()).append(&seal(&events), &[], now()).unwrap();
        format_1(old.path(), &events, &appended);
        let refused = open_reader(old.path()).map(drop).unwrap_err().to_string();
        prop_assert!(refused.contains("older format 1"), "{}", refused);

        let mut store = open(old.path());
        prop_assert_eq!(superseded(old.path()), superseded(fresh.path()));
        let [fresh, upgraded] = [&fresh, &old].map(|directory| winners(&mut *open_reader(directory.path()).unwrap()));
        prop_assert_eq!(fresh, upgraded);
        let again = store.append(&seal(&events), &[], now()).unwrap();
        prop_assert!(again.iter().all(|appended| *appended == Appended::Duplicate));
    }
}

/// Events of before there were checksums are read, losers included, and the doctor says how many they are; what comes
/// after them has one.
#[test]
fn old_events_have_no_checksum_and_new_ones_do() {
    let [fresh, old] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let events: Vec<_> = (0..6).map(|n| used(&(n / 2).to_string(), n, "a")).collect();
    let appended = open(fresh.path()).append(&seal(&events), &[], now()).unwrap();
    format_1(old.path(), &events, &appended);
    open(old.path()).append(&seal(&[used("new", 0, "a")]), &[], now()).unwrap();
    let database = Connection::open(old.path().join("milepost.db")).unwrap();
    let without = "SELECT count(*) FROM event WHERE crc IS NULL AND seq < 7";
    assert_eq!(database.query_row(without, [], |row| row.get::<_, i64>(0)).unwrap(), 6);
    let report = examine(old.path(), &mut |_, _| ()).unwrap();
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].severity, Severity::Note);
    assert!(report.findings[0].what.starts_with("6 events are of before"), "{report:?}");
    database.execute_batch("UPDATE event SET crc = NULL WHERE seq = 7").unwrap();
    let error = open_reader(old.path()).unwrap().replay(&mut |_| ()).unwrap_err().to_string();
    assert!(error.starts_with("event 7 in milepost.db is not what was written"), "{error}");
}
