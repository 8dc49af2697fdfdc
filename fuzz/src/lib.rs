//! What the targets share: laws that more than one of them holds, a door that only remembers, and an installation without
//! a disk.
//!
//! A target asserts more than that nothing panics: what is read can be written and read again, what a scrub leaves names
//! nobody, what is damaged is noticed or harmless. Bytes a person may read stand for everything, so that a seed is a text.

pub mod damage;
pub mod door;
pub mod installation;
pub mod persons;

use std::cell::OnceCell;
use std::path::Path;

use milepost_model::{Content, Event, Sealed, Timestamp};
use milepost_wire::{pb, proto};
use prost::Message as _;
use tempfile::TempDir;

/// What every clock says.
pub fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("an instant")
}

/// The laws of an event that could be read: it can be written in every form there is, and is the same when read again.
pub fn hold_laws_of_event(event: &Event) {
    let bytes = proto::encode(event).encode_to_vec();
    let back = pb::Event::decode(bytes.as_slice()).expect("our own bytes are a message");
    assert_eq!(proto::decode(back).as_ref(), Ok(event), "protobuf reads back");
    let sealed = Sealed::new(event.clone());
    hold_laws_of_content(&event.content);
    assert_eq!(Sealed::new(event.clone()), sealed);
}

/// The canonical form is that of RFC 8785, and reads back.
pub fn hold_laws_of_content(content: &Content) {
    let canonical = content.canonical();
    let value = serde_json::to_value(content).expect("a content is JSON");
    let reference = serde_json_canonicalizer::to_vec(&value).expect("JSON has a canonical form");
    assert_eq!(
        std::str::from_utf8(&canonical).expect("JSON is UTF-8"),
        std::str::from_utf8(&reference).expect("JSON is UTF-8"),
        "the canonical form is that of RFC 8785"
    );
    let back: Content = serde_json::from_slice(&canonical).expect("what is stored can be read");
    assert_eq!(&back, content, "what is stored reads back");
}

/// Runs `work` with a directory of this thread; what was in there before may still be.
pub fn in_scratch<T>(work: impl FnOnce(&Path) -> T) -> T {
    thread_local!(static SCRATCH: OnceCell<TempDir> = const { OnceCell::new() });
    SCRATCH.with(|scratch| {
        work(scratch.get_or_init(|| tempfile::tempdir().expect("a directory for scratch")).path())
    })
}

/// The text before the first line feed, and what is behind it.
pub fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}
