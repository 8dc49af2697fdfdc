use milepost_model::Body;
use milepost_model::event::{Deploy, DeployKind, Outcome};
use serde_json::{Value, json};

use super::*;

fn event(type_: &str) -> Value {
    json!({
        "context": {"specversion": "0.5.1", "id": "1", "source": "/s", "timestamp": "2026-07-01T12:00:00Z",
            "type": type_},
        "subject": {"id": "subject", "content": {}},
        "customData": {},
    })
}

fn read(event: &Value) -> Result<Event, Refusal> {
    decode(event.to_string().as_bytes())
}

/// A copy with the member at a JSON pointer set.
fn with(event: &Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut event = event.clone();
    event.pointer_mut(parent).unwrap()[name] = value;
    event
}

const USED: &str = "dev.cdeventsx.milepost-capability.used.0.1.0";
const FINISHED: &str = "dev.cdeventsx.milepost-interaction.finished.0.1.0";
const ANSWERED: &str = "dev.cdeventsx.milepost-survey.answered.0.1.0";
const DETECTED: &str = "dev.cdevents.incident.detected.0.3.0";
const OBSERVED: &str = "dev.cdeventsx.milepost-requests.observed.0.1.0";
const DEPLOYED: &str = "dev.cdevents.service.deployed.0.3.0";

#[test]
fn of_a_types_version_only_the_major_one_matters() {
    for version in ["0.1.0", "0.2.0", "0.9.17", "0.4.0-draft"] {
        assert!(read(&event(&format!("dev.cdevents.service.removed.{version}"))).is_ok(), "{version}");
    }
    for type_ in [
        "dev.cdevents.service.removed.1.0.0",
        "dev.cdevents.service.removed",
        "dev.cdevents.service.removed.0",
        "dev.cdevents.service.removedx.0.1.0",
        "dev.cdevents.ticket.created.0.2.0",
    ] {
        let refusal = read(&event(type_)).unwrap_err();
        assert_eq!(
            (refusal.reason, refusal.field.as_str()),
            (Reason::UnknownType, "context.type"),
            "{type_}"
        );
        for known in TYPES {
            assert!(refusal.message.contains(known.name), "{} is not listed", known.name);
        }
    }
}

#[test]
fn the_version_of_the_whole_has_two_names_and_may_be_left_out() {
    for (name, version, known) in [
        ("specversion", json!("0.6.0-draft"), true),
        ("specversion", json!(null), true),
        ("version", json!("0.3.0"), true),
        ("version", json!("1.0.0"), false),
    ] {
        let result = read(&with(&event(USED), &format!("/context/{name}"), version));
        assert_eq!(
            result.map_err(|refusal| refusal.field).err(),
            (!known).then(|| format!("context.{name}"))
        );
    }
}

#[test]
fn custom_data_wins_over_the_subject() {
    let plain = read(&event(USED)).unwrap();
    assert_eq!(plain.content.capability.as_deref(), Some("subject"));
    assert_eq!((plain.content.team, plain.content.service), (None, None));
    let named = read(&with(&event(USED), "/customData/capability", json!("named"))).unwrap();
    assert_eq!(named.content.capability.as_deref(), Some("named"));
    let empty = read(&with(&event(USED), "/customData/capability", json!(""))).unwrap();
    assert_eq!(empty.content.capability.as_deref(), Some("subject"));
}

#[test]
fn custom_data_may_be_encoded() {
    let custom = json!({"team": "a", "revision": 3}).to_string();
    let encoded = with(&event(USED), "/customData", json!(BASE64.encode(custom)));
    let read_ = read(&with(&encoded, "/customDataContentType", json!("application/x"))).unwrap();
    assert_eq!((read_.content.team.as_deref(), read_.revision), (Some("a"), 3));
    for broken in ["{}", "not base64", "bm90IGpzb24="] {
        let refusal = read(&with(&event(USED), "/customData", json!(broken))).unwrap_err();
        assert_eq!((refusal.reason, refusal.field.as_str()), (Reason::Invalid, "customData"), "{broken}");
    }
}

#[test]
fn a_deploy_is_read_whole() {
    let mut sent = event(DEPLOYED);
    sent["subject"]["content"] = json!({"environment": {"id": "prod", "name": "x"}, "artifactId": "pkg:a"});
    sent["customData"] = json!({"outcome": "error", "unplanned": true, "changes": [
        {"id": "1", "author": "a", "committedAt": "2026-07-01T12:00:00+02:00"}, {}]});
    let Body::Deployed(deploy) = read(&sent).unwrap().content.body else { panic!("no deploy") };
    let Deploy { artifact_id, changes, environment, kind, outcome, unplanned } = deploy;
    assert!(unplanned);
    assert_eq!((environment.as_deref(), artifact_id.as_deref()), (Some("prod"), Some("pkg:a")));
    assert_eq!((kind, outcome), (DeployKind::Deployed, Some(Outcome::Failure)));
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[0].author.as_deref(), Some("a"));
    assert_eq!(changes[0].committed_at.unwrap().to_string(), "2026-07-01T10:00:00.000000Z");
}

