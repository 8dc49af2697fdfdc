//! The keys that persons' pseudonyms are made with.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use milepost_ingest::Pseudonymizer;
use milepost_model::event::hex;
use milepost_store::sqlite::{KeysInForce, key_fingerprint};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret_file;

/// Its file in the data directory.
const FILE: &str = "person.key";

/// What has them otherwise.
const SETTING: &str = "privacy.key";

/// 32 secret bytes. Whoever has them can tell whether a pseudonym is a given person's; whoever loses them can no longer
/// tell that a person of tomorrow is one of today.
#[derive(Clone, PartialEq, Eq)]
struct PersonKey([u8; 32]);

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
    /// Fewer keys than are in force: with those alone, every person known would become somebody else.
    #[error(
        "{}: {found} of the {in_force} keys are there that the pseudonyms in the data directory are made with: put all of \
         them back from the backup, or into privacy.key", path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// Keys there.
        found: usize,
        /// Keys needed.
        in_force: usize,
    },
    /// Other keys than those in force: a digit of them was changed, or all of them.
    #[error(
        "{}: not the key that the pseudonyms in the data directory are made with: put the right one back from the backup.          With this one every person known would become somebody else; docs/security.md says how that is done on purpose",
        place.display()
    )]
    Changed {
        /// The file, or the setting.
        place: PathBuf,
    },
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

/// The keys of a data directory, at least one: pseudonyms are made with the first, and of those again with each of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonKeys(Vec<PersonKey>);

impl PersonKey {
    fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
        Ok(Self(bytes))
    }
}

impl PersonKeys {
    /// The keys of this data directory that are in force: the configured ones, else those kept there. If there are none, and
    /// nothing says that there ever were, one is made now. Call it holding the lock of the directory.
    pub fn of_directory(
        directory: &Path,
        configured: Option<&Self>,
        in_force: &KeysInForce,
    ) -> Result<Self, KeyError> {
        let path = directory.join(FILE);
        match (Self::read(&path)?, configured) {
            (Some(kept), Some(configured)) => {
                if kept.first(in_force.count) == configured.first(in_force.count) {
                    return kept.in_force(in_force, path);
                }
                // Which of them is wrong is known if the fingerprint is.
                if in_force.fingerprint.is_some() {
                    configured.in_force(in_force, PathBuf::from(SETTING))?;
                    kept.in_force(in_force, path.clone())?;
                }
                Err(KeyError::Another(path))
            }
            (None, Some(configured)) => configured.in_force(in_force, PathBuf::from(SETTING)),
            (Some(kept), None) => kept.in_force(in_force, path),
            (None, None) if in_force.count == 1 && in_force.fingerprint.is_none() => {
                let keys = Self(vec![PersonKey::random()?]);
                keys.keep_in(directory)?;
                Ok(keys)
            }
            (None, None) => Self(Vec::new()).in_force(in_force, path),
        }
    }

    /// Those of them that are in force. `place` is the file, or the setting, that they are from.
    pub fn in_force(&self, in_force: &KeysInForce, place: PathBuf) -> Result<Self, KeyError> {
        let KeysInForce { count, fingerprint } = in_force;
        let missing = || KeyError::Missing { path: place.clone(), found: self.0.len(), in_force: *count };
        let keys = self.first(*count).ok_or_else(missing)?;
        match fingerprint {
            Some(expected) if *expected != keys.fingerprint() => Err(KeyError::Changed { place }),
            _ => Ok(keys),
        }
    }

    /// What the database knows them by.
    pub fn fingerprint(&self) -> String {
        key_fingerprint(&self.text())
    }

    /// The keys kept in this data directory, if there are any. The last of them may not be in force yet.
    pub fn kept_in(directory: &Path) -> Result<Option<Self>, KeyError> {
        Self::read(&directory.join(FILE))
    }

