//! Settings of one origin.

use std::path::Path;

use figment::error::Kind;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::Settings;
use super::mistake::{Mistake, Origin};
use super::source::{ConfigError, Flags};

/// How a date without quotes comes out of TOML: in a table with this key.
const TOML_DATE: &str = "$__toml_private_datetime";

/// Settings of one origin.
pub(super) struct Layer {
    /// The file, variable or flag.
    pub(super) place: String,
    pub(super) values: Dict,
    origin: Origin,
    /// The path of a variable, and what it says before that is taken for a number or a list.
    variable: Option<(Vec<String>, String)>,
}

impl Layer {
    pub(super) fn file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let values: Dict = Toml::from_str(&text).map_err(|error| ConfigError::NotToml {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let values = values.into_iter().map(|(key, value)| (key, dates_as_texts(value))).collect();
        Ok(Self { place: path.display().to_string(), values, origin: Origin::File, variable: None })
    }

    /// A variable holds a number, `true`, `[a list]` or else a text.
    pub(super) fn variable(name: &str, path: &[String], text: &str) -> Self {
        let value = text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
        let values = nested(path, value);
        Self {
            place: name.to_owned(),
            values,
            origin: Origin::Variable,
            variable: Some((path.to_vec(), text.to_owned())),
        }
    }

    pub(super) fn flags(flags: Flags) -> Self {
        let data = flags.data.map(|data| data.to_string_lossy().into_owned());
        let role = flags.role.map(|role| role.as_str().to_owned());
        let values = [("listen", flags.listen), ("data", data), ("role", role)];
        let given = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))));
        Self { place: "flags".into(), values: given.collect(), origin: Origin::Flags, variable: None }
    }

    /// Whether it has a value there.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let value = self.values.get(*first);
        rest.iter().try_fold(value, |value, key| Some(value?.as_dict()?.get(*key))).flatten().is_some()
    }

    /// Reads each value alone, and takes out those that cannot be read.
    pub(super) fn take_mistakes(&mut self) -> Vec<Mistake> {
        let mut leaves = Vec::new();
        collect_leaves(&self.values, &mut Vec::new(), &mut leaves);
        let mut mistakes = Vec::new();
        for (path, value) in leaves {
            let Err(error) = alone(&path, value.clone()) else { continue };
            match self.as_text(&path, &value, error) {
                Ok(text) => put(&mut self.values, &path, Some(text)),
                Err(error) => {
                    mistakes.push(Mistake::of(&self.place, self.origin, &path, &error));
                    put(&mut self.values, &path, None);
                }
            }
        }
        mistakes
    }

    /// What a variable says as a text, where a text is wanted: nobody puts quotes around a name of digits there.
    fn as_text(
        &self,
        path: &[String],
        value: &Value,
        error: Box<figment::Error>,
    ) -> Result<Value, Box<figment::Error>> {
        let is_list = value.as_array().is_some();
        match (&self.variable, &error.kind) {
            (Some((whole, text)), Kind::InvalidType(_, wanted))
                if !is_list && whole == path && ["a string", "path string"].contains(&wanted.as_str()) =>
            {
                let text = Value::from(text.as_str());
                alone(path, text.clone()).map(|()| text)
            }
            _ => Err(error),
        }
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Reads one value on top of the defaults.
fn alone(path: &[String], value: Value) -> Result<(), Box<figment::Error>> {
    Value::from(nested(path, value)).deserialize::<Settings>().map(|_| ()).map_err(Box::new)
}

/// A value in as many tables as its path has keys before the last.
fn nested(path: &[String], value: Value) -> Dict {
    match path {
        [] => Dict::new(),
        [key] => Dict::from([(key.clone(), value)]),
        [key, rest @ ..] => Dict::from([(key.clone(), nested(rest, value).into())]),
    }
}

/// Puts another value where one is, or takes it out.
fn put(table: &mut Dict, path: &[String], value: Option<Value>) {
    match path {
        [] => {}
        [key] => match value {
            Some(value) => drop(table.insert(key.clone(), value)),
            None => drop(table.remove(key)),
        },
        [key, rest @ ..] => {
            if let Some(Value::Dict(_, inner)) = table.get_mut(key) {
                put(inner, rest, value);
                // A table whose only value was a mistake is not another one.
                if inner.is_empty() {
                    table.remove(key);
                }
            }
        }
    }
}

/// Everything that is no table, and empty tables, with their paths.
fn collect_leaves(table: &Dict, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        path.push(key.clone());
        match value.as_dict() {
            Some(inner) if !inner.is_empty() => collect_leaves(inner, path, leaves),
            _ => leaves.push((path.clone(), value.clone())),
        }
        path.pop();
    }
}

fn dates_as_texts(value: Value) -> Value {
    match value {
        Value::Dict(tag, table) => {
            if let Some(date) = table.get(TOML_DATE).and_then(Value::as_str) {
                return Value::from(date);
            }
            let texts = table.into_iter().map(|(key, value)| (key, dates_as_texts(value)));
            Value::Dict(tag, texts.collect())
        }
        Value::Array(tag, values) => Value::Array(tag, values.into_iter().map(dates_as_texts).collect()),
        other => other,
    }
}
