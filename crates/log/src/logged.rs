//! What a record of the log is, and how it is written.
//!
//! A value is a protobuf message whose first field is the number of its form. That comes first on the wire too, so that a
//! reader can tell a form it does not know from bytes that are none. The key of an event is its [`EventKey`], eight bytes,
//! the most significant first: all versions of it go to one partition.

use milepost_model::refusal::Reason;
use milepost_model::{
    Content, Door, Event, EventId, EventKey, Partition, Payload, Position, Refusal, Rejected, Sealed,
};
use prost::Message;
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};

/// What a record of the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logged {
    /// An accepted event.
    Event(Sealed),
    /// A refused event.
    Refused {
        /// What and why.
        rejected: Rejected,
        /// Where in Kafka it came from; none for other doors.
        origin: Option<Position>,
    },
    /// Nothing that this version can read. As a refused event, for the quarantine, where its origin is its own position.
    Poison(Rejected),
}

/// The form of accepted events.
const EVENT: u32 = 1;
/// The form of refused ones.
const REFUSED: u32 = 2;

/// Bytes of the key of an event.
pub(crate) const KEY_BYTES: usize = 8;

#[derive(Clone, PartialEq, Message)]
struct EventRecord {
    #[prost(uint32, tag = "1")]
    form: u32,
    #[prost(string, tag = "2")]
    source: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(uint64, tag = "4")]
    revision: u64,
    /// In canonical form.
    #[prost(bytes = "vec", tag = "5")]
    content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RefusedRecord {
    #[prost(uint32, tag = "1")]
    form: u32,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(string, tag = "3")]
    field: String,
    #[prost(string, tag = "4")]
    message: String,
    #[prost(string, tag = "5")]
    door: String,
    #[prost(string, optional, tag = "6")]
    source: Option<String>,
    #[prost(string, optional, tag = "7")]
    id: Option<String>,
    #[prost(string, optional, tag = "8")]
    json: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    protobuf: Option<Vec<u8>>,
    #[prost(message, optional, tag = "10")]
    origin: Option<Origin>,
}

#[derive(Clone, PartialEq, Message)]
struct Origin {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(int32, tag = "2")]
    partition: i32,
    #[prost(int64, tag = "3")]
    offset: i64,
}

/// The key of an event's record.
pub(crate) fn event_key(event: &Sealed) -> [u8; KEY_BYTES] {
    event.key.0.to_be_bytes()
}

/// Appends the value of an event's record. By hand, as [`EventRecord`] would be, but from what is borrowed: this is on the way
/// of every event.
pub(crate) fn write_event(event: &Sealed, out: &mut Vec<u8>) {
    encode_key(1, WireType::Varint, out);
    encode_varint(u64::from(EVENT), out);
    let mut bytes = |tag: u32, bytes: &[u8]| {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    };
    bytes(2, event.event.id.source.as_bytes());
    bytes(3, event.event.id.id.as_bytes());
    bytes(5, &event.canonical);
    if event.event.revision != 0 {
        encode_key(4, WireType::Varint, out);
        encode_varint(event.event.revision, out);
    }
}

/// How many bytes [`write_event`] appends.
pub(crate) fn event_bytes(event: &Sealed) -> usize {
    let bytes = |length: usize| key_len(1) + encoded_len_varint(length as u64) + length;
    let EventId { source, id } = &event.event.id;
    let revision = match event.event.revision {
        0 => 0,
        revision => key_len(4) + encoded_len_varint(revision),
    };
    key_len(1) + 1 + bytes(source.len()) + bytes(id.len()) + bytes(event.canonical.len()) + revision
}

/// The value of a refused event's record.
pub(crate) fn write_refused(rejected: &Rejected, origin: Option<&Position>) -> Vec<u8> {
    let Rejected { refusal, door, source, id, payload } = rejected;
    let (json, protobuf) = match payload {
        Some(Payload::Json(text)) => (Some(text.clone()), None),
        Some(Payload::Protobuf(bytes)) => (None, Some(bytes.clone())),
        None => (None, None),
    };
    let origin = origin.map(|Position { partition, offset }| Origin {
        topic: partition.topic.to_string(),
        partition: partition.number,
        offset: *offset,
    });
    let record = RefusedRecord {
        form: REFUSED,
        reason: refusal.reason.as_str().to_owned(),
        field: refusal.field.clone(),
        message: refusal.message.clone(),
        door: door.as_str().to_owned(),
        source: source.clone(),
        id: id.clone(),
        json,
        protobuf,
        origin,
    };
    record.encode_to_vec()
}

impl Logged {
    /// What a record with this value is.
    pub fn read(value: Option<&[u8]>) -> Self {
        let value = value.unwrap_or_default();
        let read = match form(value) {
            Some(EVENT) => read_event(value),
            Some(REFUSED) => read_refused(value),
            Some(form) => Err(format!(
                "form {form} of records, which this version of Milepost does not know: a newer one wrote it"
            )),
            None => Err(format!("{} bytes that no Milepost wrote", value.len())),
        };
        read.unwrap_or_else(|message| {
            Self::Poison(Rejected {
                refusal: Refusal::new(Reason::Malformed, "", message),
                door: Door::Kafka,
                source: None,
                id: None,
                payload: None,
            })
        })
    }
}

/// The number of the form, which every value begins with.
fn form(value: &[u8]) -> Option<u32> {
    let mut rest = value.strip_prefix(&[0x08])?;
    decode_varint(&mut rest).ok().and_then(|form| u32::try_from(form).ok())
}

fn read_event(value: &[u8]) -> Result<Logged, String> {
    let EventRecord { form: _, source, id, revision, content } = decode(value)?;
    // What serde says may repeat what is in there.
    let parsed: Content = serde_json::from_slice(&content).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("its content is none that this version of Milepost knows (line {line} column {column})")
    })?;
    let key = EventKey::of(&source, &id);
    let event = Event { id: EventId { source, id }, revision, content: parsed };
    Ok(Logged::Event(Sealed { event, key, canonical: content }))
}

fn read_refused(value: &[u8]) -> Result<Logged, String> {
    let record: RefusedRecord = decode(value)?;
    let named =
        |kind: &str, name: &str| format!("{kind} {name}, which this version of Milepost does not know");
    let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == record.reason);
    let reason = reason.ok_or_else(|| named("the reason", &record.reason))?;
    let door = Door::ALL.into_iter().find(|door| door.as_str() == record.door);
    let door = door.ok_or_else(|| named("the door", &record.door))?;
    let payload = record.json.map(Payload::Json).or(record.protobuf.map(Payload::Protobuf));
    let refusal = Refusal { reason, field: record.field, message: record.message };
    let origin = record.origin.map(|Origin { topic, partition, offset }| Position {
        partition: Partition { topic: topic.into(), number: partition },
        offset,
    });
    let rejected = Rejected { refusal, door, source: record.source, id: record.id, payload };
    Ok(Logged::Refused { rejected, origin })
}

fn decode<M: Message + Default>(value: &[u8]) -> Result<M, String> {
    M::decode(value).map_err(|error| format!("a damaged record: {error}"))
}

#[cfg(test)]
mod tests;
