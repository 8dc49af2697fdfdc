//! The Model alone: what an event costs it in time and memory, and what writing it down and reading it back does.
//!
//! Run: `cargo bench -p milepost-benches --bench model`. Fewer events: `MILEPOST_BENCH_EVENTS=1000000`.

use milepost_benches::mix::Mix;
use milepost_benches::{resident, setting, used_cpu};
use milepost_model::{Event, EventKey, Model};
use milepost_wire::proto;

/// Events made at a time, so that a long history need not be held here as a whole.
const PART: u64 = 20_000;

fn main() {
    let events = setting("MILEPOST_BENCH_EVENTS", 5_000_000);
    let mix = Mix { teams: 1_000, services: 10_000, capabilities: 50, days: 730, ..Mix::of(events) };
    let (mut model, mut seconds, before) = (Model::new(), 0.0, resident());
    for start in (0..events).step_by(PART as usize) {
        let part: Vec<(Event, EventKey)> =
            (start..(start + PART).min(events)).map(|number| event(&mix, number)).collect();
        seconds += used_cpu(|| part.iter().for_each(|(event, key)| model.insert_with_key(event, *key)));
    }
    let of_each = |figure: f64| figure / events as f64;
    println!("{events} events");
    println!("{:<40}{:>10.0} ns", "insert, CPU for each", of_each(seconds) * 1e9);
    println!("{:<40}{:>10.0} bytes", "memory for each", of_each(resident() - before));

    let mut encoded = Vec::new();
    let seconds = used_cpu(|| encoded = model.encode());
    println!("{:<40}{:>10.2} s", "encode, CPU", seconds);
    println!("{:<40}{:>10.1} bytes", "encoded, for each", of_each(encoded.len() as f64));
    let (expected, mut decoded) = (model.fingerprint(), None);
    drop(model);
    let seconds = used_cpu(|| decoded = Model::decode(&encoded).ok());
    println!("{:<40}{:>10.2} s", "decode by one thread, CPU", seconds);
    assert_eq!(decoded.map(|model| model.fingerprint()), Some(expected), "it must be the same Model");
}

fn event(mix: &Mix, number: u64) -> (Event, EventKey) {
    let event = proto::decode(mix.event(number)).expect("an event that a door takes");
    let key = event.id.key();
    (event, key)
}
