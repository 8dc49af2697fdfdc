//! Refused events: how many are kept, and what becomes of those that are tried again.

use milepost_model::{Payload, Reason, Refusal, Span};
use milepost_store::sqlite::{Options, Sqlite, examine};
use milepost_store::{Appended, Effect, Reader, Retried, Sizes, Store};
use proptest::prelude::*;

use crate::support::{at, now, open, rejected, seal, used, winners};

fn numbers(reader: &mut dyn Reader) -> Vec<u64> {
    reader.refusals(0, usize::MAX).unwrap().into_iter().map(|refusal| refusal.number).collect()
}

/// What [`rejected`] is counted as, beside its payload and id.
fn bytes_of_one(reader: &mut dyn Reader) -> u64 {
    let one = &reader.refusals(0, 1).unwrap()[0].rejected;
    (one.refusal.field.len() + one.refusal.message.len() + "portal".len()) as u64
}

#[test]
fn what_is_taken_after_all_leaves_and_what_is_not_stays_with_its_new_reason() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let refused: Vec<_> =
        ["1", "2", "3", "4"].map(|id| rejected(id, Some(Payload::Json("{}".into())))).to_vec();
    store.append(&seal(&[used("2", 0, "a")]), &refused, now()).unwrap();
    let refusal = Refusal::new(Reason::TooManyNames, "team", "still");
    let retried = Retried {
        events: seal(&[used("1", 0, "a"), used("2", 0, "a"), used("9", 0, "a")]),
        // The last has been dropped meanwhile.
        numbers: vec![1, 2, 77],
        refused: vec![(3, refusal.clone()), (78, refusal.clone())],
    };
    let stored = Appended::Stored { effect: Effect::Wins, conflict: false };
    let expected = [stored.clone(), Appended::Duplicate, stored];

    let rehearsed = store.retry(&retried, now(), true).unwrap();
    assert_eq!(rehearsed, expected);
    let mut reader = store.reader().unwrap();
    assert_eq!((numbers(&mut *reader), winners(&mut *reader).len()), (vec![1, 2, 3, 4], 1));

    assert_eq!(store.retry(&retried, now(), false).unwrap(), expected);
    assert_eq!(winners(&mut *reader), [used("2", 0, "a"), used("1", 0, "a"), used("9", 0, "a")]);
    let [still, untouched] = reader.refusals(0, 10).unwrap().try_into().unwrap();
    assert_eq!((still.number, &still.rejected.refusal), (3, &refusal));
    assert_eq!((still.rejected.id.as_deref(), still.at), (Some("3"), now()));
    assert_eq!((untouched.number, &untouched.rejected), (4, &refused[3]));
    let sizes = reader.sizes().unwrap();
    let of_texts =
        bytes_of_one(&mut *reader) + 3 + (untouched.rejected.refusal.message.len() + 10 + 9) as u64;
    assert_eq!((sizes.quarantined, sizes.quarantined_bytes), (2, of_texts));
    assert_eq!(examine(directory.path(), &mut |_, _| ()).unwrap().findings.len(), 1, "the note of refusals");
    // Numbers are never given twice.
    store.append(&[], &refused[..1], now()).unwrap();
    assert_eq!(numbers(&mut *reader), [3, 4, 5]);
}

#[test]
fn pages_go_from_the_oldest_to_the_newest() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.append(&[], &vec![rejected("1", None); 5], now()).unwrap();
    store.retry(&Retried { numbers: vec![2], ..Retried::default() }, now(), false).unwrap();
    let mut reader = store.reader().unwrap();
    let mut page = |after| -> Vec<u64> {
        reader.refusals(after, 2).unwrap().into_iter().map(|refusal| refusal.number).collect()
    };
    assert_eq!([page(0), page(3), page(5), page(u64::MAX)], [vec![1, 3], vec![4, 5], vec![], vec![]]);
}

#[test]
fn bytes_are_limited_too_and_what_was_dropped_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { quarantine_bytes: 1_000, ..Options::default() };
    let mut store = Sqlite::open(directory.path(), options).unwrap();
    let of = |bytes| rejected("1", Some(Payload::Json("x".repeat(bytes))));
    let mut reader = store.reader().unwrap();
    for (batch, expected, dropped) in [
        (vec![of(400), of(400)], vec![1, 2], 0),
        (vec![of(300)], vec![2, 3], 1),
        (vec![of(10)], vec![2, 3, 4], 1),
        // Larger than all that is kept, alone.
        (vec![of(2_000), of(10)], vec![6], 5),
    ] {
        store.append(&[], &batch, now()).unwrap();
        assert_eq!(numbers(&mut *reader), expected);
        let sizes = reader.sizes().unwrap();
        assert_eq!((sizes.quarantined, sizes.quarantine_dropped), (expected.len() as u64, dropped));
        assert!(sizes.quarantined_bytes <= 1_000);
    }
}

