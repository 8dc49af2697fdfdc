//! Small pieces of work that are always the same, for counting instructions, which do not wobble as times do:
//! `cargo xtask bench --instructions` runs them under callgrind and compares with benches/instructions.json.
//!
//! Run by itself it does the work once. It reads no clock: callgrind hides from programs how the kernel gives them the time.

use std::hint::black_box;

use milepost::exporter::business::business;
use milepost::exporter::exposition;
use milepost_benches::mix::Mix;
use milepost_model::{Config, Model, Sealed, Timestamp};
use milepost_wire::{pb, proto};
use prost::Message as _;

const EVENTS: u64 = 20_000;

fn main() {
    let mix = Mix::of(EVENTS);
    let encoded: Vec<Vec<u8>> = (0..EVENTS).map(|number| mix.event(number).encode_to_vec()).collect();
    let model = measured_ingest(&encoded);
    assert_eq!(model.events() as u64, EVENTS);
    let text = measured_scrape(&model);
    assert!(text.contains("milepost_market_share_ratio{"), "{text}");
    println!("{EVENTS} events, and a scrape of {} bytes", text.len());
}

/// Decodes, seals and folds. Its name is what callgrind counts by.
#[inline(never)]
fn measured_ingest(encoded: &[Vec<u8>]) -> Model {
    let mut model = Model::new();
    for bytes in encoded {
        let event = pb::Event::decode(bytes.as_slice()).expect("an event");
        let sealed = Sealed::new(proto::decode(event).expect("a right one"));
        model.insert_with_key(&sealed.event, sealed.key);
        black_box(&sealed.canonical);
    }
    model
}

/// What `/metrics` says of the Model.
#[inline(never)]
fn measured_scrape(model: &Model) -> String {
    let now: Timestamp = "2024-12-31T00:00:00Z".parse().expect("an instant");
    let business = business(model, &Config::default(), now, 10_000).expect("every metric answers");
    exposition::write(&business.families, exposition::Dialect::Text)
}
