//! Why the log could not do it.

use milepost_model::Position;

/// Why the log could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A setting is wrong.
    #[error("{field}: {message}")]
    Setting {
        /// Which one, as in the configuration file: `kafka.properties.acks`.
        field: String,
        /// What is wrong and how to mend it.
        message: String,
    },
    /// A topic is not as the settings want it.
    #[error("the Kafka topic {topic}: {message}")]
    Topic {
        /// Which one.
        topic: String,
        /// What is wrong and how to mend it.
        message: String,
    },
    /// Kafka cannot do it now; trying again later may help. Of an append, some records may have been kept.
    #[error("Kafka is not available: {0}")]
    Unavailable(String),
    /// As much as may waits to be acknowledged already; trying again later helps. Nothing was sent.
    #[error(
        "{waiting} bytes wait for Kafka's acknowledgement, and at most {most} may (kafka.properties.queue.buffering.max.kbytes)"
    )]
    Busy {
        /// Bytes that wait.
        waiting: usize,
        /// Bytes that may wait.
        most: usize,
    },
    /// A record would be larger than the log takes; nothing was sent, and trying again does not help.
    #[error("the record would have {bytes} bytes, and the log takes {most}")]
    TooLarge {
        /// Which of the events, or, counted on from there, of the refused events.
        index: usize,
        /// Its size.
        bytes: usize,
        /// What is taken.
        most: usize,
    },
    /// The log ends before what is known to have been read of it: it was truncated, or its topic was made anew.
    #[error(
        "{}/{} ends at offset {end}, but has been read up to {}: the topic was made anew, or Kafka has lost \
         records. `milepost replay` has what is there read from its first record",
        read.partition.topic, read.partition.number, read.offset
    )]
    Shorter {
        /// How far it was read.
        read: Position,
        /// The offset at which it ends.
        end: i64,
    },
    /// The consumer has ended, as it was told to or because its thread could not go on.
    #[error("the consumer has ended: {0}")]
    Ended(String),
}

impl LogError {
    pub(crate) fn setting(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Setting { field: field.into(), message: message.into() }
    }

    pub(crate) fn topic(topic: &str, message: impl Into<String>) -> Self {
        Self::Topic { topic: topic.to_owned(), message: message.into() }
    }

    pub(crate) fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }
}
