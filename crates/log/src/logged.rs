//! What a record of the log is.

use milepost_model::{Position, Rejected, Sealed};

/// What a record of the log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logged {
    /// An accepted event.
    Event(Sealed),
    /// A refused event.
    Refused {
        /// What and why.
        rejected: Rejected,
        /// Where in Kafka it came from; none for other doors.
        origin: Option<Position>,
    },
    /// Nothing that this version can read. As a refused event, for the quarantine, where its origin is its own position.
    Poison(Rejected),
}
