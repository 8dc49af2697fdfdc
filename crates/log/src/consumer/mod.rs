//! Reads topics as a member of a consumer group.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use milepost_model::{Partition, Positions, Timestamp};

use crate::{LogError, Logged, Options};

/// What a consumer reads, and from where on.
pub struct Subscription {
    /// The topics.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group: String,
    /// Where an assigned partition is begun.
    pub start: Start,
    /// When a batch is handed out.
    pub limits: BatchLimits,
}

/// Asked for the positions of assigned partitions.
type Ask = Arc<dyn Fn(Vec<Partition>) -> BoxFuture<'static, Result<Positions, String>> + Send + Sync>;

/// Where an assigned partition is begun; where that says nothing, at its earliest record.
#[derive(Clone)]
pub enum Start {
    /// Where the group has committed.
    Committed,
    /// Where this says, which is asked again until it answers. The group's offsets do not count.
    Asked(Ask),
}

/// When a batch is handed out: whatever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records of a batch.
    pub events: usize,
    /// Bytes of its keys and values, but for the last record.
    pub bytes: usize,
    /// How long its first record has waited.
    pub linger: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { events: 50_000, bytes: 32 * 1024 * 1024, linger: Duration::from_millis(250) }
    }
}

/// A record as it came.
pub struct Incoming<'a> {
    /// Which one.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none in a tombstone.
    pub value: Option<&'a [u8]>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// Its offset in its partition.
    pub offset: i64,
    /// Its time in Kafka: of the log, when it was accepted. The epoch, if it has none.
    pub received_at: Timestamp,
    /// What it is.
    pub value: T,
}

/// Records of one partition, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// Which one.
    pub partition: Partition,
    /// Its records.
    pub records: Vec<Record<T>>,
}

/// Records that were fetched together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<T> {
    /// By partition.
    pub parts: Vec<Part<T>>,
    /// Bytes of their keys and values.
    pub bytes: usize,
}

impl<T> Batch<T> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.records.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.records.is_empty())
    }

    /// How far one has read who is done with it.
    pub fn positions(&self) -> Positions {
        let last =
            |part: &Part<T>| part.records.last().map(|record| (part.partition.clone(), record.offset + 1));
        self.parts.iter().filter_map(last).collect()
    }
}

/// What [`Consumer::next`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched<T> {
    /// These partitions are ours, from these positions on.
    Assigned(Positions),
    /// These are no longer ours: what is unfinished of them is dropped.
    Revoked(Vec<Partition>),
    /// Records of partitions that are ours.
    Batch(Batch<T>),
}

/// How far a partition is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Which one.
    pub partition: Partition,
    /// Records in it that are not committed.
    pub records: i64,
}

/// How a consumer is doing; for metrics.
#[derive(Debug, Clone)]
pub struct Status {}

impl Status {
    /// Of each partition that is ours, as of about a second ago.
    pub fn lag(&self) -> Vec<Lag> {
        unimplemented!()
    }

    /// Records that Kafka had deleted before they were read.
    pub fn lost(&self) -> u64 {
        unimplemented!()
    }
}

/// A member of a consumer group. Leaves the group when it is dropped.
pub struct Consumer<T> {
    _decoded: std::marker::PhantomData<T>,
}

impl Consumer<Logged> {
    /// Reads the log, from where `start` says on.
    pub fn start<F>(options: &Options, limits: BatchLimits, start: F) -> Result<Self, LogError>
    where
        F: Fn(Vec<Partition>) -> BoxFuture<'static, Result<Positions, String>> + Send + Sync + 'static,
    {
        let _ = (options, limits, start);
        unimplemented!()
    }
}

impl<T: Send + 'static> Consumer<T> {
    /// Reads other topics. `decode` is called on the consumer's own thread. Must be called within a Tokio runtime.
    pub fn subscribe(
        options: &Options,
        subscription: Subscription,
        decode: impl Fn(&Incoming<'_>) -> T + Send + 'static,
    ) -> Result<Self, LogError> {
        let _ = (options, subscription, decode);
        unimplemented!()
    }

    /// The next thing that happens. An error is for good: somebody has to do something about it.
    pub async fn next(&mut self) -> Result<Fetched<T>, LogError> {
        unimplemented!()
    }

    /// Has the offsets committed, soon and in the background: those of partitions that are ours still. A commit that is refused
    /// is tried again.
    pub fn commit(&self, done: &Positions) {
        let _ = done;
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Commits what is done, leaves the group, and ends.
    pub async fn close(self) {}
}
