//! A batch of events as a history: whatever their order, the Model answers the same, and what is taken out leaves no trace.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::now;
use milepost_model::{AsOf, Config, Event, EventId, Model, Selector, metrics};
use milepost_wire::{pb, proto};
use prost::Message as _;

/// Everything it can be asked without parameters, now and a while ago.
fn answers(model: &Model) -> Vec<String> {
    let config = Config::default();
    let mut answers = Vec::new();
    for as_of in [AsOf::Instant(now()), AsOf::Day(now().day().plus(-400))] {
        for metric in metrics::registry() {
            let answer = metrics::query(model, &config, *metric, &Selector::default(), as_of);
            answers.push(format!("{answer:?}"));
        }
    }
    answers
}

fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Model {
    let mut model = Model::new();
    events.into_iter().for_each(|event| model.insert(event));
    model
}

fuzz_target!(|data: &[u8]| {
    let Ok(request) = pb::PublishRequest::decode(data) else { return };
    let mut winners: BTreeMap<EventId, Event> = BTreeMap::new();
    for event in request.events.into_iter().filter_map(|event| proto::decode(event).ok()) {
        match winners.get(&event.id) {
            Some(winner) if winner.version() >= event.version() => {}
            _ => drop(winners.insert(event.id.clone(), event)),
        }
    }
    let events: Vec<Event> = winners.into_values().collect();
    let mut model = of(&events);
    let all = answers(&model);
    assert_eq!(answers(&of(events.iter().rev())), all, "order does not matter");
    let (gone, left) = events.split_at(events.len() / 2);
    gone.iter().for_each(|event| model.remove(event));
    assert_eq!(answers(&model), answers(&of(left)), "what is taken out leaves no trace");
    gone.iter().for_each(|event| model.insert(event));
    assert_eq!(answers(&model), all);
});
