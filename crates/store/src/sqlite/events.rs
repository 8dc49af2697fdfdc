//! Events: appended, compared with what is kept, read back.

use milepost_model::{Content, Event, EventId, EventKey, Sealed, Timestamp};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, Rows, params};

use super::identity::{Identity, Kept};
use crate::{Appended, Effect, StoreError};

/// Appends events within the transaction that `connection` is in.
pub(super) fn append(
    connection: &Connection,
    events: &[Sealed],
    now: Timestamp,
) -> Result<Vec<Appended>, StoreError> {
    let mut appender = Appender::new(connection, now)?;
    events.iter().map(|sealed| appender.append(sealed)).collect()
}

struct Appender<'a> {
    connection: &'a Connection,
    now: Timestamp,
    identity: Identity<'a>,
    insert: CachedStatement<'a>,
}

impl<'a> Appender<'a> {
    fn new(connection: &'a Connection, now: Timestamp) -> Result<Self, StoreError> {
        let insert = connection.prepare_cached(
            "INSERT INTO event (received_at, source, id, revision, content) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        Ok(Self { connection, now, identity: Identity::new(connection)?, insert })
    }

    fn append(&mut self, sealed: &Sealed) -> Result<Appended, StoreError> {
        let id = &sealed.event.id;
        let key = sealed.key;
        let kept = self.identity.find(key, id, sealed.version.revision)?;
        if kept.iter().any(|kept| kept.version == sealed.version) {
            return Ok(Appended::Duplicate);
        }
        let seq = self.insert(key, sealed)?;
        let conflict = kept.iter().any(|kept| kept.version.revision == sealed.version.revision);
        let effect = match kept.into_iter().max_by_key(|kept| kept.version) {
            None => Effect::Wins,
            Some(winner) if winner.version < sealed.version => {
                self.supersede(winner.seq)?;
                Effect::Replaces(Box::new(event(id, &winner)?))
            }
            Some(_) => {
                self.supersede(seq)?;
                Effect::Loses
            }
        };
        Ok(Appended::Stored { effect, conflict })
    }

    fn insert(&mut self, key: EventKey, sealed: &Sealed) -> Result<i64, StoreError> {
        let id = &sealed.event.id;
        let content = ToSqlOutput::Borrowed(ValueRef::Text(&sealed.canonical));
        let revision = sealed.version.revision as i64;
        let seq = self.insert.insert(params![self.now.micros(), id.source, id.id, revision, content])?;
        self.identity.insert(key, seq)?;
        Ok(seq)
    }

    fn supersede(&self, seq: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached("INSERT INTO superseded (seq) VALUES (?1)")?.execute([seq])?;
        Ok(())
    }
}

/// Calls `each` with every winner, in the order kept. One statement, so all of them are as of one moment: read in
/// pieces beside a writer, an event could come twice, as its old winner and as its new one.
pub(super) fn replay(connection: &Connection, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, source, id, revision, content FROM event
         WHERE seq NOT IN (SELECT seq FROM superseded) ORDER BY seq",
    )?;
    for_each(statement.query([])?, |event| each(&event))
}

/// Winners with this key that happened at this instant.
pub(super) fn find(
    connection: &Connection,
    key: EventKey,
    at: Timestamp,
) -> Result<Vec<EventId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT event.seq, source, id, revision, content
         FROM identity CROSS JOIN event ON event.seq = identity.seq
         WHERE identity.key = ?1 AND event.seq NOT IN (SELECT seq FROM superseded) ORDER BY event.seq",
    )?;
    let mut found = Vec::new();
    for_each(statement.query([key.0 as i64])?, |event| {
        if event.at() == at {
            found.push(event.id);
        }
    })?;
    Ok(found)
}

fn for_each(mut rows: Rows<'_>, mut each: impl FnMut(Event)) -> Result<(), StoreError> {
    while let Some(row) = rows.next()? {
        each(read(row)?);
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Event, StoreError> {
    let (seq, revision): (i64, i64) = (row.get(0)?, row.get(3)?);
    let id = EventId { source: row.get(1)?, id: row.get(2)? };
    let content = row.get_ref(4)?.as_bytes().map_err(rusqlite::Error::from)?;
    Ok(Event { id, revision: revision as u64, content: parse(seq, content)? })
}

fn event(id: &EventId, kept: &Kept) -> Result<Event, StoreError> {
    let content = parse(kept.seq, &kept.content)?;
    Ok(Event { id: id.clone(), revision: kept.version.revision, content })
}

fn parse(seq: i64, content: &[u8]) -> Result<Content, StoreError> {
    serde_json::from_slice(content).map_err(|error| {
        StoreError::Corrupt(format!("event {seq} in {} cannot be read: {error}", super::DATABASE))
    })
}
