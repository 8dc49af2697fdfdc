//! Any event there can be.

use milepost_model::event::{Change, Deploy, DeployKind, Incident, Outcome};
use milepost_model::{Body, Content, Event, EventId, Timestamp};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// A text with what JSON must escape, what it may, and what takes more than a byte.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[ -~]{1,12}", "[\"\\\\/äß€😀\u{2028}]{1,4}"]
}

/// A person. No other text of an event looks like one.
fn person() -> impl Strategy<Value = String> {
    "PERSON[0-9]"
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.micros()..=Timestamp::MAX.micros())
        .prop_map(|micros| Timestamp::from_micros(micros).unwrap_or(Timestamp::MIN))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Success), Just(Outcome::Failure), Just(Outcome::Cancelled)]
}

fn deploy() -> impl Strategy<Value = Deploy> {
    let kind =
        prop_oneof![Just(DeployKind::Deployed), Just(DeployKind::Upgraded), Just(DeployKind::RolledBack)];
    let change = (of(person()), of(instant()), of(text())).prop_map(|(author, committed_at, id)| Change {
        author,
        committed_at,
        id,
    });
    (of(text()), vec(change, 0..3), of(text()), kind, of(outcome()), any::<bool>()).prop_map(
        |(artifact_id, changes, environment, kind, outcome, unplanned)| Deploy {
            artifact_id,
            changes,
            environment,
            kind,
            outcome,
            unplanned,
        },
    )
}

fn seconds() -> impl Strategy<Value = Option<u64>> {
    of(0..1_u64 << 53)
}

fn incident() -> impl Strategy<Value = Incident> {
    let links = prop::collection::btree_set(text(), 0..3).prop_map(|links| links.into_iter().collect());
    (of(text()), of(text()), of(text()), links, of(text())).prop_map(
        |(artifact_id, environment, incident_id, links, severity)| Incident {
            artifact_id,
            environment,
            incident_id,
            links,
            severity,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        prop_oneof![
            Just(Body::TeamRegistered),
            Just(Body::TeamRetired),
            Just(Body::ServiceRetired),
            Just(Body::CapabilityRetired),
            Just(Body::CapabilityUsed),
            Just(Body::OnboardingStarted),
            Just(Body::Retracted),
        ],
        (of(text()), any::<bool>())
            .prop_map(|(owner, preexisting)| Body::ServiceRegistered { owner, preexisting }),
        of(text()).prop_map(|environment| Body::ServiceRemoved { environment }),
        (of(any::<bool>()), of(instant()))
            .prop_map(|(mandated, observed_since)| Body::CapabilityRegistered { mandated, observed_since }),
        of(text()).prop_map(|interaction_id| Body::InteractionStarted { interaction_id }),
        (of(text()), outcome(), of(any::<bool>()), seconds()).prop_map(
            |(interaction_id, outcome, assisted, duration_seconds)| Body::InteractionFinished {
                interaction_id,
                outcome,
                assisted,
                duration_seconds,
            }
        ),
        deploy().prop_map(Body::Deployed),
        (of(text()), of(person()))
            .prop_map(|(survey, respondent)| Body::SurveyInvited { survey, respondent }),
        (of(text()), of(person()), any::<u8>())
            .prop_map(|(survey, respondent, score)| Body::SurveyAnswered { survey, respondent, score }),
        (of(text()), of(outcome()), seconds()).prop_map(|(pipeline, outcome, duration_seconds)| {
            Body::PipelineRunFinished { pipeline, outcome, duration_seconds }
        }),
        (of(text()), of(text()), any::<bool>()).prop_map(|(change_id, repository, merged)| {
            if merged {
                Body::ChangeMerged { change_id, repository }
            } else {
                Body::ChangeCreated { change_id, repository }
            }
        }),
        reliability(),
    ]
}

fn reliability() -> impl Strategy<Value = Body> {
    prop_oneof![
        incident().prop_map(Body::IncidentDetected),
        incident().prop_map(Body::IncidentReported),
        incident().prop_map(Body::IncidentResolved),
        (of(text()), outcome(), seconds()).prop_map(|(environment_id, outcome, duration_seconds)| {
            Body::EnvironmentProvisioned { environment_id, outcome, duration_seconds }
        }),
        (of(text()), outcome()).prop_map(|(probe, outcome)| Body::ProbeFinished { probe, outcome }),
        (of(text()), 0..1_u64 << 53, 0..1_u64 << 53)
            .prop_map(|(indicator, good, total)| Body::RequestsObserved { indicator, good, total }),
    ]
}

/// Any event. Its texts are not empty: an empty one is none.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    let names = (of(text()), of(text()), of(text()));
    ((text(), text(), any::<u64>()), instant(), names, of(person()), body()).prop_map(
        |((source, id, revision), occurred_at, (team, service, capability), actor, body)| Event {
            id: EventId { source, id },
            revision,
            content: Content { actor, body, capability, occurred_at, service, team },
        },
    )
}
