//! Events as JSON of either kind: a bare CDEvent, or a CloudEvent around one.

mod scrub;
pub(crate) mod tree;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use milepost_model::{Event, Refusal};
use serde_json::Value;

pub use scrub::{REMOVED, scrub};

use crate::{cdevents, cloudevents};
use tree::{Json, Object};

/// Base64 as CDEvents and CloudEvents use it; whether it is padded does not matter.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads one JSON text. It is a CloudEvent if it has a `specversion`, else a CDEvent.
pub fn decode(text: &[u8]) -> Result<Event, Refusal> {
    let json = Json::parse(text)?;
    let event = Object::new("", &json)?;
    if event.get("specversion").is_some() { cloudevents::read(&event) } else { cdevents::read(&event) }
}

/// Source and id of an event that may not be readable otherwise, as far as they are.
pub fn identity(event: &Value) -> (Option<String>, Option<String>) {
    let named = |name: &str| {
        let value = event.get("context").and_then(|context| context.get(name)).or_else(|| event.get(name));
        value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    (named("source"), named("id"))
}

/// What a CDEvent calls the field of the model, such as `body.score`. Names that `subject.id` stands for where
/// `customData` has none are called by their place in `customData`.
pub fn field_path(field: &str) -> String {
    let Some(field) = field.strip_prefix("body.") else {
        return match field {
            "source" | "id" => format!("context.{field}"),
            "occurred_at" => "context.timestamp".to_owned(),
            _ => format!("customData.{field}"),
        };
    };
    match field {
        "environment" | "repository" => format!("subject.content.{field}.id"),
        "artifact_id" => "subject.content.artifactId".to_owned(),
        "interaction_id" => "subject.content.interactionId".to_owned(),
        "pipeline" => "subject.content.pipelineName".to_owned(),
        "change_id" | "incident_id" | "environment_id" => "subject.id".to_owned(),
        "severity" => "customData.severity".to_owned(),
        _ if field.starts_with("changes") => format!("customData.{field}"),
        _ if field.starts_with("links") => "context.links".to_owned(),
        _ => format!("subject.content.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use milepost_model::refusal::Reason;
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_named_as_they_are_sent() {
        for (model, sent) in [
            ("id", "context.id"),
            ("occurred_at", "context.timestamp"),
            ("team", "customData.team"),
            ("body.score", "subject.content.score"),
            ("body.environment", "subject.content.environment.id"),
            ("body.changes[3].author", "customData.changes[3].author"),
            ("body.incident_id", "subject.id"),
            ("body.environment_id", "subject.id"),
            ("body.severity", "customData.severity"),
            ("body.links[3]", "context.links"),
        ] {
            assert_eq!(field_path(model), sent);
        }
    }

    #[test]
    fn identity_is_read_as_far_as_it_can_be() {
        let both = (Some("/s".to_owned()), Some("1".to_owned()));
        assert_eq!(identity(&json!({"context": {"source": "/s", "id": "1"}})), both);
        assert_eq!(identity(&json!({"specversion": "1.0", "source": "/s", "id": "1"})), both);
        assert_eq!(identity(&json!({"context": {"source": 7, "id": ""}})), (None, None));
        assert_eq!(identity(&json!(["context"])), (None, None));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for (text, reason, field) in [
            ("", Reason::Malformed, ""),
            ("{", Reason::Malformed, ""),
            ("{} {}", Reason::Malformed, ""),
            ("[]", Reason::Invalid, ""),
            ("7", Reason::Invalid, ""),
            ("{}", Reason::Missing, "context"),
            (r#"{"context":"somebody"}"#, Reason::Invalid, "context"),
        ] {
            let refusal = decode(text.as_bytes()).unwrap_err();
            assert_eq!((refusal.reason, refusal.field.as_str()), (reason, field), "{text}");
            assert!(!refusal.message.contains("somebody"));
        }
        let deep = "[".repeat(100_000);
        assert_eq!(decode(deep.as_bytes()).unwrap_err().reason, Reason::Malformed);
    }
}
