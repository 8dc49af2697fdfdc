//! The Model in a file, and what becomes of it when it is damaged, old, or of something else.

use std::fs;
use std::path::Path;

use milepost_model::model::Encoder;
use milepost_model::{Model, Sealed};
use milepost_store::sqlite::{Checkpoints, Severity, discard, examine};
use milepost_store::{Loaded, Store as _};

use crate::support::{now, open, used};

const FILE: &str = "model.checkpoint";

/// Events of three teams; `revision` decides about which of two versions wins.
fn events(ids: std::ops::Range<u32>, revision: u64) -> Vec<Sealed> {
    let one = |id: u32| {
        let team = ["shop", "search", "ads"][(id as usize + revision as usize) % 3];
        Sealed::new(used(&id.to_string(), revision, team))
    };
    ids.map(one).collect()
}

fn load(data: &Path) -> Loaded {
    open(data).load(&mut |_, _| {}).unwrap()
}

/// All that counts of the Model of a data directory: what it is without a checkpoint.
fn expected(data: &Path) -> u64 {
    let mut model = Model::new();
    open(data).replay(&mut |event| model.insert(event)).unwrap();
    model.fingerprint()
}

fn checkpoint(data: &Path) {
    let Loaded { model, .. } = load(data);
    write(data, &model);
}

fn write(data: &Path, model: &Model) {
    Checkpoints::open(data).unwrap().write(Encoder::new(model), |encoder| encoder.block(model)).unwrap();
}

/// A directory with a checkpoint, and what came after it: new events, and versions that win over older ones.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    open(data).append(&events(0..50, 1), &[], now()).unwrap();
    open(data).append(&events(40..45, 0), &[], now()).unwrap();
    checkpoint(data);
    directory
}

#[test]
fn a_start_reads_only_what_came_after_it() {
    let directory = directory();
    let data = directory.path();
    assert_eq!((load(data).checkpoint, load(data).read), (55, 0));
    open(data).append(&events(50..60, 0), &[], now()).unwrap();
    // Wins over what is in the checkpoint, loses to it, wins over what came after it.
    open(data).append(&events(0..5, 2), &[], now()).unwrap();
    open(data).append(&events(5..10, 0), &[], now()).unwrap();
    open(data).append(&events(55..60, 1), &[], now()).unwrap();
    let loaded = load(data);
    assert_eq!((loaded.checkpoint, loaded.unused.as_deref()), (55, None));
    assert_eq!((loaded.model.events(), loaded.model.position()), (60, 80));
    assert_eq!(loaded.model.fingerprint(), expected(data));
    // Ten losers, and fifteen new winners.
    assert_eq!(loaded.read, 25);
    checkpoint(data);
    assert_eq!((load(data).checkpoint, load(data).read), (80, 0));
    assert_eq!(load(data).model.fingerprint(), expected(data));
}

#[test]
fn without_it_every_event_is_read() {
    let directory = directory();
    let data = directory.path();
    discard(data).unwrap();
    discard(data).unwrap();
    let loaded = load(data);
    assert_eq!((loaded.checkpoint, loaded.read, loaded.unused), (0, 50, None));
    assert_eq!(loaded.model.fingerprint(), expected(data));
}

#[test]
fn damage_anywhere_is_noticed_and_costs_only_time() {
    let directory = directory();
    let data = directory.path();
    let (whole, right) = (fs::read(data.join(FILE)).unwrap(), expected(data));
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let cut = whole[..at].to_vec();
        for bytes in [damaged, cut] {
            fs::write(data.join(FILE), bytes).unwrap();
            let reader = milepost_store::sqlite::open_reader(data);
            let loaded = reader.unwrap().load(&mut |_, _| {}).unwrap();
            assert!(loaded.unused.is_some(), "byte {at}");
            assert_eq!((loaded.read, loaded.model.fingerprint()), (50, right), "byte {at}");
        }
    }
}

#[test]
fn that_of_another_state_of_the_database_is_not_used() {
    let (directory, other) = (directory(), tempfile::tempdir().unwrap());
    let data = directory.path();
    let file = fs::read(data.join(FILE)).unwrap();
    // Older than the checkpoint.
    open(other.path()).append(&events(0..50, 1), &[], now()).unwrap();
    fs::write(other.path().join(FILE), &file).unwrap();
    let loaded = load(other.path());
    assert!(loaded.unused.is_some_and(|why| why.contains("another state")));
    assert_eq!(loaded.model.fingerprint(), expected(other.path()));
    // As old as the checkpoint, but it went on differently.
    open(other.path()).append(&events(60..65, 1), &[], now()).unwrap();
    let loaded = load(other.path());
    assert!(loaded.unused.is_some());
    assert_eq!(loaded.model.fingerprint(), expected(other.path()));
}

#[test]
fn what_was_begun_while_events_came_is_brought_up_to_date() {
    let directory = directory();
    let data = directory.path();
    let mut model = load(data).model;
    let encoder = Encoder::new(&model).with_blocks_of(1);
    let mut ids = 100..;
    let mut checkpoints = Checkpoints::open(data).unwrap();
    checkpoints
        .write(encoder, |encoder| {
            if let Some(id) = ids.next().filter(|id| *id < 110) {
                open(data).append(&events(id..id + 1, 0), &[], now()).unwrap();
                open(data).append(&events(id..id + 1, 1), &[], now()).unwrap();
                model.insert(&events(id..id + 1, 1)[0].event);
            }
            encoder.block(&model)
        })
        .unwrap();
    let loaded = load(data);
    assert_eq!((loaded.checkpoint, loaded.unused), (55, None));
    assert_eq!(loaded.model.fingerprint(), expected(data));
    assert_eq!(loaded.model.events(), model.events());
    assert!(model.events() > 55);
}

#[test]
fn the_doctor_compares_it_with_the_events() {
    let directory = directory();
    let data = directory.path();
    open(data).append(&events(0..5, 2), &[], now()).unwrap();
    let findings = || examine(data, &mut |_, _| {}).unwrap().findings;
    assert_eq!(findings(), []);
    let mut model = load(data).model;
    model.remove(&events(20..21, 1)[0].event);
    write(data, &model);
    let [finding] = &findings()[..] else { panic!("{:?}", findings()) };
    assert_eq!(finding.severity, Severity::Damage);
    assert!(finding.what.contains("does not agree with the events"), "{finding:?}");
    fs::write(data.join(FILE), "nonsense").unwrap();
    let [finding] = &findings()[..] else { panic!("{:?}", findings()) };
    assert_eq!(finding.severity, Severity::Note);
    assert!(finding.what.contains("is not used"), "{finding:?}");
}
