//! Settings of the cluster: which part of it a process is, and where Kafka and ClickHouse are.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use milepost_model::Span;
use milepost_store::clickhouse;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Settings;

/// How long a connection to ClickHouse may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes a record of the log may have at least, and how many times as large as the event as it was sent: its canonical form may be
/// longer, as may be what is said of a refused one.
const RECORD_BYTES: usize = 1024 * 1024;
const RECORD_FACTOR: usize = 4;

/// Which part a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// All of them, on a data directory of its own.
    #[default]
    All,
    /// Doors to Kafka.
    Ingest,
    /// Kafka to ClickHouse.
    Aggregate,
    /// ClickHouse to numbers.
    Query,
}

impl Role {
    /// As it is configured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingest => "ingest",
            Self::Aggregate => "aggregate",
            Self::Query => "query",
        }
    }
}

/// Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// `host:port`, with commas between several.
    pub brokers: String,
    /// The log: accepted events.
    pub topic: String,
    /// Dead letters: refused events.
    pub refused_topic: String,
    /// The consumer group of the aggregators.
    pub group: String,
    /// Partitions of the log, if it is made. Dead letters have one.
    pub partitions: u32,
    /// Copies of each partition, of topics that are made; topics that are there must have as many.
    pub replication_factor: u16,
    /// Copies that must have a record before it is acked.
    pub min_insync_replicas: u16,
    /// Topics that others fill, from which events are taken.
    pub topics: Vec<String>,
    /// The consumer group that takes them.
    pub topics_group: String,
    /// Any other setting of librdkafka.
    pub properties: Properties,
}

impl KafkaSettings {
    /// The log they describe, for events of at most so many bytes as they are sent.
    pub(crate) fn options(&self, event_bytes: usize) -> milepost_log::Options {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        milepost_log::Options {
            brokers: self.brokers.clone(),
            topic: self.topic.clone(),
            refused_topic: self.refused_topic.clone(),
            group: self.group.clone(),
            partitions: number(self.partitions),
            replication_factor: self.replication_factor.into(),
            min_insync_replicas: self.min_insync_replicas.into(),
            properties: self.properties.0.clone(),
            message_bytes: RECORD_BYTES.max(event_bytes.saturating_mul(RECORD_FACTOR)),
        }
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: "milepost-events".into(),
            refused_topic: "milepost-refused".into(),
            group: "milepost".into(),
            partitions: 12,
            replication_factor: 3,
            min_insync_replicas: 2,
            topics: Vec::new(),
            topics_group: "milepost-door".into(),
            properties: Properties::default(),
        }
    }
}

/// ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickHouseSettings {
    /// Where it answers HTTP: `http://host:8123`.
    pub url: String,
    /// The database; made if it is missing.
    pub database: String,
    /// Who asks.
    pub user: String,
    /// Their password.
    pub password: Password,
    /// The shards events are spread over, as ClickHouse calls them in `remote_servers`. Absent: one server.
    pub cluster: Option<String>,
    /// How long a statement may take.
    pub timeout: Span,
    /// Sent with every statement.
    pub settings: Texts,
}

impl ClickHouseSettings {
    /// The connection they describe.
    pub(crate) fn options(&self) -> clickhouse::Options {
        clickhouse::Options {
            url: self.url.clone(),
            database: self.database.clone(),
            user: self.user.clone(),
            password: self.password.0.clone(),
            cluster: self.cluster.clone(),
            settings: self.settings.0.clone(),
            timeouts: clickhouse::Timeouts {
                connect: CONNECT,
                statement: Duration::from_secs(self.timeout.seconds()),
            },
        }
    }
}

impl Default for ClickHouseSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            database: "milepost".into(),
            user: "default".into(),
            password: Password::default(),
            cluster: None,
            timeout: Span::from_seconds(30),
            settings: Texts::default(),
        }
    }
}

/// From Kafka to ClickHouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AggregateSettings {
    /// Events of one insert.
    pub batch_events: usize,
    /// Bytes of their records.
    pub batch_bytes: usize,
    /// How long the first of them waits for company, in milliseconds.
    pub linger_ms: u64,
}

impl Default for AggregateSettings {
    fn default() -> Self {
        Self { batch_events: 50_000, batch_bytes: 32 * 1024 * 1024, linger_ms: 250 }
    }
}

/// From ClickHouse to numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuerySettings {
    /// How often it is looked for new events, in milliseconds.
    pub poll_ms: u64,
    /// Whether this process writes what the metrics say into ClickHouse, day by day. One is enough.
    pub history: bool,
    /// How often, in seconds.
    pub history_seconds: u64,
    /// Whether this process has contents of events dropped that are older than [`super::RetentionSettings::days`]. It should be one.
    pub retain: bool,
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self { poll_ms: 150, history: false, history_seconds: 60, retain: false }
    }
}

