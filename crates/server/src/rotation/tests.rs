use std::fs;
use std::path::Path;

use milepost_ingest::Sent;
use milepost_model::{AsOf, Door, Event, EventKey, Model, Selector, Timestamp, metrics};
use milepost_store::sqlite::{Options, Sqlite, backup, examine, open_reader, restore};
use milepost_store::{Quarantined, Store as _};
use serde_json::json;

use super::*;
use crate::answers::text::explanation;
use crate::answers::{Ask, PageRequest, explain};
use crate::config::Settings;
use crate::engine::{Engine, system_clock};
use crate::installation::Writing;

fn settings(data: &Path) -> Settings {
    Settings { data: data.to_owned(), ..Settings::default() }
}

fn event(id: &str, at: &str, kind: &str, content: &Value, custom: &Value) -> String {
    let mut custom = custom.clone();
    custom["service"] = json!("checkout");
    json!({
        "context": {"specversion": "0.5.0", "id": id, "source": "/t", "timestamp": at, "type": kind},
        "subject": {"id": "checkout", "content": content}, "customData": custom,
    })
    .to_string()
}

const USED: &str = "dev.cdeventsx.milepost-capability.used.0.1.0";
const ANSWERED: &str = "dev.cdeventsx.milepost-survey.answered.0.1.0";

/// Persons in every place, in versions that conflict and replace one another, and in what is refused.
fn history() -> Vec<String> {
    let deployed = "dev.cdevents.service.deployed.0.3.0";
    let started = "dev.cdeventsx.milepost-onboarding.started.0.1.0";
    let mut events = Vec::new();
    for n in 0..40 {
        let (day, person) = (format!("2026-02-{:02}T08:00:00Z", 1 + n % 20), format!("person-{}", n % 9));
        let custom = json!({"team": "shop", "capability": "ci", "actor": person});
        events.push(event(&format!("use-{n}"), &day, USED, &json!({}), &custom));
        events.push(event(&format!("start-{n}"), &day, started, &json!({}), &custom));
        let answer = json!({"survey": "q", "respondent": person, "score": n % 11});
        events.push(event(&format!("answer-{n}"), &day, ANSWERED, &answer, &custom));
        let deploy = json!({"environment": {"id": "production"}, "artifactId": "pkg:oci/checkout@1"});
        let changes = json!([{"id": "1", "author": person}, {"id": "2", "author": "x"}]);
        let custom = json!({"team": "shop", "changes": changes});
        events.push(event(&format!("deploy-{n}"), &day.replace("T08", "T19"), deployed, &deploy, &custom));
    }
    conflicts(&mut events);
    // Refused: dated in the future, of no known type, with something else in a person's place.
    for (n, actor) in [json!("ada"), json!({"name": "ada"}), json!(" ada")].into_iter().enumerate() {
        let custom = json!({"actor": actor});
        events.push(event(&format!("no-{n}"), "9026-01-01T00:00:00Z", USED, &json!({}), &custom));
    }
    let ticket = json!({"creator": "ada"});
    events.push(event(
        "no-9",
        "2026-01-01T00:00:00Z",
        "dev.cdevents.ticket.created.0.2.0",
        &ticket,
        &json!({}),
    ));
    events
}

/// The same revision with several contents, by different persons, at different days: digests decide.
fn conflicts(events: &mut Vec<String>) {
    for n in 0..30 {
        for (place, (revision, person)) in
            [(0, "ada"), (0, "bob"), (1, "cyd"), (1, "dee"), (0, "eve")].into_iter().enumerate()
        {
            let answer = json!({"survey": "q", "respondent": person, "score": (n + place) % 11});
            let custom = json!({"team": "shop", "actor": format!("{person}-{n}"), "revision": revision});
            let day = format!("2026-02-{:02}T08:00:00Z", 1 + (n + place) % 20);
            events.push(event(&format!("conflict-{n}"), &day, ANSWERED, &answer, &custom));
        }
    }
}

fn import(data: &Path, events: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let writing = Writing::open(&settings(data)).unwrap();
    let sent = events.iter().map(|event| Sent::Json(event.as_bytes()));
    let prepared = writing.intake.prepare(Door::Import, sent);
    runtime.block_on(writing.intake.submit(prepared)).unwrap();
    writing.close();
}

