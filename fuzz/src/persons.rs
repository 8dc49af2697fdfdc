//! Persons: a scrub finds everyone a decoder finds, and nothing that is told or kept names one.

use milepost_model::{Event, Refusal};
use milepost_wire::json;
use serde_json::Value;

/// A person nobody else is called like.
pub const CANARY: &str = "PERSON7";

/// What a person is called once scrubbed.
const PSEUDONYM: &str = "p-1";

/// The names of persons in it.
pub fn persons(event: &Event) -> Vec<String> {
    event.clone().content.persons_mut().map(|name| name.clone()).collect()
}

/// Whether everybody in the event is called by a pseudonym.
pub fn all_are_pseudonyms(event: &Event) -> bool {
    persons(event).iter().all(|name| is_pseudonym(name))
}

/// Whether nobody in a refused event is called by a name: what was no name is not kept at all.
pub fn none_is_named(event: &Event) -> bool {
    persons(event).iter().all(|name| is_pseudonym(name) || *name == json::REMOVED)
}

fn is_pseudonym(name: &str) -> bool {
    let hex = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.strip_prefix("p-").is_some_and(hex)
}

/// The event with every person called the same.
fn with_pseudonyms(mut event: Event) -> Event {
    event.content.persons_mut().for_each(|name| PSEUDONYM.clone_into(name));
    event
}

/// A scrubbed JSON text is read as the same event, with pseudonyms; if the text could not be read, the scrubbed one cannot
/// name anybody either.
pub fn hold_law_of_scrub(text: &[u8]) {
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else { return };
    json::scrub(&mut value, &mut |name| PSEUDONYM.clone_into(name));
    let scrubbed = json::decode(value.to_string().as_bytes());
    match json::decode(text) {
        Ok(event) => assert_eq!(scrubbed, Ok(with_pseudonyms(event)), "the scrub changed more, or less"),
        Err(_) => {
            if let Ok(event) = scrubbed {
                assert!(persons(&event).iter().all(|name| name == PSEUDONYM), "{event:?}");
            }
        }
    }
}

/// Puts the canary where a person is named in plain sight, and nowhere else; tells whether there was such a place. What is
/// JSON inside a text stays as it is.
pub fn put_canary(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            *text = text.replace("PERSON", "Person");
            false
        }
        Value::Array(items) => items.iter_mut().fold(false, |put, item| put | put_canary(item)),
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            let mut put = false;
            for name in names {
                let Some(mut member) = members.remove(&name) else { continue };
                if ["actor", "author", "respondent"].contains(&name.as_str()) && member.is_string() {
                    member = CANARY.into();
                    put = true;
                } else {
                    put |= put_canary(&mut member);
                }
                members.insert(name.replace("PERSON", "Person"), member);
            }
            put
        }
        _ => false,
    }
}

/// A refusal repeats no name.
pub fn hold_law_of_refusal(refusal: &Refusal) {
    let told = refusal.to_string();
    assert!(!told.contains(CANARY), "{told}");
}
