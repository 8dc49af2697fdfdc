//! Events: appended, compared with what is kept, read back.

use milepost_model::{Content, Event, EventId, Sealed, Timestamp};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, params};

use super::identity::{Identity, table};
use super::stored::{self, Stored, check_losers, columns, loser_crc};
use super::versions::{Kept, Stated, Versions};
use crate::{Appended, Effect, StoreError};

/// Appends events within the transaction that `connection` is in.
pub(super) fn append(
    connection: &Connection,
    identity: &mut Identity,
    events: &[Sealed],
    now: Timestamp,
) -> Result<Vec<Appended>, StoreError> {
    let keys: Vec<u64> = events.iter().map(|sealed| sealed.key.0).collect();
    let in_a_run = identity.screen(&keys);
    let mut appender = Appender::new(connection, identity, now)?;
    let keys = keys.into_iter().zip(in_a_run);
    events.iter().zip(keys).map(|(sealed, (key, in_a_run))| appender.append(sealed, key, in_a_run)).collect()
}

struct Appender<'a> {
    connection: &'a Connection,
    now: Timestamp,
    identity: &'a mut Identity,
    versions: Versions<'a>,
    insert: CachedStatement<'a>,
    /// The number of the next one.
    next: i64,
    /// The events with the key at hand.
    found: Vec<i64>,
}

impl<'a> Appender<'a> {
    fn new(
        connection: &'a Connection,
        identity: &'a mut Identity,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let insert = connection.prepare_cached(
            "INSERT INTO event (received_at, source, id, revision, content, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let versions = Versions::new(connection)?;
        let next = table::newest(connection)? + 1;
        Ok(Self { connection, now, identity, versions, insert, next, found: Vec::new() })
    }

    fn append(&mut self, sealed: &Sealed, key: u64, in_a_run: bool) -> Result<Appended, StoreError> {
        let id = &sealed.event.id;
        self.found.clear();
        self.identity.find(self.connection, key, in_a_run, &mut self.found)?;
        let stated = Stated::of(sealed.event.revision, &sealed.canonical);
        let kept = self.versions.of(&self.found, id, stated.revision)?;
        if kept.iter().any(|kept| kept.stated() == stated) {
            return Ok(Appended::Duplicate);
        }
        let seq = self.insert(key, sealed)?;
        let conflict = kept.iter().any(|kept| kept.revision == stated.revision);
        let winner = kept.into_iter().find(|kept| kept.wins);
        let effect = match winner {
            None => Effect::Wins,
            Some(winner) if winner.stated() < stated => {
                self.supersede(winner.seq, seq)?;
                Effect::Replaces(Box::new(event(id, &winner)?))
            }
            Some(winner) => {
                self.supersede(seq, winner.seq)?;
                Effect::Loses
            }
        };
        Ok(Appended::Stored { effect, conflict })
    }

    fn insert(&mut self, key: u64, sealed: &Sealed) -> Result<i64, StoreError> {
        let id = &sealed.event.id;
        let stored = Stored {
            seq: self.next,
            received_at: self.now.micros(),
            source: id.source.as_bytes(),
            id: id.id.as_bytes(),
            revision: sealed.event.revision as i64,
            content: &sealed.canonical,
            digest: None,
        };
        let content = ToSqlOutput::Borrowed(ValueRef::Text(stored.content));
        let Stored { received_at, revision, .. } = stored;
        let seq =
            self.insert.insert(params![received_at, id.source, id.id, revision, content, stored.crc()])?;
        if seq != self.next {
            // Its checksum is of another number.
            return Err(StoreError::Corrupt(format!(
                "{}: the event after {} has the number {seq}: restore a backup",
                super::DATABASE,
                self.next - 1
            )));
        }
        self.next += 1;
        self.identity.insert(key, seq);
        Ok(seq)
    }

    fn supersede(&self, seq: i64, by: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO superseded (seq, by, crc) VALUES (?1, ?2, ?3)")?
            .execute([seq, by, loser_crc(seq, by)])?;
        Ok(())
    }
}

/// Calls `each` with every winner that has its content, in the order kept. One statement, so all of them are as of one moment: read in
/// pieces beside a writer, an event could come twice, as its old winner and as its new one.
pub(super) fn replay(connection: &Connection, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
    check_losers(connection)?;
    replay_since(connection, 0, each)
}

/// As [`replay`], of the winners behind this number.
pub(super) fn replay_since(
    connection: &Connection,
    seq: i64,
    each: &mut dyn FnMut(&Event),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        ", seq NOT IN (SELECT seq FROM superseded) FROM event WHERE seq > ?1 ORDER BY seq"
    ))?;
    let (mut rows, mut last) = (statement.query([seq])?, seq);
    while let Some(row) = rows.next()? {
        // Also of those that lost: a row whose number is damaged may seem to be one of them.
        let stored = Stored::read(row)?;
        if stored.seq != last + 1 {
            return Err(stored::missing(last + 1));
        }
        last = stored.seq;
        if stored.digest.is_none() && row.get(stored::COLUMNS)? {
            each(&event_of(&stored)?);
        }
    }
    Ok(())
}

/// Calls `each` with every version that one behind this number won over, and the number it has itself.
pub(super) fn replaced_since(
    connection: &Connection,
    seq: i64,
    each: &mut dyn FnMut(i64, &Event),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        ", superseded.seq FROM superseded
         LEFT JOIN event ON event.seq = superseded.seq WHERE superseded.by > ?1 ORDER BY superseded.seq"
    ))?;
    let mut rows = statement.query([seq])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(stored::COLUMNS)?;
        if row.get_ref(0)? == ValueRef::Null {
            return Err(stored::missing(seq));
        }
        each(seq, &event_of(&Stored::read(row)?)?);
    }
    Ok(())
}

/// Those of these events that are winners, have their contents, and happened at this instant.
pub(super) fn winners_at(
    connection: &Connection,
    seqs: &[i64],
    at: Timestamp,
) -> Result<Vec<EventId>, StoreError> {
    let mut statement = connection.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        ", seq NOT IN (SELECT seq FROM superseded) FROM event WHERE seq = ?1"
    ))?;
    let mut found = Vec::new();
    for seq in seqs {
        let mut rows = statement.query([seq])?;
        let row = rows.next()?.ok_or_else(|| stored::missing(*seq))?;
        let stored = Stored::read(row)?;
        if stored.digest.is_some() {
            continue;
        }
        let event = event_of(&stored)?;
        if event.at() == at && row.get(stored::COLUMNS)? {
            found.push(event.id);
        }
    }
    Ok(found)
}

pub(super) fn event_of(stored: &Stored<'_>) -> Result<Event, StoreError> {
    let content = parse(stored.seq, stored.content)?;
    Ok(Event { id: stored.event_id()?, revision: stored.revision as u64, content })
}

fn event(id: &EventId, kept: &Kept) -> Result<Event, StoreError> {
    let content = parse(kept.seq, &kept.content)?;
    Ok(Event { id: id.clone(), revision: kept.revision, content })
}

pub(super) fn parse(seq: i64, content: &[u8]) -> Result<Content, StoreError> {
    serde_json::from_slice(content).map_err(|error| {
        StoreError::Corrupt(format!("event {seq} in {} cannot be read: {error}", super::DATABASE))
    })
}
