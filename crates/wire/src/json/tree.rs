//! JSON as it was sent: a tree that borrows its texts, and objects that know where in it they are.
//!
//! Reading an event asks an [`Object`] for the members it wants. So unknown members cost nothing and harm nothing, and
//! whatever is wrong is refused under the very path it was sent under. Values are never repeated in a refusal: they may
//! be names of persons.

use std::borrow::Cow;
use std::fmt;

use milepost_model::event::Outcome;
use milepost_model::refusal::Reason;
use milepost_model::{Refusal, Timestamp};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value. Where an object has a name twice the last one counts, as in `serde_json::Value`, so that what is
/// scrubbed is what was read.
#[derive(Debug)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// A number: `7` and `7.0` are the same one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Whole(i128),
    Real(f64),
}

impl<'a> Json<'a> {
    /// Reads one JSON text.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(text)
            .map_err(|error| Refusal::new(Reason::Malformed, "", format!("not a JSON text: {error}")))
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Whole(value.into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Whole(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        // Beyond i128 the conversion saturates, which is as far out of every range as the number itself.
        let number = if value.fract() == 0.0 { Number::Whole(value as i128) } else { Number::Real(value) };
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = entries.next_entry()? {
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

/// The name of a member. Serde by itself never borrows into a [`Cow`].
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Object<'x> {
    path: Cow<'static, str>,
    members: &'x [(Cow<'x, str>, Json<'x>)],
}

impl<'x> Object<'x> {
    /// The object that `json` is.
    pub(crate) fn new(path: &'static str, json: &'x Json<'x>) -> Result<Self, Refusal> {
        match json {
            Json::Object(members) => Ok(Self { path: path.into(), members }),
            other => Err(wrong(path, other, "an object")),
        }
    }

    /// One without members, which stands for one that is absent.
    pub(crate) fn empty(path: &'static str) -> Self {
        Self { path: path.into(), members: &[] }
    }

    /// The same, its members named as if nothing were around it.
    pub(crate) fn at_root(self) -> Self {
        Self { path: "".into(), ..self }
    }

    /// The path of a member.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A member; `null` is none.
    pub(crate) fn get(&self, name: &str) -> Option<&'x Json<'x>> {
        let (_, value) = self.members.iter().rev().find(|(member, _)| member == name)?;
        (!matches!(value, Json::Null)).then_some(value)
    }

    /// A refusal of a member that must be there.
    pub(crate) fn missing(&self, name: &str, wanted: &str) -> Refusal {
        Refusal::new(Reason::Missing, self.path(name), format!("missing: {wanted}"))
    }

    /// A text, without copying it; an empty one is none.
    pub(crate) fn str(&self, name: &str) -> Result<Option<&'x str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok((!text.is_empty()).then_some(text)),
            Some(other) => Err(wrong(self.path(name), other, "a text")),
        }
    }

    /// A text; an empty one is none.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.str(name)?.map(str::to_owned))
    }

