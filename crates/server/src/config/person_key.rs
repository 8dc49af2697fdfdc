//! The key that persons' pseudonyms are made with.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use milepost_model::event::hex;
use milepost_store::failpoint::reach;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Its file in the data directory.
const FILE: &str = "person.key";

/// 32 secret bytes. Whoever has them can tell whether a pseudonym is a given person's; whoever loses them can no longer
/// tell that a person of tomorrow is one of today.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonKey([u8; 32]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a key.
    #[error("a key is 64 hex digits (32 bytes), such as `openssl rand -hex 32` prints")]
    NotAKey,
    /// Not a key, in a file.
    #[error("{}: not a key: put the right one back from the backup (64 hex digits)", .0.display())]
    BadFile(PathBuf),
    /// Two keys: with the other one, every person known would become somebody else.
    #[error("privacy.key is not the key in {}, by which the persons in the data directory are known", .0.display())]
    Another(PathBuf),
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The system gives no random bytes.
    #[error("cannot make a key: {0}")]
    Random(getrandom::Error),
}

impl PersonKey {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of this data directory: the configured one, else the one kept there, made now if there is none. Call it
    /// holding the lock of the directory.
    pub fn of_directory(directory: &Path, configured: Option<&Self>) -> Result<Self, KeyError> {
        let path = directory.join(FILE);
        match (Self::read(&path)?, configured) {
            (Some(kept), Some(configured)) if kept != *configured => Err(KeyError::Another(path)),
            (_, Some(configured)) => Ok(configured.clone()),
            (Some(kept), None) => Ok(kept),
            (None, None) => {
                let key = Self::random()?;
                key.write(&path).map_err(|source| KeyError::Io { path, source })?;
                Ok(key)
            }
        }
    }

    /// The key kept in this data directory, if there is one.
    pub fn kept_in(directory: &Path) -> Result<Option<Self>, KeyError> {
        Self::read(&directory.join(FILE))
    }

    /// Keeps it in a data directory that is just being made.
    pub fn keep_in(&self, directory: &Path) -> Result<(), KeyError> {
        let path = directory.join(FILE);
        self.write(&path).map_err(|source| KeyError::Io { path, source })
    }

    fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        match fs::read_to_string(path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| KeyError::BadFile(path.to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeyError::Io { path: path.to_owned(), source }),
        }
    }

    fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
        Ok(Self(bytes))
    }

    /// Under another name first and then renamed, both synced: events hashed with a key that a power cut takes away
    /// would be of persons nobody can ever name again.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let new = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        writeln!(file, "{}", self.hex())?;
        file.sync_all()?;
        reach("key.written");
        fs::rename(&new, path)?;
        reach("key.renamed");
        match path.parent() {
            #[cfg(unix)]
            Some(directory) => fs::File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    }

    /// As its file has it.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl FromStr for PersonKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(KeyError::NotAKey);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| KeyError::NotAKey)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for PersonKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey")
    }
}

impl Serialize for PersonKey {
    /// Without the key: settings are printed and logged.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for PersonKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let key = PersonKey::of_directory(directory.path(), None).unwrap();
        assert_eq!(PersonKey::of_directory(directory.path(), None).unwrap(), key);
        assert_ne!(PersonKey::of_directory(tempfile::tempdir().unwrap().path(), None).unwrap(), key);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        PersonKey::of_directory(directory.path(), None).unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "half a ke").unwrap();
        assert!(matches!(PersonKey::of_directory(directory.path(), None), Err(KeyError::BadFile(_))));
        assert_eq!(fs::read_to_string(directory.path().join(FILE)).unwrap(), "half a ke");
    }

    #[test]
    fn a_configured_key_is_the_one_kept_or_the_only_one() {
        let directory = tempfile::tempdir().unwrap();
        let configured = PersonKey([7; 32]);
        let key = |configured| PersonKey::of_directory(directory.path(), configured);
        assert_eq!(key(Some(&configured)).unwrap(), configured);
        let kept = key(None).unwrap();
        assert_eq!(key(Some(&kept)).unwrap(), kept);
        assert!(matches!(key(Some(&configured)), Err(KeyError::Another(_))));
    }

    #[test]
    fn a_key_is_64_hex_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<PersonKey>().unwrap().hex(), text);
        for bad in ["", "00", &"0g".repeat(32), &"é".repeat(32)] {
            assert!(bad.parse::<PersonKey>().is_err(), "{bad}");
        }
        assert!(!format!("{:?}", text.parse::<PersonKey>().unwrap()).contains("00ff"));
    }
}
