//! Persons in events that were refused.
//!
//! An event that is not understood may name persons anywhere, and be kept for a while. So members are recognised by
//! their names alone, in any case and at any depth: those of Milepost, and those by which CDEvents names persons in
//! types that are not accepted. What cannot be looked into is removed.

use base64::Engine as _;
use serde_json::Value;

use super::BASE64;

const PERSONS: [&str; 8] =
    ["actor", "author", "respondent", "creator", "assignees", "reporter", "updatedBy", "closedBy"];

/// Members that may be JSON written into a text, in Base64 or as it is.
const ENCODED: [&str; 3] = ["customData", "data", "data_base64"];

/// How often JSON is looked for inside a text: `data` of a CloudEvent, and `customData` within that.
const LAYERS: u8 = 2;

/// What stands in the place of what may be a person and cannot be made a pseudonym.
pub const REMOVED: &str = "(removed)";

/// Calls `pseudonym` with every person that an event names, and removes what may be a person but is no text.
pub fn scrub(event: &mut Value, pseudonym: &mut dyn FnMut(&mut String)) {
    match event {
        Value::Object(_) => walk(event, LAYERS, pseudonym),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, pseudonym)),
        // Perhaps an event that was made a text twice.
        Value::String(_) => *event = encoded(event, LAYERS, pseudonym).unwrap_or_else(removed),
        _ => {}
    }
}

fn walk(value: &mut Value, layers: u8, pseudonym: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, layers, pseudonym)),
        Value::Object(members) => {
            for (name, member) in members {
                let is_one_of = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
                if is_one_of(&PERSONS) {
                    persons(member, pseudonym);
                } else if is_one_of(&["changes"]) {
                    changes(member, layers, pseudonym);
                } else if is_one_of(&ENCODED) && !member.is_object() {
                    *member = encoded(member, layers, pseudonym).unwrap_or_else(removed);
                } else {
                    walk(member, layers, pseudonym);
                }
            }
        }
        _ => {}
    }
}

fn removed() -> Value {
    REMOVED.into()
}

fn persons(value: &mut Value, pseudonym: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Null => {}
        Value::String(name) if name.is_empty() => {}
        Value::String(name) => pseudonym(name),
        Value::Array(items) => items.iter_mut().for_each(|item| persons(item, pseudonym)),
        _ => *value = removed(),
    }
}

/// Changes are objects, with an author each; anything else in their place may be the author.
fn changes(value: &mut Value, layers: u8, pseudonym: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for item in items {
                if item.is_object() { walk(item, layers, pseudonym) } else { *item = removed() }
            }
        }
        _ => *value = removed(),
    }
}

/// The object in a text, scrubbed and written into a text again.
fn encoded(value: &Value, layers: u8, pseudonym: &mut dyn FnMut(&mut String)) -> Option<Value> {
    if value.is_null() {
        return Some(Value::Null);
    }
    let (text, layers) = (value.as_str()?, layers.checked_sub(1)?);
    let mut scrubbed = |bytes: &[u8]| {
        let mut inner: Value = serde_json::from_slice(bytes).ok().filter(Value::is_object)?;
        walk(&mut inner, layers, pseudonym);
        Some(inner.to_string())
    };
    if let Some(plain) = scrubbed(text.as_bytes()) {
        return Some(plain.into());
    }
    let plain = scrubbed(&BASE64.decode(text).ok()?)?;
    Some(BASE64.encode(plain).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scrubbed(mut event: Value) -> (Value, Vec<String>) {
        let mut seen = Vec::new();
        scrub(&mut event, &mut |name| seen.push(std::mem::replace(name, "p".into())));
        (event, seen)
    }

    #[test]
    fn every_place_a_person_can_be_named_in_is_visited() {
        let event = json!({
            "customData": {"actor": "a", "respondent": "b", "changes": [{"id": "1", "author": "c"}, {"id": "2"}]},
            "subject": {"id": "s", "content": {"respondent": "d", "changes": [{"author": "e"}], "creator": "f",
                "assignees": ["g", "h"]}},
        });
        let (event, mut seen) = scrubbed(event);
        seen.sort();
        assert_eq!(seen, ["a", "b", "c", "d", "e", "f", "g", "h"]);
        assert_eq!(event["customData"]["changes"], json!([{"id": "1", "author": "p"}, {"id": "2"}]));
        assert_eq!(event["subject"]["content"]["assignees"], json!(["p", "p"]));
    }

    #[test]
    fn what_is_no_name_but_stands_for_one_is_removed() {
        let event = json!({"customData": {
            "Actor": {"name": "somebody"}, "respondent": 7, "author": null, "changes": "somebody",
        }});
        let (event, seen) = scrubbed(event);
        assert_eq!(seen, [""; 0]);
        let expected = json!({"Actor": REMOVED, "respondent": REMOVED, "author": null, "changes": REMOVED});
        assert_eq!(event["customData"], expected);
        let (event, _) = scrubbed(json!({"customData": {"changes": ["somebody", {"id": "1"}]}}));
        assert_eq!(event["customData"]["changes"], json!([REMOVED, {"id": "1"}]));
    }

    #[test]
    fn texts_that_hold_json_are_looked_into() {
        let custom = BASE64.encode(json!({"actor": "a"}).to_string());
        let cdevent = json!({"customData": custom});
        for event in [
            json!({"data": cdevent}),
            json!({"data": cdevent.to_string()}),
            json!({"data_base64": BASE64.encode(cdevent.to_string())}),
        ] {
            let (event, seen) = scrubbed(event);
            assert_eq!(seen, ["a"]);
            assert!(!event.to_string().contains(&custom), "{event}");
        }
    }

    #[test]
    fn an_event_that_is_itself_a_text_is_looked_into_or_removed() {
        let event = json!({"customData": {"actor": "a"}}).to_string();
        for event in [json!(event), json!([event])] {
            let (event, seen) = scrubbed(event);
            assert_eq!(seen, ["a"]);
            assert!(!event.to_string().contains("\"a\\\""), "{event}");
        }
        for event in [json!("somebody"), json!(["somebody"]), json!([["somebody"]])] {
            assert!(!scrubbed(event).0.to_string().contains("somebody"));
        }
        assert_eq!(scrubbed(json!(7)).0, json!(7));
    }

    #[test]
    fn names_are_recognised_whatever_their_case() {
        let custom = BASE64.encode(json!({"actor": "a"}).to_string());
        assert_eq!(scrubbed(json!({"customdata": custom})).1, ["a"]);
        let (event, _) = scrubbed(json!({"Changes": ["somebody"]}));
        assert_eq!(event, json!({"Changes": [REMOVED]}));
    }

    #[test]
    fn texts_that_cannot_be_looked_into_are_removed() {
        let deep = json!({"data": json!({"data": json!({"data": "{}"}).to_string()}).to_string()});
        for event in [
            json!({"data": "somebody"}),
            json!({"customData": ["somebody"]}),
            json!({"data": "\"somebody\""}),
        ] {
            assert!(!scrubbed(event).0.to_string().contains("somebody"));
        }
        assert!(scrubbed(deep).0.to_string().contains(REMOVED));
    }
}
