//! Where assigned partitions are begun, looked up beside the polling.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use milepost_model::{Partition, Positions};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use super::Start;
use super::context::{Kafka, list_of};
use super::shared::Shared;
use crate::beside::beside;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries: the first time, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// What was looked up for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) partition: Partition,
    /// For which of its assignments to us.
    pub(super) assignment: u64,
    /// Where it is to be begun; none if nothing is known of it.
    pub(super) wanted: Option<i64>,
    /// The offset of its earliest record.
    pub(super) earliest: i64,
    /// The offset of the record that comes next.
    pub(super) end: i64,
}

/// Where wanted positions come from.
pub(super) enum Wanted {
    Start(Start),
    /// They are known: what is asked for is whether Kafka has them.
    Known(Positions),
}

/// Looks partitions up, until all are found or no longer ours. Each is sent as soon as it is found.
pub(super) async fn look(
    kafka: Arc<Kafka>,
    shared: Arc<Shared>,
    wanted: Wanted,
    mut partitions: Vec<(Partition, u64)>,
    found: mpsc::Sender<Found>,
) {
    let mut pause = BACK_OFF.0;
    loop {
        partitions.retain(|(partition, assignment)| shared.owns(partition, *assignment));
        if partitions.is_empty() || shared.is_ended() {
            return;
        }
        match positions(&kafka, &wanted, &partitions).await {
            Ok(positions) => {
                partitions = within(&kafka, &positions, partitions, &found).await;
                shared.tell();
            }
            Err(reason) => {
                tracing::warn!("where partitions are begun cannot be told now, and is asked again: {reason}");
            }
        }
        if partitions.is_empty() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

async fn positions(
    kafka: &Arc<Kafka>,
    wanted: &Wanted,
    partitions: &[(Partition, u64)],
) -> Result<Positions, String> {
    match wanted {
        Wanted::Known(positions) => Ok(positions.clone()),
        Wanted::Start(Start::Asked(ask)) => {
            ask(partitions.iter().map(|(partition, _)| partition.clone()).collect()).await
        }
        Wanted::Start(Start::Committed) => {
            let list = list_of(partitions.iter().map(|(partition, _)| (partition, None)));
            let kafka = Arc::clone(kafka);
            let committed = beside("lookup", move || kafka.committed_offsets(list, PATIENCE));
            let committed = committed.await.map_err(|error| error.to_string())?;
            let committed = committed.map_err(|error| error.to_string())?;
            let elements = committed.elements();
            let known = elements.iter().filter_map(|element| match element.offset() {
                Offset::Offset(next) => {
                    Some((Partition { topic: element.topic().into(), number: element.partition() }, next))
                }
                _ => None,
            });
            Ok(known.collect())
        }
    }
}

/// Sends what Kafka has of these partitions; gives back those of which that cannot be told now.
async fn within(
    kafka: &Arc<Kafka>,
    positions: &Positions,
    partitions: Vec<(Partition, u64)>,
    found: &mpsc::Sender<Found>,
) -> Vec<(Partition, u64)> {
    let (kafka, positions, found) = (Arc::clone(kafka), positions.clone(), found.clone());
    let all = partitions.clone();
    let looked = beside("lookup", move || {
        let mut partitions = partitions;
        partitions.retain(|(partition, assignment)| {
            match kafka.fetch_watermarks(&partition.topic, partition.number, PATIENCE) {
                Ok((earliest, end)) => {
                    let (partition, assignment) = (partition.clone(), *assignment);
                    let wanted = positions.next(&partition);
                    // The reader may have ended.
                    let _ = found.send(Found { partition, assignment, wanted, earliest, end });
                    false
                }
                Err(error) => {
                    let Partition { topic, number } = partition;
                    tracing::warn!("what Kafka has of {topic}/{number} cannot be told now: {error}");
                    true
                }
            }
        });
        partitions
    });
    looked.await.unwrap_or(all)
}
