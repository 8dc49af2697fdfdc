//! Retention: the contents of old events are dropped, and what they say is kept as facts.
//!
//! There is a stored horizon. What happened before it is frozen: nothing may change it any more, so what its events say can be
//! kept as a Model, which takes a fraction of the room. The Model of all winners is then the frozen one and the events that
//! still have their contents, as the Model is a sum over winners (see [`milepost_model::Model`]).
//!
//! Laws:
//!
//! 1. **The horizon comes first.** From the commit that moves it on, [`refusals`] keeps everything out that would change
//!    what happened before it. So which versions before it win is decided for ever, and a [`Dropping`] that a reader has
//!    prepared beside the writer is still right when the writer commits it, however much came between.
//! 2. **No number changes.** Contents and frozen facts change places in one transaction: after each of them, and so
//!    wherever it is cut off, the sum is the same.
//! 3. **Identity stays.** A dropped version keeps its row, with the digest of its content: what was kept once is still
//!    recognised as a duplicate, and as a version of its event.
//! 4. **A checkpoint that rests on dropped contents is not used.** To bring one up to date, what was replaced after its
//!    position has to be taken out, and what came after it put in. The stored `position` is behind every dropped winner, and
//!    behind whatever won over a dropped loser: a checkpoint from there on needs none of them.
//!
//! Rows are deleted and made anew rather than changed: SQLite joins pages that deleting has emptied, and gives the rest to new
//! events, but leaves pages alone whose rows become shorter.

use std::path::Path;

use milepost_model::model::{Decoder, FORM};
use milepost_model::{Model, Reason, Refusal, Sealed, Timestamp, Version};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::events::event_of;
use super::identity::Identity;
use super::stored::{self, Stored, check_losers, columns};
use super::versions::{Stated, Versions};
use super::{DATABASE, reader};
use crate::failpoint::{number, reach};
use crate::{Horizon, Retention, StoreError};

/// Versions that are dropped in one transaction: some milliseconds.
const VERSIONS: usize = 2_000;

/// Versions that are read in one go, so that no read keeps the WAL from being written back for long.
const READ: usize = 20_000;

/// Versions whose contents are to be dropped, prepared beside the writer.
#[derive(Debug)]
pub struct Dropping {
    /// Their numbers, and the digests of their contents.
    versions: Vec<(i64, [u8; 32])>,
    /// Facts of the winners among them.
    model: Box<Model>,
    /// See the table.
    position: i64,
}

/// The stored horizon.
pub(super) fn horizon(connection: &Connection) -> Result<Option<Horizon>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT at, finished, dropped FROM horizon")?;
    let row: Option<(i64, bool, i64)> =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((at, finished, dropped)) = row else { return Ok(None) };
    let at = Timestamp::from_micros(at)
        .ok_or_else(|| StoreError::Corrupt(format!("{DATABASE}: the horizon cannot be read")))?;
    Ok(Some(Horizon { at, finished, dropped: dropped.cast_unsigned() }))
}

/// How far a checkpoint has to go to be of use.
pub(super) fn position(connection: &Connection) -> Result<u64, StoreError> {
    let position: Option<i64> =
        connection.query_row("SELECT position FROM horizon", [], |row| row.get(0)).optional()?;
    Ok(position.unwrap_or(0).cast_unsigned())
}

/// The Model of the winners whose contents were dropped.
pub(super) fn frozen(snapshot: &Connection) -> Result<Model, StoreError> {
    let mut decoder = Decoder::default();
    let unreadable = |number: i64, why: &dyn std::fmt::Display| {
        StoreError::Corrupt(format!(
            "what is left of dropped events (row {number} of frozen) cannot be read: {why}"
        ))
    };
    let mut statement = snapshot.prepare_cached("SELECT number, form, model FROM frozen ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, form): (i64, i64) = (row.get(0)?, row.get(1)?);
        if !(1..=i64::from(FORM)).contains(&form) {
            return Err(unreadable(number, &format!("it has form {form}: upgrade milepost")));
        }
        let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        decoder.encoding(bytes).map_err(|error| unreadable(number, &error))?;
    }
    decoder.derive().finish().map_err(|error| unreadable(0, &error))
}

/// Why each of these events may not be kept, if it may not, within the transaction that `connection` is in.
pub(super) fn refusals(
    connection: &Connection,
    identity: &mut Identity,
    horizon: Timestamp,
    events: &[Sealed],
) -> Result<Vec<Option<Refusal>>, StoreError> {
    let keys: Vec<u64> = events.iter().map(|sealed| sealed.key.0).collect();
    let in_a_run = identity.screen(&keys);
    let mut versions = Versions::new(connection)?;
    let mut found = Vec::new();
    let mut refusals = Vec::with_capacity(events.len());
    for ((sealed, key), in_a_run) in events.iter().zip(keys).zip(in_a_run) {
        let event = &sealed.event;
        let stated = Stated::of(event.revision, &sealed.canonical);
        found.clear();
        identity.find(connection, key, in_a_run, &mut found)?;
        let kept = versions.of(&found, &event.id, event.revision)?;
        let winner = kept.iter().find(|kept| kept.wins);
        refusals.push(if kept.iter().any(|kept| kept.stated() == stated) {
            None
        } else if event.at() < horizon {
            Some(dated_before(event.at(), horizon))
        } else {
            match winner {
                Some(winner) if winner.at()?.is_none_or(|at| at < horizon) => Some(of_a_frozen_one(horizon)),
                _ => None,
            }
        });
    }
    Ok(refusals)
}

