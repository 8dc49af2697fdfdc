//! The laws of the store, against a model that is a map of sets.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{at, now, open, rejected, seal, winners};
use milepost_model::{Body, Content, Event, EventId, Version};
use milepost_store::sqlite::{Options, Sqlite};
use milepost_store::{Appended, Effect, Sizes, Store};
use proptest::prelude::*;

/// What the store is meant to be.
#[derive(Default)]
struct Reference {
    kept: BTreeMap<EventId, BTreeMap<Version, (usize, Event)>>,
    sizes: Sizes,
}

impl Reference {
    fn append(&mut self, event: &Event) -> Appended {
        let version = event.version();
        let versions = self.kept.entry(event.id.clone()).or_default();
        if versions.contains_key(&version) {
            return Appended::Duplicate;
        }
        let conflict = versions.keys().any(|other| other.revision == version.revision);
        let effect = match versions.last_key_value() {
            None => Effect::Wins,
            Some((winner, (_, event))) if *winner < version => Effect::Replaces(Box::new(event.clone())),
            Some(_) => Effect::Loses,
        };
        self.sizes.versions += 1;
        self.sizes.superseded += u64::from(effect != Effect::Wins);
        versions.insert(version, (self.sizes.versions as usize, event.clone()));
        Appended::Stored { effect, conflict }
    }

    fn winner(&self, id: &EventId) -> Event {
        self.kept[id].last_key_value().unwrap().1.1.clone()
    }

    fn winners(&self) -> Vec<Event> {
        let mut winners: Vec<_> = self
            .kept
            .values()
            .filter_map(|versions| versions.last_key_value())
            .map(|(_, kept)| kept)
            .collect();
        winners.sort_by_key(|(order, _)| *order);
        winners.into_iter().map(|(_, event)| event.clone()).collect()
    }
}

/// Few identities, revisions and contents, so that they meet.
fn events() -> impl Strategy<Value = Event> {
    let body = prop_oneof![
        4 => Just(Body::CapabilityUsed),
        1 => Just(Body::Retracted),
        1 => any::<bool>().prop_map(|preexisting| Body::ServiceRegistered { owner: None, preexisting }),
    ];
    let revision = prop_oneof![6 => 0..3_u64, 1 => Just(u64::MAX)];
    let text = prop_oneof![4 => "[ab]", 1 => any::<String>()];
    (
        prop::sample::select(vec!["ci", "portal", "é\0"]),
        "[1-4]",
        revision,
        body,
        prop::option::of(text),
        0..2_i64,
    )
        .prop_map(|(source, id, revision, body, team, second)| Event {
            id: EventId { source: source.to_owned(), id },
            revision,
            content: Content {
                actor: None,
                body,
                capability: None,
                occurred_at: at(second),
                service: None,
                team,
            },
        })
}

#[derive(Debug, Clone)]
enum Step {
    Append { events: Vec<Event>, refusals: usize },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let append = (prop::collection::vec(events(), 0..12), 0..3_usize)
        .prop_map(|(events, refusals)| Step::Append { events, refusals });
    prop::collection::vec(prop_oneof![4 => append, 1 => Just(Step::Reopen)], 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_to_the_largest_version(steps in steps(), identity_tail in 1..6_u32) {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { identity_tail, ..Options::default() };
        let open = |path: &Path| Sqlite::open(path, options).unwrap();
        let mut store = open(directory.path());
        let mut reader = store.reader().unwrap();
        let mut reference = Reference::default();
        for step in steps {
            match step {
                Step::Append { events, refusals } => {
                    let refused = vec![rejected("1", None); refusals];
                    let appended = store.append(&seal(&events), &refused, now()).unwrap();
                    let expected: Vec<_> = events.iter().map(|event| reference.append(event)).collect();
                    reference.sizes.quarantined += refusals as u64;
                    prop_assert_eq!(appended, expected);
                    for event in &events {
                        let winner = reference.winner(&event.id);
                        let at = winner.at();
                        prop_assert_eq!(reader.find(event.id.key(), at).unwrap(), vec![winner.id]);
                    }
                }
                Step::Reopen => {
                    drop(store);
                    store = open(directory.path());
                }
            }
        }
        let mut replayed = Vec::new();
        store.replay(&mut |event| replayed.push(event.clone())).unwrap();
        prop_assert_eq!(&replayed, &reference.winners());
        prop_assert_eq!(&winners(&mut *reader), &replayed);
        let sizes = reader.sizes().unwrap();
        prop_assert!(sizes.bytes > 0);
        prop_assert_eq!(Sizes { bytes: 0, quarantined_bytes: 0, ..sizes }, reference.sizes);
        for event in &replayed {
            prop_assert_eq!(reader.find(event.id.key(), event.at()).unwrap(), vec![event.id.clone()]);
            prop_assert_eq!(reader.find(event.id.key(), at(99)).unwrap(), vec![]);
        }
    }

    #[test]
    fn neither_batches_nor_order_matter(
        (events, shuffled) in prop::collection::vec(events(), 0..30)
            .prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        size in 1..10_usize,
    ) {
        let [whole, batches, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let [mut whole, mut batches, mut other] = [&whole, &batches, &other].map(|dir| open(dir.path()));
        let at_once = whole.append(&seal(&events), &[], now()).unwrap();
        let in_batches: Vec<_> = seal(&events)
            .chunks(size)
            .flat_map(|batch| batches.append(batch, &[], now()).unwrap())
            .collect();
        prop_assert_eq!(at_once, in_batches);
        other.append(&seal(&shuffled), &[], now()).unwrap();

        let [whole, batches, mut other] =
            [whole, batches, other].map(|store| winners(&mut *store.reader().unwrap()));
        prop_assert_eq!(&whole, &batches);
        let mut whole = whole;
        whole.sort_by(|a, b| a.id.cmp(&b.id));
        other.sort_by(|a, b| a.id.cmp(&b.id));
        prop_assert_eq!(whole, other);
    }
}
