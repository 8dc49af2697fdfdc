//! ClickHouse: where the events of a cluster are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use milepost_model::{Event, Model, Position, Positions, Rejected, Sealed, Timestamp};
use tokio::runtime::Handle;

use crate::Reader;

mod error;

pub use error::Error;

/// Which ClickHouse, and how it is spoken to.
#[derive(Clone)]
pub struct Options {
    /// `http://host:8123`; several with commas: the first that answers is used, and migrations are sent to all of them.
    pub url: String,
    /// Made by a migration if it is missing.
    pub database: String,
    /// Who asks.
    pub user: String,
    /// With which password.
    pub password: String,
    /// The name of a cluster of shards, for the sharded form.
    pub cluster: Option<String>,
    /// Settings of ClickHouse sent with each statement.
    pub settings: BTreeMap<String, String>,
    /// How long it is waited for.
    pub timeouts: Timeouts,
}

/// How long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is there.
    pub connect: Duration,
    /// Until a statement is done, an insert above all; well below Kafka's `max.poll.interval.ms`.
    pub statement: Duration,
}

/// A migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1.
    pub number: u32,
    /// Its name.
    pub name: String,
}

/// An event as the log has it. What is kept of it is a function of this alone.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Where it stands in the log.
    pub position: &'a Position,
    /// When it was accepted: the record's timestamp.
    pub received_at: Timestamp,
    /// The event.
    pub sealed: &'a Sealed,
}

/// A refused event as the topic of refused ones has it.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRow<'a> {
    /// Where it stands there.
    pub position: &'a Position,
    /// Where it came from, if that was Kafka. What comes again from there is the same refusal.
    pub origin: Option<&'a Position>,
    /// When it was refused: the record's timestamp.
    pub at: Timestamp,
    /// What and why.
    pub rejected: &'a Rejected,
}

/// Rows as they are sent: the same bytes however often.
#[derive(Debug, Clone, Default)]
pub struct Batch {}

impl Batch {
    /// Encodes them.
    pub fn new(_events: &[Row<'_>], _refused: &[RefusedRow<'_>]) -> Self {
        Self {}
    }
}

/// How far the log has been kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// How often it was read again.
    pub epoch: u64,
    /// The next record of each partition.
    pub positions: Positions,
    /// Whether this epoch has not come as far as the one before it.
    pub recovering: bool,
}

/// A Model, and what it is of.
#[derive(Debug)]
pub struct Loaded {
    /// The Model of all winners before the progress.
    pub model: Model,
    /// The progress.
    pub progress: Progress,
    /// What was counted.
    pub counts: Counts,
}

/// Records of the log before a progress, by what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Versions of events.
    pub versions: u64,
    /// Events: versions that win.
    pub winners: u64,
}

/// A change of a winner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The winner until now, if there was one.
    pub old: Option<Event>,
    /// The winner from now on.
    pub new: Event,
}

/// What came since a progress.
#[derive(Debug)]
pub enum Followed {
    /// Nothing.
    Nothing,
    /// These winners changed.
    Changed {
        /// In no order; at most one for each event.
        changes: Vec<Change>,
        /// What they lead to.
        progress: Progress,
        /// What is there more than before.
        counts: Counts,
        /// Whether there is more already.
        more: bool,
    },
    /// The log is being read again, and has not come as far as it was: nothing is known until then.
    Recovering,
    /// The log was read again: load.
    Reload,
}

/// Whether all of a cluster calculate with the same configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// They do.
    Same,
    /// Another one was agreed on: its digest.
    Other(String),
}

/// A ClickHouse. Clones share connections.
#[derive(Clone)]
pub struct ClickHouse {}

impl ClickHouse {
    /// Connects to nothing yet.
    pub fn new(_options: Options) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Makes database and tables what they have to be. May be called by several at the same time.
    pub async fn migrate(&self) -> Result<Vec<Migration>, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// Whether they are what they have to be.
    pub async fn check_schema(&self) -> Result<(), Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// Keeps a batch. When it has returned, all of it is durable and will be seen by whoever asks. On an error part of it may be; the same batch may be sent
    /// again, whatever became of it.
    pub async fn insert(&self, _batch: &Batch) -> Result<(), Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// How far the log has been kept.
    pub async fn progress(&self) -> Result<Progress, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// Says that everything before these positions is kept. Returns the epoch that counts: if it is a later one, nothing was said,
    /// and the partitions have to be read from the progress again.
    pub async fn advance(&self, _positions: &Positions, _epoch: u64) -> Result<u64, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// Begins a new epoch, in which the log is read again from these positions; partitions that are not among them, from their start.
    pub async fn rewind(&self, _positions: &Positions) -> Result<Progress, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// The Model of all winners before the progress. `report` is told how many versions of how many were read.
    pub async fn load(&self, _report: impl FnMut(u64, u64) + Send) -> Result<Loaded, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// What came since a progress, of at most so many records of the log.
    pub async fn follow(&self, _since: &Progress, _limit: u64) -> Result<Followed, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// Compares the digest of a configuration with the one agreed on, which is the first one, or the last that overwrote it.
    pub async fn agree_on_config(&self, _digest: &str, _overwrite: bool) -> Result<Agreement, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }

    /// A reader for threads that are none of the runtime's.
    pub fn reader(&self, _runtime: Handle) -> Result<Box<dyn Reader>, Error> {
        Err(Error::Unavailable("being written".to_owned()))
    }
}