/// Everything that is kept, but when it came: winners, refusals, all answers and their explanations.
#[derive(Debug, PartialEq)]
struct Contents {
    winners: Vec<Event>,
    refused: Vec<Quarantined>,
    answers: Vec<String>,
    explanations: Vec<String>,
}

fn contents(data: &Path) -> Contents {
    let mut store = Sqlite::open(data, Options::default()).unwrap();
    let mut model = Model::new();
    let mut winners = Vec::new();
    store
        .replay(&mut |event| {
            model.insert(event);
            winners.push(event.clone());
        })
        .unwrap();
    let mut reader = store.reader().unwrap();
    for event in &winners {
        assert_eq!(reader.find(event.id.key(), event.at()).unwrap(), std::slice::from_ref(&event.id));
    }
    assert!(reader.find(EventKey(1), system_clock()).unwrap().is_empty());
    let mut refused = reader.refusals(0, 1_000).unwrap();
    for refused in &mut refused {
        refused.at = Timestamp::MIN;
        // It tells the time of the refusal.
        refused.rejected.refusal.message.clear();
    }
    let engine = Engine::new(model, settings(data).metrics(), reader);
    let day = AsOf::Day("2026-02-21".parse().unwrap());
    let (mut answers, mut explanations) = (Vec::new(), Vec::new());
    for metric in metrics::registry() {
        let selector = Selector::default();
        let found = metrics::query(&engine.model.read(), &engine.config, *metric, &selector, day).unwrap();
        answers.push(serde_json::to_string(&found).unwrap());
        let ask = [("as_of".to_owned(), "2026-02-21".to_owned())].to_vec();
        let ask = Ask::read(metric.spec().name, &ask, engine.now()).unwrap();
        let page = PageRequest { size: 100, token: String::new() };
        explanations.push(explanation(&explain(&engine, &ask, &page).unwrap()).unwrap());
    }
    Contents { winners, refused, answers, explanations }
}

/// Every file of the directory, one after the other.
fn bytes(data: &Path) -> Vec<u8> {
    let files = fs::read_dir(data).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files.flat_map(|file| fs::read(file).unwrap()).collect()
}

fn holds(bytes: &[u8], name: &str) -> bool {
    bytes.windows(name.len()).any(|window| window == name.as_bytes())
}

fn persons(contents: &Contents) -> Vec<String> {
    let mut winners = contents.winners.clone();
    let mut persons: Vec<_> =
        winners.iter_mut().flat_map(|event| event.content.persons_mut().map(|name| name.clone())).collect();
    persons.sort();
    persons.dedup();
    persons
}

#[test]
fn it_is_as_if_all_had_come_under_the_new_keys() {
    let directory = tempfile::tempdir().unwrap();
    let [data, fresh] = ["data", "fresh"].map(|name| directory.path().join(name));
    let events = history();
    import(&data, &events);
    let before = contents(&data);
    assert_eq!((before.refused.len(), before.winners.len()), (4, 190));
    rotate(&data, &mut |_| ()).unwrap();
    rotate(&data, &mut |_| ()).unwrap();
    let after = contents(&data);

    // A directory with as many keys in force, and then the same ones.
    import(&fresh, &[]);
    rotate(&fresh, &mut |_| ()).unwrap();
    rotate(&fresh, &mut |_| ()).unwrap();
    fs::copy(data.join("person.key"), fresh.join("person.key")).unwrap();
    let fingerprint = sqlite::keys_in_force(&data).unwrap().fingerprint.unwrap();
    Sqlite::open(&fresh, Options::default()).unwrap().note_key_fingerprint(&fingerprint).unwrap();
    import(&fresh, &events);
    assert_eq!(after, contents(&fresh));
    assert!(examine(&data, &mut |_, _| ()).unwrap().findings.len() <= 1, "the note of refusals");

    // Some conflicts are won by others now, and nothing else is different.
    let winners = |contents: &Contents| -> Vec<_> {
        let mut winners: Vec<_> =
            contents.winners.iter().map(|event| (event.id.clone(), event.at())).collect();
        winners.sort();
        winners
    };
    let (one, other) = (winners(&before), winners(&after));
    let moved: Vec<_> = one.iter().zip(&other).filter(|(one, other)| one != other).collect();
    assert!(!moved.is_empty() && moved.iter().all(|(one, _)| one.0.id.starts_with("conflict-")));

    let old = persons(&before);
    assert!(persons(&after).iter().all(|name| !old.contains(name)));
    let bytes = bytes(&data);
    assert!(old.iter().all(|name| !holds(&bytes, name)), "an old pseudonym is still there");
    assert!(holds(&bytes, &persons(&after)[0]));
}

