//! Another key for persons: whatever a data directory keeps gets the pseudonyms that it makes of those there are.
//!
//! The keys are a chain. A person is then known by HMAC(k2, HMAC(k1, name)), so pseudonyms can be made anew without the
//! names, which nobody has.

use std::path::Path;

use milepost_ingest::Pseudonymizer;
use milepost_model::Payload;
use milepost_store::StoreError;
use milepost_store::sqlite::{self, KeysInForce, Rewriter, Rotating};
use milepost_wire::{json, pb, proto};
use prost::Message as _;
use serde_json::Value;

use crate::config::{KeyError, PersonKeys};

#[cfg(test)]
mod tests;

/// Makes a key, adds it to those in the data directory, and rewrites everything that is kept there. Nobody else may have
/// the directory open. Stopped anywhere, it has happened wholly or not at all.
pub fn rotate(data: &Path, progress: &mut dyn FnMut(Rotating)) -> Result<(), StoreError> {
    let keep = |in_force: &KeysInForce| {
        let failed = |error: KeyError| StoreError::Io(error.to_string());
        let (keys, pseudonyms) = PersonKeys::next(data, in_force).map_err(failed)?;
        keys.keep_in(data).map_err(failed)?;
        Ok(rewriter(pseudonyms, keys.fingerprint()))
    };
    sqlite::rotate(data, keep, progress)
}

fn rewriter(pseudonyms: Pseudonymizer, fingerprint: String) -> Rewriter {
    let of_payloads = pseudonyms.clone();
    Rewriter {
        fingerprint,
        pseudonym: Box::new(move |name| pseudonyms.replace(name)),
        payload: Box::new(move |payload| {
            rewrite(payload, &mut |name| {
                if name != json::REMOVED {
                    of_payloads.replace(name);
                }
            });
        }),
    }
}

/// By the same ways on which persons were found when it was refused.
fn rewrite(payload: &mut Payload, pseudonym: &mut dyn FnMut(&mut String)) {
    match payload {
        Payload::Json(text) => {
            // It was written by us. Should it be unreadable, nobody can tell where persons are named in it.
            let mut value: Value = serde_json::from_str(text).unwrap_or_default();
            json::scrub(&mut value, pseudonym);
            *text = value.to_string();
        }
        Payload::Protobuf(bytes) => {
            let mut event = pb::Event::decode(bytes.as_slice()).unwrap_or_default();
            proto::scrub(&mut event, pseudonym);
            *bytes = event.encode_to_vec();
        }
    }
}
