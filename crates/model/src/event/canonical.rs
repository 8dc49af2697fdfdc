//! The canonical form of bodies: their names in order, absent and default values left out.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::body::{Body, DeployKind, Incident};

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
                entry(&mut map, "unplanned", deploy.unplanned.then_some(&true))?;
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
            Self::PipelineRunFinished { pipeline, outcome, duration_seconds } => {
                entry(&mut map, "duration_seconds", duration_seconds.as_ref())?;
                entry(&mut map, "outcome", outcome.as_ref())?;
                entry(&mut map, "pipeline", pipeline.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::ChangeCreated { change_id, repository } | Self::ChangeMerged { change_id, repository } => {
                entry(&mut map, "change_id", change_id.as_ref())?;
                entry(&mut map, "repository", repository.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::IncidentDetected(Incident { artifact_id, environment, incident_id, links, severity })
            | Self::IncidentReported(Incident { artifact_id, environment, incident_id, links, severity })
            | Self::IncidentResolved(Incident { artifact_id, environment, incident_id, links, severity }) => {
                entry(&mut map, "artifact_id", artifact_id.as_ref())?;
                entry(&mut map, "environment", environment.as_ref())?;
                entry(&mut map, "incident_id", incident_id.as_ref())?;
                entry(&mut map, "links", (!links.is_empty()).then_some(links))?;
                entry(&mut map, "severity", severity.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::EnvironmentProvisioned { environment_id, outcome, duration_seconds } => {
                entry(&mut map, "duration_seconds", duration_seconds.as_ref())?;
                entry(&mut map, "environment_id", environment_id.as_ref())?;
                entry(&mut map, "outcome", Some(outcome))?;
                entry(&mut map, "type", type_name)?;
            }
            Self::ProbeFinished { probe, outcome } => {
                entry(&mut map, "outcome", Some(outcome))?;
                entry(&mut map, "probe", probe.as_ref())?;
                entry(&mut map, "type", type_name)?;
            }
            Self::RequestsObserved { indicator, good, total } => {
                entry(&mut map, "good", Some(good))?;
                entry(&mut map, "indicator", indicator.as_ref())?;
                entry(&mut map, "total", Some(total))?;
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
