use serde_json::{Value, json};

use super::*;

fn cdevent() -> Value {
    json!({
        "context": {"specversion": "0.5.1", "id": "1", "source": "/s", "timestamp": "2026-07-01T12:00:00Z",
            "type": "dev.cdeventsx.milepost-capability.used.0.1.0"},
        "subject": {"id": "ci", "content": {}},
        "customData": {"team": "a"},
    })
}

fn around(data: (&str, Value)) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s",
        "type": "dev.cdeventsx.milepost-capability.used.0.1.0"});
    event[data.0] = data.1;
    event
}

fn structured(event: &Value) -> Result<Event, Refusal> {
    decode_structured(event.to_string().as_bytes())
}

fn binary(changes: &[(&'static str, &'static [u8])]) -> Result<Event, Refusal> {
    let mut headers: Vec<(&str, &[u8])> = vec![
        ("Ce-Specversion", b"1.0"),
        ("ce-id", b"1"),
        ("ce-source", b"/s"),
        ("ce-type", b"dev.cdeventsx.milepost-capability.used.0.1.0"),
        ("content-type", b"application/json"),
    ];
    headers.extend_from_slice(changes);
    decode_binary(Binding::Http, headers, cdevent().to_string().as_bytes())
}

fn fault(result: Result<Event, Refusal>) -> (Reason, String) {
    let refusal = result.unwrap_err();
    (refusal.reason, refusal.field)
}

#[test]
fn every_form_is_the_same_event() {
    let bare = cdevents::decode(cdevent().to_string().as_bytes()).unwrap();
    let text = cdevent().to_string();
    for data in [("data", cdevent()), ("data", json!(text)), ("data_base64", json!(BASE64.encode(&text)))] {
        assert_eq!(structured(&around(data)).unwrap(), bare);
    }
    assert_eq!(binary(&[]).unwrap(), bare);
}

#[test]
fn in_kafka_attributes_have_another_prefix_and_are_no_urls() {
    let bare = cdevents::decode(cdevent().to_string().as_bytes()).unwrap();
    let type_ = cdevent()["context"]["type"].as_str().unwrap().to_owned();
    let read = |id: &[u8]| {
        let headers = [
            ("ce_specversion", b"1.0".as_slice()),
            ("ce_id", id),
            ("ce_source", bare.id.source.as_bytes()),
            ("ce_type", type_.as_bytes()),
            ("ce-id", b"another"),
        ];
        decode_binary(Binding::Kafka, headers, cdevent().to_string().as_bytes())
    };
    assert_eq!(read(bare.id.id.as_bytes()).unwrap(), bare);
    assert_eq!(fault(read(b"%31")), (Reason::Invalid, "ce_id".to_owned()));
    assert_eq!(fault(read(b"\xff")), (Reason::Invalid, "ce_id".to_owned()));
    assert_eq!(fault(read(b"")), (Reason::Missing, "ce_id".to_owned()));
}

#[test]
fn headers_are_unquoted_and_percent_decoded_once() {
    assert_eq!(header_value(b"a%20%22b").as_deref(), Some("a \"b"));
    assert_eq!(header_value(b"\"a \\\"b\\\\\"").as_deref(), Some("a \"b\\"));
    assert_eq!(header_value(b"%2541").as_deref(), Some("%41"));
    assert_eq!(header_value("ü".as_bytes()).as_deref(), Some("ü"));
    assert_eq!(header_value(b"%C3%BC").as_deref(), Some("ü"));
    assert_eq!(header_value(b"%C0%A0"), None);
    assert_eq!(header_value(b"\xff"), None);
    assert!(binary(&[("ce-id", b"%31")]).is_ok());
}

#[test]
fn an_envelope_must_agree_with_what_is_in_it() {
    for (name, value, reason) in [
        ("specversion", json!("0.3"), Reason::Invalid),
        ("specversion", json!(null), Reason::Missing),
        ("id", json!("2"), Reason::Invalid),
        ("id", json!(1), Reason::Invalid),
        ("source", json!(""), Reason::Missing),
        ("type", json!("dev.cdevents.service.deployed.0.3.0"), Reason::Invalid),
        ("data", json!(null), Reason::Missing),
        ("data", json!("{"), Reason::Invalid),
        ("data", json!([1]), Reason::Invalid),
        ("data_base64", json!("e30="), Reason::Invalid),
    ] {
        let mut event = around(("data", cdevent()));
        event[name] = value;
        assert_eq!(fault(structured(&event)), (reason, name.to_owned()));
    }
    assert_eq!(
        fault(structured(&around(("data_base64", json!("{"))))),
        (Reason::Invalid, "data_base64".into())
    );
    assert_eq!(fault(binary(&[("ce-id", b"2")])), (Reason::Invalid, "ce-id".into()));
    assert_eq!(fault(binary(&[("ce-id", b"")])), (Reason::Missing, "ce-id".into()));
    assert_eq!(fault(binary(&[("ce-source", b"%C0%A0")])), (Reason::Invalid, "ce-source".into()));
}

#[test]
fn what_is_wrong_inside_is_named_as_inside() {
    let mut inner = cdevent();
    inner["customData"]["team"] = json!(7);
    assert_eq!(fault(structured(&around(("data", inner)))), (Reason::Invalid, "customData.team".into()));
    assert_eq!(fault(structured(&around(("data", json!({}))))), (Reason::Missing, "context".into()));
}
