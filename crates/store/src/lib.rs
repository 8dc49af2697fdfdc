//! Where events are kept. [`Store`] is the one writer, [`Reader`] any number of readers beside it.
//!
//! Laws every engine keeps:
//!
//! 1. What [`Store::append`] has returned is durable, in order, and identity is exact over all time: an id counts as
//!    seen only once its transaction has committed.
//! 2. Every version of an event is kept; the largest wins. [`Store::replay`] gives exactly the winners.
//! 3. Retention, where it was ever on, drops contents of old versions and nothing else: [`Store::load`] gives the Model of all
//!    winners all the same.

use milepost_model::{Event, EventId, EventKey, Model, Refusal, Rejected, Sealed, Timestamp};

#[cfg(feature = "clickhouse")]
pub mod clickhouse;
pub mod failpoint;
mod filter;
mod refused;
pub mod sqlite;

/// What became of one appended event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// This very version is kept already.
    Duplicate,
    /// It is kept now.
    Stored {
        /// What it means for the winner of its id.
        effect: Effect,
        /// Another version with the same revision and another content was there.
        conflict: bool,
    },
}

/// What a newly kept version means for the winner of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is the first of its id, and wins.
    Wins,
    /// It wins over this one, which won before.
    Replaces(Box<Event>),
    /// Another version stays the winner.
    Loses,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing of the batch was kept; trying again later may help (disk full, busy).
    #[error("the store cannot take events now: {0}")]
    Unavailable(String),
    /// The data directory is in use by another process.
    #[error("{0}")]
    Locked(String),
    /// What is on disk is not what was written, or not ours.
    #[error("{0}")]
    Corrupt(String),
    /// Any other failure of the file system.
    #[error("{0}")]
    Io(String),
}

/// A Model that was loaded, and how.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The Model.
    pub model: Model,
    /// The number of the last version that the checkpoint it was made of goes up to; 0 if there was none to use.
    pub checkpoint: u64,
    /// Events that had to be read beside it.
    pub read: u64,
    /// Why the checkpoint was not used, if there is one.
    pub unused: Option<String>,
}

/// The one writer.
pub trait Store: Send {
    /// Keeps events and refusals, all or none, durably. One result per event, in order; a later event of the batch sees
    /// the earlier ones as kept. `now` is when they were received.
    fn append(
        &mut self,
        events: &[Sealed],
        rejected: &[Rejected],
        now: Timestamp,
    ) -> Result<Vec<Appended>, StoreError>;

    /// Keeps refused events that were tried again, all or none, durably: each leaves the quarantine in the transaction
    /// that keeps it. Those still refused stay, with their new reason. One result per event, in order. A rehearsal gives
    /// the same results and changes nothing.
    fn retry(
        &mut self,
        retried: &Retried,
        now: Timestamp,
        rehearsal: bool,
    ) -> Result<Vec<Appended>, StoreError>;

    /// Which of these events would change what retention has frozen, and may not be given to [`Store::append`] or
    /// [`Store::retry`]: a reason or none for each, or none at all. Those that are kept already are no change.
    fn refusals(&mut self, _events: &[Sealed]) -> Result<Vec<Option<Refusal>>, StoreError> {
        Ok(Vec::new())
    }

    /// Does a step of retention, durably.
    fn retain(&mut self, _step: &Retention) -> Result<(), StoreError> {
        Err(StoreError::Io("this store keeps everything: turn retention off".to_owned()))
    }

    /// Calls `each` with every winner that has its content, retractions included, in the order kept.
    fn replay(&mut self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError>;

    /// The Model of every winner. `progress` is told how many events of how many were read for it.
    fn load(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, StoreError> {
        replayed(progress, |each| self.replay(each))
    }

    /// The number of the last version that is kept; 0 if there is none, or versions have no numbers.
    fn position(&self) -> u64 {
        0
    }

    /// A reader beside this writer.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;
}

/// Loads by reading everything.
fn replayed(
    progress: &mut dyn FnMut(u64, u64),
    replay: impl FnOnce(&mut dyn FnMut(&Event)) -> Result<(), StoreError>,
) -> Result<Loaded, StoreError> {
    let mut model = Model::new();
    replay(&mut |event| model.insert(event))?;
    let read = model.events() as u64;
    progress(read, read);
    Ok(Loaded { model, read, ..Loaded::default() })
}

/// A step of retention, of which [`sqlite::Sweeper`] finds those between the first and the last.
#[derive(Debug)]
pub enum Retention {
    /// From now on nothing dated before this may change. A horizon never goes back.
    Advance(Timestamp),
    /// Contents of versions dated before it are dropped.
    Drop(sqlite::Dropping),
    /// There are no others, if this is still the horizon.
    Finish(Timestamp),
}

/// How far retention has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// What happened before it is frozen.
    pub at: Timestamp,
    /// Whether all contents dated before it are dropped.
    pub finished: bool,
    /// Versions whose contents were dropped.
    pub dropped: u64,
}

/// Refused events that were tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retried {
    /// Those to be kept.
    pub events: Vec<Sealed>,
    /// Their numbers in the quarantine, as many as there are events.
    pub numbers: Vec<u64>,
    /// Those still refused, by their numbers, and why.
    pub refused: Vec<(u64, Refusal)>,
}

/// A refused event, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its number in the quarantine; grows, and may have gaps.
    pub number: u64,
    /// When it was refused.
    pub at: Timestamp,
    /// What and why.
    pub rejected: Rejected,
}

/// Reads what is committed.
pub trait Reader: Send {
    /// Winners with this key that happened at this instant: one, but for colliding keys, and for those whose contents
    /// retention has dropped.
    fn find(&mut self, key: EventKey, at: Timestamp) -> Result<Vec<EventId>, StoreError>;

    /// Calls `each` with every winner; see [`Store::replay`].
    fn replay(&mut self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError>;

    /// The Model of every winner; see [`Store::load`].
    fn load(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Loaded, StoreError> {
        replayed(progress, |each| self.replay(each))
    }

    /// The newest refusals with a number below `before`, newest first, at most `limit`.
    fn quarantine(&mut self, before: Option<u64>, limit: usize) -> Result<Vec<Quarantined>, StoreError>;

    /// The oldest refusals with a number above `after`, oldest first, at most `limit`.
    fn refusals(&mut self, after: u64, limit: usize) -> Result<Vec<Quarantined>, StoreError>;

    /// How far retention has come; none if it was never on.
    fn horizon(&mut self) -> Result<Option<Horizon>, StoreError> {
        Ok(None)
    }

    /// How many events (versions) and refusals are kept.
    fn sizes(&mut self) -> Result<Sizes, StoreError>;
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Versions of events.
    pub versions: u64,
    /// Versions that did not win.
    pub superseded: u64,
    /// Refusals in the quarantine.
    pub quarantined: u64,
    /// Bytes of their texts and payloads.
    pub quarantined_bytes: u64,
    /// Refusals ever that were dropped, to make room for newer ones or as too old.
    pub quarantine_dropped: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Sizes {
    /// Versions that win: one for each event.
    pub fn winners(&self) -> u64 {
        self.versions.saturating_sub(self.superseded)
    }
}
