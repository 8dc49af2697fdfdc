//! The CDEvent that says what an event of the model says.

use milepost_model::event::{Change, Deploy, DeployKind, Incident, Outcome};
use milepost_model::{Body, Event};
use serde_json::{Map, Value, json};

/// Writes an event as a CDEvent. The names it is about are in `customData`; there is no `subject.id`, but for the one of
/// a change, an environment or an incident.
pub(crate) fn write(event: &Event) -> Value {
    let content = &event.content;
    let (type_, body) = body(&content.body);
    let mut custom = json!({
        "revision": event.revision,
        "team": content.team,
        "service": content.service,
        "capability": content.capability,
        "actor": content.actor,
    });
    if let Body::Deployed(deploy) = &content.body {
        custom["outcome"] = json!(deploy.outcome.map(outcome));
        custom["changes"] = deploy.changes.iter().map(change).collect();
        custom["unplanned"] = json!(deploy.unplanned);
    }
    if let Body::PipelineRunFinished { duration_seconds, .. } = &content.body {
        custom["durationSeconds"] = json!(duration_seconds);
    }
    let mut cdevent = json!({
        "context": {
            "specversion": "0.5.1",
            "id": event.id.id,
            "source": event.id.source,
            "type": type_,
            "timestamp": content.occurred_at,
        },
        "subject": {"content": body},
        "customData": custom,
    });
    match &content.body {
        Body::ChangeCreated { change_id: id, .. }
        | Body::ChangeMerged { change_id: id, .. }
        | Body::EnvironmentProvisioned { environment_id: id, .. } => cdevent["subject"]["id"] = json!(id),
        Body::IncidentDetected(incident)
        | Body::IncidentReported(incident)
        | Body::IncidentResolved(incident) => {
            cdevent["subject"]["id"] = json!(incident.incident_id);
            cdevent["customData"]["severity"] = json!(incident.severity);
            cdevent["context"]["links"] = links(&incident.links);
        }
        _ => {}
    }
    without_nulls(cdevent)
}

fn body(body: &Body) -> (&'static str, Value) {
    match body {
        Body::TeamRegistered => ("dev.cdeventsx.milepost-team.registered.0.1.0", json!({})),
        Body::TeamRetired => ("dev.cdeventsx.milepost-team.retired.0.1.0", json!({})),
        Body::ServiceRegistered { owner, preexisting } => (
            "dev.cdeventsx.milepost-service.registered.0.1.0",
            json!({"owner": owner, "preexisting": preexisting}),
        ),
        Body::ServiceRetired => ("dev.cdeventsx.milepost-service.retired.0.1.0", json!({})),
        Body::ServiceRemoved { environment } => {
            ("dev.cdevents.service.removed.0.3.0", json!({"environment": {"id": environment}}))
        }
        Body::CapabilityRegistered { mandated, observed_since } => (
            "dev.cdeventsx.milepost-capability.registered.0.1.0",
            json!({"mandated": mandated, "observedSince": observed_since}),
        ),
        Body::CapabilityRetired => ("dev.cdeventsx.milepost-capability.retired.0.1.0", json!({})),
        Body::CapabilityUsed => ("dev.cdeventsx.milepost-capability.used.0.1.0", json!({})),
        Body::InteractionStarted { interaction_id } => {
            ("dev.cdeventsx.milepost-interaction.started.0.1.0", json!({"interactionId": interaction_id}))
        }
        Body::InteractionFinished { interaction_id, outcome: ending, assisted, duration_seconds } => (
            "dev.cdeventsx.milepost-interaction.finished.0.1.0",
            json!({
                "interactionId": interaction_id,
                "outcome": outcome(*ending),
                "assisted": assisted,
                "durationSeconds": duration_seconds,
            }),
        ),
        Body::Deployed(Deploy { artifact_id, environment, kind, .. }) => (
            match kind {
                DeployKind::Deployed => "dev.cdevents.service.deployed.0.3.0",
                DeployKind::Upgraded => "dev.cdevents.service.upgraded.0.3.0",
                DeployKind::RolledBack => "dev.cdevents.service.rolledback.0.3.0",
            },
            json!({"environment": {"id": environment}, "artifactId": artifact_id}),
        ),
        Body::OnboardingStarted => ("dev.cdeventsx.milepost-onboarding.started.0.1.0", json!({})),
        Body::SurveyInvited { survey, respondent } => (
            "dev.cdeventsx.milepost-survey.invited.0.1.0",
            json!({"survey": survey, "respondent": respondent}),
        ),
        Body::SurveyAnswered { survey, respondent, score } => (
            "dev.cdeventsx.milepost-survey.answered.0.1.0",
            json!({"survey": survey, "respondent": respondent, "score": score}),
        ),
        Body::PipelineRunFinished { pipeline, outcome: ending, .. } => (
            "dev.cdevents.pipelinerun.finished.0.3.0",
            json!({"pipelineName": pipeline, "outcome": ending.map(outcome)}),
        ),
        Body::ChangeMerged { repository, .. } => {
            ("dev.cdevents.change.merged.0.3.0", json!({"repository": {"id": repository}}))
        }
        Body::ChangeCreated { repository, .. } => {
            ("dev.cdevents.change.created.0.4.0", json!({"repository": {"id": repository}}))
        }
        Body::IncidentDetected(incident) => ("dev.cdevents.incident.detected.0.3.0", content_of(incident)),
        Body::IncidentReported(incident) => ("dev.cdevents.incident.reported.0.3.0", content_of(incident)),
        Body::IncidentResolved(incident) => ("dev.cdevents.incident.resolved.0.3.0", content_of(incident)),
        Body::EnvironmentProvisioned { outcome: ending, duration_seconds, .. } => (
            "dev.cdeventsx.milepost-environment.provisioned.0.1.0",
            json!({"outcome": outcome(*ending), "durationSeconds": duration_seconds}),
        ),
        Body::ProbeFinished { probe, outcome: ending } => (
            "dev.cdeventsx.milepost-probe.finished.0.1.0",
            json!({"probe": probe, "outcome": outcome(*ending)}),
        ),
        Body::RequestsObserved { indicator, good, total } => (
            "dev.cdeventsx.milepost-requests.observed.0.1.0",
            json!({"indicator": indicator, "good": good, "total": total}),
        ),
        Body::Retracted => ("dev.cdeventsx.milepost-event.retracted.0.1.0", json!({})),
    }
}

fn content_of(incident: &Incident) -> Value {
    json!({"environment": {"id": incident.environment}, "artifactId": incident.artifact_id})
}

/// Of all kinds in turn.
fn links(ids: &[String]) -> Value {
    let link = |(number, id): (usize, &String)| match number % 3 {
        0 => json!({"linkType": "RELATION", "linkKind": "CAUSE", "target": {"contextId": id}}),
        1 => json!({"linkType": "PATH", "from": {"contextId": id}}),
        _ => json!({"linkType": "END", "from": {"contextId": id}}),
    };
    ids.iter().enumerate().map(link).collect()
}

fn change(change: &Change) -> Value {
    json!({"id": change.id, "author": change.author, "committedAt": change.committed_at})
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "error",
        Outcome::Cancelled => "cancel",
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let present = members.into_iter().filter(|(_, member)| !member.is_null());
            Value::Object(present.map(|(name, member)| (name, without_nulls(member))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