#[test]
fn what_is_too_old_is_dropped_by_the_commits_that_follow() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { quarantine_age: Some(Span::from_seconds(100)), ..Options::default() };
    let mut store = Sqlite::open(directory.path(), options).unwrap();
    let mut reader = store.reader().unwrap();
    let refused = [rejected("1", None)];
    for (second, refusals, expected) in [
        (0, &refused[..], vec![1]),
        (100, &refused[..], vec![1, 2]),
        (101, &refused[..], vec![2, 3]),
        // Without refusals it is looked once an hour.
        (3_599, &[][..], vec![2, 3]),
        (3_600, &[][..], vec![]),
    ] {
        store.append(&[], refusals, at(second)).unwrap();
        assert_eq!(numbers(&mut *reader), expected, "after {second} seconds");
    }
    assert_eq!(reader.sizes().unwrap().quarantine_dropped, 3);
}

/// What may happen to a quarantine.
#[derive(Debug, Clone)]
enum Step {
    Refuse(Vec<usize>),
    Take(Vec<u64>),
    Reason(u64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(0..300_usize, 0..5).prop_map(Step::Refuse),
        prop::collection::vec(1..30_u64, 0..4).prop_map(Step::Take),
        (1..30_u64, 0..40_usize).prop_map(|(number, length)| Step::Reason(number, length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// With gaps or without: never more than the limits, never less than they allow, and the totals are those of the rows.
    #[test]
    fn the_newest_are_kept_within_both_limits(steps in prop::collection::vec(step(), 1..20)) {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { quarantine_rows: 6, quarantine_bytes: 1_000, ..Options::default() };
        let mut store = Sqlite::open(directory.path(), options).unwrap();
        let mut reader = store.reader().unwrap();
        let mut kept: Vec<(u64, u64)> = Vec::new();
        let (mut next, mut dropped) = (1, 0);
        let fixed = ("body.score".len() + "portal".len() + "1".len()) as u64;
        for step in steps {
            match step {
                Step::Refuse(lengths) => {
                    let refused: Vec<_> =
                        lengths.iter().map(|length| rejected("1", Some(Payload::Json("x".repeat(*length))))).collect();
                    store.append(&[], &refused, now()).unwrap();
                    for (length, one) in lengths.iter().zip(&refused) {
                        kept.push((next, fixed + (one.refusal.message.len() + length) as u64));
                        next += 1;
                    }
                    while !lengths.is_empty() && (kept.len() > 6 || kept.iter().map(|(_, bytes)| bytes).sum::<u64>() > 1_000) {
                        kept.remove(0);
                        dropped += 1;
                    }
                }
                Step::Take(numbers) => {
                    kept.retain(|(number, _)| !numbers.contains(number));
                    store.retry(&Retried { numbers, ..Retried::default() }, now(), false).unwrap();
                }
                Step::Reason(number, length) => {
                    let refusal = Refusal::new(Reason::Future, "body.score", "y".repeat(length));
                    for one in reader.refusals(number - 1, 1).unwrap().iter().filter(|one| one.number == number) {
                        let before = one.rejected.refusal.message.len() as u64;
                        kept.iter_mut().filter(|(kept, _)| *kept == number).for_each(|(_, bytes)| *bytes = *bytes - before + length as u64);
                    }
                    let refused = vec![(number, refusal)];
                    store.retry(&Retried { refused, ..Retried::default() }, now(), false).unwrap();
                }
            }
            prop_assert_eq!(numbers(&mut *reader), kept.iter().map(|(number, _)| *number).collect::<Vec<_>>());
            let Sizes { quarantined, quarantined_bytes, quarantine_dropped, .. } = reader.sizes().unwrap();
            prop_assert_eq!(quarantined, kept.len() as u64);
            prop_assert_eq!(quarantined_bytes, kept.iter().map(|(_, bytes)| bytes).sum::<u64>());
            prop_assert_eq!(quarantine_dropped, dropped);
        }
    }
}
