//! Retention: whatever is dropped, and wherever it is cut off, no number changes and nothing is counted twice.

use std::collections::BTreeMap;
use std::path::Path;

use milepost_model::model::Encoder;
use milepost_model::{Body, Event, EventId, Model, Reason, Sealed, Timestamp};
use milepost_store::sqlite::{
    Checkpoints, Rewriter, Severity, Sqlite, Sweeper, backup, discard, examine, key_fingerprint, open_reader,
    restore, rotate,
};
use milepost_store::{Appended, Horizon, Retention, Store as _};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::support::{at, now, open, seal, used, winners};

const DAY: i64 = 86_400;

fn day(number: i64) -> Timestamp {
    at(number * DAY)
}

/// One of few events, on one of few days; what is equal in all is equal in content.
fn event() -> impl Strategy<Value = Event> {
    (0..8_u8, 0..3_u64, 0..8_i64, 0..3_usize, 0..5_u8).prop_map(|(id, revision, number, team, body)| {
        let mut event = used(&id.to_string(), revision, ["shop", "search", "ads"][team]);
        event.content.occurred_at = day(number);
        event.content.actor = Some(format!("person {}", id % 3));
        event.content.service = Some(format!("service {}", id % 2));
        event.content.body = match body {
            0 => Body::Retracted,
            1 => Body::OnboardingStarted,
            2 => Body::ServiceRegistered { owner: None, preexisting: false },
            _ => Body::CapabilityUsed,
        };
        event
    })
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Event>),
    Advance(i64),
    /// So many versions at a time, so often at most.
    Drop(usize, usize),
    Checkpoint,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(event(), 1..12).prop_map(Step::Append),
        2 => (0..8_i64).prop_map(Step::Advance),
        2 => (1..6_usize, 1..6_usize).prop_map(|(versions, times)| Step::Drop(versions, times)),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

/// What the store is meant to be: all versions, and the horizon.
#[derive(Default)]
struct Reference {
    kept: BTreeMap<EventId, Vec<Event>>,
    horizon: Option<Timestamp>,
}

impl Reference {
    fn winner(versions: &[Event]) -> Option<&Event> {
        versions.iter().max_by_key(|event| event.version())
    }

    /// Whether it is a duplicate, and whether it is refused.
    fn take(&mut self, event: &Event) -> (bool, bool) {
        let frozen = |event: &Event| self.horizon.is_some_and(|horizon| event.at() < horizon);
        let versions = self.kept.entry(event.id.clone()).or_default();
        if versions.contains(event) {
            return (true, false);
        }
        if frozen(event) || Self::winner(versions).is_some_and(frozen) {
            return (false, true);
        }
        versions.push(event.clone());
        (false, false)
    }

    fn model(&self) -> Model {
        let mut model = Model::new();
        self.kept
            .values()
            .filter_map(|versions| Self::winner(versions))
            .for_each(|event| model.insert(event));
        model
    }
}

/// As the keeper does.
fn take(store: &mut Sqlite, events: &[Event]) -> Vec<(bool, bool)> {
    let sealed = seal(events);
    let refusals = store.refusals(&sealed).unwrap();
    let refused = |place: usize| refusals.get(place).is_some_and(Option::is_some);
    let taken: Vec<Sealed> = sealed
        .into_iter()
        .enumerate()
        .filter(|(place, _)| !refused(*place))
        .map(|(_, event)| event)
        .collect();
    let mut appended = store.append(&taken, &[], now()).unwrap().into_iter();
    (0..events.len())
        .map(|place| {
            let is_refused = refused(place);
            (!is_refused && appended.next() == Some(Appended::Duplicate), is_refused)
        })
        .collect()
}

/// Drops what there is, so often at most; whether all is dropped.
fn sweep(store: &mut Sqlite, data: &Path, versions: usize, times: usize) -> bool {
    let mut sweeper = Sweeper::open(data).unwrap().with_steps_of(versions);
    let Some(Horizon { at, .. }) = sweeper.horizon().unwrap() else { return true };
    for _ in 0..times {
        let Some(dropping) = sweeper.next(at, || true).unwrap() else {
            store.retain(&Retention::Finish(at)).unwrap();
            return true;
        };
        store.retain(&Retention::Drop(dropping)).unwrap();
    }
    false
}

