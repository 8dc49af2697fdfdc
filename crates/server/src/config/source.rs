//! Where settings come from, and what is wrong with them: all of it at once, each with its place and key.
//!
//! Every key has a default. So each one can be read alone, on top of the defaults, and one mistake hides no other.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::Settings;

/// Variables that are no settings, and ours all the same.
const OF_THE_COMMAND_LINE: [&str; 2] = ["MILEPOST_CONFIG", "MILEPOST_LOG"];

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{}: {message}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// All that is wrong, one a line.
    #[error("{}", .0.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Mistake>),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file, variable or flag; empty where several of them together are wrong.
    pub place: String,
    /// The key.
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

/// Settings of this process: from a file, if there is one, under its variables, under flags.
pub fn load(file: Option<&Path>, flags: Flags) -> Result<Settings, ConfigError> {
    read(file, process_variables(), flags).map(|(settings, _)| settings)
}

/// The variables of this process, those that are text.
pub fn process_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Settings from a file, if there is one, under the `MILEPOST_*` variables of `environment`, under flags. With the
/// variables that name no setting: those are somebody else's, such as the ones Kubernetes makes for a service called
/// `milepost`.
pub fn read(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Flags,
) -> Result<(Settings, Vec<String>), ConfigError> {
    let mut layers = Vec::new();
    if let Some(path) = file {
        layers.push(Layer::file(path)?);
    }
    let mut foreign = Vec::new();
    let known = known_sections();
    for (name, value) in environment {
        let Some(key) = name.strip_prefix("MILEPOST_") else { continue };
        let path: Vec<_> = key.split("__").map(str::to_ascii_lowercase).collect();
        if known.contains_key(&path[0]) {
            layers.push(Layer::variable(&name, &path, &value));
        } else if !OF_THE_COMMAND_LINE.contains(&name.as_str()) {
            foreign.push(name);
        }
    }
    layers.push(Layer::flags(flags));

    let mistakes: BTreeSet<_> = layers.iter().flat_map(Layer::mistakes).collect();
    if !mistakes.is_empty() {
        return Err(ConfigError::Mistakes(mistakes.into_iter().collect()));
    }
    let merged = layers.into_iter().fold(Figment::new(), Figment::merge);
    let settings: Settings =
        merged.extract().map_err(|error| ConfigError::Mistakes(vec![mistake("", &[], &error)]))?;
    let errors = settings.errors();
    if errors.is_empty() {
        return Ok((settings, foreign));
    }
    let mistakes = errors.into_iter().map(|(key, message)| Mistake { place: String::new(), key, message });
    Err(ConfigError::Mistakes(mistakes.collect()))
}

/// The keys at the top level.
fn known_sections() -> Dict {
    // Settings are a plain struct with text keys; serialising them cannot fail.
    Value::serialize(Settings::default()).ok().and_then(Value::into_dict).unwrap_or_default()
}

/// Settings of one origin.
struct Layer {
    place: String,
    values: Dict,
}

impl Layer {
    fn file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let values = Toml::from_str(&text).map_err(|error| ConfigError::NotToml {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        Ok(Self { place: path.display().to_string(), values })
    }

    /// A variable holds a number, `true`, `[a list]` or else a text.
    fn variable(name: &str, path: &[String], value: &str) -> Self {
        let value = value.parse().unwrap_or_else(|never: std::convert::Infallible| match never {});
        Self { place: name.to_owned(), values: nested(path, value) }
    }

    fn flags(flags: Flags) -> Self {
        let data = flags.data.map(|data| data.to_string_lossy().into_owned());
        let values = [("listen", flags.listen), ("data", data)];
        let given = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?))));
        Self { place: "flags".into(), values: given.collect() }
    }

    /// Reads each value alone.
    fn mistakes(&self) -> Vec<Mistake> {
        let mut leaves = Vec::new();
        collect_leaves(&self.values, &mut Vec::new(), &mut leaves);
        leaves
            .into_iter()
            .filter_map(|(path, value)| {
                let alone = Value::from(nested(&path, value));
                let error = alone.deserialize::<Settings>().err()?;
                Some(mistake(&self.place, &path, &error))
            })
            .collect()
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// A value in as many tables as its path has keys before the last.
fn nested(path: &[String], value: Value) -> Dict {
    match path {
        [] => Dict::new(),
        [key] => Dict::from([(key.clone(), value)]),
        [key, rest @ ..] => Dict::from([(key.clone(), nested(rest, value).into())]),
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

fn mistake(place: &str, path: &[String], error: &figment::Error) -> Mistake {
    let (key, message) = match &error.kind {
        Kind::UnknownField(name, known) => {
            let mut key = error.path.clone();
            if key.last() != Some(name) {
                key.push(name.clone());
            }
            (key, unknown(name, known))
        }
        kind => (path.to_vec(), kind.to_string()),
    };
    Mistake { place: place.to_owned(), key: key.join("."), message }
}

/// With the known key that looks most like it, if one does, and all of them.
fn unknown(name: &str, known: &[&str]) -> String {
    let likeness = |known: &&str| strsim::jaro_winkler(name, known);
    let nearest = known
        .iter()
        .copied()
        .filter(|known| likeness(known) > 0.8)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let hint = nearest.map(|nearest| format!("did you mean `{nearest}`? ")).unwrap_or_default();
    format!("unknown key; {hint}Known here: {}", known.join(", "))
}
