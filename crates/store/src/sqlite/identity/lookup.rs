//! The reader's side: the same runs without their filters, and a tail of its own.
//!
//! Law: what it finds is what the table has in the snapshot it is asked in. A run that cannot be read is not mended from
//! here: its part of the table is searched instead, slowly.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::run::{Filtered, Registration, Run};
use super::table;
use super::tail::Tail;
use crate::StoreError;

#[derive(Debug)]
pub(in crate::sqlite) struct Lookup {
    directory: PathBuf,
    /// `None` where a run cannot be opened.
    runs: Vec<(Registration, Option<Run>)>,
    tail: Tail,
    /// The last event in the tail.
    last: i64,
}

impl Lookup {
    pub(in crate::sqlite) fn new(data: &Path) -> Self {
        let directory = data.join(super::DIRECTORY);
        Self { directory, runs: Vec::new(), tail: Tail::default(), last: 0 }
    }

    /// The events with this key, in their order, as of one snapshot, in which `then` reads them.
    pub(in crate::sqlite) fn find<T>(
        &mut self,
        connection: &Connection,
        key: u64,
        then: impl FnOnce(&[i64]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // The writer may just have merged a missing file into another one: then a newer snapshot says so.
        let snapshot = loop {
            let known = self.registrations();
            let snapshot = connection.unchecked_transaction()?;
            if self.follow(&snapshot)? || self.registrations() == known {
                break snapshot;
            }
        };
        let mut found = self.search(&snapshot, key)?;
        found.sort_unstable();
        let result = then(&found)?;
        drop(snapshot);
        Ok(result)
    }

    /// Opens what is registered, and lets the tail end with the newest event. Returns whether all could be opened.
    fn follow(&mut self, snapshot: &Connection) -> Result<bool, StoreError> {
        let registered = table::registered(snapshot)?;
        if self.registrations() != registered {
            let mut known = std::mem::take(&mut self.runs);
            for registration in registered {
                let run = known
                    .iter_mut()
                    .find(|(other, _)| *other == registration)
                    .and_then(|(_, run)| run.take());
                let run = run.or_else(|| Run::open(&self.directory, registration, Filtered::No).ok());
                self.runs.push((registration, run));
            }
            self.tail = Tail::default();
            self.last = self.runs.last().map_or(0, |(registration, _)| registration.last);
        }
        let (tail, last) = (&mut self.tail, &mut self.last);
        table::keys(snapshot, (*last + 1, i64::MAX), |(key, seq)| {
            tail.insert(key, seq);
            *last = seq;
        })?;
        Ok(self.runs.iter().all(|(_, run)| run.is_some()))
    }

    fn registrations(&self) -> Vec<Registration> {
        self.runs.iter().map(|(registration, _)| *registration).collect()
    }

    fn search(&self, snapshot: &Connection, key: u64) -> Result<Vec<i64>, StoreError> {
        let mut found = Vec::new();
        for (registration, run) in &self.runs {
            let before = found.len();
            if run.as_ref().is_none_or(|run| run.find(key, &mut found).is_err()) {
                found.truncate(before);
                table::keys(snapshot, (registration.first, registration.last), |entry| {
                    found.extend((entry.0 == key).then_some(entry.1));
                })?;
            }
        }
        self.tail.find(key, &mut found);
        Ok(found)
    }
}
