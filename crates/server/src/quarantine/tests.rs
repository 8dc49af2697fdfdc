use milepost_ingest::{Counters, DoorLimits, Pseudonymizer, Sent};
use milepost_model::{Config, Door, Fate, Model};
use milepost_store::sqlite::{Options, Sqlite};
use milepost_store::{Sizes, Store as _};
use serde_json::json;

use super::*;
use crate::engine::{Engine, system_clock};
use crate::health::Health;
use crate::keeper::{KeeperLimits, NameLimits};

/// An installation with these limits, over this directory.
struct Fixture {
    quarantine: Quarantine,
    intake: Arc<Intake>,
    engine: Arc<Engine>,
    health: Arc<Health>,
}

fn open(directory: &std::path::Path, doors: DoorLimits, teams: usize) -> Fixture {
    let mut store = Sqlite::open(directory, Options::default()).unwrap();
    let mut model = Model::new();
    store.replay(&mut |event| model.insert(event)).unwrap();
    let engine = Engine::new(model, Config::default(), store.reader().unwrap());
    let health = Health::new(system_clock());
    let names = NameLimits { teams, ..NameLimits::default() };
    let limits = KeeperLimits { names, ..KeeperLimits::default() };
    let keeper =
        Keeper::start(Box::new(store), Some(Arc::clone(&engine)), None, Arc::clone(&health), limits).unwrap();
    let counters = Arc::new(Counters::default());
    let pseudonyms = Pseudonymizer::new(&[7; 32]);
    let intake = Intake::new(doors, pseudonyms, system_clock, Arc::clone(&keeper) as _, counters);
    let quarantine = Quarantine::new(Arc::clone(&intake), keeper, Arc::clone(&engine));
    Fixture { quarantine, intake, engine, health }
}

impl Fixture {
    async fn send(&self, events: &[String]) -> Vec<Fate> {
        let sent = events.iter().map(|event| Sent::Json(event.as_bytes()));
        self.intake.submit(self.intake.prepare(Door::Http, sent)).await.unwrap()
    }

    fn sizes(&self) -> Sizes {
        self.engine.reader.lock().sizes().unwrap()
    }

    fn close(self) {
        self.quarantine.keeper.close();
    }

    async fn retry(&self, asked: Asked) -> Outcome {
        self.quarantine.retry(asked).await.unwrap()
    }
}

fn used(id: usize, team: &str) -> String {
    json!({
        "context": {"specversion": "0.5.0", "id": id.to_string(), "source": "/ci", "timestamp": "2026-01-01T00:00:00Z",
            "type": "dev.cdeventsx.milepost-capability.used.0.1.0"},
        "subject": {"id": "ci", "content": {}},
        "customData": {"team": team, "actor": "alice"},
    })
    .to_string()
}

fn short_names() -> DoorLimits {
    let mut limits = DoorLimits::default();
    limits.event.name_bytes = 6;
    limits
}

#[tokio::test]
async fn after_the_cause_is_mended_all_is_as_if_it_had_never_been_refused() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path(), short_names(), 2);
    let names = ["one", "two", "three", "a long name", "one"];
    let events: Vec<_> =
        names.iter().enumerate().map(|(id, team)| used(id, team)).chain(["{".to_owned()]).collect();
    let fates = fixture.send(&events).await;
    assert_eq!(fates.iter().filter(|fate| matches!(fate, Fate::Refused(_))).count(), 3);
    // Nothing is mended.
    let outcome = fixture.retry(Asked::default()).await;
    let again = BTreeMap::from([(Reason::TooManyNames, 1), (Reason::TooLong, 1), (Reason::Malformed, 1)]);
    assert_eq!((outcome.tried, &outcome.refused, outcome.next), (3, &again, None));
    assert_eq!((fixture.sizes().quarantined, fixture.engine.model.read().events()), (3, 3));
    fixture.close();

    let fixture = open(directory.path(), DoorLimits::default(), 100);
    let dry = fixture.retry(Asked { dry_run: true, ..Asked::default() }).await;
    assert_eq!((dry.stored, fixture.sizes().quarantined, fixture.engine.model.read().events()), (2, 3, 3));
    assert_eq!(fixture.health.retried[0].load(std::sync::atomic::Ordering::Relaxed), 0);
    let outcome = fixture.retry(Asked::default()).await;
    assert_eq!(
        (outcome.tried, outcome.stored, outcome.refused),
        (3, 2, BTreeMap::from([(Reason::Malformed, 1)]))
    );
    assert_eq!((fixture.sizes().quarantined, fixture.engine.model.read().events()), (1, 5));
    // The one who tries it a second time finds it known, and so does the sender.
    assert_eq!(fixture.retry(Asked::default()).await.tried, 1);
    assert!(fixture.send(&events[..5]).await.iter().all(|fate| *fate == Fate::Duplicate));

    let other = tempfile::tempdir().unwrap();
    let at_once = open(other.path(), DoorLimits::default(), 100);
    at_once.send(&events).await;
    let mut versions = [&fixture, &at_once].map(|fixture| {
        let mut events = Vec::new();
        fixture.engine.reader.lock().replay(&mut |event| events.push(event.clone())).unwrap();
        events.sort_by(|one, other| one.id.cmp(&other.id));
        events
    });
    assert_eq!(versions[0].len(), 5);
    assert_eq!(std::mem::take(&mut versions[0]), versions[1]);
}

