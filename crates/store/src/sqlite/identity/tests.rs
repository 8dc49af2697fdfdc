//! Damage, crashes between any two steps, and keys that two identities share.

use std::ops::RangeInclusive;
use std::path::Path;

use milepost_model::{Body, Content, Event, EventId, Sealed, Timestamp};
use proptest::prelude::*;

use super::super::{Options, Sqlite, open_reader};
use super::*;
use crate::{Appended, Effect, Store};

/// Small enough that a few events make runs, and runs of runs.
const UNIT: u32 = 3;

fn open(directory: &Path) -> Sqlite {
    Sqlite::open(directory, Options { identity_tail: UNIT, ..Options::default() }).unwrap()
}

fn id(number: u32) -> EventId {
    EventId { source: "ci".to_owned(), id: number.to_string() }
}

fn sealed(ids: RangeInclusive<u32>) -> Vec<Sealed> {
    ids.map(|number| {
        let content = Content {
            actor: None,
            body: Body::CapabilityUsed,
            capability: None,
            occurred_at: Timestamp::MIN,
            service: None,
            team: Some("a".to_owned()),
        };
        Sealed::new(Event { id: id(number), revision: 0, content })
    })
    .collect()
}

fn append(store: &mut Sqlite, ids: RangeInclusive<u32>) -> Vec<Appended> {
    store.append(&sealed(ids), &[], Timestamp::MIN).unwrap()
}

/// Lets the threads finish all there is to do, and everything be registered.
fn settle(store: &mut Sqlite) {
    while store.identity.is_busy() {
        store.append(&[], &[], Timestamp::MIN).unwrap();
        thread::yield_now();
    }
    store.append(&[], &[], Timestamp::MIN).unwrap();
}

/// With so many events, one commit each, in runs that are settled.
fn filled(directory: &Path, events: u32) -> Sqlite {
    let mut store = open(directory);
    for number in 1..=events {
        append(&mut store, number..=number);
        settle(&mut store);
    }
    store
}

/// Whether these and no others are known, to a writer and to a reader.
fn assert_knows(store: &mut Sqlite, last: u32) {
    let mut reader = store.reader().unwrap();
    for number in 1..=last {
        assert_eq!(
            reader.find(id(number).key(), Timestamp::MIN).unwrap(),
            [id(number)],
            "a reader finds {number}"
        );
    }
    assert_eq!(reader.find(id(last + 1).key(), Timestamp::MIN).unwrap(), []);
    let appended = append(store, 1..=last);
    assert_eq!(appended, vec![Appended::Duplicate; last as usize]);
    let new = append(store, last + 1..=last + 1);
    assert_eq!(new, [Appended::Stored { effect: Effect::Wins, conflict: false }]);
    assert_eq!(reader.find(id(last + 1).key(), Timestamp::MIN).unwrap(), [id(last + 1)]);
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(directory.join(DIRECTORY)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The files that are registered.
fn registered(store: &Sqlite) -> Vec<PathBuf> {
    let registered = table::registered(&store.connection).unwrap();
    let mut files: Vec<_> =
        registered.iter().map(|run| run::path(&store.identity.directory, run.number)).collect();
    files.sort();
    files
}

#[test]
fn runs_cover_all_but_the_tail_and_are_few() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(directory.path(), 100);
    let ranges: Vec<_> = store.identity.runs.iter().map(|run| run.registration()).collect();
    assert_eq!(ranges.first().unwrap().first, 1);
    assert!(ranges.windows(2).all(|pair| pair[0].last + 1 == pair[1].first), "{ranges:?}");
    assert_eq!(store.identity.covered() + store.identity.tail.len() as i64, 100);
    assert!(ranges.len() <= 9, "{ranges:?}");
    for run in &store.identity.runs {
        let mut scan = run.scan();
        let mut entries = Vec::new();
        while let Some(entry) = scan.next().unwrap() {
            entries.push(entry);
        }
        assert!(
            entries.is_sorted()
                && entries.len() as i64 == run.registration().last + 1 - run.registration().first
        );
    }
    assert_eq!(files(directory.path()), registered(&store));
    assert_knows(&mut store, 100);
}

#[test]
fn identities_that_share_a_key_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(directory.path(), 1);
    // As if the key of the second event were that of the first.
    let mut entries = [(id(1).key().0, 1), (id(2).key().0, 1)];
    entries.sort_unstable();
    let run = table::write(&store.identity.directory, 77, (1, 1), &entries).unwrap();
    table::register(&store.connection, std::iter::once(run.registration())).unwrap();
    drop(store);
    store = open(directory.path());
    assert_eq!(append(&mut store, 2..=2), [Appended::Stored { effect: Effect::Wins, conflict: false }]);
    let mut found = Vec::new();
    store.identity.find(&store.connection, id(2).key().0, true, &mut found).unwrap();
    assert_eq!(found, [1, 2]);
    let mut reader = store.reader().unwrap();
    // Both happened at the same instant: whoever asks with a key and an instant gets both.
    assert_eq!(reader.find(id(2).key(), Timestamp::MIN).unwrap(), [id(1), id(2)]);
    assert_eq!(reader.find(id(1).key(), Timestamp::MIN).unwrap(), [id(1)]);
}

#[test]
fn many_versions_of_an_event_are_all_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    // More than fit in a block.
    for revision in 0..600_u64 {
        let mut event = sealed(7..=7)[0].event.clone();
        event.revision = revision;
        store.append(&[Sealed::new(event)], &[], Timestamp::MIN).unwrap();
    }
    settle(&mut store);
    let mut found = Vec::new();
    store.identity.find(&store.connection, id(7).key().0, true, &mut found).unwrap();
    found.sort_unstable();
    assert!(found.into_iter().eq(1..=600));
}

