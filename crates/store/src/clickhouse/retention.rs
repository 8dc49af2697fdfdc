//! Retention: contents of old events are dropped, and what they say is kept as facts.
//!
//! A *freeze* keeps the Model of the winners that are dated before a horizon, and a list of the events these are of. From then on nothing changes them:
//! other versions of them, before or after, are not looked at. The Model of all winners is the sum of all freezes and of what is not in one.
//!
//! Laws:
//!
//! 1. **A freeze is one row**, written after all that it names: it is there as a whole or not at all. Of two with the same number, that which was written
//!    first counts.
//! 2. **No number changes.** Winners and facts change places at once for whoever loads, and whoever follows loads again when there is a new freeze. What came
//!    for a frozen event in the meantime is not counted any more.
//! 3. **Contents are dropped after that**, by mutations, which may be cut off, done again, or seen in part: nobody who knows of the freeze reads what they
//!    drop, and whoever does not notices at the end that there is one, and begins anew. Identity stays.

use std::collections::HashSet;
use std::time::Duration;

use clickhouse::Row;
use milepost_model::model::{Decoder, FORM};
use milepost_model::{Event, EventId, EventKey, Model, Partition, Positions, Timestamp};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, quoted};
use super::load::pieces;
use super::progress::before;
use super::{ClickHouse, Error};
use crate::Horizon;

/// What was kept as facts at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// From 1.
    pub number: u32,
    /// Winners dated before it are frozen.
    pub horizon: Timestamp,
    /// How many those were that had not been frozen before.
    pub events: u64,
    attempt: String,
    positions: Positions,
    pieces: u32,
}

/// How far the contents of what is frozen are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropping {
    /// The last freeze is too young.
    Waiting,
    /// ClickHouse is dropping them.
    Dropping,
    /// All are.
    Done,
}

#[derive(Row, Serialize, Deserialize)]
struct FreezeRow {
    number: u32,
    attempt: String,
    horizon: i64,
    positions: Vec<(String, i32, i64)>,
    pieces: u32,
    events: u64,
}

#[derive(Row, Serialize)]
struct FrozenRow<'a> {
    attempt: &'a str,
    piece: u32,
    form: u32,
    #[serde(with = "serde_bytes")]
    model: &'a [u8],
}

#[derive(Row, Deserialize)]
struct FrozenPiece {
    form: u32,
    #[serde(with = "serde_bytes")]
    model: Vec<u8>,
}

#[derive(Row, Serialize)]
struct FrozenEventRow<'a> {
    key: u64,
    source: &'a str,
    id: &'a str,
    attempt: &'a str,
}

#[derive(Row, Deserialize)]
struct Identity {
    source: String,
    id: String,
}

impl ClickHouse {
    /// What was frozen, in order.
    pub(super) async fn freezes(&self) -> Result<Vec<Freeze>, Error> {
        let rows: Vec<FreezeRow> = self
            .connection
            .all(&format!(
                "SELECT number, attempt, toUnixTimestamp64Micro(horizon) AS horizon, positions, pieces, events FROM {} \
                 ORDER BY number, at, attempt LIMIT 1 BY number",
                self.table("freezes")
            ))
            .await?;
        rows.into_iter().map(FreezeRow::read).collect()
    }

    /// Keeps winners dated before the horizon as facts. None if there is nothing to be done, or somebody else did it. To be asked of one process: a
    /// second one does the same work in vain.
    pub async fn freeze(&self, horizon: Timestamp) -> Result<Option<Freeze>, Error> {
        let freezes = self.freezes().await?;
        if freezes.last().is_some_and(|last| last.horizon >= horizon) {
            return Ok(None);
        }
        let progress = self.progress().await?;
        if progress.recovering {
            return Err(Error::Unavailable("the log is being read again".to_owned()));
        }
        let mut freeze = Freeze {
            number: freezes.last().map_or(1, |last| last.number + 1),
            horizon,
            events: 0,
            attempt: self.connection.one("SELECT toString(generateUUIDv4())").await?,
            positions: progress.positions,
            pieces: 0,
        };
        for keys in pieces(self.rows().await?) {
            let (mut model, mut events) = (Model::new(), Vec::new());
            let old = |event: &Event| event.at() < horizon;
            self.piece(keys, &freeze.positions, &freezes, &mut 0, |key, event| {
                if let Some(event) = event.filter(old) {
                    model.insert_with_key(&event, key);
                    events.push((key, event.id));
                }
            })
            .await?;
            if !events.is_empty() {
                self.keep(&mut freeze, &model, &events).await?;
            }
        }
        if freeze.events == 0 || self.freezes().await? != freezes {
            return Ok(None);
        }
        let row = FreezeRow::of(&freeze);
        self.connection.insert_rows::<FreezeRow>(&self.table("freezes"), &[row]).await?;
        Ok((self.freezes().await?.last() == Some(&freeze)).then_some(freeze))
    }
}

