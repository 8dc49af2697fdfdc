//! Files of events, brought to a data directory or to a server.
//!
//! An import goes the way of every other event: decoded, checked, made pseudonymous and committed in the same places.
//! Batches overlap: while one is committed the next ones are read and decoded. Interrupted anywhere it can be run again
//! from the start: what was kept is a duplicate then.

pub mod backup;
mod lines;
mod target;

use std::io::{self, Read};
use std::sync::Arc;

use futures::StreamExt as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub use target::Target;

/// Batches that are on their way at the same time.
const AT_ONCE: usize = 4;

/// One file of events, one JSON a line, plain or packed by gzip.
pub struct Input {
    /// What to call it in messages.
    pub name: Arc<str>,
    /// Its bytes.
    pub bytes: Box<dyn Read + Send>,
}

/// What became of the events so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Events read: the sum of the others.
    pub read: u64,
    /// New ones.
    pub stored: u64,
    /// Known already.
    pub duplicate: u64,
    /// Refused.
    pub refused: u64,
}

/// An event that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLine {
    /// Where it stands: `file:line`.
    pub place: String,
    /// Why, in a sentence.
    pub why: String,
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read, or not to its end.
    #[error("{name}: {source}")]
    Read {
        /// The file.
        name: Arc<str>,
        /// What happened.
        source: io::Error,
    },
    /// The events are not taken.
    #[error("{0}")]
    NotTaken(String),
    /// The import was interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// Brings all events of the inputs to the target. `each` is called after every batch, with all there was so far and the
/// refused events of that batch.
pub async fn import(
    inputs: Vec<Input>,
    target: &Target,
    mut each: impl FnMut(&Summary, &[RefusedLine]),
) -> Result<Summary, ImportError> {
    let (sender, batches) = mpsc::channel(AT_ONCE);
    let longest = target.longest_line();
    let reading = tokio::task::spawn_blocking(move || lines::read(inputs, longest, &sender));
    let mut outcomes = ReceiverStream::new(batches).map(|batch| target.send(batch)).buffered(AT_ONCE);
    let mut summary = Summary::default();
    while let Some(outcome) = outcomes.next().await {
        let outcome = outcome?;
        summary.stored += outcome.stored;
        summary.duplicate += outcome.duplicate;
        summary.refused += outcome.refused.len() as u64;
        summary.read = summary.stored + summary.duplicate + summary.refused;
        each(&summary, &outcome.refused);
    }
    reading.await.map_err(|_| ImportError::Interrupted)??;
    Ok(summary)
}

#[cfg(test)]
mod tests;
