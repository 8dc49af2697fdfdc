//! Topics are made where they are missing, and checked.

use crate::{LogError, Options};

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Topics that were made.
    pub made: Vec<String>,
    /// How many partitions the topic of accepted events has.
    pub partitions: usize,
    /// What is worth telling, though nothing is wrong: a check that the broker did not allow.
    pub notes: Vec<String>,
}

/// Makes the two topics where they are missing, and checks that they keep what is acknowledged and take what is sent.
pub async fn prepare(options: &Options) -> Result<Report, LogError> {
    let _ = options;
    unimplemented!()
}
