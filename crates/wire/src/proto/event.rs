//! Events: `milepost.v1.Event` to and from the model.

use milepost_model::event::{Change, Deploy, DeployKind, Incident, Outcome};
use milepost_model::refusal::Reason;
use milepost_model::{Body, Content, Event, EventId, Refusal, Timestamp};

use super::timestamp;
use crate::pb;
use crate::pb::deployed::Kind;
use crate::pb::event::Body as Message;
use crate::whole;

/// Reads an event. Empty texts are absent; what is refused is named as in the contract.
pub fn decode(event: pb::Event) -> Result<Event, Refusal> {
    let occurred_at = event
        .occurred_at
        .ok_or_else(|| Refusal::new(Reason::Missing, "occurred_at", "missing: every event needs it"))?;
    let body = event.body.ok_or_else(|| {
        let message = "missing, or newer than this server: every event needs one, such as capability_used";
        Refusal::new(Reason::Missing, "body", message)
    })?;
    Ok(Event {
        id: EventId { source: event.source, id: event.id },
        revision: event.revision,
        content: Content {
            actor: present(event.actor),
            body: decode_body(body)?,
            capability: present(event.capability),
            occurred_at: instant("occurred_at", occurred_at)?,
            service: present(event.service),
            team: present(event.team),
        },
    })
}

fn decode_body(body: Message) -> Result<Body, Refusal> {
    Ok(match body {
        Message::TeamRegistered(_) => Body::TeamRegistered,
        Message::TeamRetired(_) => Body::TeamRetired,
        Message::ServiceRegistered(m) => {
            Body::ServiceRegistered { owner: present(m.owner), preexisting: m.preexisting }
        }
        Message::ServiceRetired(_) => Body::ServiceRetired,
        Message::ServiceRemoved(m) => Body::ServiceRemoved { environment: present(m.environment) },
        Message::CapabilityRegistered(m) => Body::CapabilityRegistered {
            mandated: m.mandated,
            observed_since: optional_instant("capability_registered.observed_since", m.observed_since)?,
        },
        Message::CapabilityRetired(_) => Body::CapabilityRetired,
        Message::CapabilityUsed(_) => Body::CapabilityUsed,
        Message::InteractionStarted(m) => {
            Body::InteractionStarted { interaction_id: present(m.interaction_id) }
        }
        Message::InteractionFinished(m) => finished(m)?,
        Message::Deployed(m) => Body::Deployed(deployed(m)?),
        Message::OnboardingStarted(_) => Body::OnboardingStarted,
        Message::SurveyInvited(m) => {
            Body::SurveyInvited { survey: present(m.survey), respondent: present(m.respondent) }
        }
        Message::SurveyAnswered(m) => answered(m)?,
        Message::PipelineRunFinished(m) => Body::PipelineRunFinished {
            pipeline: present(m.pipeline),
            outcome: outcome("pipeline_run_finished.outcome", m.outcome)?,
            duration_seconds: duration("pipeline_run_finished", m.duration_seconds)?,
        },
        Message::ChangeCreated(m) => {
            Body::ChangeCreated { change_id: present(m.change_id), repository: present(m.repository) }
        }
        Message::ChangeMerged(m) => {
            Body::ChangeMerged { change_id: present(m.change_id), repository: present(m.repository) }
        }
        Message::IncidentDetected(m) => Body::IncidentDetected(incident(m)),
        Message::IncidentReported(m) => Body::IncidentReported(incident(m)),
        Message::IncidentResolved(m) => Body::IncidentResolved(incident(m)),
        Message::EnvironmentProvisioned(m) => Body::EnvironmentProvisioned {
            environment_id: present(m.environment_id),
            outcome: needed_outcome("environment_provisioned.outcome", m.outcome)?,
            duration_seconds: duration("environment_provisioned", m.duration_seconds)?,
        },
        Message::ProbeFinished(m) => Body::ProbeFinished {
            probe: present(m.probe),
            outcome: needed_outcome("probe_finished.outcome", m.outcome)?,
        },
        Message::RequestsObserved(m) => Body::RequestsObserved {
            indicator: present(m.indicator),
            good: requests("requests_observed.good", m.good)?,
            total: requests("requests_observed.total", m.total)?,
        },
        Message::Retracted(_) => Body::Retracted,
    })
}

