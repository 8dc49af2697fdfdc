//! Which versions of an event are kept already: exact, and over all time.

use milepost_model::{EventId, EventKey, Version};
use rusqlite::{CachedStatement, Connection, Row, params};

use crate::StoreError;

/// A kept version.
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) version: Version,
    /// In canonical form.
    pub(super) content: Vec<u8>,
}

/// The way from an identity to its versions, within one transaction.
pub(super) struct Identity<'a> {
    find: CachedStatement<'a>,
    insert: CachedStatement<'a>,
}

impl<'a> Identity<'a> {
    pub(super) fn new(connection: &'a Connection) -> Result<Self, StoreError> {
        // `CROSS JOIN` keeps SQLite from looking at `event` first: an id that is new costs one probe of `identity`.
        let find = connection.prepare_cached(
            "SELECT event.seq, event.revision, event.content
             FROM identity CROSS JOIN event ON event.seq = identity.seq
             WHERE identity.key = ?1 AND event.source = ?2 AND event.id = ?3
               AND (event.revision = ?4 OR event.seq NOT IN (SELECT seq FROM superseded))",
        )?;
        let insert = connection.prepare_cached("INSERT INTO identity (key, seq) VALUES (?1, ?2)")?;
        Ok(Self { find, insert })
    }

    /// The winner of this identity and its versions of this revision: all that a new one has to be compared with.
    pub(super) fn find(
        &mut self,
        key: EventKey,
        id: &EventId,
        revision: u64,
    ) -> Result<Vec<Kept>, StoreError> {
        let mut rows = self.find.query(params![key.0 as i64, id.source, id.id, revision as i64])?;
        let mut kept = Vec::new();
        while let Some(row) = rows.next()? {
            kept.push(read(row)?);
        }
        Ok(kept)
    }

    /// Notes a version of the identity with this key.
    pub(super) fn insert(&mut self, key: EventKey, seq: i64) -> Result<(), StoreError> {
        self.insert.execute([key.0 as i64, seq])?;
        Ok(())
    }
}

fn read(row: &Row<'_>) -> Result<Kept, rusqlite::Error> {
    let (seq, revision): (i64, i64) = (row.get(0)?, row.get(1)?);
    let content = row.get_ref(2)?.as_bytes()?;
    Ok(Kept { seq, version: Version::of(revision as u64, content), content: content.to_owned() })
}
