//! What an event says happened: one body for each type of the contract.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// It was not planned: a hotfix. A rollback never is.
    #[serde(default)]
    pub unplanned: bool,
}

/// Something went wrong in an environment: it was detected, reported or resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Incident {
    /// The artifact that is to blame, a package URL.
    #[serde(default)]
    pub artifact_id: Option<String>,
    /// Where it happened.
    #[serde(default)]
    pub environment: Option<String>,
    /// Ties detections, reports and resolutions together within the source; default: the event's own id.
    #[serde(default)]
    pub incident_id: Option<String>,
    /// Ids of events it is linked to: a deploy among them is to blame.
    #[serde(default)]
    pub links: Vec<String>,
    /// How bad it is, in the sender's words.
    #[serde(default)]
    pub severity: Option<String>,
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
        #[serde(default)]
        duration_seconds: Option<u64>,
    },
    ChangeCreated {
        #[serde(default)]
        change_id: Option<String>,
        #[serde(default)]
        repository: Option<String>,
    },
    ChangeMerged {
        #[serde(default)]
        change_id: Option<String>,
        #[serde(default)]
        repository: Option<String>,
    },
    IncidentDetected(Incident),
    IncidentReported(Incident),
    IncidentResolved(Incident),
    EnvironmentProvisioned {
        #[serde(default)]
        environment_id: Option<String>,
        outcome: Outcome,
        #[serde(default)]
        duration_seconds: Option<u64>,
    },
    ProbeFinished {
        #[serde(default)]
        probe: Option<String>,
        outcome: Outcome,
    },
    RequestsObserved {
        #[serde(default)]
        indicator: Option<String>,
        good: u64,
        total: u64,
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
            Self::ChangeCreated { .. } => "change_created",
            Self::ChangeMerged { .. } => "change_merged",
            Self::IncidentDetected(_) => "incident_detected",
            Self::IncidentReported(_) => "incident_reported",
            Self::IncidentResolved(_) => "incident_resolved",
            Self::EnvironmentProvisioned { .. } => "environment_provisioned",
            Self::ProbeFinished { .. } => "probe_finished",
            Self::RequestsObserved { .. } => "requests_observed",
            Self::Retracted => "retracted",
        }
    }

    /// A retirement makes nothing appear, neither its subject nor any other name in it.
    pub fn is_retirement(&self) -> bool {
        matches!(self, Self::TeamRetired | Self::ServiceRetired | Self::CapabilityRetired)
    }
}
