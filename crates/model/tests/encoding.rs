//! The laws of the encoded Model, on random histories.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use milepost_model::metrics;
use milepost_model::model::{Decoder, Encoder, FORM};
use milepost_model::{Event, EventId, Model};
use proptest::prelude::*;
use support::{Truth, answers, everything, history};

/// A log as a store keeps it: every version by number, and which one each loser lost to.
#[derive(Default)]
struct Log {
    versions: Vec<Event>,
    winners: BTreeMap<EventId, usize>,
    superseded: Vec<(usize, usize)>,
    model: Model,
}

impl Log {
    fn append(&mut self, event: &Event) {
        let known = self.winners.get(&event.id).copied();
        let number = self.versions.len();
        if self.versions.iter().any(|other| other.id == event.id && other.version() == event.version()) {
            return;
        }
        self.versions.push(event.clone());
        match known {
            Some(winner) if self.versions[winner].version() > event.version() => {
                self.superseded.push((number, winner));
            }
            _ => {
                if let Some(winner) = known {
                    self.superseded.push((winner, number));
                    self.model.remove(&self.versions[winner]);
                }
                self.winners.insert(event.id.clone(), number);
                self.model.insert(event);
            }
        }
        self.model.set_position(self.versions.len() as u64);
    }

    /// What happened since the first block was made, once more.
    fn redo(&self, model: &mut Model) {
        let from = model.position() as usize;
        for (loser, _) in self.superseded.iter().filter(|(_, by)| *by >= from) {
            let event = &self.versions[*loser];
            if *loser < from { model.remove(event) } else { model.clear(event) }
        }
        self.winners
            .values()
            .filter(|number| **number >= from)
            .for_each(|n| model.insert(&self.versions[*n]));
    }
}

fn cases(divisor: u32) -> ProptestConfig {
    ProptestConfig { cases: ProptestConfig::default().cases / divisor, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(4))]

    /// What is decoded answers as what was encoded, then and after whatever comes and goes.
    #[test]
    fn decoded_it_is_the_same(events in history(), later in history()) {
        let mut log = Log::default();
        events.iter().for_each(|event| log.append(event));
        let encoded = log.model.encode();
        let mut decoded = Model::decode(&encoded).unwrap();
        prop_assert_eq!(everything(&decoded), everything(&log.model));
        prop_assert_eq!((decoded.events(), decoded.position()), (log.model.events(), log.model.position()));
        later.iter().for_each(|event| log.append(event));
        log.redo(&mut decoded);
        prop_assert_eq!(everything(&decoded), everything(&log.model));
        prop_assert_eq!(decoded.events(), log.model.events());
    }

    /// Encoded while events come, and brought up to date, it is the same as the Model that took them all.
    #[test]
    fn encoded_while_it_changes(events in history(), later in history(), block_bytes in 1..200_usize, pause in 1..4_usize) {
        let mut log = Log::default();
        events.iter().for_each(|event| log.append(event));
        let mut encoder = Encoder::new(&log.model).with_blocks_of(block_bytes);
        let mut blocks = Vec::new();
        let mut coming = later.iter();
        while let Some(block) = encoder.block(&log.model) {
            blocks.push(block);
            if blocks.len() % pause == 0 {
                coming.by_ref().take(3).for_each(|event| log.append(event));
            }
        }
        coming.for_each(|event| log.append(event));
        let mut decoded = Model::decode(&blocks.concat()).unwrap();
        prop_assert_eq!(decoded.position(), encoder.position());
        log.redo(&mut decoded);
        prop_assert_eq!(everything(&decoded), everything(&log.model));
        prop_assert_eq!(decoded.events(), log.model.events());
    }

    /// Several encodings decode to their sum.
    #[test]
    fn parts_add_up(events in history(), parts in 1..4_usize) {
        let truth = Truth::of(&events);
        let mut models = vec![Model::new(); parts];
        truth.0.values().enumerate().for_each(|(number, event)| models[number % parts].insert(event));
        let mut decoder = Decoder::default();
        models.iter().try_for_each(|model| decoder.encoding(&model.encode())).unwrap();
        let sum = decoder.derive().finish().unwrap();
        prop_assert_eq!(everything(&sum), everything(&truth.model()));
        prop_assert_eq!(sum.events(), truth.0.len());
    }
}

proptest! {
    /// Bytes that are not those that were written are an error.
    #[test]
    fn damage_is_an_error(events in history(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let encoded = Truth::of(&events).model().encode();
        let at = at.index(encoded.len());
        let mut damaged = encoded.clone();
        damaged[at] ^= 1 << bit;
        prop_assert!(Model::decode(&damaged).is_err());
        prop_assert!(Model::decode(&encoded[..at]).is_err());
        prop_assert!(Model::decode(&encoded[at + 1..]).is_err());
        prop_assert!(Model::decode(&[&encoded[..], &encoded[..]].concat()).is_err());
        prop_assert!(Model::decode(&encoded).is_ok());
    }

    #[test]
    fn noise_is_an_error(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Model::decode(&noise).is_err());
    }
}

/// Events of every type there was, in the form they are stored in.
fn written_down(form: u32) -> Model {
    let path = format!("{}/tests/encoded/events-{form}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let event = |(number, line): (usize, &str)| {
        let id = EventId { source: format!("/source/{}", number % 2), id: number.to_string() };
        Event { id, revision: 0, content: serde_json::from_str(line).unwrap() }
    };
    let events: Vec<_> = std::fs::read_to_string(path).unwrap().lines().enumerate().map(event).collect();
    Truth::of(&events).model()
}

/// How many metrics of the registry rest on what form 1 says.
const METRICS_OF_FORM_1: usize = 7;

/// Data directories hold encodings that nothing else is left of.
#[test]
fn what_was_written_once_is_read_for_ever() {
    let path = |form: u32| format!("{}/tests/encoded/form-{form}.model", env!("CARGO_MANIFEST_DIR"));
    // MILEPOST_WRITE=1 writes the file of a new form; those of older ones stay.
    if std::env::var_os("MILEPOST_WRITE").is_some() {
        std::fs::write(path(FORM), written_down(FORM).encode()).unwrap();
    }
    let metrics = metrics::registry();
    for (form, metrics) in [(1, &metrics[..METRICS_OF_FORM_1]), (FORM, metrics)] {
        let decoded = Model::decode(&std::fs::read(path(form)).unwrap()).unwrap();
        assert_eq!(answers(&decoded, metrics), answers(&written_down(form), metrics), "form {form}");
        let again = Model::decode(&decoded.encode()).unwrap();
        assert_eq!(again.fingerprint(), decoded.fingerprint(), "form {form}");
    }
    let decoded = Model::decode(&std::fs::read(path(FORM)).unwrap()).unwrap();
    assert_eq!(decoded.fingerprint(), written_down(FORM).fingerprint());
}

/// Form 1 says of deploys that they were successful, where to and when: as often as that they are counted.
#[test]
fn deploys_of_form_1_are_counted() {
    let written = include_bytes!("encoded/form-1.model");
    let (decoded, expected) = (Model::decode(written).unwrap(), written_down(1));
    let frequency = [metrics::find("deployment_frequency").unwrap()];
    assert_eq!(answers(&decoded, &frequency), answers(&expected, &frequency));
    assert!(answers(&decoded, &frequency).contains("\"deploys\":1"));
}
