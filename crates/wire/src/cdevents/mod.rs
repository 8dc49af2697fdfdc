//! CDEvents, 0.3 to 0.5 and later minor versions: what schemas/README.md says, in code.
//!
//! What CDEvents requires but no event of the model rests on (`context.specversion`, `subject.content`, …) may be left
//! out; members that are not known are ignored. [`types`] is the one list of what is accepted.

pub mod types;

use base64::Engine as _;
use milepost_model::refusal::Reason;
use milepost_model::{Content, Event, EventId, Refusal};

use crate::json::BASE64;
use crate::json::tree::{Json, Object};
use types::{Named, Parts, TYPES, Type};

/// Reads a CDEvent.
pub fn decode(text: &[u8]) -> Result<Event, Refusal> {
    read(&Object::new("", &Json::parse(text)?)?)
}

pub(crate) fn read(event: &Object<'_>) -> Result<Event, Refusal> {
    let context = event
        .object("context")?
        .ok_or_else(|| event.missing("context", "a CDEvent has it, a CloudEvent has `specversion`"))?;
    check_version(&context)?;
    let type_ = known_type(&context)?;
    let source = required(&context, "source")?;
    let id = required(&context, "id")?;
    let occurred_at =
        context.instant("timestamp")?.ok_or_else(|| context.missing("timestamp", EVERY_EVENT))?;

    let encoded = encoded_custom_data(event)?;
    let decoded = encoded.as_deref().map(Json::parse).transpose().map_err(|_| not_json())?;
    let custom = match &decoded {
        Some(json) => Object::new(CUSTOM_DATA, json)?,
        None => event.object(CUSTOM_DATA)?.unwrap_or_else(|| Object::empty(CUSTOM_DATA)),
    };
    let subject = event.object("subject")?.unwrap_or_else(|| Object::empty("subject"));
    let parts = Parts {
        custom,
        content: subject.object("content")?.unwrap_or_else(|| Object::empty("subject.content")),
        subject: subject.str("id")?,
        links: if type_.subject == Named::Incident { links(&context)? } else { Vec::new() },
    };
    let named = |name: &str, is_subject: Named| match parts.custom.text(name) {
        Ok(None) if type_.subject == is_subject => Ok(parts.subject.map(str::to_owned)),
        Ok(None) if type_.subject == Named::Incident && is_subject == Named::Service => {
            types::reference(&parts.content, name)
        }
        named => named,
    };
    let (team, service) = (named("team", Named::Team)?, named("service", Named::Service)?);
    let capability = named("capability", Named::Capability)?;
    Ok(Event {
        id: EventId { source: source.to_owned(), id: id.to_owned() },
        revision: parts.custom.whole("revision", "from 0 to 18446744073709551615")?.unwrap_or_default(),
        content: Content {
            actor: parts.custom.text("actor")?,
            body: (type_.body)(&parts)?,
            capability,
            occurred_at,
            service,
            team,
        },
    })
}

const CUSTOM_DATA: &str = "customData";
const EVERY_EVENT: &str = "every event needs it";

fn required<'x>(object: &Object<'x>, name: &str) -> Result<&'x str, Refusal> {
    object.str(name)?.ok_or_else(|| object.missing(name, EVERY_EVENT))
}

/// Ids of the events that one is linked to: where it comes from, and what it is related to.
fn links(context: &Object<'_>) -> Result<Vec<String>, Refusal> {
    let mut ids = Vec::new();
    for link in context.objects("links")? {
        for name in ["from", "target"] {
            let Some(other) = link.object(name)? else { continue };
            ids.extend(other.text("contextId")?.filter(|id| !ids.contains(id)));
        }
    }
    Ok(ids)
}

/// Types carry versions of their own; of that of the whole, which has had two names, only the major one matters.
fn check_version(context: &Object<'_>) -> Result<(), Refusal> {
    for name in ["specversion", "version"] {
        if context.str(name)?.is_some_and(|version| !version.starts_with("0.")) {
            return Err(Refusal::new(
                Reason::Invalid,
                context.path(name),
                "CDEvents 0.3 to 0.5 are understood",
            ));
        }
    }
    Ok(())
}

fn known_type(context: &Object<'_>) -> Result<&'static Type, Refusal> {
    let name = required(context, "type")?;
    types::find(name).ok_or_else(|| {
        let accepted: Vec<_> = TYPES.iter().map(Type::example).collect();
        let message = format!("is none of the types that are accepted: {}", accepted.join(", "));
        Refusal::new(Reason::UnknownType, context.path("type"), message)
    })
}

/// The bytes of custom data that were sent as a text: that is Base64, whatever the content type.
fn encoded_custom_data(event: &Object<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    match event.get(CUSTOM_DATA) {
        Some(Json::Text(text)) => BASE64.decode(text.as_bytes()).map(Some).map_err(|_| not_json()),
        _ => Ok(None),
    }
}

fn not_json() -> Refusal {
    Refusal::new(Reason::Invalid, CUSTOM_DATA, "is neither an object nor one in JSON, encoded in Base64")
}

#[cfg(test)]
mod tests;
