//! What service levels are made of beside deploys and interactions: pipeline runs, environments, probes and requests.

use super::index::Table;
use super::names::{Subject, Word};
use super::sorted::Sorted;
use crate::event::{EventKey, Outcome};
use crate::time::Timestamp;

/// What a sample is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Source {
    Pipeline,
    Environment,
    Probe,
    Requests,
}

impl Source {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Environment => "environment",
            Self::Probe => "probe",
            Self::Requests => "requests",
        }
    }
}

/// Samples of the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stream {
    /// What they are of.
    pub source: Source,
    /// The pipeline, the probe or the indicator.
    pub name: Option<Word>,
    /// What their events name.
    pub subject: Subject,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// How something ended, where that is known, and after how many seconds.
    Ended(Option<Outcome>, Option<u64>),
    /// Requests.
    #[allow(missing_docs)]
    Counted { good: u64, total: u64 },
}

/// One event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Its event.
    pub key: EventKey,
    /// What it says.
    pub measure: Measure,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Samples(pub(super) Table<Stream, Sorted<Sample>>);

impl Samples {
    pub(super) fn insert(&mut self, stream: Stream, sample: Sample) {
        self.0.entry(stream).add(sample);
    }

    pub(super) fn remove(&mut self, stream: Stream, sample: Sample) {
        if let Some(samples) = self.0.get_mut(stream) {
            samples.drop(sample);
        }
    }

    /// The streams of a source, each with its samples of `from` up to, not including, `to`, in order.
    pub fn of(
        &self,
        source: Source,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = (Stream, impl Iterator<Item = &Sample>)> {
        let streams = self.0.rows().iter().filter(move |(stream, _)| stream.source == source);
        streams.map(move |(stream, samples)| {
            let samples = samples.from(move |sample| sample.at < from);
            (*stream, samples.take_while(move |sample| sample.at < to))
        })
    }
}
