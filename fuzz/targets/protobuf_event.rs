//! `milepost.v1.Event`, as one comes in a batch.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::{hold_laws_of_event, now};
use milepost_model::Limits;
use milepost_wire::{pb, proto};
use prost::Message as _;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = pb::Event::decode(data) else { return };
    let mut scrubbed = message.clone();
    proto::scrub(&mut scrubbed, &mut |name| "p-1".clone_into(name));
    let decoded = proto::decode(message);
    let decoded_scrubbed = proto::decode(scrubbed);
    let Ok(mut event) = decoded else {
        assert_eq!(decoded, decoded_scrubbed, "what is wrong is wrong without names, too");
        return;
    };
    hold_laws_of_event(&event);
    if let Err(refusal) = Limits::default().check(&event, now()) {
        assert!(!proto::field_path(&event.content.body, &refusal.field).starts_with("body."), "{refusal}");
    }
    event.content.persons_mut().for_each(|name| "p-1".clone_into(name));
    assert_eq!(decoded_scrubbed, Ok(event), "the scrub changed more, or less");
});
