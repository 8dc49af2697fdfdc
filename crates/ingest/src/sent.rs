//! Events in the forms they are sent in.

use milepost_model::refusal::Reason;
use milepost_model::{Event, Payload, Refusal};
use milepost_wire::cloudevents::{self, Binding};
use milepost_wire::{json, pb, proto};
use prost::Message as _;

/// One event in the form it was sent in, not yet read. Kept until its fate is known, so that a refusal can name the
/// sender's own fields and the quarantine can show what came.
#[derive(Debug, Clone, Copy)]
pub enum Sent<'a> {
    /// The JSON text of a CDEvent, or of a CloudEvent around one.
    Json(&'a [u8]),
    /// A CloudEvent in binary mode.
    Binary {
        /// How its attributes are written.
        binding: Binding,
        /// Headers that are attributes, and `content-type`.
        attributes: &'a [(String, Vec<u8>)],
        /// The body.
        data: &'a [u8],
    },
    /// A `milepost.v1.Event`.
    Protobuf(&'a [u8]),
    /// Something in none of these forms.
    Unreadable {
        /// Its size.
        bytes: usize,
        /// Why it is refused.
        refusal: &'a Refusal,
    },
}

/// What the quarantine keeps of a refused event.
#[derive(Debug, Default)]
pub struct Remains {
    /// Its source, as far as it could be read.
    pub source: Option<String>,
    /// Its id, as far as it could be read.
    pub id: Option<String>,
    /// What was sent; none if nobody can tell where persons are named in it.
    pub payload: Option<Payload>,
}

impl Sent<'_> {
    /// Its size in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Json(bytes) | Self::Binary { data: bytes, .. } | Self::Protobuf(bytes) => bytes.len(),
            Self::Unreadable { bytes, .. } => *bytes,
        }
    }

    /// Reads it.
    pub fn decode(&self) -> Result<Event, Refusal> {
        match self {
            Self::Json(text) => json::decode(text),
            Self::Binary { binding, attributes, data } => {
                let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
                cloudevents::decode_binary(*binding, attributes, data)
            }
            Self::Protobuf(bytes) => {
                let event = pb::Event::decode(*bytes).map_err(|error| {
                    Refusal::new(Reason::Malformed, "", format!("not a milepost.v1.Event: {error}"))
                })?;
                proto::decode(event)
            }
            Self::Unreadable { refusal, .. } => Err((*refusal).clone()),
        }
    }

    /// What the sender calls the field of `event`, which this is, that the model calls `field`.
    pub fn field_path(&self, event: &Event, field: &str) -> String {
        match self {
            Self::Json(_) | Self::Binary { .. } => json::field_path(field),
            Self::Protobuf(_) => proto::field_path(&event.content.body, field),
            Self::Unreadable { .. } => field.to_owned(),
        }
    }

    /// What the sender calls the field of the source.
    pub fn source_field(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Binary { .. } => "context.source",
            Self::Protobuf(_) | Self::Unreadable { .. } => "source",
        }
    }

    /// What the quarantine keeps of it; `pseudonym` is applied to every person named.
    pub fn remains(&self, pseudonym: &mut dyn FnMut(&mut String)) -> Remains {
        match self {
            Self::Json(text) | Self::Binary { data: text, .. } => {
                let Ok(mut value) = serde_json::from_slice(text) else { return Remains::default() };
                let (source, id) = json::identity(&value);
                json::scrub(&mut value, pseudonym);
                Remains { source, id, payload: Some(Payload::Json(value.to_string())) }
            }
            Self::Protobuf(bytes) => {
                let Ok(mut event) = pb::Event::decode(*bytes) else { return Remains::default() };
                proto::scrub(&mut event, pseudonym);
                let present = |text: &String| (!text.is_empty()).then(|| text.clone());
                let (source, id) = (present(&event.source), present(&event.id));
                Remains { source, id, payload: Some(Payload::Protobuf(event.encode_to_vec())) }
            }
            Self::Unreadable { .. } => Remains::default(),
        }
    }
}
