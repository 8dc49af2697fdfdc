//! What is stored today must mean the same for ever: keys, canonical forms and digests of a few events, written down.
//! Computed by another program (SHA-256 and sorted JSON of Python's standard library).
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

use milepost_model::event::{Change, Deploy, DeployKind, Incident, Outcome, hex};
use milepost_model::{Body, Content, Event, EventId, Sealed, Version};

fn event(source: &str, id: &str, revision: u64, occurred_at: &str, body: Body) -> Event {
    let occurred_at = occurred_at.parse().unwrap();
    let content = Content { actor: None, body, capability: None, occurred_at, service: None, team: None };
    Event { id: EventId { source: source.into(), id: id.into() }, revision, content }
}

fn used() -> Event {
    let mut event = event("/ci", "1", 0, "2026-01-02T03:04:05.000006Z", Body::CapabilityUsed);
    event.content.actor = Some("p-00".into());
    event.content.capability = Some("ci".into());
    event.content.team = Some("a".into());
    event
}

fn deployed() -> Event {
    let change = Change {
        author: Some("p-01".into()),
        committed_at: Some("2026-01-01T01:59:59+02:00".parse().unwrap()),
        id: Some("c1".into()),
    };
    let body = Body::Deployed(Deploy {
        artifact_id: Some("pkg:oci/shop@1".into()),
        changes: vec![change, Change { author: None, committed_at: None, id: None }],
        environment: Some("production".into()),
        kind: DeployKind::RolledBack,
        outcome: Some(Outcome::Failure),
        unplanned: false,
    });
    let mut event = event("/ci/é", "2 \"quoted\"", 7, "0001-01-01T00:00:00Z", body);
    event.content.service = Some("a\"b\\c\u{1}\né\u{2028}\u{1f469}".into());
    event
}

fn finished() -> Event {
    let body = Body::InteractionFinished {
        interaction_id: Some("run-3".into()),
        outcome: Outcome::Cancelled,
        assisted: Some(false),
        duration_seconds: Some((1 << 53) - 1),
    };
    event("s", "3", u64::MAX, "9999-12-31T23:59:59.999999Z", body)
}

fn retracted() -> Event {
    event("s", "4", 1, "1970-01-01T00:00:00Z", Body::Retracted)
}

fn detected() -> Event {
    let body = Body::IncidentDetected(Incident {
        artifact_id: Some("pkg:oci/shop@1".into()),
        environment: Some("production".into()),
        incident_id: Some("i-1".into()),
        links: vec!["d-1".into(), "é".into()],
        severity: Some("P1".into()),
    });
    let mut event = event("s", "5", 0, "2026-01-02T03:04:05.000006Z", body);
    event.content.service = Some("shop".into());
    event
}

fn hotfix() -> Event {
    let body = Body::Deployed(Deploy {
        environment: Some("production".into()),
        unplanned: true,
        ..Deploy::default()
    });
    let mut event = event("s", "6", 0, "2026-01-02T03:04:05.000006Z", body);
    event.content.service = Some("shop".into());
    event
}

fn requests() -> Event {
    let most = (1 << 53) - 1;
    let body = Body::RequestsObserved { indicator: Some("latency".into()), good: most, total: most };
    event("s", "7", 0, "1970-01-01T00:00:00Z", body)
}

#[test]
fn keys_canonical_forms_and_digests_are_what_they_were() {
    let written = [
        (
            used(),
            0xa62f_9522_75bf_eb8c_u64,
            "{\"actor\":\"p-00\",\"body\":{\"type\":\"capability_used\"},\"capability\":\"ci\",\"occurred_at\":\"2026-01-02T03:04:05.000006Z\",\"team\":\"a\"}",
            "98d5503e8ce84828826ba1bd65b42ee54200318d8dd5f2f4ddd09b9d5e4339bb",
        ),
        (
            deployed(),
            0xf1e2_d4f4_d823_d4df_u64,
            "{\"body\":{\"artifact_id\":\"pkg:oci/shop@1\",\"changes\":[{\"author\":\"p-01\",\"committed_at\":\"2025-12-31T23:59:59.000000Z\",\"id\":\"c1\"},{}],\"environment\":\"production\",\"kind\":\"rolled_back\",\"outcome\":\"failure\",\"type\":\"deployed\"},\"occurred_at\":\"0001-01-01T00:00:00.000000Z\",\"service\":\"a\\\"b\\\\c\\u0001\\né\u{2028}\u{1f469}\"}",
            "719424f28e7bd9c1dc3e31d9890c37372be69678307bb9c0f4bad5e972218596",
        ),
        (
            finished(),
            0xbcd0_d667_68bf_6bcf_u64,
            "{\"body\":{\"assisted\":false,\"duration_seconds\":9007199254740991,\"interaction_id\":\"run-3\",\"outcome\":\"cancelled\",\"type\":\"interaction_finished\"},\"occurred_at\":\"9999-12-31T23:59:59.999999Z\"}",
            "538b9e59ce2b18cc820164b057d9e36332231dd8e6ef19e2253394c5ab2020f3",
        ),
        (
            retracted(),
            0x2c83_653d_1c69_4a92_u64,
            "{\"body\":{\"type\":\"retracted\"},\"occurred_at\":\"1970-01-01T00:00:00.000000Z\"}",
            "95ffed2f0c4b8c067525fc8b1b9f866ed7baecfca2dd3695cf1134bd60013810",
        ),
        (
            detected(),
            0xe9b8_80ea_5763_83a5_u64,
            "{\"body\":{\"artifact_id\":\"pkg:oci/shop@1\",\"environment\":\"production\",\"incident_id\":\"i-1\",\"links\":[\"d-1\",\"é\"],\"severity\":\"P1\",\"type\":\"incident_detected\"},\"occurred_at\":\"2026-01-02T03:04:05.000006Z\",\"service\":\"shop\"}",
            "51059c40a3dacd3d90ad537749647dc519a3a247b8920117af7750be263405c5",
        ),
        (
            hotfix(),
            0x3503_5370_0322_abf3_u64,
            "{\"body\":{\"environment\":\"production\",\"type\":\"deployed\",\"unplanned\":true},\"occurred_at\":\"2026-01-02T03:04:05.000006Z\",\"service\":\"shop\"}",
            "1af49fcc3a7bb18c3e3b605d1a1bcf7ab34239fd31a16461b9cfefe652782b8e",
        ),
        (
            requests(),
            0x820c_8a85_a859_27ac_u64,
            "{\"body\":{\"good\":9007199254740991,\"indicator\":\"latency\",\"total\":9007199254740991,\"type\":\"requests_observed\"},\"occurred_at\":\"1970-01-01T00:00:00.000000Z\"}",
            "8f1a16bda152e8726ebc00da5f34f27c5089c2a270cde822488dbae9e8cc84bd",
        ),
    ];
    for (event, key, canonical, digest) in written {
        let sealed = Sealed::new(event.clone());
        assert_eq!(std::str::from_utf8(&sealed.canonical).unwrap(), canonical);
        assert_eq!(sealed.key.0, key, "{canonical}");
        assert_eq!(sealed.version(), event.version());
        let Version { revision, digest: computed } = sealed.version();
        assert_eq!((revision, hex(&computed).as_str()), (event.revision, digest), "{canonical}");
    }
}
