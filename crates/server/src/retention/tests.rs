use std::path::Path;

use milepost_ingest::{Accept as _, Kept, Submission};
use milepost_model::{Body, Door, Event, EventKey, Model, Reason, Sealed};
use milepost_store::sqlite::{Options, Sqlite};
use milepost_store::{Quarantined, Retried, Store as _};

use super::*;
use crate::engine::Engine;
use crate::health::Health;
use crate::keeper::KeeperLimits;
use crate::testing;

const FIRST: &str = "2026-01-10T00:00:00.000000Z";

struct Fixture {
    directory: tempfile::TempDir,
    keeper: Arc<Keeper>,
    engine: Arc<Engine>,
    worker: Worker,
    /// Whoever drops it stops the worker.
    stop: mpsc::Sender<()>,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A use on each of 20 days, the first of January the earliest.
fn history() -> Vec<Event> {
    (1..=20).map(|day| testing::used(&format!("2026-01-{day:02}T12:00:00Z"), "shop", "ci")).collect()
}

fn open(data: &Path) -> Sqlite {
    Sqlite::open(data, Options::default()).unwrap()
}

async fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let config = milepost_model::Config::default();
    let engine = Engine::new(Model::new(), config, store.reader().unwrap());
    let health = Health::new(Timestamp::MIN);
    let shared = Some(Arc::clone(&engine));
    let keeper = Keeper::start(Box::new(store), shared, None, health, KeeperLimits::default()).unwrap();
    let (stop, stopped) = mpsc::channel();
    let sweeper = Sweeper::open(directory.path()).unwrap().with_steps_of(4);
    let worker = Worker { keeper: Arc::clone(&keeper), sweeper, stopped };
    let fixture = Fixture { directory, keeper, engine, worker, stop };
    let kept = fixture.send(history()).await;
    assert!(kept.iter().all(|kept| matches!(kept, Kept::Stored { .. })));
    fixture
}

impl Fixture {
    async fn send(&self, events: Vec<Event>) -> Vec<Kept> {
        let events = events.into_iter().map(Sealed::new).collect();
        self.keeper.accept(Submission { door: Door::Http, events, rejected: Vec::new() }).await.unwrap()
    }

    fn horizon(&self) -> Option<Horizon> {
        self.engine.reader.lock().horizon().unwrap()
    }

