//! What is said of a data directory.

use crate::Horizon;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// Numbers may be wrong, or Milepost may not start.
    Damage,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Damage => "damage",
        }
    }
}

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// What is in a data directory, and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Versions of events.
    pub versions: u64,
    /// Versions that did not win.
    pub superseded: u64,
    /// Refusals in the quarantine.
    pub quarantined: u64,
    /// Bytes of the database,
    pub database_bytes: u64,
    /// of its WAL,
    pub wal_bytes: u64,
    /// and of the runs.
    pub identity_bytes: u64,
    /// Files of runs.
    pub runs: u64,
    /// How far retention has come; none if it was never on.
    pub horizon: Option<Horizon>,
    /// The worst first.
    pub findings: Vec<Finding>,
}
