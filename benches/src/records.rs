//! Records of Kafka with nothing around them: read into memory, and sent by the least that can send them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// All that a topic has, partition by partition.
pub fn read(brokers: &str, topic: &str) -> Vec<Record> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "bench").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    let mut left = 0;
    for partition in partitions(&consumer, topic) {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
        let (first, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("watermarks");
        left += end - first;
    }
    consumer.assign(&list).expect("an assignment");
    let owned = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
    let next = |_| {
        let message = consumer.poll(PATIENCE).expect("a record in time").expect("a record");
        Record { key: owned(message.key()), value: owned(message.payload()) }
    };
    (0..left).map(next).collect()
}

/// How many records a topic has.
pub fn count(brokers: &str, topic: &str) -> u64 {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a consumer");
    let length = |partition| {
        let (first, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("watermarks");
        (end - first) as u64
    };
    partitions(&consumer, topic).into_iter().map(length).sum()
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
    metadata.topics()[0].partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect()
}

/// Equal for the same records in whatever order.
pub fn digest(records: &[Record]) -> u64 {
    let hash = |record: &Record| {
        let mut hasher = DefaultHasher::new();
        record.hash(&mut hasher);
        hasher.finish()
    };
    records.iter().map(hash).fold(0, u64::wrapping_add)
}

/// A bare producer of librdkafka, as durable and packed as Milepost's.
pub struct Bare(BaseProducer);

impl Bare {
    /// Connects.
    pub fn new(brokers: &str) -> Self {
        let settings = [
            ("bootstrap.servers", brokers),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
        ];
        let mut config = ClientConfig::new();
        config.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Self(config.create().expect("a producer"))
    }

    /// Sends records, waiting when its queue is full.
    pub fn send(&self, topic: &str, records: &[Record]) {
        for Record { key, value } in records {
            let mut record = BaseRecord::to(topic).key(key).payload(value);
            while let Err((error, again)) = self.0.send(record) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full, "Kafka takes it");
                self.0.poll(Duration::from_millis(10));
                record = again;
            }
        }
        self.0.poll(Duration::ZERO);
    }

    /// Returns once all are acknowledged.
    pub fn flush(&self) {
        self.0.flush(PATIENCE).expect("acknowledgements");
    }
}
