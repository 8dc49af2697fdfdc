//! What questions need beside the Model, for callers that wait.

use milepost_model::{Event, EventId, EventKey, Timestamp};
use tokio::runtime::Handle;

use super::load::pieces;
use super::versions::Winner;
use super::{ClickHouse, Counts, Error};
use crate::{Horizon, Loaded, Quarantined, Reader, Sizes, StoreError};

/// A reader for threads that are none of the runtime's: each call waits until ClickHouse has answered.
pub(super) struct ClickHouseReader {
    pub(super) clickhouse: ClickHouse,
    pub(super) runtime: Handle,
}

impl Reader for ClickHouseReader {
    fn find(&mut self, key: EventKey, at: Timestamp) -> Result<Vec<EventId>, StoreError> {
        let mut found = Vec::new();
        self.runtime.block_on(self.clickhouse.winners_where(
            &format!("key = {}", key.0),
            &mut 0,
            &mut |winner: Winner| {
                if winner.event.is_some_and(|event| event.at() == at) {
                    found.push(winner.id);
                }
            },
        ))?;
        Ok(found)
    }

    fn replay(&mut self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
        self.runtime.block_on(async {
            let clickhouse = &self.clickhouse;
            let freezes = clickhouse.freezes().await?;
            let progress = clickhouse.progress().await?;
            for keys in pieces(clickhouse.rows().await?) {
                let each = |_, event: Option<Event>| event.iter().for_each(&mut *each);
                clickhouse.piece(keys, &progress.positions, &freezes, &mut 0, each).await?;
            }
            Ok(())
        })
    }

    fn load(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, StoreError> {
        let loaded = self.runtime.block_on(self.clickhouse.load(progress))?;
        Ok(Loaded { model: loaded.model, read: loaded.counts.versions, ..Loaded::default() })
    }

    fn quarantine(&mut self, before: Option<u64>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        Ok(self.runtime.block_on(self.clickhouse.newest_refused(before, limit))?)
    }

    fn refusals(&mut self, after: u64, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        Ok(self.runtime.block_on(self.clickhouse.oldest_refused(after, limit))?)
    }

    fn horizon(&mut self) -> Result<Option<Horizon>, StoreError> {
        Ok(self.runtime.block_on(self.clickhouse.horizon())?)
    }

    fn sizes(&mut self) -> Result<Sizes, StoreError> {
        Ok(self.runtime.block_on(self.clickhouse.sizes())?)
    }
}

impl ClickHouse {
    /// A reader for threads that are none of the runtime's.
    pub fn reader(&self, runtime: Handle) -> Box<dyn Reader> {
        Box::new(ClickHouseReader { clickhouse: self.clone(), runtime })
    }

    /// How much is kept. Reads the identity of every version, so not to be asked at every turn: see [`Self::sizes_beside`].
    pub async fn sizes(&self) -> Result<Sizes, Error> {
        let versions = format!(
            "SELECT sum(versions), count(), toUInt64(0) FROM (
                 SELECT uniqExact(revision, digest) AS versions FROM {} GROUP BY key, source, id
             ) SETTINGS optimize_aggregation_in_order = 1",
            self.table("events")
        );
        let (versions, winners, conflicts) = self.connection.one(&versions).await?;
        self.sizes_beside(Counts { versions, winners, conflicts }).await
    }

    /// How much is kept, where the versions were counted when they were loaded and followed.
    pub async fn sizes_beside(&self, counts: Counts) -> Result<Sizes, Error> {
        let held = self.held().await?;
        let bytes = self.connection.one(&self.schema.bytes_on_disk()).await?;
        Ok(Sizes {
            versions: counts.versions,
            superseded: counts.versions - counts.winners,
            quarantined: held.rows,
            quarantined_bytes: held.bytes,
            quarantine_dropped: 0,
            bytes,
        })
    }
}
