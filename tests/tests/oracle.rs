//! Every metric against the brute-force oracle (tests/oracle): on generated histories that reach every rule, and on
//! the real input. `MILEPOST_SEEDS` says how many histories.

use milepost_tests::delivery::{self, Door, chance, shuffled};
use milepost_tests::oracle::{self, History, difference, path_of};
use milepost_tests::{Installation, REAL_CONFIG, Served, real_data};
use serde_json::{Value, json};

#[test]
fn generated_histories() {
    let wrong: Vec<String> =
        (0..oracle::seeds()).flat_map(|seed| wrong_answers(seed, oracle::history(seed))).collect();
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn wrong_answers(seed: u64, history: History) -> Vec<String> {
    let installation = Installation::new(&oracle::toml(&history.config));
    let served = installation.serve();
    send(&served, seed, &history.events);
    // The command line and HTTP know days, no instants: an instant is asked about as its day.
    let questions: Vec<Value> = history.questions.into_iter().map(as_of_a_day).collect();
    let file = delivery::file_of(&history.events);
    let expected = oracle::answers(file.path(), &history.config, &questions);
    compare(&served, &questions, &expected).into_iter().map(|wrong| format!("seed {seed}: {wrong}")).collect()
}

/// In another order, some events more than once, in batches of many sizes, over every door.
fn send(served: &Served, seed: u64, events: &[String]) {
    let again = events.iter().enumerate().filter(|(index, _)| chance(seed, *index as u64).is_multiple_of(5));
    let deliveries: Vec<String> = events.iter().chain(again.map(|(_, event)| event)).cloned().collect();
    let deliveries = shuffled(seed, &deliveries);
    let parts = deliveries.chunks(deliveries.len().div_ceil(Door::ALL.len()));
    for (index, (door, part)) in (0..).zip(Door::ALL.into_iter().zip(parts)) {
        delivery::deliver(served, door, part, 1 + chance(seed, index) as usize % 60);
    }
}

fn as_of_a_day(mut question: Value) -> Value {
    let members = question.as_object_mut().expect("a question is an object");
    if let Some(now) = members.remove("now") {
        members.insert("as_of".into(), now.as_str().expect("an instant is text")[..10].into());
    }
    question
}

fn compare(served: &Served, questions: &[Value], expected: &[Value]) -> Vec<String> {
    assert_eq!(questions.len(), expected.len());
    questions
        .iter()
        .zip(expected)
        .filter_map(|(question, theirs)| {
            let ours = served.get(&path_of(question));
            let found = if ours.status == 200 {
                difference(&ours.json(), theirs)
            } else {
                Some(format!(": {ours:?}"))
            };
            found.map(|found| format!("{question}{found}"))
        })
        .collect()
}

#[test]
fn real_input() {
    let installation = Installation::new(REAL_CONFIG);
    let file = real_data();
    let path = file.to_str().expect("the checkout's path is UTF-8");
    installation.run(&["import"], &["--format", "json", path]).expect_success();
    let config = json!({"capabilities": {"release-pipeline": {"golden_path": true}}, "production": ["production", "prod"]});
    let questions = real_questions();
    let expected = oracle::answers(&file, &without_persons(config), &questions);
    let wrong = compare(&installation.serve(), &questions, &expected);
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Pseudonyms under another key count the same persons.
fn without_persons(mut config: Value) -> Value {
    config["privacy_key"] = "00".repeat(32).into();
    config
}

fn real_questions() -> Vec<Value> {
    ["2018-03-15", "2020-02-29"]
        .into_iter()
        .flat_map(|day| {
            [
                json!({"metric": "market_share", "as_of": day}),
                json!({"metric": "market_share", "as_of": day, "unit": "service", "window": "90d", "capability": "chart-testing"}),
                json!({"metric": "keep_rate", "as_of": day}),
                json!({"metric": "keep_rate", "as_of": day, "unit": "service", "rule": "on_or_after", "horizon": "30d"}),
                json!({"metric": "keep_rate", "as_of": day, "rule": "any_repeat", "max_age": "365d", "grace": "7d"}),
                json!({"metric": "retention_curve", "as_of": day, "capability": "chart-testing"}),
                json!({"metric": "time_to_first_deploy", "as_of": day, "window": "1000d"}),
                json!({"metric": "time_to_first_deploy", "as_of": day, "estimator": "observed"}),
                json!({"metric": "onboarding_time", "as_of": day}),
                json!({"metric": "onboarding_time", "as_of": day, "estimator": "observed", "window": "28d"}),
                json!({"metric": "self_service_rate", "as_of": day, "window": "400d"}),
                json!({"metric": "self_service_rate", "as_of": day, "by": "team"}),
                json!({"metric": "nps", "as_of": day}),
                json!({"metric": "deployment_frequency", "as_of": day}),
                json!({"metric": "deployment_frequency", "as_of": day, "rule": "devlake", "window": "90d"}),
                json!({"metric": "lead_time_for_changes", "as_of": day, "window": "90d"}),
                json!({"metric": "change_failure_rate", "as_of": day}),
                json!({"metric": "failed_deployment_recovery_time", "as_of": day}),
                json!({"metric": "rework_rate", "as_of": day, "window": "400d"}),
                json!({"metric": "time_to_restore", "as_of": day}),
                json!({"metric": "slo_compliance", "as_of": day}),
            ]
        })
        .collect()
}