    /// Keeps them in a data directory, in the place of those that may be there.
    pub fn keep_in(&self, directory: &Path) -> Result<(), KeyError> {
        let path = directory.join(FILE);
        secret_file::write(&path, &format!("{}\n", self.text()))
            .map_err(|source| KeyError::Io { path, source })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The first so many, if there are as many.
    fn first(&self, count: usize) -> Option<Self> {
        self.0.get(..count).map(|keys| Self(keys.to_owned()))
    }

    /// Those of a data directory that are in force and one more, made now, and what makes pseudonyms with that one alone.
    pub fn next(directory: &Path, in_force: &KeysInForce) -> Result<(Self, Pseudonymizer), KeyError> {
        let path = directory.join(FILE);
        let found = Self::read(&path)?.unwrap_or(Self(Vec::new()));
        let mut keys = found.in_force(in_force, path)?;
        let new = PersonKey::random()?;
        let pseudonyms = Pseudonymizer::new(&new.0);
        keys.0.push(new);
        Ok((keys, pseudonyms))
    }

    /// What makes pseudonyms with all of them.
    pub fn pseudonymizer(&self) -> Pseudonymizer {
        Pseudonymizer::chain(self.0.iter().map(|key| &key.0))
    }

    fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        match fs::read_to_string(path) {
            Ok(text) => text.parse().map(Some).map_err(|_| KeyError::BadFile(path.to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeyError::Io { path: path.to_owned(), source }),
        }
    }

    /// As their file has them: one a line, the first one first.
    pub fn text(&self) -> String {
        self.0.iter().map(|key| hex(&key.0)).collect::<Vec<_>>().join("\n")
    }
}

impl FromStr for PersonKeys {
    type Err = KeyError;

    /// Of keys with white space or commas between them.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let keys = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|key| !key.is_empty());
        let keys: Vec<_> = keys.map(str::parse).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(KeyError::NotAKey) } else { Ok(Self(keys)) }
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

impl Serialize for PersonKeys {
    /// Without the key: settings are printed and logged.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(secret)")
    }
}