    fn pass(&mut self, wanted: &str) {
        let worker = &mut self.worker;
        // As in its own thread: the keeper is waited for.
        thread::scope(|scope| scope.spawn(|| worker.pass(at(wanted))).join().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_pass_drops_what_is_before_the_horizon_and_no_number_changes() {
    let mut f = fixture().await;
    let before = f.engine.model.read().fingerprint();
    f.pass(FIRST);
    assert_eq!(f.horizon(), Some(Horizon { at: at(FIRST), finished: true, dropped: 9 }));
    // Nothing is left to do, and a horizon does not go back.
    f.pass(FIRST);
    f.pass("2026-01-05T00:00:00Z");
    assert_eq!(f.horizon(), Some(Horizon { at: at(FIRST), finished: true, dropped: 9 }));
    f.pass("2026-01-11T00:00:00Z");
    assert_eq!(f.horizon().map(|horizon| (horizon.finished, horizon.dropped)), Some((true, 10)));
    f.keeper.close();
    let loaded = open(f.directory.path()).load(&mut |_, _| {}).unwrap().model;
    assert_eq!((loaded.fingerprint(), f.engine.model.read().fingerprint()), (before, before));
}

#[tokio::test]
async fn what_was_cut_off_goes_on() {
    let mut f = fixture().await;
    f.keeper_step(Retention::Advance(at(FIRST)));
    let dropping = f.worker.sweeper.next(at(FIRST), || true).unwrap().unwrap();
    f.keeper_step(Retention::Drop(dropping));
    assert_eq!(f.horizon(), Some(Horizon { at: at(FIRST), finished: false, dropped: 4 }));
    // The same day, after a restart.
    f.pass(FIRST);
    assert_eq!(f.horizon(), Some(Horizon { at: at(FIRST), finished: true, dropped: 9 }));
}

impl Fixture {
    fn keeper_step(&self, step: Retention) {
        let keeper = &self.keeper;
        thread::scope(|scope| scope.spawn(|| keeper.retain(step)).join().unwrap()).unwrap();
    }
}

#[tokio::test]
async fn asked_to_end_it_ends_between_two_steps() {
    let mut f = fixture().await;
    drop(f.stop);
    let worker = &mut f.worker;
    thread::scope(|scope| scope.spawn(|| worker.pass(at(FIRST))).join().unwrap()).unwrap();
    let horizon = f.engine.reader.lock().horizon().unwrap();
    assert_eq!(horizon, Some(Horizon { at: at(FIRST), finished: false, dropped: 0 }));
}

#[tokio::test]
async fn its_thread_ends_when_told_and_when_the_keeper_has() {
    let f = fixture().await;
    let start = || {
        let sweeper = Sweeper::open(f.directory.path()).unwrap();
        Retainer::start(Arc::clone(&f.keeper), sweeper, 30, || at("2026-02-20T08:00:00Z")).unwrap()
    };
    start().finish();
    f.keeper.close();
    let retainer = start();
    retainer.thread.join().unwrap();
    assert!(matches!(f.keeper.retain(Retention::Finish(at(FIRST))), Err(RetainError::Ended)));
}

#[tokio::test]
async fn what_would_change_the_frozen_past_is_refused_and_stays_so() {
    let mut f = fixture().await;
    f.pass(FIRST);
    let [first, last] = [0, 19].map(|place| history().swap_remove(place));
    let retraction = |of: &Event| {
        let mut event = of.clone();
        event.revision = 1;
        event.content.body = Body::Retracted;
        event.content.occurred_at = last.at();
        event
    };
    let late = testing::used("2026-01-09T23:59:59Z", "search", "ci");
    let in_time = testing::used(FIRST, "search", "ci");
    let sent = vec![first.clone(), retraction(&first), late.clone(), in_time, retraction(&last)];
    let kept = f.send(sent).await;
    let refused =
        |kept: &Kept| matches!(kept, Kept::Refused(refusal) if refusal.reason == Reason::BeforeHorizon);
    assert_eq!(kept.iter().map(refused).collect::<Vec<_>>(), [false, true, true, false, false], "{kept:?}");
    assert_eq!(kept[0], Kept::Duplicate);
    let quarantined = f.engine.reader.lock().quarantine(None, 10).unwrap();
    let reasons = quarantined.iter().map(|Quarantined { rejected, .. }| rejected.refusal.reason);
    assert_eq!(reasons.collect::<Vec<_>>(), [Reason::BeforeHorizon; 2]);
    assert_eq!(f.engine.model.read().events(), 21);

    // Tried again it is refused again.
    let numbers = quarantined.iter().map(|one| one.number).rev().collect();
    let events = vec![Sealed::new(retraction(&first)), Sealed::new(late.clone())];
    let retried = Retried { events, numbers, refused: Vec::new() };
    let kept = f.keeper.retry(retried, false).await.unwrap();
    assert!(kept.iter().all(refused), "{kept:?}");
    assert_eq!(f.engine.reader.lock().quarantine(None, 10).unwrap().len(), 2);
    assert_eq!(
        f.engine.reader.lock().find(EventKey::of(&late.id.source, &late.id.id), late.at()).unwrap(),
        []
    );
}

#[test]
fn the_horizon_is_the_start_of_a_day() {
    for (now, days, expected) in [
        ("2026-03-01T12:00:00Z", 1, "2026-02-28T00:00:00Z"),
        ("2026-03-01T00:00:00Z", 59, "2026-01-01T00:00:00Z"),
        ("2026-03-01T23:59:59.999999Z", 59, "2026-01-01T00:00:00Z"),
        ("2026-03-01T12:00:00Z", u32::MAX, "0001-01-01T00:00:00Z"),
    ] {
        assert_eq!(at(now).days_before(days), at(expected), "{now} {days}");
    }
}
