use std::sync::mpsc as sync;

use milepost_model::{
    Answer, AsOf, Body, Config, Content, Day, Door, EventId, Model, Rejected, Selector, Timestamp, metrics,
};
use milepost_store::sqlite::{Options, Sqlite};
use milepost_store::{Reader, Retried};
use proptest::prelude::*;

use super::*;
use crate::testing;

/// What a commit of [`Scripted`] shall come to.
enum Turn {
    Commit,
    Fail(StoreError),
    Panic,
}

/// Tells of each commit, and waits to be told how it ends.
struct Scripted {
    began: sync::Sender<usize>,
    turns: sync::Receiver<Turn>,
}

impl Store for Scripted {
    fn append(
        &mut self,
        events: &[Sealed],
        _: &[Rejected],
        _: Timestamp,
    ) -> Result<Vec<Appended>, StoreError> {
        // Whoever asks no more does not care how many there were.
        let _ = self.began.send(events.len());
        match self.turns.recv().unwrap_or(Turn::Commit) {
            Turn::Commit => {
                Ok(vec![Appended::Stored { effect: Effect::Wins, conflict: false }; events.len()])
            }
            Turn::Fail(error) => Err(error),
            Turn::Panic => panic!("as scripted"),
        }
    }

    fn retry(&mut self, _: &Retried, _: Timestamp, _: bool) -> Result<Vec<Appended>, StoreError> {
        Ok(Vec::new())
    }

    fn replay(&mut self, _: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Err(StoreError::Io("there is nothing to read".into()))
    }
}

struct Fixture {
    keeper: Arc<Keeper>,
    engine: Arc<Engine>,
    health: Arc<Health>,
    began: sync::Receiver<usize>,
    turns: sync::Sender<Turn>,
}

fn keeper(limits: KeeperLimits) -> Fixture {
    let (began_sender, began) = sync::channel();
    let (turns, turns_receiver) = sync::channel();
    let store = Scripted { began: began_sender, turns: turns_receiver };
    let engine = testing::engine_of(&[]);
    let health = Health::new(Timestamp::MIN);
    health.set_serving(true);
    let keeper =
        Keeper::start(Box::new(store), Some(Arc::clone(&engine)), None, Arc::clone(&health), limits).unwrap();
    Fixture { keeper, engine, health, began, turns }
}

fn event(id: u32, revision: u64, team: u8) -> Sealed {
    Sealed::new(Event {
        id: EventId { source: "/test".into(), id: id.to_string() },
        revision,
        content: Content {
            actor: None,
            body: Body::CapabilityUsed,
            capability: Some("ci".into()),
            occurred_at: Timestamp::from_micros(1_000_000).unwrap(),
            service: None,
            team: Some(format!("team-{team}")),
        },
    })
}

fn submission(ids: std::ops::Range<u32>) -> Submission {
    Submission { door: Door::Http, events: ids.map(|id| event(id, 0, 0)).collect(), rejected: Vec::new() }
}

impl Fixture {
    /// Submits so that it is in the queue, or on its way into a commit, when this returns.
    async fn queue(
        &self,
        ids: std::ops::Range<u32>,
    ) -> tokio::task::JoinHandle<Result<Vec<Kept>, HandedBack>> {
        let keeper = Arc::clone(&self.keeper);
        let mut submitted = Box::pin(async move { keeper.submit(submission(ids)).await });
        assert!(futures::poll!(&mut submitted).is_pending());
        tokio::spawn(submitted)
    }
}

#[tokio::test]
async fn what_queues_up_during_a_commit_is_the_next_one() {
    let f = keeper(KeeperLimits { commit_submissions: 3, ..KeeperLimits::default() });
    let mut answers = vec![f.queue(0..2).await];
    assert_eq!(f.began.recv(), Ok(2));
    for id in 2..6 {
        answers.push(f.queue(id..id + 1).await);
    }
    assert_eq!(f.health.queue_events.load(Relaxed), 6);
    for expected in [3, 1] {
        f.turns.send(Turn::Commit).unwrap();
        assert_eq!(f.began.recv(), Ok(expected));
    }
    f.turns.send(Turn::Commit).unwrap();
    let mut kept = Vec::new();
    for answer in answers {
        kept.push(answer.await.unwrap().unwrap().len());
    }
    assert_eq!(kept, [2, 1, 1, 1, 1]);
    assert_eq!(f.engine.model.read().events(), 6);
    assert_eq!(*f.engine.changed.borrow(), 3);
    assert_eq!(f.health.queue_events.load(Relaxed), 0);
    assert_eq!(f.health.commit_events.read().count, 3);
    assert_eq!(f.health.freshness_seconds.read().count, 5);
}

