//! Appends to the log.

use std::time::Duration;

use milepost_model::{Position, Rejected, Sealed};

use crate::{LogError, Options};

/// Appends to the log. One for a process; cheap to share in an `Arc`.
pub struct Producer {}

impl Producer {
    /// Connects in the background: that no broker answers shows when something is appended.
    pub fn new(options: &Options) -> Result<Self, LogError> {
        let _ = options;
        unimplemented!()
    }

    /// Appends accepted events, and refused ones with where in Kafka they came from, if they did. Returns once every in-sync
    /// replica has all of them; after an error some may be there.
    pub async fn append(
        &self,
        events: &[Sealed],
        rejected: &[(Rejected, Option<Position>)],
    ) -> Result<(), LogError> {
        let _ = (events, rejected);
        unimplemented!()
    }

    /// Waits, at most so long, until nothing waits for an acknowledgement any more.
    pub async fn flush(&self, within: Duration) -> Result<(), LogError> {
        let _ = within;
        unimplemented!()
    }
}