impl ClickHouse {
    /// Has the contents of what is frozen dropped, and what of `arrivals` nobody needs any more, once the last freeze is so old: so that whoever is
    /// reading what it drops has seen it. Returns at once; to be called until all is dropped, and again after each freeze.
    pub async fn drop_contents(&self, age: Duration) -> Result<Dropping, Error> {
        let freezes = self.freezes().await?;
        let Some(last) = freezes.last() else { return Ok(Dropping::Done) };
        let is_old = format!(
            "SELECT count() FROM {} WHERE attempt = {} AND at <= now64(6) - INTERVAL {} MILLISECOND",
            self.table("freezes"),
            quoted(&last.attempt),
            age.as_millis()
        );
        if self.connection.one::<u64>(&is_old).await? == 0 {
            return Ok(Dropping::Waiting);
        }
        let mut dropping = Dropping::Done;
        for server in self.connection.each() {
            for (table, condition, change) in self.contents(&freezes, last) {
                if self.is_left(&server, &table, &condition, change).await? {
                    dropping = Dropping::Dropping;
                }
            }
        }
        Ok(dropping)
    }

    /// What has to go of the tables of a server: a table, which of its rows, and what is to become of them.
    fn contents(&self, freezes: &[Freeze], last: &Freeze) -> [(String, String, &'static str); 2] {
        let frozen = format!(
            "content != '' AND (key, source, id) IN (SELECT key, source, id FROM {} WHERE {})",
            self.schema.local("frozen_events"),
            of_attempts(freezes)
        );
        [
            (self.schema.local("events"), frozen, "UPDATE content = '' WHERE"),
            (self.schema.local("arrivals"), before(&last.positions), "DELETE WHERE"),
        ]
    }

    /// Whether there are such rows. If so, and nobody has asked ClickHouse to change them yet, it is asked.
    async fn is_left(
        &self,
        server: &Connection,
        table: &str,
        condition: &str,
        change: &str,
    ) -> Result<bool, Error> {
        if under_way(server, table).await? {
            return Ok(true);
        }
        if server.one::<u64>(&format!("SELECT count() FROM {table} WHERE {condition}")).await? == 0 {
            return Ok(false);
        }
        server.execute(&format!("ALTER TABLE {table} {change} {condition}")).await?;
        Ok(true)
    }

    /// How far retention has come; none if nothing was ever frozen.
    pub async fn horizon(&self) -> Result<Option<Horizon>, Error> {
        let freezes = self.freezes().await?;
        let Some(last) = freezes.last() else { return Ok(None) };
        let mut finished = true;
        for server in self.connection.each() {
            finished &= !under_way(&server, &self.schema.local("events")).await?;
        }
        let dropped = freezes.iter().map(|freeze| freeze.events).sum();
        Ok(Some(Horizon { at: last.horizon, finished, dropped }))
    }

    /// Writes what was found in a range of keys.
    async fn keep(
        &self,
        freeze: &mut Freeze,
        model: &Model,
        events: &[(EventKey, EventId)],
    ) -> Result<(), Error> {
        let rows: Vec<_> = events
            .iter()
            .map(|(key, EventId { source, id })| FrozenEventRow {
                key: key.0,
                source,
                id,
                attempt: &freeze.attempt,
            })
            .collect();
        let [frozen_events, frozen] = ["frozen_events", "frozen"].map(|table| self.table(table));
        self.connection.insert_rows::<FrozenEventRow<'_>>(&frozen_events, &rows).await?;
        let model = model.encode();
        let row = FrozenRow { attempt: &freeze.attempt, piece: freeze.pieces, form: FORM, model: &model };
        self.connection.insert_rows::<FrozenRow<'_>>(&frozen, &[row]).await?;
        freeze.pieces += 1;
        freeze.events += events.len() as u64;
        Ok(())
    }

    /// The Model of all that is frozen.
    pub(super) async fn frozen_model(&self, freezes: &[Freeze]) -> Result<Model, Error> {
        let mut decoder = Decoder::default();
        if freezes.is_empty() {
            return Ok(Model::new());
        }
        for freeze in freezes {
            let pieces: Vec<FrozenPiece> = self
                .connection
                .all(&format!(
                    "SELECT form, model FROM {} WHERE attempt = {} ORDER BY piece LIMIT 1 BY piece",
                    self.table("frozen"),
                    quoted(&freeze.attempt)
                ))
                .await?;
            let is_known = pieces.iter().all(|piece| piece.form == FORM);
            if !is_known || pieces.len() != freeze.pieces as usize {
                return Err(freeze.damaged(if is_known { "a piece is missing" } else { "upgrade milepost" }));
            }
            for piece in &pieces {
                decoder.encoding(&piece.model).map_err(|error| freeze.damaged(&error.to_string()))?;
            }
        }
        decoder.derive().finish().map_err(|error| Error::Corrupt(format!("what is frozen: {error}")))
    }

    /// Which events with such keys are frozen.
    pub(super) async fn frozen_of(&self, freezes: &[Freeze], keys: &str) -> Result<HashSet<EventId>, Error> {
        if freezes.is_empty() {
            return Ok(HashSet::new());
        }
        let frozen: Vec<Identity> = self
            .connection
            .all(&format!(
                "SELECT source, id FROM {} WHERE {keys} AND {}",
                self.table("frozen_events"),
                of_attempts(freezes)
            ))
            .await?;
        Ok(frozen.into_iter().map(|Identity { source, id }| EventId { source, id }).collect())
    }
}

/// Whether ClickHouse is changing a table.
async fn under_way(server: &Connection, table: &str) -> Result<bool, Error> {
    let (database, name) = table.split_once('.').unwrap_or_default();
    let mutations = format!(
        "SELECT count() FROM system.mutations WHERE database = {} AND table = {} AND NOT is_done",
        quoted(database),
        quoted(name)
    );
    Ok(server.one::<u64>(&mutations).await? > 0)
}

/// A condition on the column `attempt`.
fn of_attempts(freezes: &[Freeze]) -> String {
    let attempts: Vec<_> = freezes.iter().map(|freeze| quoted(&freeze.attempt)).collect();
    format!("attempt IN ({})", attempts.join(", "))
}

impl Freeze {
    fn damaged(&self, why: &str) -> Error {
        Error::Corrupt(format!(
            "what retention has kept of dropped events (freeze {} in the table frozen) cannot be read: {why}",
            self.number
        ))
    }
}

impl FreezeRow {
    fn of(freeze: &Freeze) -> Self {
        let position =
            |(partition, next): (&Partition, i64)| (partition.topic.to_string(), partition.number, next);
        Self {
            number: freeze.number,
            attempt: freeze.attempt.clone(),
            horizon: freeze.horizon.micros(),
            positions: freeze.positions.iter().map(position).collect(),
            pieces: freeze.pieces,
            events: freeze.events,
        }
    }

    fn read(self) -> Result<Freeze, Error> {
        let partition = |(topic, number, next): (String, i32, i64)| {
            (Partition { topic: topic.as_str().into(), number }, next)
        };
        let horizon = Timestamp::from_micros(self.horizon)
            .ok_or_else(|| Error::Corrupt("a horizon in the table freezes cannot be read".to_owned()))?;
        Ok(Freeze {
            number: self.number,
            horizon,
            events: self.events,
            attempt: self.attempt,
            positions: self.positions.into_iter().map(partition).collect(),
            pieces: self.pieces,
        })
    }
}