#[test]
fn an_incident_is_read_whole() {
    let mut sent = event(DETECTED);
    sent["context"]["links"] = json!([
        {"linkType": "RELATION", "linkKind": "CAUSE", "target": {"contextId": "deploy-1"}},
        {"linkType": "PATH", "from": {"contextId": "alert-1"}},
        {"linkType": "END", "from": {"contextId": "deploy-1"}},
    ]);
    sent["subject"] =
        json!({"id": "incident-1", "content": {"environment": {"id": "prod"}, "service": {"id": "shop"}}});
    sent["customData"] = json!({"severity": "P1"});
    let event = read(&sent).unwrap();
    assert_eq!(event.content.service.as_deref(), Some("shop"));
    let Body::IncidentDetected(incident) = event.content.body else { panic!("no incident") };
    assert_eq!(
        (incident.incident_id.as_deref(), incident.severity.as_deref()),
        (Some("incident-1"), Some("P1"))
    );
    assert_eq!(incident.links, ["deploy-1", "alert-1"]);
    let named = read(&with(&sent, "/customData/service", json!("cart"))).unwrap();
    assert_eq!(named.content.service.as_deref(), Some("cart"));
}

#[test]
fn what_is_wrong_is_refused_where_it_is() {
    use Reason::{Invalid, Missing, OutOfRange};
    let finished = with(&event(FINISHED), "/subject/content/outcome", json!("success"));
    for (sent, reason, pointer, value) in [
        (event(USED), Missing, "/context/id", json!("")),
        (event(USED), Missing, "/context/source", json!(null)),
        (event(USED), Missing, "/context/type", json!(null)),
        (event(USED), Missing, "/context/timestamp", json!(null)),
        (event(USED), Invalid, "/context/timestamp", json!("2026-07-01T12:00:00")),
        (event(USED), Invalid, "/context/timestamp", json!("yesterday")),
        (event(USED), Invalid, "/context/timestamp", json!(1_700_000_000)),
        (event(USED), Invalid, "/context/id", json!(7)),
        (event(USED), Invalid, "/subject/id", json!({"somebody": 1})),
        (event(USED), Invalid, "/customData/actor", json!({"name": "somebody"})),
        (event(USED), Invalid, "/customData/revision", json!(1.5)),
        (event(USED), OutOfRange, "/customData/revision", json!(-1)),
        (event(USED), Invalid, "/customData/capability", json!(["somebody"])),
        (event(FINISHED), Missing, "/subject/content/outcome", json!(null)),
        (finished.clone(), Invalid, "/subject/content/outcome", json!("somebody")),
        (finished.clone(), Invalid, "/subject/content/assisted", json!("somebody")),
        (finished.clone(), OutOfRange, "/subject/content/durationSeconds", json!(-1)),
        (finished, Invalid, "/subject/content/durationSeconds", json!("somebody")),
        (event(ANSWERED), Missing, "/subject/content/score", json!(null)),
        (event(ANSWERED), Invalid, "/subject/content/score", json!(8.5)),
        (event(ANSWERED), OutOfRange, "/subject/content/score", json!(256)),
        (event(OBSERVED), Missing, "/subject/content/good", json!(null)),
        (event(OBSERVED), Invalid, "/subject/content/good", json!(1.5)),
        (event(OBSERVED), OutOfRange, "/subject/content/good", json!(-1)),
        (event(OBSERVED), OutOfRange, "/subject/content/good", json!(1_u64 << 53)),
        (event(DETECTED), Invalid, "/subject/content/service", json!("somebody")),
        (event(DETECTED), Invalid, "/context/links", json!("somebody")),
        (event(DEPLOYED), Invalid, "/subject/content/environment", json!("prod")),
        (event(DEPLOYED), Invalid, "/customData/changes", json!({"author": "somebody"})),
    ] {
        let refusal = read(&with(&sent, pointer, value)).unwrap_err();
        let field = pointer[1..].replace('/', ".");
        assert_eq!((refusal.reason, refusal.field.as_str()), (reason, field.as_str()));
        assert!(!refusal.message.contains("somebody"), "{refusal}");
    }
    let changes = json!([{}, {"committedAt": "2026-07-01"}]);
    let refusal = read(&with(&event(DEPLOYED), "/customData/changes", changes)).unwrap_err();
    assert_eq!(refusal.field, "customData.changes[1].committedAt");
}
