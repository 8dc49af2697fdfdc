//! Versions of events as they are kept, and which of them wins.

use std::collections::{BTreeMap, HashMap};

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

    /// The event, if it is what was written. ClickHouse has checksums of what is on its disks; this is for all else that can happen to a row.
    pub(super) fn event(&self) -> Result<Event, Error> {
        if Version::of(self.revision, self.content.as_bytes()) != self.version() {
            return Err(damaged("events", self.key));
        }
        event("events", self.key, (self.source, self.id), self.revision, self.content)
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

fn damaged(table: &str, key: u64) -> Error {
    Error::Corrupt(format!(
        "in the table {table} an event with the key {key} is not what was written: restore a backup of ClickHouse, or delete what has this key from \
         events and arrivals and have the log read again"
    ))
}

/// Takes versions in their [`ORDER`], and gives winners.
#[derive(Debug, Default)]
pub(super) struct Winners {
    /// The largest version so far of the event at hand.
    last: Option<(Version, Event, EventKey)>,
    pub(super) counts: Counts,
}

impl Winners {
    /// Takes the next version. Gives the winner of the event before, if it is of another.
    pub(super) fn take(&mut self, stored: &Stored<'_>) -> Result<Option<(Event, EventKey)>, Error> {
        let version = stored.version();
        let mut done = None;
        match &self.last {
            Some((last, event, _)) if stored.is_of(&event.id) => {
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
        self.last = Some((version, stored.event()?, EventKey(stored.key)));
        Ok(done)
    }

    /// The winner of the last event.
    pub(super) fn finish(&mut self) -> Option<(Event, EventKey)> {
        self.last.take().map(|(_, event, key)| (event, key))
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
    old: BTreeMap<Version, Event>,
    new: BTreeMap<Version, Event>,
}

impl Compared {
    /// One that came.
    pub(super) fn came(&mut self, version: Version, event: Event) {
        self.0.entry(event.id.clone()).or_default().new.insert(version, event);
    }

    /// One that was there, of an event of which one came.
    pub(super) fn was_there(&mut self, version: Version, event: Event) {
        if let Some(versions) = self.0.get_mut(&event.id) {
            versions.old.insert(version, event);
        }
    }

    /// Which winners changed, in no order, and what there is more than there was.
    pub(super) fn changes(self) -> (Vec<Change>, Counts) {
        let mut counts = Counts::default();
        let mut changes = Vec::new();
        for Versions { old, mut new } in self.0.into_values() {
            new.retain(|version, _| !old.contains_key(version));
            counts.versions += new.len() as u64;
            counts.winners += u64::from(old.is_empty());
            counts.conflicts += conflicts(old.keys().chain(new.keys())) - conflicts(old.keys());
            let wins = new.last_key_value().map(|(version, _)| version)
                > old.last_key_value().map(|(version, _)| version);
            if let Some((_, new)) = new.pop_last().filter(|_| wins) {
                changes.push(Change { old: old.into_values().next_back(), new });
            }
        }
        (changes, counts)
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
