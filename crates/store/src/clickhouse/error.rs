//! What may go wrong with ClickHouse, as what the caller can do about it.

use crate::StoreError;

/// Why ClickHouse could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It may do it later: it cannot be reached, is busy, or somebody has to mend something there first. Try again, with the same
    /// data.
    #[error("ClickHouse cannot do it now: {0}")]
    Unavailable(String),
    /// It refuses what was sent, and will refuse it again.
    #[error("ClickHouse refuses what was sent: {0}")]
    Rejected(String),
    /// A setting is wrong: which one, and what to do.
    #[error("{0}")]
    Setting(String),
    /// Its tables are not those that this Milepost knows: what to do.
    #[error("{0}")]
    Schema(String),
    /// What is kept is not what was written.
    #[error("{0}")]
    Corrupt(String),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable(error.to_string()),
            Error::Corrupt(message) => Self::Corrupt(message),
            Error::Rejected(_) | Error::Setting(_) | Error::Schema(_) => Self::Io(error.to_string()),
        }
    }
}
