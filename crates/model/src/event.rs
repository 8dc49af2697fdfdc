//! Events and their versions.
//!
//! The truth is a map from ([`EventId`]) to the largest [`Version`]. Taking the larger of two versions is
//! commutative, associative and idempotent, so arrival order, repetition and lateness never matter.

mod body;
mod canonical;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::time::Timestamp;

pub use body::{Body, Change, Deploy, DeployKind, Incident, Outcome};

/// What identifies an event, over all time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId {
    /// Who says so: a URI reference.
    pub source: String,
    /// Unique within the source.
    pub id: String,
}

impl EventId {
    /// Its handle.
    pub fn key(&self) -> EventKey {
        EventKey::of(&self.source, &self.id)
    }
}

/// A 64-bit handle of an [`EventId`]: the first eight bytes of SHA-256 over source, NUL, id. Stable for ever.
/// Two identities may share one, so whoever looks up by it compares the identity it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(pub u64);

impl EventKey {
    /// The handle of (source, id).
    pub fn of(source: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(source);
        hash.update([0]);
        hash.update(id);
        let digest = hash.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_be_bytes(first))
    }
}

/// One version of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Which event this is a version of.
    #[serde(flatten)]
    pub id: EventId,
    /// A correction carries a larger one.
    #[serde(default)]
    pub revision: u64,
    /// Everything else.
    pub content: Content,
}

/// What an event says. Its serialised form is the canonical one of schemas/README.md (RFC 8785): fields are
/// declared in the order of their names, and absent ones are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Who did it: a pseudonym once past the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What happened.
    pub body: Body,
    /// The capability it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The service it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The team it is about; where absent, the owner of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

impl Content {
    /// The canonical form: UTF-8 JSON after RFC 8785.
    pub fn canonical(&self) -> Vec<u8> {
        // Enough for nearly all, so that it is written in one piece; then just as long as it is, for it is kept for a while.
        let mut text = Vec::with_capacity(512);
        // Serialising to memory fails only for maps whose keys are no strings, and there are none.
        match serde_json::to_writer(&mut text, self) {
            Ok(()) => text.as_slice().to_vec(),
            Err(_) => Vec::new(),
        }
    }

    /// Every person named, to be made a pseudonym at the door.
    pub fn persons_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let (respondent, changes) = match &mut self.body {
            Body::SurveyInvited { respondent, .. } | Body::SurveyAnswered { respondent, .. } => {
                (respondent.as_mut(), [].iter_mut())
            }
            Body::Deployed(deploy) => (None, deploy.changes.iter_mut()),
            _ => (None, [].iter_mut()),
        };
        self.actor.iter_mut().chain(respondent).chain(changes.filter_map(|change| change.author.as_mut()))
    }
}

/// Which version of an event this is. Totally ordered: no two different versions tie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First by revision,
    pub revision: u64,
    /// then by SHA-256 of the canonical content (comparing bytes is comparing their lower-case hex).
    pub digest: [u8; 32],
}

impl Version {
    /// The version of a content given in canonical form.
    pub fn of(revision: u64, canonical: &[u8]) -> Self {
        Self { revision, digest: Sha256::digest(canonical).into() }
    }
}

impl Event {
    /// Its version. Costs a serialisation; whoever has the canonical form at hand calls [`Version::of`].
    pub fn version(&self) -> Version {
        Version::of(self.revision, &self.content.canonical())
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        self.content.occurred_at
    }
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = Vec::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    // They are ASCII.
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests;
