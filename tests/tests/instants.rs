//! Core metrics as of any instant, not only the end of a day, against the oracle. The command line and the doors know days
//! and *now*; so this asks the library, with *now* as an argument.

use std::collections::BTreeMap;

use milepost_ingest::Pseudonymizer;
use milepost_model::{AsOf, Config, Event, EventId, Model, Selector, metrics};
use milepost_tests::{delivery, oracle};
use serde_json::Value;

#[test]
fn any_instant() {
    let seeds = oracle::seeds();
    let wrong: Vec<String> = (1_000..1_000 + seeds).flat_map(wrong_answers).collect();
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn wrong_answers(seed: u64) -> Vec<String> {
    let history = oracle::history(seed);
    let questions: Vec<Value> = history.questions.into_iter().filter(|q| q.get("now").is_some()).collect();
    assert!(!questions.is_empty(), "seed {seed} asks nothing as of an instant");
    let file = delivery::file_of(&history.events);
    let expected = oracle::answers(file.path(), &history.config, &questions);
    let (model, config) = (model(&history.events, &history.config), config(&history.config));
    let ours = questions.iter().map(|question| answers(&model, &config, question));
    let differences = ours.zip(&expected).zip(&questions).filter_map(|((ours, theirs), question)| {
        oracle::difference(&ours, theirs).map(|found| format!("seed {seed}: {question}{found}"))
    });
    differences.collect()
}

/// The Model of the winners among these events.
fn model(events: &[String], config: &Value) -> Model {
    let key = config["privacy_key"].as_str().expect("the generator writes a key");
    let byte = |at: usize| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).expect("a key in hex");
    let persons = Pseudonymizer::new(&std::array::from_fn(byte));
    let mut winners: BTreeMap<EventId, Event> = BTreeMap::new();
    for line in events {
        let mut event = milepost_wire::json::decode(line.as_bytes()).expect("the generator writes events");
        persons.apply(&mut event);
        match winners.get_mut(&event.id) {
            Some(winner) if winner.version() >= event.version() => {}
            Some(winner) => *winner = event,
            None => drop(winners.insert(event.id.clone(), event)),
        }
    }
    let mut model = Model::new();
    for event in winners.values() {
        model.insert(event);
    }
    model
}

fn config(config: &Value) -> Config {
    let mut config = config.clone();
    config.as_object_mut().expect("an object").remove("privacy_key");
    serde_json::from_value(config).expect("the oracle's configuration is ours, but for the key")
}

fn answers(model: &Model, config: &Config, question: &Value) -> Value {
    let text = |name: &str| question[name].as_str().map(str::to_owned);
    let mut selector = Selector::default();
    selector.fields_mut().into_iter().for_each(|(name, field)| *field = text(name));
    let metric = metrics::find(&text("metric").expect("a metric")).expect("a known metric");
    let now = AsOf::Instant(text("now").expect("an instant").parse().expect("an instant"));
    let answers = metrics::query(model, config, metric, &selector, now).expect("a good question");
    serde_json::to_value(answers).expect("answers are JSON")
}
