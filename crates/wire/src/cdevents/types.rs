//! The types that are accepted, and what of the model each becomes. To accept another: one entry in [`TYPES`]; if it is
//! a custom one, its schema and an example in schemas/.

use milepost_model::event::{Change, Deploy, DeployKind, Incident, Outcome};
use milepost_model::refusal::Reason;
use milepost_model::{Body, Refusal};

use crate::json::tree::Object;

/// A type of event that is accepted.
#[derive(Debug)]
pub struct Type {
    /// `context.type` without its version.
    pub name: &'static str,
    /// Its newest version. Others of the same major version are accepted as well.
    pub version: &'static str,
    /// What `subject.id` names, where `customData` does not.
    pub(super) subject: Named,
    pub(super) body: fn(&Parts<'_>) -> Result<Body, Refusal>,
}

/// What the subject of an event is to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Team,
    Service,
    Capability,
    /// An incident, whose content may name the service.
    Incident,
    Other,
}

/// What a body is read from.
pub(super) struct Parts<'x> {
    pub(super) custom: Object<'x>,
    pub(super) content: Object<'x>,
    pub(super) subject: Option<&'x str>,
    /// Ids of the events that it is linked to.
    pub(super) links: Vec<String>,
}

/// All of them.
pub const TYPES: &[Type] = &[
    Type {
        name: "dev.cdeventsx.milepost-team.registered",
        version: "0.1.0",
        subject: Named::Team,
        body: |_| Ok(Body::TeamRegistered),
    },
    Type {
        name: "dev.cdeventsx.milepost-team.retired",
        version: "0.1.0",
        subject: Named::Team,
        body: |_| Ok(Body::TeamRetired),
    },
    Type {
        name: "dev.cdeventsx.milepost-service.registered",
        version: "0.1.0",
        subject: Named::Service,
        body: |parts| {
            Ok(Body::ServiceRegistered {
                owner: parts.content.text("owner")?,
                preexisting: parts.content.boolean("preexisting")?.unwrap_or_default(),
            })
        },
    },
    Type {
        name: "dev.cdeventsx.milepost-service.retired",
        version: "0.1.0",
        subject: Named::Service,
        body: |_| Ok(Body::ServiceRetired),
    },
    Type {
        name: "dev.cdeventsx.milepost-capability.registered",
        version: "0.1.0",
        subject: Named::Capability,
        body: |parts| {
            Ok(Body::CapabilityRegistered {
                mandated: parts.content.boolean("mandated")?,
                observed_since: parts.content.instant("observedSince")?,
            })
        },
    },
    Type {
        name: "dev.cdeventsx.milepost-capability.retired",
        version: "0.1.0",
        subject: Named::Capability,
        body: |_| Ok(Body::CapabilityRetired),
    },
    Type {
        name: "dev.cdeventsx.milepost-capability.used",
        version: "0.1.0",
        subject: Named::Capability,
        body: |_| Ok(Body::CapabilityUsed),
    },
    Type {
        name: "dev.cdeventsx.milepost-interaction.started",
        version: "0.1.0",
        subject: Named::Capability,
        body: |parts| Ok(Body::InteractionStarted { interaction_id: parts.content.text("interactionId")? }),
    },
    Type {
        name: "dev.cdeventsx.milepost-interaction.finished",
        version: "0.1.0",
        subject: Named::Capability,
        body: interaction_finished,
    },
    Type {
        name: "dev.cdeventsx.milepost-onboarding.started",
        version: "0.1.0",
        subject: Named::Service,
        body: |_| Ok(Body::OnboardingStarted),
    },
    Type {
        name: "dev.cdeventsx.milepost-survey.invited",
        version: "0.1.0",
        subject: Named::Other,
        body: |parts| {
            Ok(Body::SurveyInvited {
                survey: parts.content.text("survey")?,
                respondent: parts.content.text("respondent")?,
            })
        },
    },
    Type {
        name: "dev.cdeventsx.milepost-survey.answered",
        version: "0.1.0",
        subject: Named::Other,
        body: survey_answered,
    },
    Type {
        name: "dev.cdeventsx.milepost-environment.provisioned",
        version: "0.1.0",
        subject: Named::Other,
        body: |parts| {
            Ok(Body::EnvironmentProvisioned {
                environment_id: parts.subject.map(str::to_owned),
                outcome: needed_outcome(&parts.content)?,
                duration_seconds: parts.content.seconds("durationSeconds")?,
            })
        },
    },
    Type {
        name: "dev.cdeventsx.milepost-probe.finished",
        version: "0.1.0",
        subject: Named::Capability,
        body: |parts| {
            Ok(Body::ProbeFinished {
                probe: parts.content.text("probe")?,
                outcome: needed_outcome(&parts.content)?,
            })
        },
    },
    Type {
        name: "dev.cdeventsx.milepost-requests.observed",
        version: "0.1.0",
        subject: Named::Service,
        body: |parts| {
            Ok(Body::RequestsObserved {
                indicator: parts.content.text("indicator")?,
                good: requests(&parts.content, "good")?,
                total: requests(&parts.content, "total")?,
            })
        },
    },
    Type {
        name: "dev.cdeventsx.milepost-event.retracted",
        version: "0.1.0",
        subject: Named::Other,
        body: |_| Ok(Body::Retracted),
    },
    Type {
        name: "dev.cdevents.service.deployed",
        version: "0.3.0",
        subject: Named::Service,
        body: |parts| deployed(parts, DeployKind::Deployed),
    },
    Type {
        name: "dev.cdevents.service.upgraded",
        version: "0.3.0",
        subject: Named::Service,
        body: |parts| deployed(parts, DeployKind::Upgraded),
    },
    Type {
        name: "dev.cdevents.service.rolledback",
        version: "0.3.0",
        subject: Named::Service,
        body: |parts| deployed(parts, DeployKind::RolledBack),
    },
    Type {
        name: "dev.cdevents.service.removed",
        version: "0.3.0",
        subject: Named::Service,
        body: |parts| Ok(Body::ServiceRemoved { environment: reference(&parts.content, "environment")? }),
    },
    Type {
        name: "dev.cdevents.repository.created",
        version: "0.3.0",
        subject: Named::Service,
        body: |parts| {
            // Its `owner` is an account on a forge, not a team.
            let preexisting = parts.custom.boolean("preexisting")?.unwrap_or_default();
            Ok(Body::ServiceRegistered { owner: None, preexisting })
        },
    },
    Type {
        name: "dev.cdevents.pipelinerun.finished",
        version: "0.3.0",
        subject: Named::Other,
        body: |parts| {
            Ok(Body::PipelineRunFinished {
                pipeline: parts.content.text("pipelineName")?,
                outcome: parts.content.outcome("outcome")?,
                duration_seconds: parts.custom.seconds("durationSeconds")?,
            })
        },
    },
    Type {
        name: "dev.cdevents.incident.detected",
        version: "0.3.0",
        subject: Named::Incident,
        body: |parts| incident(parts).map(Body::IncidentDetected),
    },
    Type {
        name: "dev.cdevents.incident.reported",
        version: "0.3.0",
        subject: Named::Incident,
        body: |parts| incident(parts).map(Body::IncidentReported),
    },
    Type {
        name: "dev.cdevents.incident.resolved",
        version: "0.3.0",
        subject: Named::Incident,
        body: |parts| incident(parts).map(Body::IncidentResolved),
    },
    Type {
        name: "dev.cdevents.change.created",
        version: "0.4.0",
        subject: Named::Other,
        body: |parts| {
            Ok(Body::ChangeCreated {
                change_id: parts.subject.map(str::to_owned),
                repository: reference(&parts.content, "repository")?,
            })
        },
    },
    Type {
        name: "dev.cdevents.change.merged",
        version: "0.3.0",
        subject: Named::Other,
        body: |parts| {
            Ok(Body::ChangeMerged {
                change_id: parts.subject.map(str::to_owned),
                repository: reference(&parts.content, "repository")?,
            })
        },
    },
];

