//! Kafka and ClickHouse, as a test looks at them and does things to them behind Milepost's back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milepost_services::shared::{self, Shared};
use milepost_services::{Service, clickhouse, kafka};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// For what a server does at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Offsets by partition.
pub type Offsets = BTreeMap<i32, i64>;

/// A service: one that tests share, or one that is this test's alone, with its directory.
enum Lent {
    Shared { _kept: Arc<Shared> },
    Own { service: Box<Service>, _directory: TempDir },
}

impl Lent {
    fn own(&mut self) -> &mut Service {
        match self {
            Self::Own { service, .. } => service,
            Self::Shared { .. } => panic!("what is shared is not broken"),
        }
    }
}

/// A real Kafka.
pub struct Kafka {
    lent: Lent,
    address: String,
}

impl Kafka {
    /// The one that tests share.
    pub fn shared() -> Self {
        let shared = shared::kafka().expect("Kafka can be had");
        Self { address: shared.address().to_owned(), lent: Lent::Shared { _kept: shared } }
    }

    /// One that may be broken.
    pub fn own() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let service = kafka::start(directory.path(), &kafka::Options::default()).expect("Kafka starts");
        Self {
            address: service.address().to_string(),
            lent: Lent::Own { service: Box::new(service), _directory: directory },
        }
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The service behind it, which must be one's own.
    pub fn service(&mut self) -> &mut Service {
        self.lent.own()
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("reconnect.backoff.max.ms", "500");
        config
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.client().set("group.id", group).create().expect("a consumer")
    }

    /// The offset of the next record of each partition of a topic that has any.
    pub fn ends(&self, topic: &str) -> Offsets {
        let consumer = self.consumer("milepost-tests");
        let partitions = partitions(&consumer, topic);
        let end = |partition| {
            let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the topic is there");
            (partition, end)
        };
        partitions.into_iter().map(end).filter(|(_, end)| *end > 0).collect()
    }

    /// What a group has committed of a topic, of each partition of which it has read anything.
    pub fn committed(&self, group: &str, topic: &str) -> Offsets {
        let consumer = self.consumer(group);
        let mut list = TopicPartitionList::new();
        for partition in partitions(&consumer, topic) {
            list.add_partition(topic, partition);
        }
        let committed = consumer.committed_offsets(list, PATIENCE).expect("the group can be asked");
        let offsets = committed.elements().into_iter().map(|element| (element.partition(), element.offset()));
        let read = offsets.filter_map(|(partition, offset)| Some((partition, offset_of(offset)?)));
        read.filter(|(_, offset)| *offset > 0).collect()
    }

    /// Appends to a partition, as whoever has no Milepost at hand does.
    pub fn produce(&self, topic: &str, partition: i32, payload: &[u8]) {
        self.produce_all(
            topic,
            &[Record { partition: Some(partition), headers: Vec::new(), payload: payload.to_vec() }],
        );
    }

    /// Appends records, and waits until all of them are acknowledged.
    pub fn produce_all(&self, topic: &str, records: &[Record]) {
        let producer: BaseProducer = self.client().create().expect("a producer");
        for Record { partition, headers, payload } in records {
            let owned = headers.iter().fold(OwnedHeaders::new(), |owned, (key, value)| {
                owned.insert(Header { key, value: Some(value.as_bytes()) })
            });
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(payload).headers(owned);
            record.partition = *partition;
            producer.send(record).expect("there is room");
        }
        producer.flush(PATIENCE).expect("all is acknowledged");
    }

    /// Makes a topic.
    pub fn make(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("a client");
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let runtime = Runtime::new().expect("a runtime");
        let made =
            runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).expect("Kafka answers");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }
}

/// A record of a topic that others fill.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its partition, if it is to be in a certain one.
    pub partition: Option<i32>,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its value.
    pub payload: Vec<u8>,
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata =
        crate::eventually("the topic is known", || match consumer.fetch_metadata(Some(topic), PATIENCE) {
            Ok(metadata) => Some(metadata),
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure)) => None,
            Err(error) => panic!("{topic}: {error}"),
        });
    let topics = metadata.topics().iter();
    topics.flat_map(MetadataTopic::partitions).map(MetadataPartition::id).collect()
}

fn offset_of(offset: Offset) -> Option<i64> {
    if let Offset::Offset(offset) = offset { Some(offset) } else { None }
}

/// A real ClickHouse.
pub struct ClickHouse {
    lent: Lent,
    url: String,
}

impl ClickHouse {
    /// The one that tests share.
    pub fn shared() -> Self {
        let shared = shared::clickhouse().expect("ClickHouse can be had");
        Self { url: shared.address().to_owned(), lent: Lent::Shared { _kept: shared } }
    }

    /// One that may be broken.
    pub fn own() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let service =
            clickhouse::start(directory.path(), &clickhouse::Options::default()).expect("ClickHouse starts");
        Self { url: service.url(), lent: Lent::Own { service: Box::new(service), _directory: directory } }
    }

    /// Where it is, as a URL without a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The service behind it, which must be one's own.
    pub fn service(&mut self) -> &mut Service {
        self.lent.own()
    }

    /// What a statement gives, in lines of values with tabs between.
    #[track_caller]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let request = ureq::post(format!("{}/?database={database}", self.url));
        let request = request.config().http_status_as_error(false).build();
        let mut response = request.send(statement).expect("ClickHouse answers");
        let said = response.body_mut().read_to_string().expect("text");
        assert_eq!(response.status().as_u16(), 200, "{statement}: {said}");
        said.trim_end().to_owned()
    }

    /// The number that a statement gives.
    #[track_caller]
    pub fn number(&self, database: &str, statement: &str) -> u64 {
        let said = self.sql(database, statement);
        said.parse().unwrap_or_else(|error| panic!("{statement}: {error}: {said}"))
    }

    /// Rows of two numbers: a partition and something of it.
    #[track_caller]
    pub fn offsets(&self, database: &str, statement: &str) -> Offsets {
        let pair = |line: &str| {
            let (partition, offset) = line.split_once('\t')?;
            Some((partition.parse().ok()?, offset.parse().ok()?))
        };
        let said = self.sql(database, statement);
        said.lines().map(|line| pair(line).unwrap_or_else(|| panic!("{statement}: {line}"))).collect()
    }
}
