//! CloudEvents 1.0 around CDEvents: structured and binary mode. (A batch is a list of structured ones.)
//!
//! The envelope says nothing of its own: it must agree with the CDEvent within. Fields of that CDEvent are named in
//! refusals as they are in it, whatever is around it.

use std::borrow::Cow;

use base64::Engine as _;
use milepost_model::refusal::Reason;
use milepost_model::{Event, Refusal};
use percent_encoding::percent_decode_str;

use crate::cdevents;
use crate::json::BASE64;
use crate::json::tree::{Json, Object};

/// Reads a CloudEvent in structured mode.
pub fn decode_structured(text: &[u8]) -> Result<Event, Refusal> {
    read(&Object::new("", &Json::parse(text)?)?)
}

pub(crate) fn read(event: &Object<'_>) -> Result<Event, Refusal> {
    let envelope = Envelope {
        prefix: "",
        specversion: event.text("specversion")?,
        id: event.text("id")?,
        source: event.text("source")?,
        type_: event.text("type")?,
    };
    match (event.get("data"), event.str("data_base64")?) {
        (Some(_), Some(_)) => {
            Err(Refusal::new(Reason::Invalid, "data_base64", "is given beside data; send one of them"))
        }
        (Some(Json::Text(text)), None) => envelope.open("data", text.as_bytes()),
        (_, Some(text)) => {
            let bytes = BASE64
                .decode(text)
                .map_err(|_| Refusal::new(Reason::Invalid, "data_base64", "is not encoded in Base64"))?;
            envelope.open("data_base64", &bytes)
        }
        (_, None) => {
            let data = event.object("data")?.ok_or_else(|| event.missing("data", "the CDEvent"))?;
            envelope.around(&data.at_root())
        }
    }
}

/// A protocol in which CloudEvents have a binary mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Headers begin with `ce-`; their values are quoted or percent-encoded where they are not ASCII.
    Http,
    /// Headers begin with `ce_`; their values are UTF-8.
    Kafka,
}

impl Binding {
    /// How the headers begin that are attributes.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Http => "ce-",
            Self::Kafka => "ce_",
        }
    }

    /// The text in a header.
    fn value(self, value: &[u8]) -> Option<String> {
        match self {
            Self::Http => header_value(value),
            Self::Kafka => std::str::from_utf8(value).ok().map(str::to_owned),
        }
    }
}

/// Reads a CloudEvent in binary mode, from its headers (those that are not attributes are ignored) and its body.
pub fn decode_binary<'h>(
    binding: Binding,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    body: &[u8],
) -> Result<Event, Refusal> {
    let mut envelope = Envelope { prefix: binding.prefix(), ..Envelope::default() };
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let attribute = match name.strip_prefix(binding.prefix()) {
            Some("specversion") => &mut envelope.specversion,
            Some("id") => &mut envelope.id,
            Some("source") => &mut envelope.source,
            Some("type") => &mut envelope.type_,
            _ => continue,
        };
        let value = binding.value(value).ok_or_else(|| {
            let message = match binding {
                Binding::Http => "is not UTF-8, percent-encoded where it is not ASCII",
                Binding::Kafka => "is not UTF-8",
            };
            Refusal::new(Reason::Invalid, name.as_str(), message)
        })?;
        *attribute = Some(value).filter(|value| !value.is_empty());
    }
    let json = Json::parse(body)?;
    envelope.around(&Object::new("", &json)?)
}

/// The text in a header: unquoted, then percent-decoded once.
fn header_value(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let text =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map_or(Cow::Borrowed(text), unescape);
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

/// The inside of a quoted string, in which a backslash makes the next character an ordinary one.
fn unescape(quoted: &str) -> Cow<'_, str> {
    let mut escaped = false;
    quoted
        .chars()
        .filter(|&character| {
            escaped = character == '\\' && !escaped;
            !escaped
        })
        .collect()
}

/// The attributes that a CDEvent has too.
#[derive(Debug, Default)]
struct Envelope {
    prefix: &'static str,
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    type_: Option<String>,
}

impl Envelope {
    /// The CDEvent in the text of `field`, if the envelope agrees with it.
    fn open(&self, field: &str, text: &[u8]) -> Result<Event, Refusal> {
        let not_json = |_| Refusal::new(Reason::Invalid, field, "is not a CDEvent in JSON");
        let json = Json::parse(text).map_err(not_json)?;
        self.around(&Object::new("", &json).map_err(not_json)?)
    }

    /// The CDEvent within, if the envelope agrees with it.
    fn around(&self, cdevent: &Object<'_>) -> Result<Event, Refusal> {
        let field = |name: &str| format!("{}{name}", self.prefix);
        match self.specversion.as_deref() {
            Some("1.0") => {}
            Some(_) => {
                return Err(Refusal::new(
                    Reason::Invalid,
                    field("specversion"),
                    "CloudEvents 1.0 is understood",
                ));
            }
            None => return Err(Refusal::new(Reason::Missing, field("specversion"), "missing: 1.0")),
        }
        let event = cdevents::read(cdevent)?;
        let context = cdevent.object("context")?.unwrap_or_else(|| Object::empty("context"));
        for (name, value) in [("id", &self.id), ("source", &self.source), ("type", &self.type_)] {
            let Some(value) = value else {
                let message =
                    format!("missing: a CloudEvent needs it, equal to context.{name} of its CDEvent");
                return Err(Refusal::new(Reason::Missing, field(name), message));
            };
            if context.str(name)? != Some(value) {
                let message = format!("differs from context.{name} of the CDEvent in data; make them equal");
                return Err(Refusal::new(Reason::Invalid, field(name), message));
            }
        }
        Ok(event)
    }
}

#[cfg(test)]
mod tests;