fn needed_outcome(field: &str, number: i32) -> Result<Outcome, Refusal> {
    outcome(field, number)?.ok_or_else(|| {
        let message = "missing: OUTCOME_SUCCESS, OUTCOME_FAILURE or OUTCOME_CANCELLED";
        Refusal::new(Reason::Missing, field, message)
    })
}

fn duration(message: &str, given: Option<i64>) -> Result<Option<u64>, Refusal> {
    let refusal =
        || Refusal::new(Reason::OutOfRange, format!("{message}.duration_seconds"), crate::SECONDS_WANTED);
    given.map(|given| whole(given.into()).ok_or_else(refusal)).transpose()
}

fn requests(field: &str, given: i64) -> Result<u64, Refusal> {
    let message = || format!("is not a whole number {}", crate::WHOLE_WANTED);
    whole(given.into()).ok_or_else(|| Refusal::new(Reason::OutOfRange, field, message()))
}

fn incident(message: pb::Incident) -> Incident {
    Incident {
        artifact_id: present(message.artifact_id),
        environment: present(message.environment),
        incident_id: present(message.incident_id),
        links: message.links,
        severity: present(message.severity),
    }
}

fn finished(message: pb::InteractionFinished) -> Result<Body, Refusal> {
    Ok(Body::InteractionFinished {
        interaction_id: present(message.interaction_id),
        outcome: needed_outcome("interaction_finished.outcome", message.outcome)?,
        assisted: message.assisted,
        duration_seconds: duration("interaction_finished", message.duration_seconds)?,
    })
}

fn answered(message: pb::SurveyAnswered) -> Result<Body, Refusal> {
    const SCORE: &str = "survey_answered.score";
    let score = message
        .score
        .ok_or_else(|| Refusal::new(Reason::Missing, SCORE, "missing: a whole number from 0 to 10"))?;
    let score = u8::try_from(score).map_err(|_| {
        Refusal::new(
            Reason::OutOfRange,
            SCORE,
            format!("{score} is not a score: a whole number from 0 to 10 is"),
        )
    })?;
    Ok(Body::SurveyAnswered {
        survey: present(message.survey),
        respondent: present(message.respondent),
        score,
    })
}

fn deployed(message: pb::Deployed) -> Result<Deploy, Refusal> {
    let kind = match Kind::try_from(message.kind) {
        Ok(Kind::Deployed) => DeployKind::Deployed,
        Ok(Kind::Upgraded) => DeployKind::Upgraded,
        Ok(Kind::RolledBack) => DeployKind::RolledBack,
        Err(_) => return Err(unknown_number("deployed.kind", message.kind)),
    };
    let changes = message.changes.into_iter().enumerate().map(|(index, change)| {
        Ok(Change {
            author: present(change.author),
            committed_at: change
                .committed_at
                .map(|at| instant(&format!("deployed.changes[{index}].committed_at"), at))
                .transpose()?,
            id: present(change.id),
        })
    });
    Ok(Deploy {
        artifact_id: present(message.artifact_id),
        changes: changes.collect::<Result<_, Refusal>>()?,
        environment: present(message.environment),
        kind,
        outcome: outcome("deployed.outcome", message.outcome)?,
        unplanned: message.unplanned,
    })
}

fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn instant(field: &str, at: prost_types::Timestamp) -> Result<Timestamp, Refusal> {
    let micros = u32::try_from(at.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)
        .and_then(|nanos| at.seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos) / 1_000));
    micros.and_then(Timestamp::from_micros).ok_or_else(|| {
        let message = "is not an instant of the years 1 to 9999 with nanos from 0 to 999999999";
        Refusal::new(Reason::OutOfRange, field, message)
    })
}

