//! The content of a stored event, as it stands in a row.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost_fuzz::hold_laws_of_content;
use milepost_model::{Content, Event, EventId, Limits, Version};
use milepost_wire::proto;

fuzz_target!(|data: &[u8]| {
    let Ok(content) = serde_json::from_slice::<Content>(data) else { return };
    let canonical = content.canonical();
    let back: Content = serde_json::from_slice(&canonical).expect("what is stored can be read");
    assert_eq!(back, content);
    assert_eq!(back.canonical(), canonical, "the canonical form is one");
    let event = Event { id: EventId { source: "s".into(), id: "1".into() }, revision: 1, content };
    assert_eq!(event.version(), Version::of(1, &canonical));
    // Only what passed a door was ever stored.
    let passes = Limits::default().check(&event, milepost_fuzz::now()).is_ok();
    if passes && proto::decode(proto::encode(&event)).as_ref() == Ok(&event) {
        hold_laws_of_content(&event.content);
    }
});