impl Type {
    /// Its `context.type`, with the newest version.
    pub fn example(&self) -> String {
        format!("{}.{}", self.name, self.version)
    }

    fn fits(&self, name: &str) -> bool {
        name.strip_prefix(self.name)
            .and_then(|version| version.strip_prefix('.'))
            .and_then(|version| version.split_once('.'))
            .is_some_and(|(major, _)| self.version.split_once('.').is_some_and(|(known, _)| major == known))
    }
}

/// The type of this `context.type`; of its version only the major one is looked at.
pub(super) fn find(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|known| known.fits(name))
}

fn interaction_finished(parts: &Parts<'_>) -> Result<Body, Refusal> {
    let content = &parts.content;
    Ok(Body::InteractionFinished {
        interaction_id: content.text("interactionId")?,
        outcome: needed_outcome(content)?,
        assisted: content.boolean("assisted")?,
        duration_seconds: content.seconds("durationSeconds")?,
    })
}

fn needed_outcome(content: &Object<'_>) -> Result<Outcome, Refusal> {
    content.outcome("outcome")?.ok_or_else(|| content.missing("outcome", "success, failure or cancelled"))
}

/// A number of requests: RFC 8785 writes no larger whole number exactly.
fn requests(content: &Object<'_>, name: &str) -> Result<u64, Refusal> {
    let given = content.whole::<u64>(name, crate::WHOLE_WANTED)?;
    let given = given.ok_or_else(|| content.missing(name, "how many requests"))?;
    crate::whole(given.into()).ok_or_else(|| {
        let message = format!("is not a whole number {}", crate::WHOLE_WANTED);
        Refusal::new(Reason::OutOfRange, content.path(name), message)
    })
}

fn survey_answered(parts: &Parts<'_>) -> Result<Body, Refusal> {
    let content = &parts.content;
    Ok(Body::SurveyAnswered {
        survey: content.text("survey")?,
        respondent: content.text("respondent")?,
        score: content
            .whole("score", "from 0 to 10")?
            .ok_or_else(|| content.missing("score", "a whole number from 0 to 10"))?,
    })
}

fn deployed(parts: &Parts<'_>, kind: DeployKind) -> Result<Body, Refusal> {
    let changes = parts.custom.objects("changes")?.into_iter().map(|change| {
        Ok(Change {
            author: change.text("author")?,
            committed_at: change.instant("committedAt")?,
            id: change.text("id")?,
        })
    });
    Ok(Body::Deployed(Deploy {
        artifact_id: parts.content.text("artifactId")?,
        changes: changes.collect::<Result<_, Refusal>>()?,
        environment: reference(&parts.content, "environment")?,
        kind,
        outcome: parts.custom.outcome("outcome")?,
        unplanned: parts.custom.boolean("unplanned")?.unwrap_or_default(),
    }))
}

/// CDEvents has places for nearly all of it; of a severity it knows nothing.
fn incident(parts: &Parts<'_>) -> Result<Incident, Refusal> {
    Ok(Incident {
        artifact_id: parts.content.text("artifactId")?,
        environment: reference(&parts.content, "environment")?,
        incident_id: parts.subject.map(str::to_owned),
        links: parts.links.clone(),
        severity: parts.custom.text("severity")?,
    })
}

/// The id in a reference to something, `{"id": …}`.
pub(super) fn reference(content: &Object<'_>, name: &str) -> Result<Option<String>, Refusal> {
    content.object(name)?.map_or(Ok(None), |reference| reference.text("id"))
}
