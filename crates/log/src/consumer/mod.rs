//! Reads topics as a member of a consumer group.
//!
//! A thread of its own ([`reader`]) polls librdkafka, decodes, and hands batches over one at a time; while none is taken it
//! goes on polling, so that a slow user is not put out of the group. What librdkafka calls back ([`context`]) and what the user
//! says meet in [`shared`]; what is done is committed beside ([`commits`]). Where partitions are begun is looked up beside ([`lookup`]): a partition joins librdkafka's
//! assignment when that is known, and the group never waits for it.

mod building;
mod commits;
mod context;
mod lookup;
mod reader;
mod readings;
mod shared;

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::future::BoxFuture;
use milepost_model::{Partition, Positions, Timestamp};
use rdkafka::message::{BorrowedHeaders, Headers as _};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use crate::{LogError, Logged, Options};
pub use shared::Lag;
use shared::Shared;

/// What a consumer reads, and from where on.
#[derive(Debug, Clone)]
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

/// Asked for the positions of assigned partitions; an error, and why, if they cannot be told now.
pub type Ask = dyn Fn(Vec<Partition>) -> BoxFuture<'static, Result<Positions, String>> + Send + Sync;

/// Where an assigned partition is begun; where that says nothing, at its earliest record. Where Kafka has deleted the records
/// there, it is begun at the earliest, and the gap is counted ([`Status::lost`]) and told in the log.
#[derive(Clone)]
pub enum Start {
    /// Where the group has committed. If that is beyond the end, at the earliest.
    Committed,
    /// Where this says, which is asked again until it answers. The group's offsets do not count. If it is beyond the end, that
    /// is [`LogError::Shorter`].
    Asked(Arc<Ask>),
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Committed => "Committed",
            Self::Asked(_) => "Asked",
        })
    }
}

/// When a batch is handed out: whatever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// So many records are in it.
    pub events: usize,
    /// So many bytes of keys and values are in it.
    pub bytes: usize,
    /// Its first record has waited so long.
    pub linger: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { events: 50_000, bytes: 32 * 1024 * 1024, linger: Duration::from_millis(250) }
    }
}

/// A record as it came.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// Of which topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none in a tombstone.
    pub value: Option<&'a [u8]>,
    headers: Option<&'a BorrowedHeaders>,
}

impl<'a> Incoming<'a> {
    /// Its headers, in order; none if the name of one is not UTF-8.
    pub fn headers(&self) -> Option<Vec<(&'a str, &'a [u8])>> {
        let Some(headers) = self.headers else { return Some(Vec::new()) };
        // rdkafka panics at a name that is not UTF-8, and anybody may write one.
        let read = || headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// Its offset in its partition.
    pub offset: i64,
    /// Its time in Kafka: of the log, when it was accepted. [`Timestamp::MIN`] if it has none.
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
    /// By which of its assignments to us they were read.
    assignment: u64,
}

/// Records that were fetched together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<T> {
    /// By partition.
    pub parts: Vec<Part<T>>,
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
        let next =
            |part: &Part<T>| part.records.last().map(|record| (part.partition.clone(), record.offset + 1));
        self.parts.iter().filter_map(next).collect()
    }
}

/// What [`Consumer::next`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched<T> {
    /// These partitions are ours, and are read from here on.
    Assigned(Positions),
    /// These are no longer ours: what is unfinished of them is dropped.
    Revoked(Vec<Partition>),
    /// Records of partitions that are ours.
    Batch(Batch<T>),
}

/// What the reader tells the user, in order.
enum Told<T> {
    Assigned(Positions),
    Revoked(Vec<Partition>),
    Batch(Batch<T>, Turn),
    Failed(LogError),
}

/// Whose turn it is: dropped when the user has taken a batch, for then the reader may hand over the next.
struct Turn(mpsc::Sender<()>);

impl Drop for Turn {
    fn drop(&mut self) {
        // The reader may have ended.
        let _ = self.0.send(());
    }
}

/// A member of a consumer group. Leaves it when it is dropped.
pub struct Consumer<T> {
    told: UnboundedReceiver<Told<T>>,
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

impl Consumer<Logged> {
    /// Reads the log, from where `start` says on. Must be called within a Tokio runtime.
    pub fn start<F>(options: &Options, limits: BatchLimits, start: F) -> Result<Self, LogError>
    where
        F: Fn(Vec<Partition>) -> BoxFuture<'static, Result<Positions, String>> + Send + Sync + 'static,
    {
        let subscription = Subscription {
            topics: vec![options.topic.clone(), options.refused_topic.clone()],
            group: options.group.clone(),
            start: Start::Asked(Arc::new(start)),
            limits,
        };
        Self::subscribe(options, subscription, |record| Logged::read(record.value))
    }
}

impl<T: Send + 'static> Consumer<T> {
    /// Reads any topics. `decode` is called on the consumer's own thread. Must be called within a Tokio runtime.
    pub fn subscribe(
        options: &Options,
        subscription: Subscription,
        decode: impl Fn(&Incoming<'_>) -> T + Send + 'static,
    ) -> Result<Self, LogError> {
        let shared = Arc::new(Shared::default());
        let (told, ended) = reader::start(options, subscription, Box::new(decode), Arc::clone(&shared))?;
        Ok(Self { told, shared, ended })
    }

    /// The next thing that happens. An error is for good: somebody has to do something about it.
    ///
    /// Nothing is lost if this future is dropped.
    pub async fn next(&mut self) -> Result<Fetched<T>, LogError> {
        loop {
            match self.told.recv().await {
                Some(Told::Assigned(positions)) => return Ok(Fetched::Assigned(positions)),
                Some(Told::Revoked(partitions)) => return Ok(Fetched::Revoked(partitions)),
                Some(Told::Failed(error)) => return Err(error),
                Some(Told::Batch(mut batch, _turn)) => {
                    self.keep_ours(&mut batch);
                    if !batch.is_empty() {
                        return Ok(Fetched::Batch(batch));
                    }
                }
                None => return Err(LogError::Ended("its thread is gone".to_owned())),
            }
        }
    }

    /// Drops from a batch what has been revoked since it was handed out.
    pub fn keep_ours(&self, batch: &mut Batch<T>) {
        batch.parts.retain(|part| self.shared.owns(&part.partition, part.assignment));
    }

    /// Has the offsets committed, soon and in the background: those of partitions that are ours still. A commit that is refused
    /// is tried again.
    pub fn commit(&self, done: &Positions) {
        self.shared.done(done);
    }

    /// How it is doing; lives on when the consumer is dropped.
    pub fn status(&self) -> Status {
        Status { shared: Arc::clone(&self.shared) }
    }

    /// Commits what is done, leaves the group, and ends. Takes as long as brokers let it: whoever cannot wait bounds it, and what is
    /// not committed then is read again.
    pub async fn close(mut self) {
        self.shared.end();
        // That the sender is gone means that it has ended, too.
        let _ = (&mut self.ended).await;
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// How a consumer is doing, for metrics and for readiness.
#[derive(Clone)]
pub struct Status {
    shared: Arc<Shared>,
}

impl Status {
    /// Of each partition that is ours and begun, as of about a second ago.
    pub fn lag(&self) -> Vec<Lag> {
        self.shared.lag()
    }

    /// Records that Kafka had deleted before they were read.
    pub fn lost(&self) -> u64 {
        self.shared.lost()
    }

    /// Commits that were refused; each was tried again.
    pub fn refused_commits(&self) -> u64 {
        self.shared.refused_commits()
    }
}
