//! Other pseudonyms: row for row what would be there, had every event come with them.

use std::path::Path;

use milepost_model::{Event, EventKey, Payload};
use milepost_store::sqlite::{KeysInForce, Rewriter, examine, rotate};
use milepost_store::{Store, StoreError};
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::{now, open, rejected, seal, used};

/// As long as what it replaces, as pseudonyms are.
fn replace(key: &str, name: &mut String) {
    *name = format!("p-{:016x}", EventKey::of(key, name).0);
}

fn with_actor(key: &str, mut event: Event, actor: u8) -> Event {
    let mut name = format!("person {actor}");
    replace(key, &mut name);
    event.content.actor = Some(name);
    event
}

fn rewriter(key: &'static str) -> Rewriter {
    Rewriter {
        fingerprint: format!("k1 {key}"),
        pseudonym: Box::new(move |name| replace(key, name)),
        payload: Box::new(move |payload| {
            if let Payload::Json(text) = payload {
                replace(key, text);
            }
        }),
    }
}

/// All rows of all tables but those that tell which keys are in force.
fn rows(data: &Path) -> Vec<Vec<Value>> {
    let database = Connection::open(data.join("milepost.db")).unwrap();
    let tables = [
        "event ORDER BY seq",
        "superseded ORDER BY seq",
        "quarantine ORDER BY number",
        "quarantine_total",
        "sqlite_sequence ORDER BY name",
        "sqlite_schema ORDER BY name",
    ];
    let mut all = Vec::new();
    for table in tables {
        // Where a table begins in the file is nobody's concern.
        let columns = if table.starts_with("sqlite_schema") { "name, sql" } else { "*" };
        let mut statement = database.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
        let count = statement.column_count();
        let found =
            statement.query_map([], |row| (0..count).map(|column| row.get(column)).collect()).unwrap();
        all.extend(found.map(Result::unwrap));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn all_is_as_if_it_had_come_so(
        history in prop::collection::vec((0..6_u8, prop_oneof![4 => 0..2_u64, 1 => Just(u64::MAX)], 0..5_u8), 0..60),
        refusals in 0..5_usize,
    ) {
        let [rotated, fresh] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let events: Vec<Event> = history
            .iter()
            .map(|(id, revision, actor)| with_actor("k1", used(&id.to_string(), *revision, "a"), *actor))
            .collect();
        let mut payload = "p-0123456789abcdef".to_owned();
        let refused = |payload: &str| vec![rejected("1", Some(Payload::Json(payload.to_owned()))); refusals];
        open(rotated.path()).append(&seal(&events), &refused(&payload), now()).unwrap();
        rotate(rotated.path(), |keys| { assert_eq!(keys.count, 1); Ok(rewriter("k2")) }, &mut |_| ()).unwrap();

        let chained: Vec<Event> = events
            .into_iter()
            .map(|mut event| {
                event.content.persons_mut().for_each(|name| replace("k2", name));
                event
            })
            .collect();
        replace("k2", &mut payload);
        open(fresh.path()).append(&seal(&chained), &refused(&payload), now()).unwrap();
        prop_assert_eq!(rows(rotated.path()), rows(fresh.path()));
        let report = examine(rotated.path(), &mut |_, _| ()).unwrap();
        prop_assert!(report.findings.len() <= usize::from(refusals > 0), "{:?}", report.findings);
        let keys = KeysInForce { count: 2, fingerprint: Some("k1 k2".to_owned()) };
        prop_assert_eq!(open(rotated.path()).keys_in_force().unwrap(), keys);
    }
}

#[test]
fn who_adds_a_table_has_to_say_what_becomes_of_it() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(&seal(&[used("1", 0, "a")]), &[], now()).unwrap();
    let before = rows(directory.path());
    let database = Connection::open(directory.path().join("milepost.db")).unwrap();
    database.execute_batch("CREATE TABLE friends (name TEXT)").unwrap();
    drop(database);
    let error = rotate(directory.path(), |_| Ok(rewriter("k2")), &mut |_| ()).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt(what) if what.contains("friends")), "{error}");
    let database = Connection::open(directory.path().join("milepost.db")).unwrap();
    database.execute_batch("DROP TABLE friends").unwrap();
    drop(database);
    assert_eq!(rows(directory.path()), before);
    assert!(!directory.path().join("milepost.db.new").exists());
}

/// Going on with another key on purpose is a statement in docs/security.md.
#[test]
fn the_keys_in_force_can_be_forgotten_on_purpose() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    rotate(directory.path(), |_| Ok(rewriter("k2")), &mut |_| ()).unwrap();
    let documented = include_str!("../../../../docs/security.md").split('"');
    let statement = documented.into_iter().find(|text| text.starts_with("UPDATE person_key ")).unwrap();
    Connection::open(directory.path().join("milepost.db")).unwrap().execute_batch(statement).unwrap();
    let forgotten = KeysInForce { count: 1, fingerprint: None };
    assert_eq!(open(directory.path()).keys_in_force().unwrap(), forgotten);
    let mut store = open(directory.path());
    store.note_key_fingerprint("another").unwrap();
    assert_eq!(store.keys_in_force().unwrap().fingerprint.as_deref(), Some("another"));
}
