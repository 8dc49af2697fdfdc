//! The Kafka door: topics that others fill.
//!
//! One record is one event, and has one fate as at every door. What is refused goes to the quarantine with its topic, partition and
//! offset, and stops nothing. Offsets are committed once everything before them is durable: what was handed back is tried again,
//! the same records, before any later one of the batch's partitions is read.

mod form;

use std::sync::Arc;
use std::time::Duration;

use milepost_log::{Batch, BatchLimits, Consumer, Fetched, LogError, Options, Start, Status, Subscription};
use milepost_model::{Door, Position};

use crate::{HandedBack, Intake, Prepared};
use form::Arrived;

/// Bytes that are submitted at once: no more than a large request of another door has.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How long records wait for others to be submitted with.
const LINGER: Duration = Duration::from_millis(50);

/// Between two tries, at most.
const BACK_OFF: Duration = Duration::from_secs(10);

/// Reads topics as a member of a consumer group.
pub struct KafkaDoor {
    intake: Arc<Intake>,
    consumer: Consumer<Arrived>,
}

impl KafkaDoor {
    /// Reads `topics` as a member of `group`; of `options` it needs the brokers and the properties alone. Must be called within a
    /// Tokio runtime.
    pub fn new(
        options: &Options,
        topics: Vec<String>,
        group: String,
        intake: Arc<Intake>,
    ) -> Result<Self, LogError> {
        let limits = BatchLimits { events: intake.limits().batch_events, bytes: BATCH_BYTES, linger: LINGER };
        let subscription = Subscription { topics, group, start: Start::Committed, limits };
        let most = intake.limits().event_bytes;
        let consumer = Consumer::subscribe(options, subscription, move |record| Arrived::read(record, most))?;
        Ok(Self { intake, consumer })
    }

    /// How the consumer is doing.
    pub fn status(&self) -> Status {
        self.consumer.status()
    }

    /// Takes events until `stop`; then what is not durable yet is left to whoever reads on. An error is for good.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), LogError> {
        let mut stop = std::pin::pin!(stop);
        loop {
            let fetched = tokio::select! {
                () = &mut stop => break,
                fetched = self.consumer.next() => fetched?,
            };
            if let Fetched::Batch(batch) = fetched {
                tokio::select! {
                    () = &mut stop => break,
                    () = self.take(batch) => {}
                }
            }
        }
        self.consumer.close().await;
        Ok(())
    }

    /// Submits a batch until it is durable, or no longer ours.
    async fn take(&self, batch: Batch<Arrived>) {
        let mut batch = Arc::new(batch);
        let mut pause = Duration::from_millis(100);
        loop {
            match self.submit(&batch).await {
                Ok(()) => return self.consumer.commit(&batch.positions()),
                Err(handed_back) => {
                    tracing::warn!("the Kafka door waits: {handed_back}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACK_OFF);
                }
            }
            // Nobody else has it now: what was preparing it has ended.
            if let Some(batch) = Arc::get_mut(&mut batch) {
                self.consumer.keep_ours(batch);
            }
            if batch.is_empty() {
                return;
            }
        }
    }

    async fn submit(&self, batch: &Arc<Batch<Arrived>>) -> Result<(), HandedBack> {
        let (bytes, records) = (size(batch), Arc::clone(batch));
        let (prepared, reserved) =
            self.intake.off_workers(bytes, move |intake| prepare(intake, &records)).await?;
        self.intake.submit(prepared.within(reserved)).await.map(drop)
    }
}

fn size(batch: &Batch<Arrived>) -> usize {
    batch.parts.iter().flat_map(|part| &part.records).map(|record| record.value.sent().size()).sum()
}

fn prepare(intake: &Intake, batch: &Batch<Arrived>) -> Prepared {
    let records =
        || batch.parts.iter().flat_map(|part| part.records.iter().map(move |record| (part, record)));
    let sent = records().map(|(_, record)| record.value.sent());
    let positions =
        records().map(|(part, record)| Position { partition: part.partition.clone(), offset: record.offset });
    intake.prepare(Door::Kafka, sent).from_positions(positions)
}

#[cfg(test)]
mod tests;
