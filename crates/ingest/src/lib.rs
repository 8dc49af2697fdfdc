//! The doors in: bytes to accepted events, and a fate for each.
//!
//! decode (crate `wire`) → check → pseudonyms → seal → [`Accept`] → fate. A door never waits without a bound: when
//! events cannot be kept as fast as they come, the whole batch is handed back with a time to try again.

use std::time::Duration;

use futures::future::BoxFuture;
use milepost_model::{Door, Position, Refusal, Rejected, Sealed};

pub mod counters;
pub mod grant;
pub mod grpc;
pub mod http;
pub mod intake;
pub mod kafka;
mod persistent;
pub mod pseudonym;
pub mod room;
pub mod sent;
#[cfg(test)]
mod testing;

pub use counters::Counters;
pub use grant::Grant;
pub use intake::{DoorLimits, Intake, Prepared};
pub use pseudonym::Pseudonymizer;
pub use room::{Room, Share};
pub use sent::Sent;

/// Events of one request that passed every check, and those that did not.
#[derive(Debug)]
pub struct Submission {
    /// Where they came in.
    pub door: Door,
    /// To be kept.
    pub events: Vec<Sealed>,
    /// For the quarantine, with where in Kafka each came from, if it did.
    pub rejected: Vec<(Rejected, Option<Position>)>,
}

/// Whether an accepted event was new. Either way it is durable, unless it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// New.
    Stored {
        /// See [`milepost_model::Fate::Stored`].
        conflict: bool,
    },
    /// Known already.
    Duplicate,
    /// Not kept, for a reason that only shows beside all other events; it is in the quarantine.
    Refused(Refusal),
}

/// Nothing of a submission was kept; its sender may try again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HandedBack {
    /// Too much is waiting to be kept.
    #[error("too many events are waiting to be stored; send this batch again later")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store cannot take events now, or the process is shutting down.
    #[error("events cannot be stored now: {reason}; send this batch again later")]
    Unavailable {
        /// Why.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
}

/// What is behind the doors: embedded the keeper of the store, in a cluster Kafka.
pub trait Accept: Send + Sync + 'static {
    /// Keeps a submission, all or none. One result per event, in order, once they are durable.
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<Vec<Kept>, HandedBack>>;
}

impl HandedBack {
    /// When to try again.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Busy { retry_after } | Self::Unavailable { retry_after, .. } => *retry_after,
        }
    }

    /// The same in whole seconds, as protocols want it; never 0.
    pub fn retry_after_seconds(&self) -> u64 {
        self.retry_after().as_secs_f64().ceil().max(1.0) as u64
    }
}
