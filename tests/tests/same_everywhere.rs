//! The same events are the same numbers, over whichever door, in whichever order and batches, and after a restart.

use milepost_tests::delivery::{Door, deliver, shuffled};
use milepost_tests::{Installation, REAL_CONFIG, Served, events, state};
use serde_json::Value;

/// What the events alone decide: `/metrics` of now, and all answers of days that have ended.
fn numbers(served: &Served) -> (Vec<String>, Vec<String>) {
    let yesterday = events::ago(events::now(), 1, 0).to_string();
    (state::exported(served), state::answers(served, &yesterday[..10]))
}

/// **F27.** Delivered five times, shuffled, in other batches, over other doors, with a restart between: equal, `/metrics` included.
#[test]
fn f27_repeated_shuffled_and_split_over_every_door() {
    let now = events::now();
    let lines = events::lines(&events::recent_history(now));
    let five_times: Vec<String> = std::iter::repeat_n(&lines, 5).flatten().cloned().collect();

    let installations: Vec<Installation> =
        (0..=Door::ALL.len()).map(|_| Installation::new(REAL_CONFIG)).collect();
    let mut served: Vec<Served> = Vec::new();
    for (seed, (door, installation)) in (0..).zip(Door::ALL.into_iter().zip(&installations)) {
        let one = installation.serve();
        deliver(&one, door, &shuffled(seed, &five_times), 7 + seed as usize * 13);
        served.push(one);
    }
    served.push(with_a_restart_between(&installations[Door::ALL.len()], &lines));

    // The values of now may change at midnight, so all are taken on one day.
    let today = || events::now().to_string()[..10].to_owned();
    let numbers = milepost_tests::eventually("one day for all", || {
        let day = today();
        let all: Vec<_> = served.iter().map(numbers).collect();
        (today() == day).then_some(all)
    });
    let (exported, answers) = &numbers[0];
    for family in ["milepost_market_share_ratio", "milepost_keep_rate_ratio", "milepost_nps "] {
        assert!(exported.iter().any(|line| line.starts_with(family)), "{family} has a value: {exported:#?}");
    }
    for (other_exported, other_answers) in &numbers[1..] {
        assert_eq!(exported, other_exported);
        assert_eq!(answers, other_answers);
    }
}

/// Half of the events before a restart; the other half, and some of the first again, after it.
fn with_a_restart_between(installation: &Installation, lines: &[String]) -> Served {
    let half = lines.len() / 2;
    let mut before = installation.serve();
    deliver(&before, Door::Http, &lines[..half], 10);
    before.terminate();
    assert!(before.wait().success());
    let after = installation.serve();
    deliver(&after, Door::Grpc, &lines[half / 2..], 10);
    after
}

/// **F24.** What arrives weeks late changes the past, exactly; taken back, it never was.
#[test]
fn f24_what_arrives_late_changes_the_past() {
    let now = events::now();
    let installation = Installation::new("");
    let served = installation.serve();
    let day = events::ago(now, 40, 0).to_string()[..10].to_owned();
    let ask =
        || served.get_json(&format!("/v1/metrics/market_share?capability=portal&as_of={day}"))[0].clone();

    deliver(&served, Door::Http, &events::lines(&[events::used("late-1", events::ago(now, 45, 0), "a")]), 1);
    let before = ask();
    assert_eq!(
        (before["numerator"].as_u64(), before["denominator"].as_u64()),
        (Some(1), Some(1)),
        "{before}"
    );

    deliver(&served, Door::Http, &events::lines(&[events::used("late-2", events::ago(now, 44, 0), "b")]), 1);
    let after = ask();
    assert_eq!((after["numerator"].as_u64(), after["denominator"].as_u64()), (Some(2), Some(2)), "{after}");

    // Taken back, it never was.
    let retracted = format!("{}event.retracted", events::MILEPOST);
    let data = serde_json::json!({"revision": 1});
    let retraction =
        events::event(&retracted, "late-2", now, "late-2", Value::Object(serde_json::Map::default()), data);
    deliver(&served, Door::Http, &events::lines(&[retraction]), 1);
    assert_eq!(ask(), before);
}
