//! In which form a request brings its events.

use std::fmt;

use axum::http::{HeaderMap, header};
use milepost_wire::cloudevents::Binding;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::Error;
use crate::sent::Sent;

/// See [`ACCEPTED`](super::error::ACCEPTED).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One event, or an array of them.
    OneOrMany,
    /// One event.
    One,
    /// An array of events.
    Many,
    /// An event a line; empty lines are no events.
    Lines,
    /// A CloudEvent whose attributes are these headers and whose data is the body.
    Binary(Vec<(String, Vec<u8>)>),
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let content_type =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/cloudevents+json" => Ok(Self::One),
            "application/cloudevents-batch+json" => Ok(Self::Many),
            "application/json" if headers.contains_key("ce-specversion") || headers.contains_key("ce-id") => {
                Ok(Self::Binary(attributes(headers)))
            }
            "application/json" => Ok(Self::OneOrMany),
            "application/x-ndjson" => Ok(Self::Lines),
            _ => Err(Error::UnknownType),
        }
    }

    /// Takes a body apart, if it holds at most `most` events. Each event is read later and by itself.
    pub(super) fn split<'a>(&'a self, body: &'a [u8], most: usize) -> Result<Vec<Sent<'a>>, Error> {
        match self {
            Self::OneOrMany if body.trim_ascii_start().starts_with(b"[") => Self::Many.split(body, most),
            Self::OneOrMany | Self::One => {
                let event: &RawValue = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
                Ok(vec![Sent::Json(event.get().as_bytes())])
            }
            Self::Many => array(body, most),
            Self::Lines => lines(body, most),
            Self::Binary(attributes) => {
                Ok(vec![Sent::Binary { binding: Binding::Http, attributes, data: body }])
            }
        }
    }
}

fn lines(body: &[u8], most: usize) -> Result<Vec<Sent<'_>>, Error> {
    let lines = || body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    // Counted before they are gathered: a body of empty objects would become many times as large.
    within(lines().count(), most)?;
    Ok(lines().map(Sent::Json).collect())
}

fn array(body: &[u8], most: usize) -> Result<Vec<Sent<'_>>, Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let items = json.deserialize_seq(Items { most }).and_then(|items| json.end().map(|()| items));
    let (events, count) = items.map_err(|error| unreadable(&error))?;
    within(count, most)?;
    Ok(events)
}

fn within(events: usize, most: usize) -> Result<(), Error> {
    if events > most { Err(Error::TooMany { events, most }) } else { Ok(()) }
}

/// The items of an array, and how many there are: beyond `most` they are only counted.
struct Items {
    most: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = (Vec<Sent<'de>>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut events, mut count) = (Vec::new(), 0);
        while let Some(item) = items.next_element::<&RawValue>()? {
            count += 1;
            if count <= self.most {
                events.push(Sent::Json(item.get().as_bytes()));
            }
        }
        Ok((events, count))
    }
}

/// Errors of data repeat the value they are about, which may be anybody's name; those of syntax do not.
fn unreadable(error: &serde_json::Error) -> Error {
    Error::Unreadable(if error.is_data() {
        "the Content-Type promises an array of events".into()
    } else {
        format!("not JSON: {error}")
    })
}

/// The headers that are attributes of a CloudEvent, and the content type, which is one too.
fn attributes(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("ce-") || **name == header::CONTENT_TYPE)
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}
