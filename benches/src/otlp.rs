//! Events as logs of OpenTelemetry: as much of its protocol as that takes.

use milepost_wire::pb;
use milepost_wire::pb::event::Body;
use prost::Message;

/// `opentelemetry.proto.collector.logs.v1.LogsService/Export`.
pub const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// `ExportLogsServiceRequest`, and `LogsData` as well.
#[derive(Clone, PartialEq, Message)]
pub struct Logs {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
}

impl Logs {
    /// One log an event: its type is the body, what else it says are attributes.
    pub fn of(events: &[pb::Event]) -> Self {
        let resource = Resource { attributes: vec![attribute("service.name", "platform")] };
        let records = events.iter().map(record).collect();
        Self {
            resources: vec![ResourceLogs { resource: Some(resource), scopes: vec![ScopeLogs { records }] }],
        }
    }

    /// How many logs there are.
    pub fn len(&self) -> usize {
        self.resources.iter().flat_map(|resource| &resource.scopes).map(|scope| scope.records.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn record(event: &pb::Event) -> LogRecord {
    let at = event.occurred_at.unwrap_or_default();
    let (kind, more) = body(event.body.as_ref());
    let own = [
        ("event.source", &event.source),
        ("event.id", &event.id),
        ("team", &event.team),
        ("service", &event.service),
        ("capability", &event.capability),
        ("actor", &event.actor),
    ];
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    let own = own.map(|(key, value)| attribute(key, value));
    LogRecord {
        time_unix_nano: at.seconds as u64 * 1_000_000_000 + at.nanos as u64,
        body: Some(AnyValue { text: Some(kind.to_owned()) }),
        attributes: own.chain(more.into_iter().map(|(key, value)| attribute(key, &value))).collect(),
    }
}

/// The type of an event, and what only events of this type say.
fn body(body: Option<&Body>) -> (&'static str, Vec<(&'static str, String)>) {
    match body.expect("events have a body") {
        Body::CapabilityUsed(_) => ("capability.used", Vec::new()),
        Body::InteractionStarted(started) => {
            ("interaction.started", vec![("interaction", started.interaction_id.clone())])
        }
        Body::InteractionFinished(finished) => (
            "interaction.finished",
            vec![
                ("interaction", finished.interaction_id.clone()),
                ("outcome", finished.outcome.to_string()),
                ("assisted", finished.assisted.unwrap_or_default().to_string()),
                ("seconds", finished.duration_seconds.unwrap_or_default().to_string()),
            ],
        ),
        Body::Deployed(deployed) => {
            let mut attributes = vec![
                ("environment", deployed.environment.clone()),
                ("artifact", deployed.artifact_id.clone()),
                ("outcome", deployed.outcome.to_string()),
            ];
            for change in &deployed.changes {
                attributes.extend([("change", change.id.clone()), ("author", change.author.clone())]);
            }
            ("deployed", attributes)
        }
        Body::ServiceRegistered(registered) => {
            ("service.registered", vec![("owner", registered.owner.clone())])
        }
        Body::OnboardingStarted(_) => ("onboarding.started", Vec::new()),
        Body::SurveyAnswered(answered) => (
            "survey.answered",
            vec![
                ("survey", answered.survey.clone()),
                ("score", answered.score.unwrap_or_default().to_string()),
            ],
        ),
        Body::PipelineRunFinished(finished) => (
            "pipeline.finished",
            vec![("pipeline", finished.pipeline.clone()), ("outcome", finished.outcome.to_string())],
        ),
        other => panic!("no benchmark sends {other:?}"),
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { text: Some(value.to_owned()) }) }
}