#[tokio::test]
async fn only_those_asked_for_are_tried() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path(), short_names(), 100);
    let events = [
        used(1, "a long name"),
        "{".to_owned(),
        used(2, "another long name"),
        used(3, "x").replace("2026", "9026"),
    ];
    fixture.send(&events).await;
    fixture.close();
    let fixture = open(directory.path(), DoorLimits::default(), 100);
    let numbers = |numbers: &[u64]| Asked { numbers: numbers.to_vec(), ..Asked::default() };
    let reason = |reason| Asked { reasons: vec![reason], ..Asked::default() };
    assert_eq!(fixture.retry(reason(Reason::Future)).await.refused, BTreeMap::from([(Reason::Future, 1)]));
    assert_eq!(fixture.retry(numbers(&[3, 99])).await.stored, 1);
    let both = Asked { numbers: vec![2], ..reason(Reason::TooLong) };
    assert_eq!(fixture.retry(both).await.tried, 0);
    let outcome = fixture.retry(reason(Reason::TooLong)).await;
    assert_eq!((outcome.tried, outcome.stored, outcome.looked_at), (1, 1, 3));
    assert_eq!(fixture.sizes().quarantined, 2);
}

#[tokio::test]
async fn what_is_forbidden_is_tried_only_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path(), DoorLimits::default(), 100);
    let grant = milepost_ingest::Grant::Sources(["/other".to_owned()].as_slice().into());
    let events = [used(1, "a"), used(2, "a"), used(3, "a")];
    let sent = events.iter().map(|event| Sent::Json(event.as_bytes()));
    fixture.intake.submit(fixture.intake.prepare_granted(&grant, Door::Http, sent)).await.unwrap();
    let outcome = fixture.retry(Asked::default()).await;
    assert_eq!((outcome.tried, outcome.forbidden, fixture.sizes().quarantined), (0, 3, 3));
    let outcome = fixture.retry(Asked { numbers: vec![2], ..Asked::default() }).await;
    assert_eq!((outcome.stored, outcome.forbidden), (1, 0));
    let outcome = fixture.retry(Asked { reasons: vec![Reason::Forbidden], ..Asked::default() }).await;
    assert_eq!((outcome.stored, fixture.sizes().quarantined), (2, 0));
}

#[tokio::test]
async fn pages_lead_through_all_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path(), short_names(), 100);
    let events: Vec<_> = (0..2 * PAGE + 7).map(|id| used(id, "a long name")).collect();
    fixture.send(&events).await;
    fixture.close();
    let fixture = open(directory.path(), DoorLimits::default(), 100);
    let (mut all, mut asked, mut pages) = (Outcome::default(), Asked::default(), 0);
    loop {
        let page = fixture.retry(asked.clone()).await;
        all.add(&page);
        pages += 1;
        let Some(next) = all.next else { break };
        asked.after = next;
    }
    assert_eq!((pages, all.stored, all.looked_at), (3, events.len() as u64, events.len() as u64));
    assert_eq!(fixture.sizes().quarantined, 0);
}