impl<'de> Deserialize<'de> for PersonKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(directory: &Path, configured: Option<&PersonKeys>) -> Result<PersonKeys, KeyError> {
        PersonKeys::of_directory(directory, configured, &unseen(1))
    }

    /// Of which no start has noted the fingerprint.
    fn unseen(count: usize) -> KeysInForce {
        KeysInForce { count, fingerprint: None }
    }

    fn noted(keys: &PersonKeys) -> KeysInForce {
        KeysInForce { count: keys.count(), fingerprint: Some(keys.fingerprint()) }
    }

    fn keys(bytes: &[u8]) -> PersonKeys {
        PersonKeys(bytes.iter().map(|byte| PersonKey([*byte; 32])).collect())
    }

    #[test]
    fn a_directory_keeps_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let key = of(directory.path(), None).unwrap();
        assert_eq!(of(directory.path(), None).unwrap(), key);
        assert_ne!(of(tempfile::tempdir().unwrap().path(), None).unwrap(), key);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        of(directory.path(), None).unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "half a ke").unwrap();
        assert!(matches!(of(directory.path(), None), Err(KeyError::BadFile(_))));
        assert_eq!(fs::read_to_string(directory.path().join(FILE)).unwrap(), "half a ke");
    }

    #[test]
    fn a_configured_key_is_the_one_kept_or_the_only_one() {
        let directory = tempfile::tempdir().unwrap();
        let configured = keys(&[7]);
        assert_eq!(of(directory.path(), Some(&configured)).unwrap(), configured);
        let kept = of(directory.path(), None).unwrap();
        assert_eq!(of(directory.path(), Some(&kept)).unwrap(), kept);
        assert!(matches!(of(directory.path(), Some(&configured)), Err(KeyError::Another(_))));
    }

    #[test]
    fn a_key_is_64_hex_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<PersonKeys>().unwrap().text(), text);
        for bad in ["", ",", "00", &"0g".repeat(32), &"é".repeat(32), &format!("{text} 00")] {
            assert!(bad.parse::<PersonKeys>().is_err(), "{bad}");
        }
        assert!(!format!("{:?}", text.parse::<PersonKeys>().unwrap()).contains("00ff"));
        let two = format!("{text},{}", "00".repeat(32)).parse::<PersonKeys>().unwrap();
        assert_eq!((two.count(), two.text().parse::<PersonKeys>().unwrap()), (2, two));
    }

    #[test]
    fn only_those_in_force_are_used_and_none_of_them_may_be_missing() {
        let directory = tempfile::tempdir().unwrap();
        let in_force = |count| PersonKeys::of_directory(directory.path(), None, &unseen(count));
        assert!(matches!(in_force(2), Err(KeyError::Missing { found: 0, in_force: 2, .. })));
        keys(&[1, 2]).keep_in(directory.path()).unwrap();
        assert_eq!((in_force(1).unwrap(), in_force(2).unwrap()), (keys(&[1]), keys(&[1, 2])));
        assert!(matches!(in_force(3), Err(KeyError::Missing { found: 2, in_force: 3, .. })));
        // One more than is in force is what a rotation left that was stopped: its key is not used again.
        let (next, _) = PersonKeys::next(directory.path(), &unseen(1)).unwrap();
        assert_eq!((next.count(), next.first(1).unwrap()), (2, keys(&[1])));
        assert_ne!(next, keys(&[1, 2]));
        let configured = keys(&[1]);
        let too_few = PersonKeys::of_directory(directory.path(), Some(&configured), &unseen(2));
        assert!(matches!(too_few, Err(KeyError::Another(_))));
    }

    /// **F31**, of the keys: whatever digit is another one, that they are not those in force is noticed, and nothing is changed.
    #[test]
    fn f31_a_changed_digit_of_a_key_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        let right = keys(&[0x1a, 0x2b]);
        for at in 0..right.text().len() {
            let mut text = right.text().into_bytes();
            let Some(digit) = char::from(text[at]).to_digit(16) else { continue };
            text[at] = char::from_digit((digit + 1) % 16, 16).unwrap() as u8;
            fs::write(&file, &text).unwrap();
            let error = PersonKeys::of_directory(directory.path(), None, &noted(&right)).unwrap_err();
            assert!(matches!(&error, KeyError::Changed { place } if *place == file), "{at}: {error}");
            assert!(PersonKeys::next(directory.path(), &noted(&right)).is_err());
            assert_eq!(fs::read(&file).unwrap(), text);
            // Which of two is wrong is told.
            let beside =
                PersonKeys::of_directory(directory.path(), Some(&right), &noted(&right)).unwrap_err();
            assert!(matches!(&beside, KeyError::Changed { place } if *place == file), "{at}: {beside}");
        }
        right.keep_in(directory.path()).unwrap();
        assert_eq!(PersonKeys::of_directory(directory.path(), None, &noted(&right)).unwrap(), right);
    }

    #[test]
    fn where_a_key_has_been_another_is_neither_taken_nor_made() {
        let directory = tempfile::tempdir().unwrap();
        let (right, wrong) = (keys(&[1]), keys(&[2]));
        let of = |configured| PersonKeys::of_directory(directory.path(), configured, &noted(&right));
        let changed = of(Some(&wrong)).unwrap_err();
        assert!(matches!(&changed, KeyError::Changed { place } if place == Path::new(SETTING)), "{changed}");
        assert!(matches!(of(None), Err(KeyError::Missing { found: 0, in_force: 1, .. })));
        assert!(!directory.path().join(FILE).exists());
        assert_eq!(of(Some(&right)).unwrap(), right);
        right.keep_in(directory.path()).unwrap();
        let changed = of(Some(&wrong)).unwrap_err();
        assert!(matches!(&changed, KeyError::Changed { place } if place == Path::new(SETTING)), "{changed}");
    }
}