#[test]
fn a_store_can_be_closed_and_opened_at_any_point() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..40 {
        // Not settled: jobs are under way, finished, or not yet registered.
        let mut store = open(directory.path());
        append(&mut store, number + 1..=number + 1);
    }
    let mut store = open(directory.path());
    assert_knows(&mut store, 40);
    settle(&mut store);
    assert_eq!(files(directory.path()), registered(&store));
}

#[test]
fn what_nobody_registered_is_deleted_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 20);
    let before = registered(&store);
    let identity = &store.identity;
    // Killed while writing a run; after renaming it, before registering it; after registering, before deleting.
    let mut half = run::RunWriter::new(&identity.directory, 900, (1, 20), 20).unwrap();
    half.push((1, 1)).unwrap();
    drop(half);
    table::write(&identity.directory, 901, (1, 20), &[(1, 1)]).unwrap();
    fs::copy(&before[0], run::path(&identity.directory, 902)).unwrap();
    assert_eq!(files(directory.path()).len(), before.len() + 3);
    drop(store);
    let mut store = open(directory.path());
    assert_eq!(files(directory.path()), before);
    assert!(store.identity.next_number > 902, "a number is not given twice");
    assert_knows(&mut store, 20);
}

#[test]
fn what_is_made_anew_at_a_start_is_not_made_again_at_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(directory.path(), 20);
    let lost = registered(&store)[0].clone();
    drop(store);
    fs::remove_file(&lost).unwrap();
    let at_a_start = || {
        let store = open(directory.path());
        let registered = registered(&store);
        assert!(!registered.contains(&lost) && registered.iter().all(|run| run.exists()), "{registered:?}");
        registered
    };
    assert_eq!(at_a_start(), at_a_start());
    assert_knows(&mut open(directory.path()), 20);
}

#[test]
fn a_failed_commit_takes_its_identities_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(directory.path(), 5);
    store
        .connection
        .execute_batch("CREATE TRIGGER no BEFORE INSERT ON quarantine BEGIN SELECT raise(ABORT, 'no'); END")
        .unwrap();
    let refused = milepost_model::Rejected {
        refusal: milepost_model::Refusal::new(milepost_model::Reason::Malformed, "", ""),
        door: milepost_model::Door::Http,
        source: None,
        id: None,
        payload: None,
    };
    store.append(&sealed(6..=9), &[refused], Timestamp::MIN).unwrap_err();
    let new = append(&mut store, 6..=9);
    assert!(new.iter().all(|appended| *appended != Appended::Duplicate), "{new:?}");
    assert_knows(&mut store, 9);
}

#[test]
fn without_room_for_a_run_the_tail_grows() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(directory.path(), 2);
    // A file where the directory should be.
    let aside = directory.path().join("aside");
    fs::rename(directory.path().join(DIRECTORY), &aside).unwrap();
    fs::write(directory.path().join(DIRECTORY), "").unwrap();
    for number in 3..=20 {
        append(&mut store, number..=number);
        settle(&mut store);
    }
    assert_eq!((store.identity.runs.len(), store.identity.tail.len()), (0, 20));
    fs::remove_file(directory.path().join(DIRECTORY)).unwrap();
    fs::rename(&aside, directory.path().join(DIRECTORY)).unwrap();
    assert_knows(&mut store, 20);
    append(&mut store, 22..=30);
    settle(&mut store);
    assert_eq!((store.identity.covered(), store.identity.tail.len()), (30, 0));
    assert_knows(&mut store, 30);
}

#[derive(Debug, Clone)]
enum Damage {
    Missing,
    Cut(prop::sample::Index),
    Flipped(prop::sample::Index, u8),
    Swapped,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        1 => Just(Damage::Missing),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        4 => (any::<prop::sample::Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flipped(at, bit)),
        1 => Just(Damage::Swapped),
    ]
}

fn inflict(damage: &Damage, file: &Path, other: &Path) {
    let mut bytes = fs::read(file).unwrap();
    match damage {
        Damage::Missing => return fs::remove_file(file).unwrap(),
        // It was cut already, and nothing is left to damage.
        Damage::Cut(_) | Damage::Flipped(..) if bytes.is_empty() => {}
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Flipped(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Damage::Swapped => bytes = fs::read(other).unwrap(),
    }
    fs::write(file, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Found at the next start, or, if the store is open, when it is read.
    #[test]
    fn a_damaged_run_is_made_anew(
        damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4),
        reopened in any::<bool>(),
        settled in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Some(filled(directory.path(), 29));
        let runs = store.as_ref().map(registered).unwrap();
        prop_assert!(runs.len() > 2);
        if reopened {
            store = None;
        }
        for (which, damage) in &damages {
            let which = which.index(runs.len());
            let other = &runs[(which + 1) % runs.len()];
            if runs[which].exists() && other.exists() {
                inflict(damage, &runs[which], other);
            }
        }
        // A reader cannot mend it, but finds everything.
        let mut reader = open_reader(directory.path()).unwrap();
        for number in 1..=29 {
            prop_assert_eq!(reader.find(id(number).key(), Timestamp::MIN).unwrap(), vec![id(number)]);
        }
        let mut store = store.unwrap_or_else(|| open(directory.path()));
        if settled {
            settle(&mut store);
        }
        assert_knows(&mut store, 29);
        // What was deleted under an open store is missed at the next start.
        drop(store);
        store = open(directory.path());
        settle(&mut store);
        prop_assert_eq!(files(directory.path()), registered(&store));
    }
}
