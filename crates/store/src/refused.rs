//! What is kept of a refused event, whatever the engine.

use std::borrow::Cow;

use milepost_model::{Door, Payload, Reason, Rejected};

/// Longer payloads are not kept, only why they were refused.
const PAYLOAD_BYTES: usize = 64 << 10;

pub(crate) const JSON: &str = "json";
pub(crate) const PROTOBUF: &str = "protobuf";

/// What is kept of one.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    /// Says so if the payload is not kept.
    pub(crate) message: Cow<'a, str>,
    pub(crate) payload: Option<&'a Payload>,
}

impl<'a> Kept<'a> {
    pub(crate) fn of(rejected: &'a Rejected) -> Self {
        let message = &rejected.refusal.message;
        match &rejected.payload {
            Some(payload) if bytes(payload).len() > PAYLOAD_BYTES => {
                let message = format!(
                    "{message} (what was sent is not kept: it has {} bytes, and at most {PAYLOAD_BYTES} are)",
                    bytes(payload).len()
                );
                Self { message: message.into(), payload: None }
            }
            payload => Self { message: message.into(), payload: payload.as_ref() },
        }
    }
}

/// The name of its form.
pub(crate) fn format(payload: &Payload) -> &'static str {
    match payload {
        Payload::Json(_) => JSON,
        Payload::Protobuf(_) => PROTOBUF,
    }
}

pub(crate) fn bytes(payload: &Payload) -> &[u8] {
    match payload {
        Payload::Json(text) => text.as_bytes(),
        Payload::Protobuf(bytes) => bytes,
    }
}

/// The door of this name.
pub(crate) fn door(name: &str) -> Option<Door> {
    Door::ALL.into_iter().find(|known| known.as_str() == name)
}

/// The reason of this name.
pub(crate) fn reason(name: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|known| known.as_str() == name)
}
