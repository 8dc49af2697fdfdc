//! What came since a Model was loaded.
//!
//! Law: what is before a position never changes. The old winner of an event is the largest of its versions before the old position, the new one that of those before the
//! new one; both are functions of the log alone. Rows beyond the new position may be there already, and are not looked at; so every follower goes
//! through states that loading would give, too.

use std::collections::HashSet;
use std::fmt;

use clickhouse::Row;
use milepost_model::{EventKey, Partition, Positions, Version};
use serde::Deserialize;

use super::connection::quoted;
use super::keys::Keys;
use super::progress::before;
use super::versions::{COLUMNS, Compared, Counts, ORDER, Stored, event};
use super::{Change, ClickHouse, Error, Freeze, Progress};

/// Keys in one statement: its text may have 256 KiB.
const LOOKUP: usize = 5_000;

/// Keeps a Model up to date, from where it was loaded.
pub struct Follower {
    clickhouse: ClickHouse,
    progress: Progress,
    /// What is frozen in the Model.
    freezes: Vec<Freeze>,
    /// Of all events before the progress: what is none of them has no old winner that would have to be looked for.
    known: Keys,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// What came.
#[derive(Debug)]
pub enum Followed {
    /// These winners changed, if any; the Model is as of [`Follower::progress`] when they are in it.
    Changed {
        /// In no order, at most one for each event.
        changes: Vec<Change>,
        /// What there is more than before.
        counts: Counts,
        /// Versions that would have changed what retention has frozen, and change nothing.
        ignored: u64,
        /// Whether there is more to be had at once.
        more: bool,
    },
    /// The log is being read again and has not come as far as it was, so that events may be missing: keep the Model, and ask again later.
    Recovering,
    /// The log was read again, or retention has moved on: load.
    Reload,
}

/// A row of `arrivals`.
#[derive(Row, Deserialize)]
struct Arrived<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    key: u64,
    source: &'a str,
    id: &'a str,
    revision: u64,
    content: &'a str,
}

/// Records that were read, and how far that goes.
struct Arrivals {
    compared: Compared,
    keys: Vec<EventKey>,
    until: Positions,
    more: bool,
}

impl Follower {
    pub(super) fn new(clickhouse: ClickHouse, progress: Progress, freezes: Vec<Freeze>, known: Keys) -> Self {
        Self { clickhouse, progress, freezes, known }
    }

    /// What the Model is of, once every change that was given is in it.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What came since, of at most so many records. On an error, or dropped before it is done, it has not moved.
    pub async fn follow(&mut self, limit: usize) -> Result<Followed, Error> {
        let now = self.clickhouse.progress().await?;
        if now.epoch != self.progress.epoch {
            return Ok(if now.recovering { Followed::Recovering } else { Followed::Reload });
        }
        let Arrivals { mut compared, mut keys, until, more } = self.arrivals(&now.positions, limit).await?;
        keys.sort_unstable();
        keys.dedup();
        let (known, new): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| self.known.may_contain(*key));
        let mut frozen = HashSet::new();
        for keys in known.chunks(LOOKUP) {
            self.look_up(keys, &mut compared).await?;
            frozen.extend(self.clickhouse.frozen_of(&self.freezes, &keys_in(keys)).await?);
        }
        // What a freeze that is not known here yet has dropped may be missing from what was read.
        if self.clickhouse.freezes().await? != self.freezes {
            return Ok(Followed::Reload);
        }
        let (changes, counts, ignored) = compared.changes(&frozen)?;
        new.into_iter().for_each(|key| self.known.insert(key));
        self.progress = Progress { positions: until, ..now };
        Ok(Followed::Changed { changes, counts, ignored, more })
    }

    /// The records from the progress to these positions, at most so many.
    async fn arrivals(&self, now: &Positions, limit: usize) -> Result<Arrivals, Error> {
        let mut until = self.progress.positions.clone();
        let mut arrivals = Arrivals {
            compared: Compared::default(),
            keys: Vec::new(),
            until: Positions::new(),
            more: false,
        };
        let ahead = now.iter().filter_map(|(partition, next)| {
            let since = until.next(partition).unwrap_or(0);
            (since < next).then(|| (partition.clone(), since, next))
        });
        let ahead: Vec<_> = ahead.collect();
        if ahead.is_empty() {
            return Ok(Arrivals { until, ..arrivals });
        }
        let conditions: Vec<_> =
            ahead.iter().map(|(partition, since, next)| range(partition, *since, *next)).collect();
        let mut rows = self.clickhouse.connection.rows::<Arrived<'_>>(&format!(
            "SELECT topic, partition, offset, key, source, id, revision, content FROM {} WHERE {} \
             ORDER BY topic, partition, offset LIMIT {limit}",
            self.clickhouse.table("arrivals"),
            conditions.join(" OR ")
        ))?;
        let mut last = None;
        while let Some(row) = rows.next().await? {
            let version = Version::of(row.revision, row.content.as_bytes());
            let event = event("arrivals", row.key, (row.source, row.id), row.revision, row.content)?;
            arrivals.compared.came(version, event);
            arrivals.keys.push(EventKey(row.key));
            let partition = Partition { topic: row.topic.into(), number: row.partition };
            last = Some((partition, row.offset + 1));
        }
        // If there may be more: all of the partitions before the last one were read, and some of that.
        arrivals.more = arrivals.keys.len() >= limit;
        for (partition, _, next) in ahead {
            match last.as_ref().filter(|_| arrivals.more) {
                Some((last, _)) if partition > *last => {}
                Some((last, read)) if partition == *last => until.advance(&partition, *read),
                _ => until.advance(&partition, next),
            }
        }
        Ok(Arrivals { until, ..arrivals })
    }

    /// The versions before the progress of events with these keys.
    async fn look_up(&self, keys: &[EventKey], compared: &mut Compared) -> Result<(), Error> {
        let mut rows = self.clickhouse.connection.rows::<Stored<'_>>(&format!(
            "SELECT {COLUMNS} FROM {} WHERE {} AND {} ORDER BY {ORDER}",
            self.clickhouse.table("events"),
            keys_in(keys),
            before(&self.progress.positions)
        ))?;
        while let Some(stored) = rows.next().await? {
            compared.was_there(&stored)?;
        }
        Ok(())
    }
}

fn keys_in(keys: &[EventKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.0.to_string()).collect();
    format!("key IN ({})", keys.join(", "))
}

fn range(Partition { topic, number }: &Partition, since: i64, next: i64) -> String {
    format!("(topic = {} AND partition = {number} AND offset >= {since} AND offset < {next})", quoted(topic))
}
