//! Events and their versions.
//!
//! The truth is a map from ([`EventId`]) to the largest [`Version`]. Taking the larger of two versions is
//! commutative, associative and idempotent, so arrival order, repetition and lateness never matter.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::time::Timestamp;

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

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As wanted.
    Success,
    /// Not as wanted.
    Failure,
    /// Called off.
    Cancelled,
}

/// What kind of deploy it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployKind {
    /// A version came.
    #[default]
    Deployed,
    /// A newer version replaced an older one.
    Upgraded,
    /// An older version came back.
    RolledBack,
}

/// A change that a deploy brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Who wrote it: a pseudonym once past the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<Timestamp>,
    /// Its id, such as a commit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A deploy of a service to an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deploy {
    /// The artifact, a package URL.
    #[serde(default)]
    pub artifact_id: Option<String>,
    /// The changes it brings.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// The environment it went to.
    #[serde(default)]
    pub environment: Option<String>,
    /// What kind of deploy.
    #[serde(default)]
    pub kind: DeployKind,
    /// How it ended; a deploy with no outcome is a success.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

impl Deploy {
    /// Whether it counts as successful.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, None | Some(Outcome::Success))
    }
}

/// What happened. The names are those of the protobuf contract (`event.proto`), where each is described.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "described field by field in event.proto")]
pub enum Body {
    TeamRegistered,
    TeamRetired,
    ServiceRegistered {
        #[serde(default)]
        owner: Option<String>,
        #[serde(default)]
        preexisting: bool,
    },
    ServiceRetired,
    ServiceRemoved {
        #[serde(default)]
        environment: Option<String>,
    },
    CapabilityRegistered {
        #[serde(default)]
        mandated: Option<bool>,
        #[serde(default)]
        observed_since: Option<Timestamp>,
    },
    CapabilityRetired,
    CapabilityUsed,
    InteractionStarted {
        #[serde(default)]
        interaction_id: Option<String>,
    },
    InteractionFinished {
        #[serde(default)]
        interaction_id: Option<String>,
        outcome: Outcome,
        #[serde(default)]
        assisted: Option<bool>,
        #[serde(default)]
        duration_seconds: Option<u64>,
    },
    Deployed(Deploy),
    OnboardingStarted,
    SurveyInvited {
        #[serde(default)]
        survey: Option<String>,
        #[serde(default)]
        respondent: Option<String>,
    },
    SurveyAnswered {
        #[serde(default)]
        survey: Option<String>,
        #[serde(default)]
        respondent: Option<String>,
        score: u8,
    },
    PipelineRunFinished {
        #[serde(default)]
        pipeline: Option<String>,
        #[serde(default)]
        outcome: Option<Outcome>,
    },
    ChangeMerged {
        #[serde(default)]
        change_id: Option<String>,
        #[serde(default)]
        repository: Option<String>,
    },
    Retracted,
}

impl Body {
    /// The name of its type, as in the contract.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::TeamRegistered => "team_registered",
            Self::TeamRetired => "team_retired",
            Self::ServiceRegistered { .. } => "service_registered",
            Self::ServiceRetired => "service_retired",
            Self::ServiceRemoved { .. } => "service_removed",
            Self::CapabilityRegistered { .. } => "capability_registered",
            Self::CapabilityRetired => "capability_retired",
            Self::CapabilityUsed => "capability_used",
            Self::InteractionStarted { .. } => "interaction_started",
            Self::InteractionFinished { .. } => "interaction_finished",
            Self::Deployed(_) => "deployed",
            Self::OnboardingStarted => "onboarding_started",
            Self::SurveyInvited { .. } => "survey_invited",
            Self::SurveyAnswered { .. } => "survey_answered",
            Self::PipelineRunFinished { .. } => "pipeline_run_finished",
            Self::ChangeMerged { .. } => "change_merged",
            Self::Retracted => "retracted",
        }
    }

    /// A retirement makes nothing appear, neither its subject nor any other name in it.
    pub fn is_retirement(&self) -> bool {
        matches!(self, Self::TeamRetired | Self::ServiceRetired | Self::CapabilityRetired)
    }
}

/// Writes the entry if there is a value: the canonical form leaves absent ones out.
fn entry<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: Option<&impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, value))
}

impl Serialize for Body {
    /// By hand, because RFC 8785 wants `type` among the other names in their order, not before them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let type_name = Some(&self.type_name());
        match self {
            Self::ServiceRegistered { owner, preexisting } => {
                entry(&mut map, "owner", owner.as_ref())?;
                entry(&mut map, "preexisting", preexisting.then_some(&true))?;
                entry(&mut map, "type", type_name)?;
            }
            Self::ServiceRemoved { environment } => {
                entry(&mut map, "environment", environment.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::CapabilityRegistered { mandated, observed_since } => {
                entry(&mut map, "mandated", mandated.as_ref())?;
                entry(&mut map, "observed_since", observed_since.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::InteractionStarted { interaction_id } => {
                entry(&mut map, "interaction_id", interaction_id.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::InteractionFinished { interaction_id, outcome, assisted, duration_seconds } => {
                entry(&mut map, "assisted", assisted.as_ref())?;
                entry(&mut map, "duration_seconds", duration_seconds.as_ref())?;
                entry(&mut map, "interaction_id", interaction_id.as_ref())?;
                entry(&mut map, "outcome", Some(outcome))?;
                entry(&mut map, "type", type_name)?;
            }
            Self::Deployed(deploy) => {
                entry(&mut map, "artifact_id", deploy.artifact_id.as_ref())?;
                entry(&mut map, "changes", (!deploy.changes.is_empty()).then_some(&deploy.changes))?;
                entry(&mut map, "environment", deploy.environment.as_ref())?;
                entry(&mut map, "kind", (deploy.kind != DeployKind::Deployed).then_some(&deploy.kind))?;
                entry(&mut map, "outcome", deploy.outcome.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::SurveyInvited { survey, respondent } => {
                entry(&mut map, "respondent", respondent.as_ref())?;
                entry(&mut map, "survey", survey.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::SurveyAnswered { survey, respondent, score } => {
                entry(&mut map, "respondent", respondent.as_ref())?;
                entry(&mut map, "score", Some(score))?;
                entry(&mut map, "survey", survey.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::PipelineRunFinished { pipeline, outcome } => {
                entry(&mut map, "outcome", outcome.as_ref())?;
                entry(&mut map, "pipeline", pipeline.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::ChangeMerged { change_id, repository } => {
                entry(&mut map, "change_id", change_id.as_ref())?;
                entry(&mut map, "repository", repository.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::TeamRegistered
            | Self::TeamRetired
            | Self::ServiceRetired
            | Self::CapabilityRetired
            | Self::CapabilityUsed
            | Self::OnboardingStarted
            | Self::Retracted => entry(&mut map, "type", type_name)?,
        }
        map.end()
    }
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
