//! What can only be tested from inside.

use milepost_model::{Body, Content, Door, EventId, Reason, Refusal};
use rusqlite::ErrorCode;

use super::*;
use crate::Effect;

fn sealed(ids: std::ops::Range<u32>) -> Vec<Sealed> {
    ids.map(|id| {
        let id = EventId { source: "ci".to_owned(), id: id.to_string() };
        let content = Content {
            actor: None,
            body: Body::CapabilityUsed,
            capability: Some("pipeline".to_owned()),
            occurred_at: Timestamp::MIN,
            service: None,
            team: Some("a".to_owned()),
        };
        Sealed::new(Event { id, revision: 0, content })
    })
    .collect()
}

fn versions(store: &Sqlite) -> u64 {
    store.reader().unwrap().sizes().unwrap().versions
}

fn max_page_count(store: &Sqlite, pages: u32) {
    store.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
}

#[test]
fn a_full_disk_hands_the_batch_back_and_takes_it_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path(), Options::default()).unwrap();
    store.append(&sealed(0..10), &[], Timestamp::MIN).unwrap();
    max_page_count(&store, 20);
    for _ in 0..2 {
        let error = store.append(&sealed(5..2_000), &[], Timestamp::MIN).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert_eq!(versions(&store), 10);
    }
    store.append(&sealed(10..11), &[], Timestamp::MIN).unwrap();
    max_page_count(&store, u32::MAX);
    let appended = store.append(&sealed(5..2_000), &[], Timestamp::MIN).unwrap();
    let is_new = |appended: &&Appended| **appended != Appended::Duplicate;
    assert_eq!(appended.iter().filter(is_new).count(), 1_989);
    assert_eq!(versions(&store), 2_000);
}

#[test]
fn a_retry_that_fails_leaves_everything_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path(), Options::default()).unwrap();
    let refused = Rejected {
        refusal: Refusal::new(Reason::TooManyNames, "team", "a new name"),
        door: Door::Http,
        source: None,
        id: None,
        payload: None,
    };
    store.append(&[], &vec![refused; 2_000], Timestamp::MIN).unwrap();
    let quarantined = |store: &Sqlite| store.reader().unwrap().sizes().unwrap().quarantined;
    let retried = Retried { events: sealed(0..2_000), numbers: (1..=2_000).collect(), refused: Vec::new() };
    let pages: u32 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    max_page_count(&store, pages + 1);
    let error = store.retry(&retried, Timestamp::MIN, false).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!((versions(&store), quarantined(&store)), (0, 2_000));
    max_page_count(&store, u32::MAX);
    store.retry(&retried, Timestamp::MIN, false).unwrap();
    assert_eq!((versions(&store), quarantined(&store)), (2_000, 0));
}

#[test]
fn readers_do_not_see_what_is_not_committed() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path(), Options::default()).unwrap();
    let mut reader = store.reader().unwrap();
    let transaction = store.connection.transaction().unwrap();
    let appended = events::append(&transaction, &mut store.identity, &sealed(0..1), Timestamp::MIN).unwrap();
    assert_eq!(appended, [Appended::Stored { effect: Effect::Wins, conflict: false }]);
    assert_eq!(reader.sizes().unwrap().versions, 0);
    transaction.commit().unwrap();
    assert_eq!(reader.sizes().unwrap().versions, 1);
}

#[test]
fn a_migration_happens_wholly_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(DATABASE);
    let mut connection = Connection::open(&path).unwrap();
    let [one, two] = ["CREATE TABLE one (n);", "CREATE TABLE two (n);"].map(schema::Step::Sql);
    let nonsense = schema::Step::Sql("nonsense;");
    schema::migrate(&mut connection, 0, &[&[one], &[two, nonsense]]).unwrap_err();
    let format: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(format, 1);
    schema::migrate(&mut connection, format as usize, &[&[one], &[two]]).unwrap();
    connection.execute_batch("SELECT * FROM one, two").unwrap();
}

#[test]
fn the_pragmas_that_make_an_ack_durable_are_set() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(directory.path(), Options::default()).unwrap();
    let text = |name| store.connection.pragma_query_value(None, name, |row| row.get::<_, String>(0)).unwrap();
    let number = |name| store.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(text("journal_mode"), "wal");
    assert_eq!(number("synchronous"), 2);
    assert_eq!(number("cache_size"), -16_384);
    assert_eq!(number("page_size"), 16_384);
    assert_eq!(number("wal_autocheckpoint"), 1_024);
    assert_eq!(number("journal_size_limit"), 64 << 20);
}

#[test]
fn errors_say_whether_trying_again_helps() {
    let from = |code: ErrorCode, result| {
        StoreError::from(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error { code, extended_code: result },
            None,
        ))
    };
    assert!(matches!(from(ErrorCode::SystemIoFailure, 10), StoreError::Unavailable(_)));
    assert!(matches!(from(ErrorCode::DatabaseBusy, 5), StoreError::Unavailable(_)));
    assert!(matches!(from(ErrorCode::DatabaseCorrupt, 11), StoreError::Corrupt(_)));
    assert!(matches!(from(ErrorCode::ReadOnly, 8), StoreError::Io(_)));
}

#[test]
fn a_sqlite_that_can_corrupt_its_wal_is_refused() {
    assert!(schema::require_version(3_051_002).is_err());
    assert!(schema::require_version(3_051_003).is_ok());
}
