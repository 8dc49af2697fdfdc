//! Persons become pseudonyms at the door, before anything is stored.

use hmac::{Hmac, KeyInit as _, Mac as _};
use milepost_model::Event;
use milepost_model::event::hex;
use sha2::Sha256;

/// Makes pseudonyms: `p-` and the first 32 hex digits of HMAC-SHA256(key, name). The same name gives the same one as
/// long as the key stays, so the key belongs in the backup.
#[derive(Clone)]
pub struct Pseudonymizer {
    /// The state after each key: hashing a name starts from a copy of it.
    keyed: Vec<Hmac<Sha256>>,
}

impl Pseudonymizer {
    /// With this key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self::chain([key])
    }

    /// With the first of these keys, and of the pseudonyms again with each of the next ones.
    pub fn chain<'k>(keys: impl IntoIterator<Item = &'k [u8; 32]>) -> Self {
        let keyed = |key: &[u8; 32]| {
            // HMAC fills a key up to its block with zeros; done here, no length of a key can be wrong.
            let mut block = [0; 64];
            block[..32].copy_from_slice(key);
            Hmac::new(&block.into())
        };
        Self { keyed: keys.into_iter().map(keyed).collect() }
    }

    /// Replaces the name by its pseudonym.
    pub fn replace(&self, name: &mut String) {
        for keyed in &self.keyed {
            let mut hash = keyed.clone();
            hash.update(name.as_bytes());
            let digest = hash.finalize().into_bytes();
            name.clear();
            name.push_str("p-");
            name.push_str(&hex(&digest[..16]));
        }
    }

    /// Replaces every person named in the event.
    pub fn apply(&self, event: &mut Event) {
        event.content.persons_mut().for_each(|name| self.replace(name));
    }
}

/// Whether a text has the form of a pseudonym.
pub fn is_pseudonym(text: &str) -> bool {
    text.strip_prefix("p-").is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

impl std::fmt::Debug for Pseudonymizer {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonymizer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_the_beginning_of_the_hmac() {
        // RFC 4231 has no 32-byte key; computed with `openssl dgst -sha256 -mac HMAC -macopt hexkey:00..00`.
        let mut name = "alice".to_owned();
        Pseudonymizer::new(&[0; 32]).replace(&mut name);
        assert_eq!(name, EXPECTED_ALICE);
        assert!(is_pseudonym(&name));
        assert!(
            ["alice", "(removed)", &name.to_uppercase(), &name[1..], &name[..33]]
                .iter()
                .all(|text| !is_pseudonym(text))
        );

        let mut other_key = "alice".to_owned();
        Pseudonymizer::new(&[1; 32]).replace(&mut other_key);
        assert_ne!(other_key, name);
    }

    #[test]
    fn with_one_more_key_pseudonyms_are_those_of_pseudonyms() {
        let [mut at_once, mut twice] = ["alice".to_owned(), "alice".to_owned()];
        Pseudonymizer::chain([&[0; 32], &[1; 32]]).replace(&mut at_once);
        for key in [&[0; 32], &[1; 32]] {
            Pseudonymizer::new(key).replace(&mut twice);
        }
        assert_eq!(at_once, twice);
        assert_ne!(at_once, EXPECTED_ALICE);
    }

    const EXPECTED_ALICE: &str = "p-ce3837f76a54a635191b1704ac767226";
}
