//! A real Kafka, a real ClickHouse, and Milepost's roles on them: each a child process, whose CPU is told apart from the others'.

use std::fs;

use milepost_services::{Service, clickhouse, kafka, shared};
use milepost_store::clickhouse::{ClickHouse, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::server::{Server, cpu_of};

/// The engines.
pub struct Engines {
    kafka: Service,
    clickhouse: Service,
    // After the processes that use it.
    directory: TempDir,
}

impl Engines {
    /// Starts them on new data.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = |name: &str| directory.path().join(name);
        let kafka = kafka::start(&place("kafka"), &kafka::Options::default());
        let clickhouse = clickhouse::start(&place("clickhouse"), &clickhouse::Options::default());
        let started = |error| -> Service { panic!("{error}") };
        Self {
            kafka: kafka.unwrap_or_else(started),
            clickhouse: clickhouse.unwrap_or_else(started),
            directory,
        }
    }

    /// Where Kafka is.
    pub fn brokers(&self) -> String {
        self.kafka.address().to_string()
    }

    /// Where ClickHouse is.
    pub fn clickhouse(&self) -> String {
        self.clickhouse.url()
    }

    /// CPU seconds that Kafka has used.
    pub fn kafka_cpu(&self) -> f64 {
        cpu(&self.kafka)
    }

    /// CPU seconds that ClickHouse has used.
    pub fn clickhouse_cpu(&self) -> f64 {
        cpu(&self.clickhouse)
    }

    /// Bytes of a topic's records on Kafka's disk; its indexes are files with holes.
    pub fn kafka_bytes(&self, topic: &str) -> u64 {
        let data = fs::read_dir(self.directory.path().join("kafka/data")).expect("a directory");
        let partitions = data.filter_map(Result::ok).filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.rsplit_once('-').is_some_and(|(of, _)| of == topic)
        });
        let files = partitions.flat_map(|partition| fs::read_dir(partition.path()).expect("a directory"));
        let files =
            files.filter_map(Result::ok).filter(|file| file.path().extension() == Some("log".as_ref()));
        files.map(|file| file.metadata().expect("a size").len()).sum()
    }

    /// What ClickHouse answers, without the last line's end.
    pub fn ask(&self, query: &str) -> String {
        let answer = ureq::post(self.clickhouse()).config().http_status_as_error(false).build().send(query);
        let mut answer = answer.expect("ClickHouse answers");
        let text = answer.body_mut().read_to_string().expect("a text");
        assert!(answer.status().is_success(), "{query}: {text}");
        text.trim_end().to_owned()
    }

    /// A number that ClickHouse answers.
    pub fn number(&self, query: &str) -> u64 {
        self.ask(query).parse().expect("a number")
    }
}

fn cpu(service: &Service) -> f64 {
    cpu_of(service.place().pid().expect("it runs"))
}

/// A cluster on the engines: topics, a database and a group of its own.
#[derive(Clone)]
pub struct Cluster {
    /// The topic of accepted events.
    pub topic: String,
    /// The database.
    pub database: String,
    /// The consumer group of the aggregators.
    pub group: String,
    variables: Vec<(String, String)>,
}

impl Cluster {
    /// One that has no events yet.
    pub fn new(engines: &Engines) -> Self {
        let topic = shared::unique("events");
        Self::on(engines, topic)
    }

    /// One that has this log, and an empty database.
    pub fn on(engines: &Engines, topic: String) -> Self {
        let (database, group) = (shared::unique("milepost"), shared::unique("group"));
        let key = "2b".repeat(32);
        let variables = [
            ("KAFKA__BROKERS", engines.brokers().as_str()),
            ("KAFKA__TOPIC", &topic),
            ("KAFKA__REFUSED_TOPIC", &format!("{topic}_refused")),
            ("KAFKA__GROUP", &group),
            ("KAFKA__REPLICATION_FACTOR", "1"),
            ("KAFKA__MIN_INSYNC_REPLICAS", "1"),
            ("CLICKHOUSE__URL", &engines.clickhouse()),
            ("CLICKHOUSE__DATABASE", &database),
            ("PRIVACY__KEY", &key),
        ]
        .map(|(name, value)| (format!("MILEPOST_{name}"), value.to_owned()))
        .to_vec();
        Self { topic, database, group, variables }
    }

    /// With one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((format!("MILEPOST_{name}"), value.to_owned()));
        self
    }

    /// Starts a role, and waits until it is ready.
    pub fn role(&self, role: &str) -> Server {
        let server = self.role_at_once(role);
        server.wait_until_ready();
        server
    }

    /// Starts a role, and waits only until it listens.
    pub fn role_at_once(&self, role: &str) -> Server {
        Server::role(role, &self.variables)
    }

    /// Its log.
    pub fn log(&self, engines: &Engines) -> milepost_log::Options {
        milepost_log::Options {
            brokers: engines.brokers(),
            topic: self.topic.clone(),
            refused_topic: format!("{}_refused", self.topic),
            group: self.group.clone(),
            replication_factor: 1,
            min_insync_replicas: 1,
            ..milepost_log::Options::default()
        }
    }

    /// Its store.
    pub fn store(&self, engines: &Engines) -> ClickHouse {
        let (url, database) = (engines.clickhouse(), self.database.clone());
        ClickHouse::new(&Options { url, database, ..Options::default() }).expect("options that make sense")
    }

    /// Makes its tables, as each role does that finds none.
    pub fn migrate(&self, engines: &Engines) {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(self.store(engines).migrate()).expect("ClickHouse takes tables");
    }

    /// How many records of the log ClickHouse has, by its own account.
    pub fn kept(&self, engines: &Engines) -> u64 {
        let (database, topic) = (&self.database, &self.topic);
        engines.number(&format!(
            "SELECT sum(offset) FROM (SELECT max(offset) AS offset FROM {database}.progress WHERE topic = '{topic}' GROUP BY partition)"
        ))
    }
}