/// What makes no sense among these settings: keys, and what is wrong with each and how to mend it.
pub(super) fn senseless(settings: &Settings) -> Vec<(&'static str, String)> {
    let Settings { role, kafka, clickhouse, aggregate, query, .. } = settings;
    let mut all = Vec::new();
    let mut must = |holds: bool, key: &'static str, message: &dyn fmt::Display| {
        if !holds {
            all.push((key, message.to_string()));
        }
    };
    let writes_log = matches!(role, Role::Ingest | Role::Aggregate);
    let reads_topics = !kafka.topics.is_empty();
    let is_door = matches!(role, Role::All | Role::Ingest);
    must(
        !(writes_log || reads_topics && is_door) || !kafka.brokers.trim().is_empty(),
        "kafka.brokers",
        &format_args!(
            "missing: write where Kafka is, such as \"kafka-1:9092,kafka-2:9092\"{}",
            because(*role)
        ),
    );
    let is_url = ["http://", "https://"].iter().any(|scheme| clickhouse.url.starts_with(scheme));
    must(
        !matches!(role, Role::Aggregate | Role::Query) || is_url,
        "clickhouse.url",
        &format_args!(
            "write where ClickHouse answers HTTP, such as \"http://clickhouse:8123\"{}",
            because(*role)
        ),
    );
    must(
        *role != Role::Ingest || settings.privacy.key.is_some(),
        "privacy.key",
        &"missing: all that take events must call a person by the same pseudonym. Give each the same 64 hex digits, such as \
          those of `openssl rand -hex 32` (MILEPOST_PRIVACY__KEY)",
    );
    for (name, key) in [
        (&kafka.topic, "kafka.topic"),
        (&kafka.refused_topic, "kafka.refused_topic"),
        (&kafka.group, "kafka.group"),
        (&kafka.topics_group, "kafka.topics_group"),
        (&clickhouse.database, "clickhouse.database"),
    ] {
        must(!name.is_empty(), key, &"empty: write a name");
    }
    must(
        kafka.topic != kafka.refused_topic,
        "kafka.refused_topic",
        &"the same as kafka.topic: write another name",
    );
    let feeds_itself =
        kafka.topics.iter().any(|topic| *topic == kafka.topic || *topic == kafka.refused_topic);
    must(
        !feeds_itself,
        "kafka.topics",
        &"has the log or the dead letters in it: name only topics that others fill",
    );
    must(kafka.partitions > 0, "kafka.partitions", &"0 would take nothing: write at least 1");
    must(kafka.replication_factor > 0, "kafka.replication_factor", &"0 would keep nothing: write at least 1");
    must(
        (1..=kafka.replication_factor).contains(&kafka.min_insync_replicas),
        "kafka.min_insync_replicas",
        &format_args!("write a number from 1 to kafka.replication_factor, {}", kafka.replication_factor),
    );
    must(aggregate.batch_events > 0, "aggregate.batch_events", &"0 would take nothing: write at least 1");
    must(aggregate.batch_bytes > 0, "aggregate.batch_bytes", &"0 would take nothing: write at least 1");
    must(query.poll_ms > 0, "query.poll_ms", &"0 would ask without a pause: write at least 1");
    must(
        query.history_seconds > 0,
        "query.history_seconds",
        &"0 would write without a pause: write at least 1",
    );
    must(
        !query.history || *role != Role::All,
        "query.history",
        &"the history is written into ClickHouse, which role = \"all\" does not use: leave it out",
    );
    must(
        !query.retain || *role != Role::All,
        "query.retain",
        &"role = \"all\" does so by itself where retention.days is set: leave it out",
    );
    must(
        !query.retain || settings.retention.days.is_some(),
        "query.retain",
        &"after how many days is not said: write retention.days",
    );
    all
}

fn because(role: Role) -> String {
    if role == Role::All { String::new() } else { format!(", for role = \"{}\"", role.as_str()) }
}

/// Texts by name, whatever they look like: `true` and `5` are texts too. Values are not shown: some are secrets.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Texts(pub BTreeMap<String, String>);

/// The same for librdkafka, whose names have dots. In the name of a variable, `_` stands for a dot.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Properties(pub BTreeMap<String, String>);

/// A password, never shown.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Password(pub String);

/// A scalar as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Flag(bool),
    Whole(i64),
    Real(f64),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Whole(number) => number.to_string(),
            Scalar::Real(number) => number.to_string(),
        }
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalars = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
        Ok(Self(scalars.into_iter().map(|(name, value)| (name, value.into())).collect()))
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Texts(texts) = Texts::deserialize(deserializer)?;
        Ok(Self(texts.into_iter().map(|(name, value)| (name.replace('_', "."), value)).collect()))
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Scalar::deserialize(deserializer).map(|scalar| Self(scalar.into()))
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
