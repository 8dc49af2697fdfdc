//! Laws of the wire formats, over any event there can be and over what is none.

mod support;

use milepost_model::{Event, Refusal};
use milepost_wire::{cdevents, cloudevents, json, pb, proto};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};
use support::{any, cdevent};

/// Any JSON value, with names that mean something among its members.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        proptest::bool::ANY.prop_map(Value::from),
        proptest::num::i64::ANY.prop_map(Value::from),
        (-1e20..1e20).prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("context"),
        Just("data"),
        Just("id"),
        Just("actor"),
        Just("changes"),
        Just("content"),
        Just("specversion"),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..4).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

/// The JSON pointers of all values in it.
fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(|(name, child)| {
        pointers(child).into_iter().map(move |pointer| format!("/{name}{pointer}"))
    });
    std::iter::once(String::new()).chain(below).collect()
}

fn enveloped(event: &Event, data: (&str, Value)) -> Result<Event, Refusal> {
    let type_ = cdevent::write(event)["context"]["type"].clone();
    let mut envelope =
        json!({"specversion": "1.0", "id": event.id.id, "source": event.id.source, "type": type_});
    envelope[data.0] = data.1;
    cloudevents::decode_structured(envelope.to_string().as_bytes())
}

proptest! {
    #[test]
    fn protobuf_reads_back(event in any::event()) {
        let bytes = proto::encode(&event).encode_to_vec();
        let read = proto::decode(pb::Event::decode(bytes.as_slice()).unwrap()).unwrap();
        prop_assert_eq!(&read, &event);
    }

    #[test]
    fn every_form_of_an_event_is_the_same_event(event in any::event()) {
        let cdevent = cdevent::write(&event);
        let text = cdevent.to_string();
        let read = cdevents::decode(text.as_bytes()).unwrap();
        prop_assert_eq!(read.content.canonical(), event.content.canonical());
        prop_assert_eq!(&read, &event);
        prop_assert_eq!(&json::decode(text.as_bytes()).unwrap(), &event);
        prop_assert_eq!(&enveloped(&event, ("data", cdevent.clone())).unwrap(), &event);
        prop_assert_eq!(&enveloped(&event, ("data", json!(text))).unwrap(), &event);

        let pretty = serde_json::to_string_pretty(&cdevent).unwrap();
        prop_assert_eq!(&json::decode(pretty.as_bytes()).unwrap(), &event);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = json::decode(&bytes);
        let _ = pb::Event::decode(bytes.as_slice()).map(proto::decode);
        let _ = cloudevents::decode_binary(cloudevents::Binding::Http, [("ce-id", bytes.as_slice())], &bytes);
        let _ = cloudevents::decode_binary(cloudevents::Binding::Kafka, [("ce_id", bytes.as_slice())], &bytes);
    }

    #[test]
    fn no_json_makes_a_decoder_panic(
        event in any::event(),
        at in proptest::num::usize::ANY,
        wrong in any_json(),
    ) {
        let mut value = cdevent::write(&event);
        let pointers = pointers(&value);
        let pointer = &pointers[at % pointers.len()];
        if let Some(place) = value.pointer_mut(pointer) {
            *place = wrong;
        }
        let _ = json::decode(value.to_string().as_bytes());
        let _ = enveloped(&event, ("data", value));
    }

    #[test]
    fn no_person_is_left_in_what_was_refused(
        event in any::event(),
        at in proptest::num::usize::ANY,
        wrong in any_json(),
        wrapped in proptest::bool::ANY,
    ) {
        let mut value = cdevent::write(&event);
        let pointers = pointers(&value);
        if let Some(place) = value.pointer_mut(&pointers[at % pointers.len()]) {
            *place = wrong;
        }
        if wrapped {
            value = json!({"data": value.to_string()});
        }
        json::scrub(&mut value, &mut |name| *name = "p-1".to_owned());
        let left = value.to_string();
        prop_assert!(!left.contains("PERSON"), "{}", left);

        let mut message = proto::encode(&event);
        proto::scrub(&mut message, &mut |name| *name = "p-1".to_owned());
        let bytes = message.encode_to_vec();
        prop_assert!(!bytes.windows(6).any(|window| window == b"PERSON"));
    }
}