fn load(store: &mut Sqlite) -> Model {
    store.load(&mut |_, _| {}).unwrap().model
}

fn checkpoint(store: &mut Sqlite, data: &Path) {
    let model = load(store);
    Checkpoints::open(data).unwrap().write(Encoder::new(&model), |encoder| encoder.block(&model)).unwrap();
}

fn rewriter(pseudonym: impl Fn(&mut String) + 'static) -> Rewriter {
    Rewriter { fingerprint: key_fingerprint("00"), pseudonym: Box::new(pseudonym), payload: Box::new(|_| ()) }
}

fn damage(data: &Path) -> Vec<String> {
    let report = examine(data, &mut |_, _| {}).unwrap();
    let damage = report.findings.into_iter().filter(|finding| finding.severity == Severity::Damage);
    damage.map(|finding| finding.what).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    /// With and without a checkpoint, at every moment of a sweep, restarted or not, backed up and restored.
    #[test]
    fn no_number_changes(steps in prop::collection::vec(step(), 1..24)) {
        let directory = tempfile::tempdir().unwrap();
        let data = &directory.path().join("data");
        let mut store = open(data);
        let mut reference = Reference::default();
        for step in steps {
            match step {
                Step::Append(events) => {
                    let expected: Vec<_> = events.iter().map(|event| reference.take(event)).collect();
                    prop_assert_eq!(take(&mut store, &events), expected);
                }
                Step::Advance(number) => {
                    store.retain(&Retention::Advance(day(number))).unwrap();
                    reference.horizon = reference.horizon.max(Some(day(number)));
                }
                Step::Drop(versions, times) => drop(sweep(&mut store, data, versions, times)),
                Step::Checkpoint => checkpoint(&mut store, data),
                Step::Reopen => {
                    drop(store);
                    store = open(data);
                }
            }
            prop_assert_eq!(load(&mut store).fingerprint(), reference.model().fingerprint());
        }
        let horizon = open_reader(data).unwrap().horizon().unwrap();
        prop_assert_eq!(horizon.map(|horizon| horizon.at), reference.horizon);
        prop_assert_eq!(damage(data), Vec::<String>::new());
        discard(data).unwrap();
        prop_assert_eq!(load(&mut store).fingerprint(), reference.model().fingerprint());

        let (file, restored) = (directory.path().join("backup"), directory.path().join("restored"));
        backup(data, &file, None, now(), &mut |_| ()).unwrap();
        restore(&file, &restored, &mut |_| Ok(()), &mut |_| ()).unwrap();
        let mut restored_store = open(&restored);
        prop_assert_eq!(load(&mut restored_store).fingerprint(), reference.model().fingerprint());
        // What came once is recognised, dropped or not, and what is frozen stays so.
        let all: Vec<Event> = reference.kept.values().flatten().cloned().collect();
        prop_assert!(take(&mut restored_store, &all).iter().all(|(is_duplicate, _)| *is_duplicate));
    }

    /// Contents are gone exactly if they are dated before the horizon, and the rest is as it was.
    #[test]
    fn what_is_dropped_is_gone(events in prop::collection::vec(event(), 1..40), number in 0..9_i64, versions in 1..9_usize) {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let mut store = open(data);
        take(&mut store, &events);
        let before = winners(&mut *open_reader(data).unwrap());
        store.retain(&Retention::Advance(day(number))).unwrap();
        prop_assert!(sweep(&mut store, data, versions, usize::MAX));
        let kept: Vec<Event> = before.iter().filter(|event| event.at() >= day(number)).cloned().collect();
        prop_assert_eq!(winners(&mut *open_reader(data).unwrap()), kept);
        let database = Connection::open(data.join("milepost.db")).unwrap();
        let old = "SELECT count(*) FROM event WHERE digest IS NULL AND content ->> 'occurred_at' < ?1";
        let left: i64 = database.query_row(old, [day(number).to_string()], |row| row.get(0)).unwrap();
        prop_assert_eq!(left, 0);
        let horizon = open_reader(data).unwrap().horizon().unwrap().unwrap();
        let short = "SELECT count(*) FROM event WHERE digest IS NOT NULL AND content = ''";
        let dropped: i64 = database.query_row(short, [], |row| row.get(0)).unwrap();
        prop_assert_eq!((horizon.finished, horizon.dropped), (true, dropped as u64));
    }

    /// A rotation gives the persons in what is left of dropped events their new pseudonyms, too.
    #[test]
    fn persons_are_rotated(events in prop::collection::vec(event(), 1..40), number in 0..9_i64) {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let mut store = open(data);
        // One content for each revision: which of two wins is decided by nothing that a rotation changes.
        let mut seen = std::collections::BTreeSet::new();
        let events: Vec<Event> =
            events.into_iter().filter(|event| seen.insert((event.id.clone(), event.revision))).collect();
        take(&mut store, &events);
        store.retain(&Retention::Advance(day(number))).unwrap();
        sweep(&mut store, data, 3, usize::MAX);
        drop(store);
        let rename = |name: &mut String| *name = format!("{name} renamed");
        rotate(data, |_| Ok(rewriter(rename)), &mut |_| ()).unwrap();
        let mut reference = Reference::default();
        for event in &events {
            let mut event = event.clone();
            event.content.persons_mut().for_each(rename);
            reference.take(&event);
        }
        let mut store = open(data);
        prop_assert_eq!(load(&mut store).fingerprint(), reference.model().fingerprint());
        prop_assert_eq!(damage(data), Vec::<String>::new());
    }

    /// Versions that only their digests order may change places by a rotation; frozen ones do not, and it stays sound.
    #[test]
    fn a_rotation_leaves_frozen_winners(events in prop::collection::vec(event(), 1..60), number in 0..9_i64) {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let mut store = open(data);
        let mut events = events;
        events.iter_mut().for_each(|event| event.revision = 0);
        take(&mut store, &events);
        store.retain(&Retention::Advance(day(number))).unwrap();
        sweep(&mut store, data, 3, usize::MAX);
        let before = load(&mut store);
        drop(store);
        // Nobody's name changes, so nothing else may.
        rotate(data, |_| Ok(rewriter(|_| ())), &mut |_| ()).unwrap();
        prop_assert_eq!(load(&mut open(data)).fingerprint(), before.fingerprint());
        rotate(data, |_| Ok(rewriter(|name| name.push('!'))), &mut |_| ()).unwrap();
        prop_assert_eq!(load(&mut open(data)).events(), before.events());
        prop_assert_eq!(damage(data), Vec::<String>::new());
    }
}

