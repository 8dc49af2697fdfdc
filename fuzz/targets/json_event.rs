//! A JSON text at any door: a CDEvent, or a CloudEvent in structured mode around one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::persons::{hold_law_of_refusal, hold_law_of_scrub, put_canary};
use milepost_fuzz::{hold_laws_of_event, now};
use milepost_model::Limits;
use milepost_wire::{cdevents, cloudevents, json};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let decoded = json::decode(data);
    if let Ok(event) = &decoded {
        hold_laws_of_event(event);
        let either = [cdevents::decode(data), cloudevents::decode_structured(data)];
        assert!(either.contains(&decoded), "{either:?}");
    }
    hold_law_of_scrub(data);
    let Ok(mut value) = serde_json::from_slice::<Value>(data) else { return };
    let _ = json::identity(&value);
    if put_canary(&mut value) {
        match json::decode(value.to_string().as_bytes()) {
            Err(refusal) => hold_law_of_refusal(&refusal),
            Ok(event) => {
                if let Err(refusal) = Limits::default().check(&event, now()) {
                    hold_law_of_refusal(&refusal);
                }
            }
        }
    }
});
