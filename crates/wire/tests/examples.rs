//! Real events, the examples of the specification, and our own schemas with their examples.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use flate2::read::GzDecoder;
use milepost_model::{Event, Limits, Refusal, Timestamp};
use milepost_wire::cdevents::types::TYPES;
use milepost_wire::{json, proto};
use serde_json::{Value, json};
use support::schema::fault;
use support::{json_files, root};

const CUSTOM: &str = "dev.cdeventsx.milepost-";

/// Reads and checks an event as a door does.
fn take(text: &[u8]) -> Result<Event, Refusal> {
    let event = json::decode(text)?;
    let checked = Limits::default().check(&event, Timestamp::MAX);
    checked.map_err(|refusal| Refusal { field: json::field_path(&refusal.field), ..refusal })?;
    Ok(event)
}

#[test]
fn every_event_of_the_real_data_is_taken() {
    let data = File::open(root("crates/server/data/helm-charts.ndjson.gz")).unwrap();
    let mut types: BTreeMap<&str, u32> = BTreeMap::new();
    for line in BufReader::new(GzDecoder::new(data)).split(b'\n') {
        let line = line.unwrap();
        let event =
            take(&line).unwrap_or_else(|refusal| panic!("{refusal}: {}", String::from_utf8_lossy(&line)));
        *types.entry(event.content.body.type_name()).or_default() += 1;
        assert_eq!(proto::decode(proto::encode(&event)).unwrap(), event);
    }
    let expected = [
        ("capability_used", 2_306),
        ("deployed", 12_977),
        ("interaction_finished", 13_703),
        ("onboarding_started", 7_435),
        ("service_registered", 329),
        ("service_retired", 283),
        ("team_registered", 222),
    ];
    assert_eq!(types, expected.into());
}

#[test]
fn every_standard_type_is_taken_in_three_releases() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for (name, example) in json_files("crates/wire/tests/conformance") {
        let event =
            take(example.to_string().as_bytes()).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(event.id.id, example["context"]["id"].as_str().unwrap());
        let type_ = example["context"]["type"].as_str().unwrap();
        let standard = TYPES.iter().find(|known| type_.starts_with(known.name)).unwrap();
        *seen.entry(standard.name.to_owned()).or_default() += 1;
    }
    let accepted = TYPES.iter().filter(|known| !known.name.starts_with(CUSTOM));
    assert_eq!(seen, accepted.map(|known| (known.name.to_owned(), 3)).collect());
}

#[test]
fn every_custom_type_has_a_schema_and_an_example_and_none_is_without() {
    let accepted: BTreeSet<_> =
        TYPES.iter().filter_map(|known| known.name.strip_prefix(CUSTOM)).map(str::to_owned).collect();
    for folder in ["schemas", "schemas/examples"] {
        let found: BTreeSet<_> = json_files(folder).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, accepted, "{folder}");
    }
    for known in TYPES.iter().filter(|known| known.name.starts_with(CUSTOM)) {
        let schema = schema(&known.name[CUSTOM.len()..]);
        assert_eq!(schema["title"], json!(known.example()));
        let pattern = format!(r"^{}\.0\.[0-9]+\.[0-9]+$", known.name.replace('.', r"\."));
        assert_eq!(schema["properties"]["context"]["properties"]["type"]["pattern"], json!(pattern));
    }
}

fn schema(name: &str) -> Value {
    json_files("schemas").into_iter().find(|(file, _)| file == name).unwrap().1
}

#[test]
fn every_example_is_taken_and_fits_its_schema() {
    for (name, example) in json_files("schemas/examples") {
        assert_eq!(fault(&schema(&name), &example), None, "{name}");
        let event =
            take(example.to_string().as_bytes()).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let body = name.trim_start_matches("event.").replace('.', "_");
        assert_eq!(event.content.body.type_name(), body);
    }
}

/// A control character is wrong in every text, and a text is wrong everywhere else.
#[test]
fn every_property_of_a_schema_is_read_and_refused_by_its_path() {
    for (name, example) in json_files("schemas/examples") {
        let schema = schema(&name);
        let content = &schema["properties"]["subject"]["properties"]["content"]["properties"];
        let custom = &schema["properties"]["customData"]["oneOf"][0]["properties"];
        for (parent, properties) in [("subject/content", content), ("customData", custom)] {
            for (property, wanted) in properties.as_object().unwrap() {
                let mut example = example.clone();
                example["customData"]["actor"] = json!("developer-17");
                example.pointer_mut(&format!("/{parent}")).unwrap()[property] = json!("\u{7}");

                let is_text =
                    wanted["type"] == "string" && wanted["enum"].is_null() && wanted["format"].is_null();
                assert_eq!(fault(&schema, &example).is_none(), is_text, "{name} {property}");
                let refusal = take(example.to_string().as_bytes()).unwrap_err();
                assert_eq!(refusal.field, format!("{}.{property}", parent.replace('/', ".")), "{name}");
            }
        }
    }
}