#[test]
fn a_rotated_directory_goes_on_and_its_backup_has_all_keys() {
    let directory = tempfile::tempdir().unwrap();
    let [data, restored, file] = ["data", "restored", "backup"].map(|name| directory.path().join(name));
    let events = history();
    import(&data, &events);
    rotate(&data, &mut |_| ()).unwrap();
    let after = contents(&data);
    // What comes again is known.
    import(&data, &events);
    assert_eq!(after.winners, contents(&data).winners);
    let keys = PersonKeys::kept_in(&data).unwrap().unwrap();
    assert_eq!(keys.count(), 2);
    let back_up =
        |file: &Path, keys: &str| backup(&data, file, Some(keys), system_clock(), &mut |_| ()).map(drop);
    back_up(&file, &keys.text()).unwrap();
    let text = keys.text();
    assert!(back_up(&file.with_extension("2"), text.lines().next().unwrap()).is_err());
    let keep = &mut |made: &sqlite::BackedUp| {
        let keys: PersonKeys = made.person_key.as_deref().unwrap().parse().unwrap();
        keys.keep_in(&restored).map_err(|error| StoreError::Io(error.to_string()))
    };
    restore(&file, &restored, keep, &mut |_| ()).unwrap();
    import(&restored, &events);
    assert_eq!(contents(&restored).winners, after.winners);
}

#[test]
fn without_conflicts_no_number_changes() {
    let directory = tempfile::tempdir().unwrap();
    let events: Vec<_> = history().into_iter().filter(|event| !event.contains("conflict-")).collect();
    import(directory.path(), &events);
    let before = contents(directory.path());
    rotate(directory.path(), &mut |_| ()).unwrap();
    let after = contents(directory.path());
    assert_eq!(before.answers, after.answers);
    assert_ne!(before.explanations, after.explanations, "they name persons by their pseudonyms");
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copied(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn killed_at_any_step_it_has_happened_wholly_or_not_at_all() {
    use Rotating::{KeysKept, Settled, Swapped, Verifying, Written};
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let events = history();
    import(&data, &events);
    let before = contents(&data);
    let mut steps = Vec::new();
    let step_of = |number: usize| directory.path().join(format!("step-{number}"));
    rotate(&data, &mut |step| {
        // What is on the disk at that moment is what a kill leaves.
        copied(&data, &step_of(steps.len()));
        steps.push(step);
    })
    .unwrap();
    let after = contents(&data);
    assert_eq!(steps, [KeysKept, Verifying, Written, Settled, Swapped]);
    for (number, step) in steps.iter().enumerate() {
        let left = step_of(number);
        let (expected, keys) = if *step == Swapped { (&after, 2) } else { (&before, 1) };
        assert_eq!(contents(&left), *expected, "{step:?}");
        assert!(!left.join("milepost.db.new").exists(), "{step:?}: it is swept away");
        // Goes on under the keys in force, and can be rotated again.
        import(&left, &events);
        assert_eq!(contents(&left).winners, expected.winners, "{step:?}");
        rotate(&left, &mut |_| ()).unwrap();
        assert_eq!(PersonKeys::kept_in(&left).unwrap().unwrap().count(), keys + 1, "{step:?}");
        let rotated = contents(&left).winners;
        import(&left, &events);
        assert_eq!(contents(&left).winners, rotated, "{step:?}");
    }
}

#[test]
fn in_use_or_without_its_keys_nothing_is_changed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    assert!(rotate(&data.join("nowhere"), &mut |_| ()).is_err() && !data.join("nowhere").exists());
    import(data, &history());
    let before = contents(data);
    let store = Sqlite::open(data, Options::default()).unwrap();
    assert!(matches!(rotate(data, &mut |_| ()), Err(StoreError::Locked(_))));
    drop(store);
    let mut reader = open_reader(data).unwrap();
    reader.sizes().unwrap();
    let error = rotate(data, &mut |_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    drop(reader);
    assert_eq!(contents(data), before);
    fs::remove_file(data.join("person.key")).unwrap();
    let error = rotate(data, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("0 of the 1 keys"), "{error}");
}