fn optional_instant(field: &str, at: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, Refusal> {
    at.map(|at| instant(field, at)).transpose()
}

fn outcome(field: &str, number: i32) -> Result<Option<Outcome>, Refusal> {
    match pb::Outcome::try_from(number) {
        Ok(pb::Outcome::Unspecified) => Ok(None),
        Ok(pb::Outcome::Success) => Ok(Some(Outcome::Success)),
        Ok(pb::Outcome::Failure) => Ok(Some(Outcome::Failure)),
        Ok(pb::Outcome::Cancelled) => Ok(Some(Outcome::Cancelled)),
        Err(_) => Err(unknown_number(field, number)),
    }
}

fn unknown_number(field: &str, number: i32) -> Refusal {
    Refusal::new(
        Reason::Invalid,
        field,
        format!("{number} is none of the numbers that event.proto gives names to"),
    )
}

/// Writes an event.
pub fn encode(event: &Event) -> pb::Event {
    let Event { id, revision, content } = event;
    pb::Event {
        source: id.source.clone(),
        id: id.id.clone(),
        revision: *revision,
        occurred_at: Some(timestamp(content.occurred_at)),
        team: text(content.team.as_ref()),
        service: text(content.service.as_ref()),
        capability: text(content.capability.as_ref()),
        actor: text(content.actor.as_ref()),
        body: Some(encode_body(&content.body)),
    }
}

fn encode_body(body: &Body) -> Message {
    match body {
        Body::TeamRegistered => Message::TeamRegistered(pb::TeamRegistered {}),
        Body::TeamRetired => Message::TeamRetired(pb::TeamRetired {}),
        Body::ServiceRegistered { owner, preexisting } => Message::ServiceRegistered(pb::ServiceRegistered {
            owner: text(owner.as_ref()),
            preexisting: *preexisting,
        }),
        Body::ServiceRetired => Message::ServiceRetired(pb::ServiceRetired {}),
        Body::ServiceRemoved { environment } => {
            Message::ServiceRemoved(pb::ServiceRemoved { environment: text(environment.as_ref()) })
        }
        Body::CapabilityRegistered { mandated, observed_since } => {
            Message::CapabilityRegistered(pb::CapabilityRegistered {
                mandated: *mandated,
                observed_since: observed_since.map(timestamp),
            })
        }
        Body::CapabilityRetired => Message::CapabilityRetired(pb::CapabilityRetired {}),
        Body::CapabilityUsed => Message::CapabilityUsed(pb::CapabilityUsed {}),
        Body::InteractionStarted { interaction_id } => Message::InteractionStarted(pb::InteractionStarted {
            interaction_id: text(interaction_id.as_ref()),
        }),
        Body::InteractionFinished { interaction_id, outcome, assisted, duration_seconds } => {
            Message::InteractionFinished(pb::InteractionFinished {
                interaction_id: text(interaction_id.as_ref()),
                outcome: outcome_number(Some(*outcome)),
                assisted: *assisted,
                duration_seconds: duration_seconds.map(|seconds| seconds as i64),
            })
        }
        Body::Deployed(deploy) => Message::Deployed(encode_deploy(deploy)),
        Body::OnboardingStarted => Message::OnboardingStarted(pb::OnboardingStarted {}),
        Body::SurveyInvited { survey, respondent } => Message::SurveyInvited(pb::SurveyInvited {
            survey: text(survey.as_ref()),
            respondent: text(respondent.as_ref()),
        }),
        Body::SurveyAnswered { survey, respondent, score } => Message::SurveyAnswered(pb::SurveyAnswered {
            survey: text(survey.as_ref()),
            respondent: text(respondent.as_ref()),
            score: Some(i32::from(*score)),
        }),
        Body::PipelineRunFinished { pipeline, outcome, duration_seconds } => {
            Message::PipelineRunFinished(pb::PipelineRunFinished {
                pipeline: text(pipeline.as_ref()),
                outcome: outcome_number(*outcome),
                duration_seconds: duration_seconds.map(|seconds| seconds as i64),
            })
        }
        Body::ChangeCreated { change_id, repository } => Message::ChangeCreated(pb::ChangeCreated {
            change_id: text(change_id.as_ref()),
            repository: text(repository.as_ref()),
        }),
        Body::ChangeMerged { change_id, repository } => Message::ChangeMerged(pb::ChangeMerged {
            change_id: text(change_id.as_ref()),
            repository: text(repository.as_ref()),
        }),
        Body::IncidentDetected(incident) => Message::IncidentDetected(encode_incident(incident)),
        Body::IncidentReported(incident) => Message::IncidentReported(encode_incident(incident)),
        Body::IncidentResolved(incident) => Message::IncidentResolved(encode_incident(incident)),
        Body::EnvironmentProvisioned { environment_id, outcome, duration_seconds } => {
            Message::EnvironmentProvisioned(pb::EnvironmentProvisioned {
                environment_id: text(environment_id.as_ref()),
                outcome: outcome_number(Some(*outcome)),
                duration_seconds: duration_seconds.map(|seconds| seconds as i64),
            })
        }
        Body::ProbeFinished { probe, outcome } => Message::ProbeFinished(pb::ProbeFinished {
            probe: text(probe.as_ref()),
            outcome: outcome_number(Some(*outcome)),
        }),
        Body::RequestsObserved { indicator, good, total } => {
            Message::RequestsObserved(pb::RequestsObserved {
                indicator: text(indicator.as_ref()),
                good: *good as i64,
                total: *total as i64,
            })
        }
        Body::Retracted => Message::Retracted(pb::Retracted {}),
    }
}

fn encode_incident(incident: &Incident) -> pb::Incident {
    pb::Incident {
        incident_id: text(incident.incident_id.as_ref()),
        environment: text(incident.environment.as_ref()),
        artifact_id: text(incident.artifact_id.as_ref()),
        links: incident.links.clone(),
        severity: text(incident.severity.as_ref()),
    }
}

fn encode_deploy(deploy: &Deploy) -> pb::Deployed {
    let kind = match deploy.kind {
        DeployKind::Deployed => Kind::Deployed,
        DeployKind::Upgraded => Kind::Upgraded,
        DeployKind::RolledBack => Kind::RolledBack,
    };
    let change = |change: &Change| pb::Change {
        id: text(change.id.as_ref()),
        author: text(change.author.as_ref()),
        committed_at: change.committed_at.map(timestamp),
    };
    pb::Deployed {
        environment: text(deploy.environment.as_ref()),
        artifact_id: text(deploy.artifact_id.as_ref()),
        outcome: outcome_number(deploy.outcome),
        kind: kind.into(),
        changes: deploy.changes.iter().map(change).collect(),
        unplanned: deploy.unplanned,
    }
}

fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

fn outcome_number(outcome: Option<Outcome>) -> i32 {
    let named = match outcome {
        None => pb::Outcome::Unspecified,
        Some(Outcome::Success) => pb::Outcome::Success,
        Some(Outcome::Failure) => pb::Outcome::Failure,
        Some(Outcome::Cancelled) => pb::Outcome::Cancelled,
    };
    named.into()
}

/// What the contract calls the field of the model: `body.score` of a survey answer is `survey_answered.score`.
pub fn field_path(body: &Body, field: &str) -> String {
    field
        .strip_prefix("body.")
        .map_or_else(|| field.to_owned(), |field| format!("{}.{field}", body.type_name()))
}

/// Calls `pseudonym` with every person an event names.
pub fn scrub(event: &mut pb::Event, pseudonym: &mut dyn FnMut(&mut String)) {
    let mut person = |name: &mut String| {
        if !name.is_empty() {
            pseudonym(name);
        }
    };
    person(&mut event.actor);
    match &mut event.body {
        Some(Message::SurveyInvited(survey)) => person(&mut survey.respondent),
        Some(Message::SurveyAnswered(survey)) => person(&mut survey.respondent),
        Some(Message::Deployed(deploy)) => {
            deploy.changes.iter_mut().for_each(|change| person(&mut change.author));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
