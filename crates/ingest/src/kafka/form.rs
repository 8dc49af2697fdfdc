//! In which form a record brings its event, told by its headers.

use milepost_log::Incoming;
use milepost_model::Refusal;
use milepost_model::refusal::Reason;
use milepost_wire::cloudevents::Binding;

use crate::sent::Sent;

/// What is taken, in the words of a refusal.
const TAKEN: &str = "application/cloudevents+json (a CloudEvent), application/json (a CDEvent, or with ce_ headers the data \
                     of a CloudEvent) and application/x-protobuf (a milepost.v1.Event) are taken";

/// A record that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Arrived {
    /// A CDEvent, or a CloudEvent around one.
    Json(Vec<u8>),
    /// The data of a CloudEvent, and its attributes.
    Binary { attributes: Vec<(String, Vec<u8>)>, data: Vec<u8> },
    /// A `milepost.v1.Event`.
    Protobuf(Vec<u8>),
    /// None of these. Not kept: nobody can tell where persons are named in it.
    Unreadable { bytes: usize, refusal: Refusal },
}

impl Arrived {
    /// What a record is. Of one larger than `most` bytes only the size is kept.
    pub(super) fn read(record: &Incoming<'_>, most: usize) -> Self {
        let bytes = record.value.map_or(0, <[u8]>::len);
        let unreadable = |refusal| Self::Unreadable { bytes, refusal };
        let Some(value) = record.value else {
            return unreadable(Refusal::new(Reason::Malformed, "", "a record without a value is no event"));
        };
        if bytes > most {
            let message = format!("the event is {bytes} bytes long; at most {most} are taken");
            return unreadable(Refusal::new(Reason::TooLarge, "", message));
        }
        let Some(headers) = record.headers() else {
            let message = "has a header whose name is not UTF-8";
            return unreadable(Refusal::new(Reason::Malformed, "", message));
        };
        Self::of(&headers, value).unwrap_or_else(unreadable)
    }

    fn of(headers: &[(&str, &[u8])], value: &[u8]) -> Result<Self, Refusal> {
        let unknown = |message: String| Refusal::new(Reason::UnknownType, "content-type", message);
        let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let content_type =
            String::from_utf8_lossy(content_type.map_or(&[], |(_, value)| *value)).to_ascii_lowercase();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let attributes = || headers.iter().filter(|(name, _)| name.starts_with(Binding::Kafka.prefix()));
        match essence {
            "application/cloudevents+json" => Ok(Self::Json(value.to_vec())),
            _ if essence.starts_with("application/cloudevents-batch") => {
                Err(unknown("CloudEvents have no batches in Kafka: send one event a record".to_owned()))
            }
            "" | "application/json" if attributes().next().is_some() => {
                let owned = |(name, value): &(&str, &[u8])| ((*name).to_owned(), value.to_vec());
                Ok(Self::Binary { attributes: attributes().map(owned).collect(), data: value.to_vec() })
            }
            "application/json" => Ok(Self::Json(value.to_vec())),
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf(value.to_vec())),
            "" if value.trim_ascii_start().starts_with(b"{") => Ok(Self::Json(value.to_vec())),
            "" => Err(unknown(format!("missing, and the value is no JSON object; {TAKEN}"))),
            _ => Err(unknown(format!("none that is understood; {TAKEN}"))),
        }
    }

    /// As the intake takes it.
    pub(super) fn sent(&self) -> Sent<'_> {
        match self {
            Self::Json(text) => Sent::Json(text),
            Self::Binary { attributes, data } => Sent::Binary { binding: Binding::Kafka, attributes, data },
            Self::Protobuf(bytes) => Sent::Protobuf(bytes),
            Self::Unreadable { bytes, refusal } => Sent::Unreadable { bytes: *bytes, refusal },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)], value: &str) -> Result<Arrived, (Reason, String)> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        Arrived::of(&headers, value.as_bytes()).map_err(|refusal| (refusal.reason, refusal.field))
    }

    #[test]
    fn headers_tell_the_form() {
        let json = Ok(Arrived::Json(b"{}".to_vec()));
        assert_eq!(of(&[("content-type", "application/json")], "{}"), json);
        assert_eq!(
            of(&[("Content-Type", "Application/JSON; charset=utf-8"), ("traceparent", "x")], "{}"),
            json
        );
        let structured = [("ce_id", "1"), ("content-type", "application/cloudevents+json; charset=UTF-8")];
        assert_eq!(of(&structured, "{}"), json, "structured, whatever other headers say");
        assert_eq!(of(&[], " \n{}"), Ok(Arrived::Json(b" \n{}".to_vec())), "nothing said, and an object");
        let protobuf = [("content-type", "application/x-protobuf; messageType=milepost.v1.Event")];
        assert_eq!(of(&protobuf, "{}"), Ok(Arrived::Protobuf(b"{}".to_vec())));
        let attributes = vec![("ce_id".to_owned(), b"1".to_vec())];
        let binary = Ok(Arrived::Binary { attributes, data: b"{}".to_vec() });
        assert_eq!(of(&[("ce_id", "1"), ("content-type", "application/json")], "{}"), binary);
        assert_eq!(of(&[("x", "y"), ("ce_id", "1")], "{}"), binary);
    }

    #[test]
    fn what_is_in_no_form_is_refused() {
        let unknown = Err((Reason::UnknownType, "content-type".to_owned()));
        for (content_type, value) in [
            ("application/cloudevents-batch+json", "[]"),
            ("application/cloudevents+avro", "{}"),
            ("text/plain", "{}"),
            ("", "[]"),
            ("", "hello"),
            ("", ""),
        ] {
            assert_eq!(of(&[("content-type", content_type)], value), unknown, "{content_type} {value}");
        }
        assert_eq!(of(&[("ce_id", "1"), ("content-type", "text/plain")], "{}"), unknown);
    }
}
