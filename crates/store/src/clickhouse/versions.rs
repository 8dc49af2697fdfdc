//! Versions of events as they are kept, and which of them wins.

use std::collections::{BTreeMap, HashMap, HashSet};

use clickhouse::Row;
use milepost_model::{Content, Event, EventId, EventKey, Version};
use serde::Deserialize;

use super::Error;

/// What was counted of versions that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Versions of events, each once.
    pub versions: u64,
    /// Events: as many versions win.
    pub winners: u64,
    /// Versions of a revision that another version had already, with another content: only one of them can win, and which one, the sender did not say.
    pub conflicts: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.versions += more.versions;
        self.winners += more.winners;
        self.conflicts += more.conflicts;
    }
}

/// The columns of [`Stored`].
pub(super) const COLUMNS: &str = "key, source, id, revision, digest, content";

/// In this order equal versions stand together, and those of an event with the winner last. It is that of the table.
pub(super) const ORDER: &str = "key, source, id, revision, digest";

/// A row of `events`.
#[derive(Debug, Row, Deserialize)]
pub(super) struct Stored<'a> {
    pub(super) key: u64,
    pub(super) source: &'a str,
    pub(super) id: &'a str,
    pub(super) revision: u64,
    digest: [u8; 32],
    content: &'a str,
}

impl Stored<'_> {
    pub(super) fn version(&self) -> Version {
        Version { revision: self.revision, digest: self.digest }
    }

    fn is_of(&self, id: &EventId) -> bool {
        (self.source, self.id) == (id.source.as_str(), id.id.as_str())
    }

    /// The event, if it is what was written; none if retention has dropped its content. ClickHouse has checksums of what is on its disks; this is
    /// for all else that can happen to a row.
    pub(super) fn event(&self) -> Result<Option<Event>, Error> {
        if self.content.is_empty() {
            return Ok(None);
        }
        if Version::of(self.revision, self.content.as_bytes()) != self.version() {
            return Err(damaged("events", self.key));
        }
        event("events", self.key, (self.source, self.id), self.revision, self.content).map(Some)
    }

    pub(super) fn id(&self) -> EventId {
        EventId { source: self.source.to_owned(), id: self.id.to_owned() }
    }
}

/// The event of a row, if its identity is that of its key.
pub(super) fn event(
    table: &str,
    key: u64,
    (source, id): (&str, &str),
    revision: u64,
    content: &str,
) -> Result<Event, Error> {
    let id = EventId { source: source.to_owned(), id: id.to_owned() };
    match serde_json::from_str::<Content>(content) {
        Ok(content) if id.key().0 == key => Ok(Event { id, revision, content }),
        _ => Err(damaged(table, key)),
    }
}

/// What is missing is dropped just now, by a freeze that is not known here yet.
pub(super) fn dropping() -> Error {
    Error::Unavailable("contents of events are being dropped by retention".to_owned())
}

fn damaged(table: &str, key: u64) -> Error {
    Error::Corrupt(format!(
        "in the table {table} an event with the key {key} is not what was written: restore a backup of ClickHouse, or delete what has this key from \
         events and arrivals and have the log read again with `milepost replay`"
    ))
}

/// The largest version of an event.
#[derive(Debug)]
pub(super) struct Winner {
    pub(super) id: EventId,
    pub(super) key: EventKey,
    /// None if retention has dropped its content.
    pub(super) event: Option<Event>,
}

/// Takes versions in their [`ORDER`], and gives winners.
#[derive(Debug, Default)]
pub(super) struct Winners {
    /// The largest version so far of the event at hand.
    last: Option<(Version, Winner)>,
    pub(super) counts: Counts,
}

impl Winners {
    /// Takes the next version. Gives the winner of the event before, if it is of another.
    pub(super) fn take(&mut self, stored: &Stored<'_>) -> Result<Option<Winner>, Error> {
        let version = stored.version();
        let mut done = None;
        match &self.last {
            Some((last, winner)) if stored.is_of(&winner.id) => {
                if *last == version {
                    return Ok(None);
                }
                self.counts.conflicts += u64::from(last.revision == version.revision);
            }
            _ => {
                self.counts.winners += 1;
                done = self.finish();
            }
        }
        self.counts.versions += 1;
        self.last =
            Some((version, Winner { id: stored.id(), key: EventKey(stored.key), event: stored.event()? }));
        Ok(done)
    }

    /// The winner of the last event.
    pub(super) fn finish(&mut self) -> Option<Winner> {
        self.last.take().map(|(_, winner)| winner)
    }
}

/// A winner that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The winner until now, to be taken out of the Model; none if it is the first version of its event.
    pub old: Option<Event>,
    /// The winner from now on.
    pub new: Event,
}

/// Versions of some events: those that were there, and those that came.
#[derive(Debug, Default)]
pub(super) struct Compared(HashMap<EventId, Versions>);

#[derive(Debug, Default)]
struct Versions {
    old: BTreeMap<Version, Option<Event>>,
    new: BTreeMap<Version, Event>,
}

impl Compared {
    /// One that came.
    pub(super) fn came(&mut self, version: Version, event: Event) {
        self.0.entry(event.id.clone()).or_default().new.insert(version, event);
    }

    /// One that was there, of an event of which one came.
    pub(super) fn was_there(&mut self, stored: &Stored<'_>) -> Result<(), Error> {
        if let Some(versions) = self.0.get_mut(&stored.id()) {
            versions.old.insert(stored.version(), stored.event()?);
        }
        Ok(())
    }

    /// Which winners changed, in no order, and what there is more than there was. Nothing changes what is frozen: the last number says how
    /// many versions would have.
    pub(super) fn changes(self, frozen: &HashSet<EventId>) -> Result<(Vec<Change>, Counts, u64), Error> {
        let mut counts = Counts::default();
        let (mut changes, mut ignored) = (Vec::new(), 0);
        for (id, Versions { old, mut new }) in self.0 {
            new.retain(|version, _| !old.contains_key(version));
            counts.versions += new.len() as u64;
            counts.winners += u64::from(old.is_empty());
            counts.conflicts += conflicts(old.keys().chain(new.keys())) - conflicts(old.keys());
            let wins = new.last_key_value().map(|(version, _)| version)
                > old.last_key_value().map(|(version, _)| version);
            if wins && frozen.contains(&id) {
                ignored += 1;
            } else if let Some((_, new)) = new.pop_last().filter(|_| wins) {
                let old = old.into_values().next_back().map(|old| old.ok_or_else(dropping)).transpose()?;
                changes.push(Change { old, new });
            }
        }
        Ok((changes, counts, ignored))
    }
}

/// How many have a revision that another one has already.
fn conflicts<'a>(versions: impl Iterator<Item = &'a Version>) -> u64 {
    let mut revisions: Vec<u64> = versions.map(|version| version.revision).collect();
    let all = revisions.len();
    revisions.sort_unstable();
    revisions.dedup();
    (all - revisions.len()) as u64
}
