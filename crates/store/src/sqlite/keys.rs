//! Which keys of persons the pseudonyms in a database are made with: how many, and a fingerprint of them. The keys
//! themselves are never in there.

use std::path::Path;

use milepost_model::event::hex;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::{DATABASE, reader};
use crate::StoreError;

/// The keys that are in force in a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysInForce {
    /// How many, at least one.
    pub count: usize,
    /// Their [`key_fingerprint`]; `None` where no start has seen them yet.
    pub fingerprint: Option<String>,
}

/// Tells keys from others, as 32 hex digits. It is half of a SHA-256 over 32 random bytes a key, so it helps nobody to find
/// a key or a name. The keys are given as their file has them: hex digits, in their order, with white space between them.
pub fn key_fingerprint(keys: &str) -> String {
    fingerprint(keys.split_whitespace())
}

fn fingerprint<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    hash.update(b"milepost person key");
    for key in keys {
        hash.update(b"\n");
        hash.update(key.to_ascii_lowercase());
    }
    hex(&hash.finalize()[..16])
}

/// Which keys of persons are in force in a data directory.
pub fn keys_in_force(data: &Path) -> Result<KeysInForce, StoreError> {
    in_force(&reader::connect(data)?)
}

/// The same of an open database.
pub(super) fn in_force(connection: &Connection) -> Result<KeysInForce, StoreError> {
    let mut statement = connection.prepare_cached("SELECT in_force, fingerprint FROM person_key")?;
    let (keys, fingerprint): (i64, _) = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let count = usize::try_from(keys).ok().filter(|keys| *keys > 0).ok_or_else(|| {
        StoreError::Corrupt(format!("{DATABASE}: no number of keys in force: restore a backup"))
    })?;
    Ok(KeysInForce { count, fingerprint })
}

/// Notes the fingerprint of the keys in force.
pub(super) fn note(connection: &Connection, fingerprint: &str) -> Result<(), StoreError> {
    connection.execute("UPDATE person_key SET fingerprint = ?1", [fingerprint])?;
    Ok(())
}

/// Of keys that were read before: all those in force must be among them, as they are.
pub(super) fn require(connection: &Connection, keys: &str) -> Result<(), StoreError> {
    let KeysInForce { count, fingerprint: expected } = in_force(connection)?;
    let given = keys.split_whitespace().count();
    if given < count {
        return Err(StoreError::Unavailable(format!(
            "{count} keys of persons are in force, and {given} are there: if they were just rotated, try again; else put \
             person.key back from a backup, or say --without-key"
        )));
    }
    let found = fingerprint(keys.split_whitespace().take(count));
    if expected.is_some_and(|expected| expected != found) {
        return Err(StoreError::Corrupt(
            "person.key is not the key that the pseudonyms in the data directory are made with: put it back from a backup, \
             or say --without-key"
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is noted must be found right by every Milepost to come.
    #[test]
    fn a_fingerprint_is_what_it_was() {
        assert_eq!(key_fingerprint("00ff\n"), "b5c0073da6dd28d9eeff975e3127b744");
    }

    #[test]
    fn it_tells_keys_from_others_and_not_how_they_are_written() {
        let one = key_fingerprint("00ff\n11aa\n");
        assert_eq!(one, key_fingerprint("00FF 11aa"));
        for other in ["00ff", "11aa 00ff", "00ff 11ab", "00ff11aa"] {
            assert_ne!(one, key_fingerprint(other), "{other}");
        }
    }
}