/// A directory of ten days, of which the first five are dropped.
fn dropped(data: &Path) -> Sqlite {
    let mut store = open(data);
    let events: Vec<Event> = (0..1_000)
        .map(|id: i64| {
            let mut event = used(&format!("{id:036}"), 1, "shop");
            event.content.occurred_at = day(id / 100);
            event
        })
        .collect();
    take(&mut store, &events);
    store.retain(&Retention::Advance(day(5))).unwrap();
    assert!(sweep(&mut store, data, 64, usize::MAX));
    store
}

#[test]
fn refusals_name_the_horizon() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = dropped(directory.path());
    let mut late = used("late", 0, "shop");
    late.content.occurred_at = at(5 * DAY - 1);
    let mut other = used(&format!("{:036}", 0), 2, "shop");
    other.content.body = Body::Retracted;
    other.content.occurred_at = day(9);
    let mut in_time = late.clone();
    in_time.content.occurred_at = day(5);
    let refusals = store.refusals(&seal(&[late, other, in_time])).unwrap();
    let [Some(late), Some(other), None] = &refusals[..] else { panic!("{refusals:?}") };
    for (refusal, field) in [(late, "occurred_at"), (other, "id")] {
        assert_eq!((refusal.reason, refusal.field.as_str()), (Reason::BeforeHorizon, field));
        assert!(refusal.message.contains("1970-01-06T00:00:00"), "{refusal}");
    }
}