/// While somebody reads the Model it cannot be written, so nothing may be acked either.
#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "that is what it is about")]
async fn an_event_is_in_the_model_before_it_is_acked() {
    let f = keeper(KeeperLimits::default());
    let reading = f.engine.model.read();
    let mut answer = f.queue(0..1).await;
    f.turns.send(Turn::Commit).unwrap();
    while f.health.last_commit().is_none() {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
        assert!(futures::poll!(&mut answer).is_pending());
    }
    drop(reading);
    assert_eq!(answer.await.unwrap().unwrap(), [Kept::Stored { conflict: false }]);
    assert_eq!(f.engine.model.read().events(), 1);
}

#[tokio::test]
async fn a_failed_commit_is_handed_back_and_the_next_one_tried() {
    let f = keeper(KeeperLimits::default());
    f.turns.send(Turn::Fail(StoreError::Unavailable("disk full".into()))).unwrap();
    let error = f.keeper.submit(submission(0..1)).await.unwrap_err();
    assert!(error.to_string().contains("disk full"), "{error}");
    assert_eq!((f.engine.model.read().events(), f.health.ready()), (0, Ok(())));

    f.turns.send(Turn::Commit).unwrap();
    assert_eq!(f.keeper.submit(submission(0..1)).await.unwrap(), [Kept::Stored { conflict: false }]);
    assert_eq!(f.health.commit_failures.load(Relaxed), 1);
}

#[tokio::test]
async fn after_damage_or_a_panic_nobody_is_sent_here() {
    for turn in [Turn::Fail(StoreError::Corrupt("page 7".into())), Turn::Panic] {
        let f = keeper(KeeperLimits::default());
        f.turns.send(turn).unwrap();
        assert!(matches!(f.keeper.submit(submission(0..1)).await, Err(HandedBack::Unavailable { .. })));
        f.keeper.close();
        assert!(f.health.ready().is_err());
    }
}

#[tokio::test]
async fn who_finds_no_room_in_time_is_handed_back() {
    let f = keeper(KeeperLimits { queue_events: 3, queue_wait: Duration::ZERO, ..KeeperLimits::default() });
    let first = f.queue(0..3).await;
    assert_eq!(f.began.recv(), Ok(3));
    assert!(matches!(f.keeper.submit(submission(3..4)).await, Err(HandedBack::Busy { .. })));
    f.turns.send(Turn::Commit).unwrap();
    assert_eq!(first.await.unwrap().unwrap().len(), 3);
}

#[tokio::test]
async fn who_finds_room_in_time_is_kept() {
    let hour = Duration::from_secs(3_600);
    let f = keeper(KeeperLimits { queue_events: 3, queue_wait: hour, ..KeeperLimits::default() });
    let first = f.queue(0..3).await;
    assert_eq!(f.began.recv(), Ok(3));
    let second = f.queue(3..4).await;
    f.turns.send(Turn::Commit).unwrap();
    f.turns.send(Turn::Commit).unwrap();
    assert_eq!((first.await.unwrap().unwrap().len(), second.await.unwrap().unwrap().len()), (3, 1));
}

#[tokio::test]
async fn a_submission_larger_than_the_queue_is_taken_alone() {
    let f = keeper(KeeperLimits { queue_events: 3, ..KeeperLimits::default() });
    f.turns.send(Turn::Commit).unwrap();
    assert_eq!(f.keeper.submit(submission(0..10)).await.unwrap().len(), 10);
}

