//! Kept versions of an event.

use milepost_model::{EventId, Version};
use rusqlite::{CachedStatement, Connection, params};

use crate::StoreError;

/// A kept version.
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) version: Version,
    /// In canonical form.
    pub(super) content: Vec<u8>,
}

/// The way from the number of an event to what has to be compared with a new one.
pub(super) struct Versions<'a>(CachedStatement<'a>);

impl<'a> Versions<'a> {
    pub(super) fn new(connection: &'a Connection) -> Result<Self, StoreError> {
        Ok(Self(connection.prepare_cached(
            "SELECT revision, content FROM event
             WHERE seq = ?1 AND source = ?2 AND id = ?3
               AND (revision = ?4 OR seq NOT IN (SELECT seq FROM superseded))",
        )?))
    }

    /// Of these events, the winner of this identity and its versions of this revision.
    pub(super) fn of(&mut self, seqs: &[i64], id: &EventId, revision: u64) -> Result<Vec<Kept>, StoreError> {
        let mut kept = Vec::new();
        for seq in seqs {
            let mut rows = self.0.query(params![seq, id.source, id.id, revision as i64])?;
            if let Some(row) = rows.next()? {
                let revision: i64 = row.get(0)?;
                let content = row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?;
                let version = Version::of(revision as u64, content);
                kept.push(Kept { seq: *seq, version, content: content.to_owned() });
            }
        }
        Ok(kept)
    }
}