    /// True or false.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong(self.path(name), other, "true or false")),
        }
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<Number>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Number(number)) => Ok(Some(*number)),
            Some(other) => Err(wrong(self.path(name), other, "a number")),
        }
    }

    /// A whole number that fits into `T`.
    pub(crate) fn whole<T: TryFrom<i128>>(&self, name: &str, range: &str) -> Result<Option<T>, Refusal> {
        match self.number(name)? {
            None => Ok(None),
            Some(Number::Whole(number)) => T::try_from(number).map(Some).map_err(|_| {
                Refusal::new(Reason::OutOfRange, self.path(name), format!("is not a whole number {range}"))
            }),
            Some(Number::Real(_)) => {
                Err(Refusal::new(Reason::Invalid, self.path(name), format!("is not a whole number {range}")))
            }
        }
    }

    /// A duration in seconds, cut to whole ones.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        let whole = match number {
            Number::Whole(number) => Some(number),
            Number::Real(number) => (number >= 0.0).then_some(number as i128),
        };
        let seconds = whole.and_then(crate::whole);
        seconds
            .map(Some)
            .ok_or_else(|| Refusal::new(Reason::OutOfRange, self.path(name), crate::SECONDS_WANTED))
    }

    /// An instant, RFC 3339 with an offset.
    pub(crate) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        self.str(name)?.map(str::parse).transpose().map_err(|error: milepost_model::time::TimestampError| {
            Refusal::new(Reason::Invalid, self.path(name), error.to_string())
        })
    }

    /// How something ended, in the words of Milepost or of CDEvents.
    pub(crate) fn outcome(&self, name: &str) -> Result<Option<Outcome>, Refusal> {
        match self.str(name)? {
            None => Ok(None),
            Some("success") => Ok(Some(Outcome::Success)),
            Some("failure" | "error") => Ok(Some(Outcome::Failure)),
            Some("cancelled" | "cancel") => Ok(Some(Outcome::Cancelled)),
            Some(_) => {
                let message = "is none of success, failure, cancelled, cancel and error";
                Err(Refusal::new(Reason::Invalid, self.path(name), message))
            }
        }
    }

    /// An object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Object(members)) => Ok(Some(Self { path: self.path(name).into(), members })),
            Some(other) => Err(wrong(self.path(name), other, "an object")),
        }
    }

    /// A list of objects; none is an empty one.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, Refusal> {
        let items = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Json::List(items)) => items,
            Some(other) => return Err(wrong(self.path(name), other, "a list of objects")),
        };
        let objects = items.iter().enumerate().map(|(index, item)| {
            let path = format!("{}[{index}]", self.path(name));
            match item {
                Json::Object(members) => Ok(Self { path: path.into(), members }),
                other => Err(wrong(path, other, "an object")),
            }
        });
        objects.collect()
    }
}

fn wrong(path: impl Into<String>, found: &Json<'_>, wanted: &str) -> Refusal {
    Refusal::new(Reason::Invalid, path, format!("is {}; {wanted} is wanted", found.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<Option<u64>, Reason> {
        let text = format!(r#"{{"n":{text}}}"#);
        let json = Json::parse(text.as_bytes()).unwrap();
        Object::new("", &json).unwrap().whole("n", "at least 0").map_err(|refusal| refusal.reason)
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        assert_eq!(whole("7.0"), Ok(Some(7)));
        assert_eq!(whole("18446744073709551615"), Ok(Some(u64::MAX)));
        assert_eq!(whole("null"), Ok(None));
        assert_eq!(whole("7.5"), Err(Reason::Invalid));
        assert_eq!(whole("\"7\""), Err(Reason::Invalid));
        for beyond in ["-1", "18446744073709551616", "1e300", "-1e300"] {
            assert_eq!(whole(beyond), Err(Reason::OutOfRange), "{beyond}");
        }
    }

    #[test]
    fn durations_are_cut_to_whole_seconds() {
        let seconds = |text: &str| {
            let text = format!(r#"{{"n":{text}}}"#);
            let json = Json::parse(text.as_bytes()).unwrap();
            Object::new("", &json).unwrap().seconds("n").map_err(|refusal| refusal.reason)
        };
        assert_eq!(seconds("12.999"), Ok(Some(12)));
        assert_eq!(seconds("9007199254740991"), Ok(Some((1 << 53) - 1)));
        for beyond in ["-0.5", "-1", "9007199254740992", "1e300"] {
            assert_eq!(seconds(beyond), Err(Reason::OutOfRange), "{beyond}");
        }
    }

    #[test]
    fn of_a_name_given_twice_the_last_counts() {
        let json = Json::parse(br#"{"a":"1","a":"2"}"#).unwrap();
        assert_eq!(Object::new("", &json).unwrap().str("a").unwrap(), Some("2"));
    }

    #[test]
    fn texts_are_borrowed_unless_escaped() {
        let json = Json::parse(br#"["plain","t\u0061b"]"#).unwrap();
        let Json::List(items) = json else { panic!("no list") };
        assert!(matches!(&items[0], Json::Text(Cow::Borrowed("plain"))));
        assert!(matches!(&items[1], Json::Text(Cow::Owned(text)) if text == "tab"));
    }
}
