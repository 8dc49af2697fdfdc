//! The file of tokens: names, hashes, and what each may do.
//!
//! It is written whole, under another name and then renamed, so that whoever reads it reads all of it or all of the one
//! before. Whoever changes it holds the lock of a file beside it meanwhile.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use milepost_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::reloading::Reloading;
use super::secret::{Hash, Secret};
use crate::secret_file;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Sending events.
    Write,
    /// Asking, and `/metrics`.
    Read,
    /// Asking, also for what explains metrics about persons.
    Admin,
}

impl Scope {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What people call it. No two have the same.
    pub name: String,
    /// Of the token itself.
    pub sha256: Hash,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// The sources whose events it may write, as patterns; none: all.
    #[serde(default)]
    pub sources: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no longer good.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

impl Token {
    /// Whether it has expired by `now`.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// All tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    token: Vec<Token>,
}

/// What is wrong with tokens or their file.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// There is one of that name.
    #[error(
        "--name: there is a token {0} already; to replace it, create one of another name, hand it out, and revoke {0} then"
    )]
    Taken(String),
    /// There is none of that name.
    #[error("--name: there is no token {0}; `milepost token list` shows those there are")]
    Unknown(String),
    /// A name nobody could read in a list.
    #[error("--name: a name is 1 to 64 letters, digits, `-`, `_` or `.`")]
    BadName,
    /// The system gives no random bytes.
    #[error("cannot make a token: {0}")]
    Random(#[from] getrandom::Error),
}

impl Tokens {
    /// Those of a file; none if there is no file.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(TokenError::Io { path: path.to_owned(), source }),
        };
        let malformed = |message| TokenError::Malformed { path: path.to_owned(), message };
        let tokens: Self =
            Figment::from(Toml::string(&text)).extract().map_err(|error| malformed(error.to_string()))?;
        for (index, token) in tokens.token.iter().enumerate() {
            if tokens.token[..index].iter().any(|earlier| earlier.name == token.name) {
                return Err(malformed(format!("token: two are called {}; rename one", token.name)));
            }
        }
        Ok(tokens)
    }

    /// Those of a file, read again when it changes.
    pub(super) fn reloading(path: PathBuf) -> Result<Reloading<Self>, TokenError> {
        Reloading::new(vec![path.clone()], move || Self::read(&path))
    }

    /// All of them.
    pub fn all(&self) -> &[Token] {
        &self.token
    }

    /// The one whose secret this is. Compares with every one, each in constant time.
    pub fn find(&self, presented: &str) -> Option<&Token> {
        let hash = Hash::of(presented);
        let mut found = None;
        for token in &self.token {
            if bool::from(token.sha256.is(&hash)) {
                found = Some(token);
            }
        }
        found
    }

    /// Makes a token and writes it to the file. The secret is nowhere but in what this returns.
    pub fn create(
        path: &Path,
        name: &str,
        scopes: Vec<Scope>,
        sources: Vec<String>,
        (created, expires): (Timestamp, Option<Timestamp>),
    ) -> Result<Secret, TokenError> {
        let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(letter) {
            return Err(TokenError::BadName);
        }
        Self::change(path, |tokens| {
            if tokens.token.iter().any(|token| token.name == name) {
                return Err(TokenError::Taken(name.to_owned()));
            }
            let secret = Secret::random()?;
            let (name, sha256) = (name.to_owned(), secret.hash());
            tokens.token.push(Token { name, sha256, scopes, sources, created, expires });
            Ok(secret)
        })
    }

    /// Takes a token out of the file.
    pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
        Self::change(path, |tokens| {
            let before = tokens.token.len();
            tokens.token.retain(|token| token.name != name);
            if tokens.token.len() == before { Err(TokenError::Unknown(name.to_owned())) } else { Ok(()) }
        })
    }

    fn change<T>(
        path: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let unable = |source| TokenError::Io { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(unable)?;
        }
        // Held until the end of this function.
        let lock = File::create(path.with_extension("lock")).map_err(unable)?;
        lock.lock().map_err(unable)?;
        let mut tokens = Self::read(path)?;
        let result = change(&mut tokens)?;
        secret_file::write(path, &tokens.toml()).map_err(unable)?;
        Ok(result)
    }

    #[allow(clippy::format_push_string, reason = "a few tokens; writing could fail only in name")]
    fn toml(&self) -> String {
        let mut text = String::from(
            "# Hashes of tokens. Changed by `milepost token`; a server reads it again when it changes.\n",
        );
        for token in &self.token {
            let list =
                |texts: &mut dyn Iterator<Item = &str>| texts.map(quoted).collect::<Vec<_>>().join(", ");
            text += &format!(
                "\n[[token]]\nname = {}\nsha256 = \"{}\"\nscopes = [{}]\nsources = [{}]\ncreated = \"{}\"\n",
                quoted(&token.name),
                token.sha256,
                list(&mut token.scopes.iter().map(|scope| scope.as_str())),
                list(&mut token.sources.iter().map(String::as_str)),
                token.created,
            );
            if let Some(expires) = token.expires {
                text += &format!("expires = \"{expires}\"\n");
            }
        }
        text
    }
}

/// A text of TOML. Its escapes are those of JSON, but for DEL, which JSON leaves alone.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
