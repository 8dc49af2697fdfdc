//! A small installation with some of every kind of event, and a clock that stands still.

use std::sync::{Arc, LazyLock};

use milepost::engine::Engine;
use milepost_model::{Config, Event, Model, Sealed};
use milepost_store::Store as _;
use milepost_store::sqlite::{Options, Sqlite};
use milepost_wire::json;

use crate::{in_scratch, now};

/// One a line.
const EVENTS: &str = include_str!("../seeds/import_lines/events.ndjson");

/// The events of the installation.
pub fn events() -> Vec<Event> {
    EVENTS.lines().map(|line| json::decode(line.as_bytes()).expect("the seed is events")).collect()
}

/// The one installation.
pub fn engine() -> Arc<Engine> {
    static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
        let events = events();
        let mut model = Model::new();
        events.iter().for_each(|event| model.insert(event));
        let reader = in_scratch(|scratch| {
            let mut store = Sqlite::open(&scratch.join("installation"), Options::default()).expect("a store");
            let sealed: Vec<_> = events.into_iter().map(Sealed::new).collect();
            store.append(&sealed, &[], now()).expect("room for events");
            store.reader().expect("a reader")
        });
        Engine::with_clock(model, Config::default(), reader, now)
    });
    Arc::clone(&ENGINE)
}
