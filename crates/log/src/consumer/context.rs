//! What librdkafka calls back, on the thread that polls.

use std::collections::HashMap;
use std::sync::Arc;

use milepost_model::Partition;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::shared::Shared;
use crate::client;

pub(super) type Kafka = BaseConsumer<Context>;

/// See the module.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::trouble(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => self.shared.ends(statistics.ends()),
            Err(error) => tracing::debug!("librdkafka's statistics cannot be read: {error}"),
        }
    }
}

impl ConsumerContext for Context {
    /// Agrees at once. A partition that is given joins the assignment when it is known where to begin; one that is taken is
    /// nobody's before librdkafka hears of it.
    fn rebalance(&self, consumer: &Kafka, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let partitions = partitions(list);
        let agreed = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            tracing::info!(count = partitions.len(), "partitions are assigned");
            self.shared.assign(partitions);
            let nothing_yet = TopicPartitionList::new();
            if cooperative {
                consumer.incremental_assign(&nothing_yet)
            } else {
                consumer.assign(&nothing_yet)
            }
        } else {
            let lost = consumer.assignment_lost();
            tracing::info!(count = partitions.len(), lost, "partitions are revoked");
            let (begun, uncommitted) = self.shared.revoke(&partitions);
            if !lost && !uncommitted.is_empty() {
                commit_while_we_may(consumer, &uncommitted);
            }
            if cooperative {
                consumer.incremental_unassign(&list_of(begun.iter().map(|partition| (partition, None))))
            } else {
                consumer.unassign()
            }
        };
        if let Err(error) = agreed {
            // The group goes on without us, and librdkafka joins it anew.
            tracing::error!("the new assignment cannot be agreed to: {error}");
        }
    }
}

/// Whoever gets the partitions next goes on from there. Not waited for; if it fails, they read again what is done.
fn commit_while_we_may(consumer: &Kafka, offsets: &[(Partition, i64)]) {
    let list = list_of(offsets.iter().map(|(partition, next)| (partition, Some(*next))));
    if let Err(error) = consumer.commit(&list, CommitMode::Async) {
        tracing::warn!("a commit of partitions that are revoked could not be sent: {error}");
    }
}

/// A list for librdkafka.
pub(super) fn list_of<'a>(
    partitions: impl Iterator<Item = (&'a Partition, Option<i64>)>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        let mut element = list.add_partition(&partition.topic, partition.number);
        if let Some(offset) = offset {
            // Of a number there is nothing to refuse.
            let _ = element.set_offset(Offset::Offset(offset));
        }
    }
    list
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| Partition { topic: element.topic().into(), number: element.partition() })
        .collect()
}

/// Of librdkafka's statistics, what is used.
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: HashMap<i32, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    /// Below 0 if it is not known.
    hi_offset: i64,
}

impl Statistics {
    fn ends(&self) -> impl Iterator<Item = (Partition, i64)> {
        self.topics.iter().flat_map(|(topic, statistics)| {
            let topic: Arc<str> = topic.as_str().into();
            let known =
                statistics.partitions.iter().filter(|(number, of)| **number >= 0 && of.hi_offset >= 0);
            known.map(move |(number, of)| {
                (Partition { topic: Arc::clone(&topic), number: *number }, of.hi_offset)
            })
        })
    }
}
