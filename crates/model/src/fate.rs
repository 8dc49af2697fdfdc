//! The fates of an event at a door. Every event has exactly one: stored, duplicate, refused with a reason, or handed
//! back for retry. Dropping one unaccounted is a bug.

use crate::event::{Event, EventKey, Version};
use crate::refusal::Refusal;

/// Where an event came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Door {
    Grpc,
    Http,
    Import,
    Kafka,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Grpc, Self::Http, Self::Import, Self::Kafka];

    /// Its name, as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::Import => "import",
            Self::Kafka => "kafka",
        }
    }
}

/// What became of an event, as its sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// New, and durable.
    Stored {
        /// Another version with the same revision and another content was there: only one of them can win, and which
        /// one, the sender did not say.
        conflict: bool,
    },
    /// Known already; nothing changed.
    Duplicate,
    /// Not taken; kept in the quarantine.
    Refused(Refusal),
}

/// An event that passed every check: persons are pseudonyms, and its key and canonical form are computed. Sealing happens at
/// the door, where it can be done by many threads, not in the one writer behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The event.
    pub event: Event,
    /// Its handle.
    pub key: EventKey,
    /// Its content in canonical form.
    pub canonical: Vec<u8>,
}

impl Sealed {
    /// Seals an event whose persons are pseudonyms already.
    pub fn new(event: Event) -> Self {
        Self { key: event.id.key(), canonical: event.content.canonical(), event }
    }

    /// Its version. Costs a digest, which only those events need whose id came before with the same revision.
    pub fn version(&self) -> Version {
        Version::of(self.event.revision, &self.canonical)
    }
}

/// An event that was refused, as the quarantine keeps it. Persons in it are pseudonyms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub refusal: Refusal,
    /// Where it came in.
    pub door: Door,
    /// Its source, as far as it could be read.
    pub source: Option<String>,
    /// Its id, as far as it could be read.
    pub id: Option<String>,
    /// What was sent, with persons made pseudonyms; `None` if it could not be decoded, for then nobody can tell where
    /// persons are named in it.
    pub payload: Option<Payload>,
}

/// A refused event as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A CDEvent, or a CloudEvent around one.
    Json(String),
    /// A `milepost.v1.Event`.
    Protobuf(Vec<u8>),
}