#[tokio::test]
async fn closing_answers_all_that_was_taken_and_takes_no_more() {
    let f = keeper(KeeperLimits { commit_submissions: 1, ..KeeperLimits::default() });
    let answers = [f.queue(0..1).await, f.queue(1..2).await, f.queue(2..3).await];
    let keeper = Arc::clone(&f.keeper);
    let closed = tokio::task::spawn_blocking(move || keeper.close());
    for _ in 0..3 {
        f.turns.send(Turn::Commit).unwrap();
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap(), [Kept::Stored { conflict: false }]);
    }
    closed.await.unwrap();
    let error = f.keeper.submit(submission(3..4)).await.unwrap_err();
    assert!(error.to_string().contains("shutting down"), "{error}");
}

/// Who uses what, on the day of [`event`].
fn share(model: &Model) -> Vec<Answer> {
    let selector = Selector { by: Some("team".into()), ..Selector::default() };
    let metric = metrics::find("market_share").unwrap();
    metrics::query(model, &Config::default(), metric, &selector, AsOf::Day(Day::from_number(0))).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]

    /// Senders side by side, duplicates, corrections and conflicts: the Model is that of the winners in the store, and
    /// each version was stored exactly once.
    #[test]
    fn the_model_is_that_of_the_store(
        batches in proptest::collection::vec(
            proptest::collection::vec((0..8u32, 0..3u64, 0..3u8), 0..6), 1..12,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path(), Options::default()).unwrap();
        let engine = Engine::new(Model::new(), Config::default(), store.reader().unwrap());
        let health = Health::new(Timestamp::MIN);
        let keeper =
            Keeper::start(Box::new(store), Some(Arc::clone(&engine)), None, health, KeeperLimits::default()).unwrap();

        let submissions = batches.iter().map(|batch| Submission {
            door: Door::Http,
            events: batch.iter().map(|(id, revision, team)| event(*id, *revision, *team)).collect(),
            rejected: Vec::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answers = runtime.block_on(futures::future::join_all(submissions.map(|s| keeper.submit(s))));
        let stored = answers.into_iter().flat_map(Result::unwrap).filter(|kept| *kept != Kept::Duplicate).count();
        keeper.close();

        let mut again = Model::new();
        engine.reader.lock().replay(&mut |event| again.insert(event)).unwrap();
        prop_assert_eq!(engine.model.read().events(), again.events());
        prop_assert_eq!(share(&engine.model.read()), share(&again));
        let versions: std::collections::HashSet<_> = batches.iter().flatten().collect();
        prop_assert_eq!(stored, versions.len());
    }
}

#[tokio::test]
async fn names_beyond_the_budget_are_refused_alone_and_kept_in_the_quarantine() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(directory.path(), Options::default()).unwrap();
    let engine = Engine::new(Model::new(), Config::default(), store.reader().unwrap());
    let names = NameLimits { teams: 2, ..NameLimits::default() };
    let limits = KeeperLimits { names, ..KeeperLimits::default() };
    let health = Health::new(Timestamp::MIN);
    let keeper = Keeper::start(Box::new(store), Some(Arc::clone(&engine)), None, health, limits).unwrap();
    let events = [(0, 0), (1, 1), (2, 2), (3, 1)].map(|(id, team)| event(id, 0, team)).to_vec();
    let submission = || Submission { door: Door::Grpc, events: events.clone(), rejected: Vec::new() };
    let kept = keeper.submit(submission()).await.unwrap();
    let stored = Kept::Stored { conflict: false };
    assert_eq!((&kept[0], &kept[1], &kept[3]), (&stored, &stored, &stored));
    assert!(matches!(&kept[2], Kept::Refused(refusal) if refusal.field == "team"), "{kept:?}");
    let kept = keeper.submit(submission()).await.unwrap();
    assert_eq!(kept.iter().filter(|kept| **kept == Kept::Duplicate).count(), 3);
    keeper.close();
    assert_eq!(engine.model.read().events(), 3);
    let quarantined = engine.reader.lock().quarantine(None, 10).unwrap();
    assert_eq!(quarantined.len(), 2);
    assert_eq!(quarantined[0].rejected.id.as_deref(), Some("2"));
    assert_eq!(quarantined[0].rejected.door, Door::Grpc);
}