#[test]
fn a_store_without_a_horizon_refuses_nothing_and_a_horizon_never_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    assert_eq!(store.refusals(&seal(&[used("1", 0, "shop")])).unwrap(), []);
    assert_eq!(open_reader(directory.path()).unwrap().horizon().unwrap(), None);
    for number in [5, 3] {
        store.retain(&Retention::Advance(day(number))).unwrap();
        let horizon = open_reader(directory.path()).unwrap().horizon().unwrap();
        assert_eq!(horizon, Some(Horizon { at: day(5), finished: false, dropped: 0 }));
        let mut event = used("1", 0, "shop");
        event.content.occurred_at = day(4);
        assert!(store.refusals(&seal(&[event])).unwrap()[0].is_some());
    }
}

#[test]
fn a_step_that_was_done_is_not_done_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mut store = dropped(data);
    store.retain(&Retention::Advance(day(6))).unwrap();
    let prepare = || Sweeper::open(data).unwrap().next(day(6), || true).unwrap().unwrap();
    let (first, again) = (prepare(), prepare());
    store.retain(&Retention::Drop(first)).unwrap();
    let expected = load(&mut store).fingerprint();
    assert!(store.retain(&Retention::Drop(again)).is_err());
    assert_eq!(load(&mut store).fingerprint(), expected);
    assert_eq!(open_reader(data).unwrap().horizon().unwrap().unwrap().dropped, 600);
}

#[test]
fn a_sweep_can_be_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = dropped(directory.path());
    store.retain(&Retention::Advance(day(6))).unwrap();
    let mut sweeper = Sweeper::open(directory.path()).unwrap();
    assert!(sweeper.next(day(6), || false).unwrap().is_none());
    assert!(sweeper.next(day(6), || true).unwrap().is_some());
}

/// The room of what was dropped is taken by what comes.
#[test]
fn the_file_stops_growing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mut store = open(data);
    let mut pages = Vec::new();
    for round in 0..40_i64 {
        let events: Vec<Event> = (0..500)
            .map(|id| {
                let mut event = used(&format!("{round}-{id}"), 1, "shop");
                event.content.capability = Some("x".repeat(250));
                event.content.service = Some("y".repeat(250));
                event.content.occurred_at = day(round);
                event
            })
            .collect();
        take(&mut store, &events);
        if round > 4 {
            store.retain(&Retention::Advance(day(round - 4))).unwrap();
            assert!(sweep(&mut store, data, 100, usize::MAX));
        }
        let database = Connection::open(data.join("milepost.db")).unwrap();
        pages.push(database.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap());
    }
    // Thirty-five rounds of which the contents are gone; five with them were 40 pages each.
    let (early, late) = (pages[4], pages[39]);
    let kept_whole = pages[3] - pages[2];
    assert!(late - early < 35 * kept_whole / 2, "{pages:?}");
}

#[test]
fn the_doctor_sees_what_is_lost() {
    let broken = |sql: &str| {
        let directory = tempfile::tempdir().unwrap();
        drop(dropped(directory.path()));
        assert_eq!(damage(directory.path()), Vec::<String>::new());
        Connection::open(directory.path().join("milepost.db")).unwrap().execute_batch(sql).unwrap();
        damage(directory.path()).join("; ")
    };
    let cut = "UPDATE frozen SET model = substr(model, 1, length(model) - 1) WHERE number = 1";
    assert!(broken(cut).contains("cannot be read"));
    assert!(broken("UPDATE frozen SET form = 77").contains("upgrade milepost"));
    assert!(broken("DELETE FROM frozen WHERE number = 1").contains("there are facts of"));
    for digest in ["x'00'", "NULL", "zeroblob(32)"] {
        let changed = format!("UPDATE event SET digest = {digest} WHERE seq = 1");
        assert!(broken(&changed).contains("event 1 "), "{digest}: {}", broken(&changed));
    }
    assert!(broken("DELETE FROM horizon").contains("0 contents are said to be dropped, and 500 are"));
    let back = "UPDATE horizon SET at = at + 86400000000";
    assert!(broken(back).contains("dated before the horizon"));
}

#[test]
fn a_damaged_rest_is_not_served() {
    let directory = tempfile::tempdir().unwrap();
    drop(dropped(directory.path()));
    let database = Connection::open(directory.path().join("milepost.db")).unwrap();
    database.execute("UPDATE frozen SET model = zeroblob(99) WHERE number = 2", []).unwrap();
    let error = open(directory.path()).load(&mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("row 2 of frozen"), "{error}");
}
