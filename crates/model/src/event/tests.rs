//! What an event is, in examples: the property tests compare this code with itself.

use serde_json::json;

use super::*;

fn event(body: Body) -> Event {
    let content = Content {
        actor: Some("ada".into()),
        body,
        capability: None,
        occurred_at: Timestamp::MIN,
        service: None,
        team: Some("payments".into()),
    };
    Event { id: EventId { source: "ci".into(), id: "1".into() }, revision: 3, content }
}

fn deploy() -> Deploy {
    let change = |author: Option<&str>| Change {
        author: author.map(str::to_owned),
        committed_at: None,
        id: Some("c1".into()),
    };
    Deploy { changes: vec![change(Some("bob")), change(None), change(Some("eve"))], ..Deploy::default() }
}

#[test]
fn a_key_is_the_beginning_of_a_hash_for_ever() {
    // printf 'ci\0001' | sha256sum
    assert_eq!(EventKey::of("ci", "1"), EventKey(0x3149_5151_794e_4259));
    assert_eq!(event(Body::Retracted).id.key(), EventKey::of("ci", "1"));
    assert_ne!(EventKey::of("c", "i1"), EventKey::of("ci", "1"));
}

#[test]
fn a_deploy_without_an_outcome_has_succeeded() {
    let succeeded = |outcome| Deploy { outcome, ..Deploy::default() }.succeeded();
    assert!(succeeded(None) && succeeded(Some(Outcome::Success)));
    assert!(!succeeded(Some(Outcome::Failure)) && !succeeded(Some(Outcome::Cancelled)));
}

#[test]
fn retirements_are_the_three_there_are() {
    assert!(Body::TeamRetired.is_retirement());
    assert!(Body::ServiceRetired.is_retirement());
    assert!(Body::CapabilityRetired.is_retirement());
    let others = [
        Body::TeamRegistered,
        Body::ServiceRemoved { environment: None },
        Body::Retracted,
        Body::CapabilityUsed,
    ];
    assert!(!others.iter().any(Body::is_retirement));
}

#[test]
fn everyone_named_is_found() {
    let persons =
        |body: Body| -> Vec<String> { event(body).content.persons_mut().map(|p| p.clone()).collect() };
    assert_eq!(persons(Body::Deployed(deploy())), ["ada", "bob", "eve"]);
    let (survey, respondent) = (Some("q3".to_owned()), Some("kim".to_owned()));
    assert_eq!(
        persons(Body::SurveyInvited { survey: survey.clone(), respondent: respondent.clone() }),
        ["ada", "kim"]
    );
    assert_eq!(persons(Body::SurveyAnswered { survey, respondent, score: 9 }), ["ada", "kim"]);
    assert_eq!(persons(Body::CapabilityUsed), ["ada"]);
}

#[test]
fn the_canonical_form_leaves_out_what_is_absent_and_what_is_usual() {
    let canonical = |body| String::from_utf8(event(body).content.canonical()).unwrap();
    assert_eq!(
        canonical(Body::Deployed(deploy())),
        r#"{"actor":"ada","body":{"changes":[{"author":"bob","id":"c1"},{"id":"c1"},{"author":"eve","id":"c1"}],"type":"deployed"},"occurred_at":"0001-01-01T00:00:00.000000Z","team":"payments"}"#
    );
    let rolled_back =
        Deploy { kind: DeployKind::RolledBack, outcome: Some(Outcome::Failure), ..Deploy::default() };
    let text = canonical(Body::Deployed(rolled_back));
    assert!(
        text.contains(r#""body":{"kind":"rolled_back","outcome":"failure","type":"deployed"}"#),
        "{text}"
    );
}

#[test]
fn a_body_says_its_type_by_the_name_of_the_contract() {
    let body = Body::InteractionFinished {
        interaction_id: None,
        outcome: Outcome::Cancelled,
        assisted: Some(false),
        duration_seconds: Some(7),
    };
    assert_eq!(body.type_name(), "interaction_finished");
    let expected = json!({"assisted": false, "duration_seconds": 7, "outcome": "cancelled", "type": "interaction_finished"});
    assert_eq!(serde_json::to_value(&body).unwrap(), expected);
}

#[test]
fn a_version_is_the_revision_and_the_digest_of_the_content() {
    let retracted = event(Body::Retracted);
    let version = retracted.version();
    assert_eq!(version, Version::of(3, &retracted.content.canonical()));
    // printf abc | sha256sum
    assert_eq!(
        hex(&Version::of(0, b"abc").digest),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert!(
        Version::of(1, b"abc") > Version::of(0, b"abd") && Version::of(0, b"abc") != Version::of(0, b"abd")
    );
    assert_eq!(retracted.at(), Timestamp::MIN);
}
