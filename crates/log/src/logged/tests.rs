use milepost_model::{Body, Timestamp};
use proptest::prelude::*;

use super::*;

fn sealed(source: &str, id: &str, revision: u64, team: Option<String>) -> Sealed {
    let content = Content {
        actor: None,
        body: Body::CapabilityUsed,
        capability: Some("ci".to_owned()),
        occurred_at: Timestamp::from_micros(1_782_900_000_000_001).unwrap(),
        service: None,
        team,
    };
    Sealed::new(Event { id: EventId { source: source.into(), id: id.into() }, revision, content })
}

fn value(event: &Sealed) -> Vec<u8> {
    let mut value = Vec::new();
    write_event(event, &mut value);
    value
}

fn rejected() -> Rejected {
    Rejected {
        refusal: Refusal::new(Reason::TooLong, "customData.team", "300 bytes long; at most 256 are taken"),
        door: Door::Http,
        source: Some("/ci".into()),
        id: None,
        payload: Some(Payload::Json("{}".into())),
    }
}

fn poison(value: Option<&[u8]>) -> String {
    let Logged::Poison(rejected) = Logged::read(value) else { panic!("{value:?} is read") };
    assert_eq!((rejected.refusal.reason, rejected.door), (Reason::Malformed, Door::Kafka));
    rejected.refusal.message
}

proptest! {
    #[test]
    fn an_event_is_read_as_it_was_written(
        source in "\\PC{0,20}", id in "\\PC{0,20}", revision: u64, team in proptest::option::of("\\PC{1,9}")
    ) {
        let event = sealed(&source, &id, revision, team);
        let value = value(&event);
        prop_assert_eq!(value.len(), event_bytes(&event));
        prop_assert_eq!(Logged::read(Some(&value)), Logged::Event(event));
    }

    #[test]
    fn whatever_the_bytes_are_they_are_something(bytes: Vec<u8>, form in 0..4u8) {
        Logged::read(Some(&bytes));
        Logged::read(Some(&[&[8, form], bytes.as_slice()].concat()));
    }
}

/// Others than us may read the log as protobuf, and what was written once must always be readable.
#[test]
fn the_bytes_of_an_event_are_these() {
    let event = sealed("/ci", "1", 7, None);
    let value = value(&event);
    let decoded = EventRecord::decode(value.as_slice()).unwrap();
    let content = event.canonical.clone();
    assert_eq!(decoded, EventRecord { form: 1, source: "/ci".into(), id: "1".into(), revision: 7, content });
    let mut expected = b"\x08\x01\x12\x03/ci\x1a\x011\x2a".to_vec();
    expected.push(event.canonical.len() as u8);
    expected.extend_from_slice(&event.canonical);
    expected.extend_from_slice(b"\x20\x07");
    assert_eq!(value, expected);
    assert_eq!(event_key(&event), EventKey::of("/ci", "1").0.to_be_bytes());
}

#[test]
fn a_refused_event_is_read_as_it_was_written() {
    let partition = Partition { topic: "theirs".into(), number: 3 };
    let origin = Some(Position { partition, offset: i64::from(u32::MAX) + 1 });
    let protobuf = Rejected { payload: Some(Payload::Protobuf(vec![1, 2])), ..rejected() };
    let nothing = Rejected { payload: None, source: None, ..rejected() };
    for rejected in [rejected(), protobuf, nothing] {
        for origin in [None, origin.clone()] {
            let value = write_refused(&rejected, origin.as_ref());
            assert_eq!(Logged::read(Some(&value)), Logged::Refused { rejected: rejected.clone(), origin });
        }
    }
    for reason in Reason::ALL {
        let rejected = Rejected { refusal: Refusal { reason, ..rejected().refusal }, ..rejected() };
        let value = write_refused(&rejected, None);
        assert_eq!(Logged::read(Some(&value)), Logged::Refused { rejected, origin: None });
    }
}

#[test]
fn f14_what_cannot_be_read_says_why() {
    assert!(poison(None).contains("0 bytes"));
    assert!(poison(Some(b"hello")).contains("5 bytes that no Milepost wrote"));
    assert!(poison(Some(&[8])).contains("no Milepost wrote"));
    let newer = poison(Some(&[8, 9, 1, 2, 3]));
    assert!(newer.contains("form 9") && newer.contains("newer"), "{newer}");
    let value = value(&sealed("/ci", "1", 7, None));
    assert!(poison(Some(&value[..value.len() - 5])).contains("damaged"));
    let alice = EventRecord { form: EVENT, content: br#"{"alice":1}"#.to_vec(), ..EventRecord::default() };
    let said = poison(Some(&alice.encode_to_vec()));
    assert!(said.contains("none that this version") && !said.contains("alice"), "{said}");
    let other = RefusedRecord { form: REFUSED, reason: "odd".into(), ..RefusedRecord::default() };
    assert!(poison(Some(&other.encode_to_vec())).contains("the reason odd"));
}
