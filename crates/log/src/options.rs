//! What the settings under `[kafka]` say.

use std::collections::BTreeMap;
use std::fmt;

/// Where the log is and how it is used. Fields are called as in the configuration file, under `kafka`.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// Brokers to begin with: `host:port`, several with commas between.
    pub brokers: String,
    /// The topic of accepted events.
    pub topic: String,
    /// The topic of refused events.
    pub refused_topic: String,
    /// The consumer group of the aggregators.
    pub group: String,
    /// How many partitions the log is made with. The dead letters are made with one.
    pub partitions: i32,
    /// How many replicas a topic is made with, and must have.
    pub replication_factor: i32,
    /// How many replicas must have a record before it is acknowledged: topics are made with it, and must have it.
    pub min_insync_replicas: i32,
    /// Settings of librdkafka, by their names there.
    pub properties: BTreeMap<String, String>,
    /// Bytes that the key and the value of a record may have together: topics are made to take so many, and must.
    pub message_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: "milepost-events".to_owned(),
            refused_topic: "milepost-refused".to_owned(),
            group: "milepost".to_owned(),
            partitions: 12,
            replication_factor: 3,
            min_insync_replicas: 2,
            properties: BTreeMap::new(),
            message_bytes: 4 * 1024 * 1024,
        }
    }
}

impl fmt::Debug for Options {
    /// Of the properties the names only: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("refused_topic", &self.refused_topic)
            .field("group", &self.group)
            .field("partitions", &self.partitions)
            .field("replication_factor", &self.replication_factor)
            .field("min_insync_replicas", &self.min_insync_replicas)
            .field("properties", &self.properties.keys())
            .field("message_bytes", &self.message_bytes)
            .finish()
    }
}
