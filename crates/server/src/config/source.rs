//! Where settings come from, and what is wrong with them: all of it at once, each with its place and key.
//!
//! Every key has a default. So each one can be read alone, on top of the defaults, and one mistake hides no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::layer::Layer;
use super::mistake::{Mistake, Origin, defaults, nearest};
use super::sense::{self, alike};
use super::{Role, Settings, log};

/// Variables that are no settings, and ours all the same.
const OF_THE_COMMAND_LINE: [&str; 5] =
    ["MILEPOST_CA", "MILEPOST_CONFIG", "MILEPOST_TOKEN", "MILEPOST_TOKEN_FILE", log::LOG];

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--role`.
    pub role: Option<Role>,
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
    let read = Reading::new(file, environment, flags)?;
    if read.mistakes.is_empty() {
        return Ok((read.settings, read.foreign));
    }
    Err(ConfigError::Mistakes(read.mistakes.into_iter().collect()))
}

/// As [`read`], for somebody who wants to know: variables that name no setting are mistakes too, and so is a wrong
/// `MILEPOST_LOG`. With what is right and may not be meant.
pub fn check(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Flags,
) -> Result<(Settings, Vec<String>), ConfigError> {
    let environment: Vec<_> = environment.into_iter().collect();
    let said = environment.iter().find(|(name, _)| name == log::LOG).map(|(_, value)| value.clone());
    let mut read = Reading::new(file, environment, flags)?;
    let wrong = |key: &str, message| Mistake { place: String::new(), key: key.to_owned(), message };
    read.mistakes.extend(read.foreign.iter().map(|name| wrong(name, names_nothing(name))));
    read.mistakes.extend(said.and_then(|said| log::filter(&said).err()).map(|m| wrong(log::LOG, m)));
    if read.mistakes.is_empty() {
        read.notes.extend(sense::twins(&read.settings));
        return Ok((read.settings, read.notes));
    }
    Err(ConfigError::Mistakes(read.mistakes.into_iter().collect()))
}

/// What has been read.
struct Reading {
    /// With the defaults where there are mistakes.
    settings: Settings,
    mistakes: BTreeSet<Mistake>,
    /// Variables that name no setting.
    foreign: Vec<String>,
    /// What is right and may not be meant.
    notes: Vec<String>,
}

impl Reading {
    fn new(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Flags,
    ) -> Result<Self, ConfigError> {
        let mut layers: Vec<_> = file.map(Layer::file).transpose()?.into_iter().collect();
        let (mut mistakes, mut notes) = (BTreeSet::new(), Vec::new());
        let (mut variables, foreign) = ours(environment);
        let capabilities = capabilities(layers.first(), &variables);
        for variable in &mut variables {
            match variable.name_capability(&capabilities) {
                Ok(note) => notes.extend(note),
                Err(mistake) => {
                    mistakes.insert(mistake);
                    continue;
                }
            }
            layers.push(Layer::variable(&variable.name, &variable.path, &variable.value));
        }
        layers.push(Layer::flags(flags));

        mistakes.extend(layers.iter_mut().flat_map(Layer::take_mistakes));
        let merged = layers.iter().fold(Figment::new(), Figment::merge);
        let mut settings: Settings = merged.extract().unwrap_or_else(|error| {
            mistakes.insert(Mistake::of("", Origin::File, &[], &error));
            Settings::default()
        });
        let limits = &mut settings.limits;
        if !layers.iter().any(|layer| layer.has(&["limits", "event_bytes"])) {
            limits.event_bytes = limits.event_bytes.min(limits.body_bytes);
        }
        let wrong: Vec<_> = mistakes.iter().map(|mistake| mistake.key.clone()).collect();
        for senseless in sense::senseless(&settings) {
            let key = senseless.path.join(".");
            if wrong.contains(&key)
                || senseless.beside.is_some_and(|beside| wrong.iter().any(|k| k == beside))
            {
                continue;
            }
            let path: Vec<_> = senseless.path.iter().map(String::as_str).collect();
            let place = layers.iter().rev().find(|layer| layer.has(&path)).map(|layer| layer.place.clone());
            let place = place.unwrap_or_default();
            mistakes.insert(Mistake { place, key, message: senseless.message });
        }
        Ok(Self { settings, mistakes, foreign, notes })
    }
}

/// A variable that is ours.
struct Variable {
    name: String,
    path: Vec<String>,
    value: String,
}

/// Our variables, and the names of those that look so.
fn ours(environment: impl IntoIterator<Item = (String, String)>) -> (Vec<Variable>, Vec<String>) {
    let known = defaults();
    let (mut ours, mut foreign) = (Vec::new(), Vec::new());
    for (name, value) in environment {
        let Some(key) = name.strip_prefix("MILEPOST_") else { continue };
        let path: Vec<_> = key.split("__").map(str::to_ascii_lowercase).collect();
        if known.contains_key(&path[0]) {
            ours.push(Variable { name, path, value });
        } else if !OF_THE_COMMAND_LINE.contains(&name.as_str()) {
            foreign.push(name);
        }
    }
    (ours, foreign)
}

fn names_nothing(variable: &str) -> String {
    let known: Vec<_> =
        defaults().keys().map(|section| format!("MILEPOST_{}", section.to_ascii_uppercase())).collect();
    let first = variable.split("__").next().unwrap_or_default();
    let hint = nearest(first, known.iter().map(String::as_str))
        .map(|nearest| format!("; did you mean {}?", variable.replacen(first, nearest, 1)))
        .unwrap_or_default();
    format!("names no setting{hint}")
}

/// The capabilities of the file, and those that a variable names as no shell can: with a `-`.
fn capabilities(file: Option<&Layer>, variables: &[Variable]) -> BTreeSet<String> {
    let in_file = file.and_then(|file| file.values.get("capabilities")?.as_dict().cloned());
    let in_file = in_file.unwrap_or_default().into_keys();
    let in_variables = variables.iter().filter_map(Variable::capability).filter(|name| name.contains('-'));
    in_file.chain(in_variables.map(str::to_owned)).collect()
}

impl Variable {
    /// The capability it is about.
    fn capability(&self) -> Option<&str> {
        let [section, capability, ..] = self.path.as_slice() else { return None };
        (section == "capabilities").then_some(capability)
    }

    /// Takes a capability that looks like one of those configured for that one: names of variables have no case, and
    /// shells export none that has a `-` in it. Tells if it is not sure that the name is the one meant.
    fn name_capability(&mut self, configured: &BTreeSet<String>) -> Result<Option<String>, Mistake> {
        let Some(name) = self.capability() else { return Ok(None) };
        if configured.contains(name) {
            return Ok(None);
        }
        let fitting: Vec<_> = configured.iter().filter(|other| alike(other) == alike(name)).collect();
        match fitting.as_slice() {
            [] if !name.contains('_') => Ok(None),
            [] => {
                let dashed = self.name.replacen(
                    &name.to_ascii_uppercase(),
                    &name.to_ascii_uppercase().replace('_', "-"),
                    1,
                );
                Ok(Some(format!(
                    "{}: configures the capability `{name}`; if there is a `-` in its name, name it in the file too, or \
                     start with: env '{dashed}=…' milepost …",
                    self.name
                )))
            }
            [one] => {
                self.path[1].clone_from(one);
                Ok(None)
            }
            several => {
                let names: Vec<_> = several.iter().map(|name| format!("`{name}`")).collect();
                let message = format!(
                    "could be about {}: write it in the file, under the name that is meant",
                    names.join(" or ")
                );
                Err(Mistake { place: self.name.clone(), key: self.path.join("."), message })
            }
        }
    }
}
