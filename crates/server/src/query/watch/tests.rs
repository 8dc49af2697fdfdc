use futures::{FutureExt as _, StreamExt as _};
use milepost_model::Selector;

use super::*;
use crate::testing;

fn watched(engine: &Arc<Engine>) -> futures::stream::BoxStream<'static, Result<Update, AskError>> {
    let ask = Ask::moment("market_share", Selector::default(), "", engine.now()).unwrap();
    watch(engine.clone(), vec![ask]).boxed()
}

fn commit(engine: &Engine, team: &str, capability: &str) {
    engine.model.write().insert(&testing::used("2026-02-25T08:00:00Z", team, capability));
    engine.changed.send_modify(|commits| *commits += 1);
}

/// Labels and numerators.
fn told(update: &Update) -> Vec<(String, u64)> {
    let numerator = |answer: &Answer| match answer.value {
        milepost_model::answer::Value::Ratio(Some(ratio)) => ratio.numerator,
        _ => panic!("no ratio in {answer:?}"),
    };
    update.answers.iter().map(|answer| (answer.labels["capability"].clone(), numerator(answer))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_then_only_what_changed() {
    let engine = testing::engine();
    let mut updates = watched(&engine);
    let first = updates.next().await.unwrap().unwrap();
    assert!(first.snapshot);
    assert_eq!(told(&first), [("ci".to_owned(), 3), ("docs".to_owned(), 1)]);

    commit(&engine, "team-4", "ci");
    let second = updates.next().await.unwrap().unwrap();
    assert!(!second.snapshot);
    assert_eq!(told(&second), [("ci".to_owned(), 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_latest_state_and_no_backlog() {
    let engine = testing::engine();
    let mut updates = watched(&engine);
    updates.next().await.unwrap().unwrap();
    for (team, capability) in [("team-4", "ci"), ("team-5", "ci"), ("team-1", "docs"), ("team-6", "ci")] {
        commit(&engine, team, capability);
    }
    let update = updates.next().await.unwrap().unwrap();
    assert_eq!(told(&update), [("ci".to_owned(), 6), ("docs".to_owned(), 2)]);
    assert!(updates.next().now_or_never().is_none(), "nothing is left to be told");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_changes_no_answer_is_not_told() {
    let engine = testing::engine();
    let mut updates = watched(&engine);
    updates.next().await.unwrap().unwrap();
    commit(&engine, "team-1", "ci");
    let quiet = tokio::time::timeout(TICK * 3, updates.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_longer_given_makes_a_new_snapshot() {
    let engine = testing::engine();
    let mut updates = watched(&engine);
    updates.next().await.unwrap().unwrap();
    engine.model.write().remove(&testing::used("2026-02-21T08:00:00Z", "team-6", "docs"));
    engine.changed.send_modify(|commits| *commits += 1);
    let update = updates.next().await.unwrap().unwrap();
    assert!(update.snapshot);
    assert_eq!(told(&update), [("ci".to_owned(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn watchers_share_the_room_for_what_they_were_told() {
    let engine = testing::engine();
    let room = u32::try_from(engine.told.available_permits()).unwrap();
    engine.told.try_acquire_many(room - 3).unwrap().forget();
    let mut first = watched(&engine);
    first.next().await.unwrap().unwrap();
    assert_eq!(engine.told.available_permits(), 1);
    assert_eq!(watched(&engine).next().await.unwrap(), Err(AskError::Busy));
    commit(&engine, "team-4", "ci");
    assert!(first.next().await.unwrap().is_ok(), "as many answers as before need no more room");
    drop(first);
    assert!(watched(&engine).next().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_too_much_is_told_what_to_do() {
    let uses: Vec<_> =
        (0..60).map(|n| testing::used("2026-02-25T08:00:00Z", "team-1", &format!("c{n}"))).collect();
    let engine = testing::engine_of(&uses);
    let ask = Ask::moment("market_share", Selector::default(), "", engine.now()).unwrap();
    let mut updates = watch(engine, vec![ask; 100]).boxed();
    assert_eq!(updates.next().await.unwrap().unwrap_err().field(), Some("selectors"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_server_does() {
    let engine = testing::engine();
    let mut updates = watched(&engine);
    updates.next().await.unwrap().unwrap();
    engine.closing.send_replace(true);
    assert!(updates.next().await.is_none());
}

#[test]
fn the_first_state_is_told_even_if_it_is_empty() {
    assert_eq!(
        Told::default().update(vec![Vec::new()]),
        Some(Update { snapshot: true, answers: Vec::new() })
    );
}
