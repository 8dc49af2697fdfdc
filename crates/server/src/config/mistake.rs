//! What is wrong with a value, in words that say how to mend it.

use std::fmt;

use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};
use milepost_model::Span;

use super::Settings;
use super::sense;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file, variable or flag; empty if the key says it all.
    pub place: String,
    /// The key, or the name of a variable that names no key.
    pub key: String,
    /// What is wrong with it and how to mend it.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// How a value is written where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    File,
    Variable,
    Flags,
}

impl Mistake {
    /// Of the value at `path`.
    pub(super) fn of(place: &str, origin: Origin, path: &[String], error: &figment::Error) -> Self {
        let (key, message) = match &error.kind {
            Kind::UnknownField(name, known) => {
                let mut key = error.path.clone();
                if key.last() != Some(name) {
                    key.push(name.clone());
                }
                (key, unknown(name, known))
            }
            Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
                (path.to_vec(), misfit(origin, path, found, wanted))
            }
            kind => (path.to_vec(), kind.to_string()),
        };
        Self { place: place.to_owned(), key: key.join("."), message }
    }
}

/// Every key of the settings with its default.
pub(super) fn defaults() -> Dict {
    // Settings are a plain struct with text keys; serialising them cannot fail.
    Value::serialize(Settings::default()).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// With the known key that looks most like it, if one does, and all of them.
fn unknown(name: &str, known: &[&str]) -> String {
    let hint = nearest(name, known.iter().copied())
        .map(|nearest| format!("did you mean `{nearest}`? "))
        .unwrap_or_default();
    format!("unknown key; {hint}Known here: {}", known.join(", "))
}

/// The known name that looks most like this one, if one does.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    known.filter(|known| likeness(known) > 0.8).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// A value of the wrong type, or a number out of range.
fn misfit(origin: Origin, path: &[String], found: &Actual, wanted: &str) -> String {
    let is_secret =
        path.first().is_some_and(|section| ["privacy", "kafka", "clickhouse"].contains(&section.as_str()));
    let (shown, bare) = match found {
        _ if is_secret => ("what stands here".to_owned(), "…".to_owned()),
        Actual::Bool(value) => quoted(value),
        Actual::Unsigned(value) => quoted(value),
        Actual::Signed(value) => quoted(value),
        Actual::Float(value) => quoted(value),
        Actual::Char(value) => quoted(value),
        Actual::Str(value) => quoted(value),
        Actual::Seq => ("a list".to_owned(), "…".to_owned()),
        Actual::Map => ("a table".to_owned(), "…".to_owned()),
        other => (other.to_string(), "…".to_owned()),
    };
    let is_variable = origin == Origin::Variable;
    let way = match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => numbers(path, wanted),
        "a boolean" => "true or false".to_owned(),
        "a sequence" if is_variable => format!("a list, such as [{bare}]"),
        "a sequence" => format!("a list, such as [{bare:?}]"),
        "a string" if is_span(path) => {
            let example = if is_variable { "24h" } else { "\"24h\"" };
            format!("a length of time, a whole number and a unit, such as {example}")
        }
        "a string" | "path string" => format!("a text in quotes, such as {bare:?}"),
        _ if is_variable => format!("its keys, each in a variable {}", variable(path, "…")),
        _ => format!("a table, [{}] with its keys below", path.join(".")),
    };
    format!("{shown} does not fit here: write {way}")
}

fn quoted(value: &impl fmt::Display) -> (String, String) {
    (format!("`{value}`"), value.to_string())
}

fn numbers(path: &[String], wanted: &str) -> String {
    let least = sense::least(&path.join("."));
    match wanted {
        "u8" => format!("a whole number from {least} to {}", u8::MAX),
        "u16" => format!("a whole number from {least} to {}", u16::MAX),
        "u32" => format!("a whole number from {least} to {}", u32::MAX),
        _ => format!("a whole number from {least}"),
    }
}

/// Whether a length of time stands here.
fn is_span(path: &[String]) -> bool {
    if path.last().is_some_and(|key| key == "timeout") {
        return true;
    }
    let default = Value::from(defaults()).find(&path.join("."));
    default.as_ref().and_then(Value::as_str).is_some_and(|text| text.parse::<Span>().is_ok())
}

/// The variable that `path` can be given as, with another key behind it.
pub(super) fn variable(path: &[String], key: &str) -> String {
    let names: Vec<_> = path.iter().map(|name| name.to_ascii_uppercase()).collect();
    format!("MILEPOST_{}__{key}", names.join("__"))
}