fn dated_before(at: Timestamp, horizon: Timestamp) -> Refusal {
    let message = format!(
        "{at} is before {horizon}, up to where retention has frozen the past: it is kept nowhere any more. If the date is \
         right, the event came too late"
    );
    Refusal::new(Reason::BeforeHorizon, "occurred_at", message)
}

fn of_a_frozen_one(horizon: Timestamp) -> Refusal {
    let message = format!(
        "another version of an event that happened before {horizon}, up to where retention has frozen the past: it cannot \
         be changed or retracted any more"
    );
    Refusal::new(Reason::BeforeHorizon, "id", message)
}

/// Does a step of retention within the transaction that `connection` is in.
pub(super) fn retain(connection: &Connection, step: &Retention) -> Result<(), StoreError> {
    match step {
        Retention::Advance(to) => {
            connection.execute(
                "INSERT INTO horizon (one, at, finished, position, dropped) VALUES (1, ?1, 0, 0, 0)
                 ON CONFLICT (one) DO UPDATE SET at = excluded.at, finished = 0 WHERE excluded.at > at",
                [to.micros()],
            )?;
        }
        Retention::Drop(dropping) => drop_contents(connection, dropping)?,
        Retention::Finish(at) => {
            connection.execute("UPDATE horizon SET finished = 1 WHERE at = ?1", [at.micros()])?;
        }
    }
    Ok(())
}

fn drop_contents(connection: &Connection, dropping: &Dropping) -> Result<(), StoreError> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM event WHERE seq = ?1 AND digest IS NULL RETURNING received_at, source, id, revision",
    )?;
    let mut rows: Vec<(i64, String, String, i64)> = Vec::with_capacity(dropping.versions.len());
    for (seq, _) in &dropping.versions {
        let row = delete
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        // Were it dropped once more, it would be counted twice.
        rows.push(
            row.ok_or_else(|| StoreError::Io(format!("the content of event {seq} is dropped already")))?,
        );
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO event (seq, received_at, source, id, revision, content, digest, crc)
         VALUES (?1, ?2, ?3, ?4, ?5, '', ?6, ?7)",
    )?;
    for ((seq, digest), (received_at, source, id, revision)) in dropping.versions.iter().zip(rows) {
        let stored = Stored {
            seq: *seq,
            received_at,
            source: source.as_bytes(),
            id: id.as_bytes(),
            revision,
            content: &[],
            digest: Some(*digest),
        };
        insert.execute(params![seq, received_at, source, id, revision, digest, stored.crc()])?;
    }
    reach("retention.dropped");
    if dropping.model.events() > 0 {
        connection.execute(
            "INSERT INTO frozen (form, winners, model) VALUES (?1, ?2, ?3)",
            params![FORM, dropping.model.events() as i64, dropping.model.encode()],
        )?;
    }
    connection.execute(
        "UPDATE horizon SET dropped = dropped + ?1, position = max(position, ?2)",
        [dropping.versions.len() as i64, dropping.position],
    )?;
    Ok(())
}

/// Finds what is to be dropped, beside the writer.
#[derive(Debug)]
pub struct Sweeper {
    connection: Connection,
    /// The last version that was looked at.
    seq: i64,
    /// Versions of one [`Dropping`] at most.
    versions: usize,
}

impl Sweeper {
    /// Of a data directory whose lock this process holds.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let versions = number("retention.versions").map_or(VERSIONS, |versions| versions as usize);
        Ok(Self { connection: reader::connect(data)?, seq: 0, versions })
    }

    /// Drops so many versions at a time.
    #[must_use]
    pub fn with_steps_of(self, versions: usize) -> Self {
        Self { versions: versions.max(1), ..self }
    }

    /// The stored horizon; none if retention was never on.
    pub fn horizon(&self) -> Result<Option<Horizon>, StoreError> {
        horizon(&self.connection)
    }

    /// Begins anew.
    pub fn rewind(&mut self) {
        self.seq = 0;
    }

    /// The next versions dated before the horizon, which must be stored as such by now; none when all were looked at, or
    /// `go_on` says no.
    pub fn next(
        &mut self,
        horizon: Timestamp,
        go_on: impl Fn() -> bool,
    ) -> Result<Option<Dropping>, StoreError> {
        if self.seq == 0 {
            // Who lost to whom decides what is kept as facts.
            check_losers(&self.connection)?;
        }
        let mut dropping = Dropping { versions: Vec::new(), model: Box::default(), position: 0 };
        while go_on() && self.read(horizon, &mut dropping)? {}
        Ok(Some(dropping).filter(|dropping| !dropping.versions.is_empty()))
    }

    /// Looks at some more; whether there may be more after them, and room for them.
    fn read(&mut self, horizon: Timestamp, dropping: &mut Dropping) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached(concat!(
            "SELECT ",
            columns!(),
            ", superseded.by FROM event LEFT JOIN superseded USING (seq)
             WHERE event.seq > ?1 AND digest IS NULL ORDER BY event.seq LIMIT ?2"
        ))?;
        let mut rows = statement.query([self.seq, READ as i64])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            let stored = Stored::read(row)?;
            self.seq = stored.seq;
            read += 1;
            let event = event_of(&stored)?;
            if event.at() >= horizon {
                continue;
            }
            let by: Option<i64> = row.get(stored::COLUMNS)?;
            dropping.versions.push((self.seq, Version::of(event.revision, stored.content).digest));
            dropping.position = dropping.position.max(by.unwrap_or(self.seq)).max(self.seq);
            if by.is_none() {
                dropping.model.insert(&event);
            }
            if dropping.versions.len() == self.versions {
                return Ok(false);
            }
        }
        Ok(read == READ)
    }
}
