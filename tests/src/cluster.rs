//! A cluster of the real binary on real engines: any number of processes of each role, which a test starts, breaks and asks.

use std::fs;
use std::time::Duration;

use milepost_services::shared::unique;
use tempfile::TempDir;

use crate::binary::{self, Finished};
use crate::engines::{ClickHouse, Kafka, Offsets};
use crate::process::Ended;
use crate::served::post;
use crate::{REAL_CONFIG, Served, eventually, eventually_within, exposition};

/// Partitions of the log.
const PARTITIONS: u32 = 4;

/// Under which all members call a person by the same pseudonym.
const KEY: &str = "[privacy]\nkey = \"0f0e0d0c0b0a09080706050403020100f0e0d0c0b0a090807060504030201000\"\n";

/// Long enough to catch up with anything a test has sent.
const CATCH_UP: Duration = Duration::from_secs(300);

/// Names in the engines that no other test uses, and a configuration with them.
pub struct Cluster {
    /// Its Kafka.
    pub kafka: Kafka,
    /// Its ClickHouse.
    pub clickhouse: ClickHouse,
    /// Its database.
    pub database: String,
    /// Its log.
    pub topic: String,
    /// The consumer group of its aggregators.
    pub group: String,
    /// What numbers depend on: the part of the configuration that an embedded server is given, too.
    pub config: String,
    directory: TempDir,
}

impl Cluster {
    /// On the engines that tests share.
    pub fn new(name: &str) -> Self {
        Self::on(Kafka::shared(), ClickHouse::shared(), name, REAL_CONFIG)
    }

    /// On these engines, with this configuration of numbers.
    pub fn on(kafka: Kafka, clickhouse: ClickHouse, name: &str, config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let name = unique(name);
        let (topic, group) = (format!("{name}-events"), format!("{name}-group"));
        let cluster =
            Self { kafka, clickhouse, database: name, topic, group, config: config.to_owned(), directory };
        fs::write(cluster.file(), cluster.toml()).expect("the configuration can be written");
        cluster
    }

    /// The topic of dead letters.
    pub fn refused_topic(&self) -> String {
        format!("{}-refused", self.database)
    }

    /// The configuration of an embedded server that is to give the same numbers.
    pub fn embedded(&self) -> String {
        let key = if self.config.contains("privacy") { "" } else { KEY };
        format!("{}{key}", self.config)
    }

    /// A member that Kafka has not heard of for six seconds is out of the group, which is as soon as Kafka allows.
    fn toml(&self) -> String {
        let Self { database, topic, group, .. } = self;
        format!(
            "{}[kafka]\nbrokers = \"{}\"\ntopic = \"{topic}\"\nrefused_topic = \"{}\"\ngroup = \"{group}\"\n\
             partitions = {PARTITIONS}\nreplication_factor = 1\nmin_insync_replicas = 1\n\
             [kafka.properties]\n\"session.timeout.ms\" = 6000\n\"heartbeat.interval.ms\" = 500\n\
             \"max.poll.interval.ms\" = 6000\n\"delivery.timeout.ms\" = 3000\n\
             [clickhouse]\nurl = \"{}\"\ndatabase = \"{database}\"\ntimeout = \"5s\"\n\
             [aggregate]\nlinger_ms = 50\n[query]\npoll_ms = 50\n",
            self.embedded(),
            self.kafka.address(),
            self.refused_topic(),
            self.clickhouse.url(),
        )
    }

    fn file(&self) -> String {
        self.directory.path().join("milepost.toml").to_str().expect("temporary paths are UTF-8").to_owned()
    }

    /// Runs `milepost COMMAND --config …`.
    pub fn run(&self, command: &str) -> Finished {
        self.run_with(command, &[])
    }

    /// As [`Self::run`], with variables over the configuration.
    pub fn run_with(&self, command: &str, variables: &[(&str, &str)]) -> Finished {
        self.run_on(command, &[], variables)
    }

    /// As [`Self::run_with`], with more arguments behind.
    pub fn run_on(&self, command: &str, more: &[&str], variables: &[(&str, &str)]) -> Finished {
        let arguments = [command, "--config", &self.file()];
        binary::finish(binary::command().args(arguments).args(more).envs(variables.iter().copied()))
    }

    /// A process of a role, once it listens. Variables are over the configuration.
    pub fn start(&self, role: &str, variables: &[(&str, &str)]) -> Served {
        self.try_start(role, variables).unwrap_or_else(|ended| panic!("{role}: {ended:?}"))
    }

    /// A process of a role, once it listens; or how it ended instead.
    pub fn try_start(&self, role: &str, variables: &[(&str, &str)]) -> Result<Served, Ended> {
        let mut command = binary::command();
        command.args(["serve", "--role", role, "--listen", "127.0.0.1:0", "--config", &self.file()]);
        Served::by(command.envs(variables.iter().copied()))
    }

    /// An ingest that is ready.
    pub fn ingest(&self) -> Served {
        ready(self.start("ingest", &[]))
    }

    /// An aggregator that is ready.
    pub fn aggregate(&self) -> Served {
        ready(self.start("aggregate", &[]))
    }

    /// An aggregator that is ready, and speaks to ClickHouse at this URL.
    pub fn aggregate_through(&self, url: &str) -> Served {
        ready(self.start("aggregate", &[("MILEPOST_CLICKHOUSE__URL", url)]))
    }

    /// A replica that has loaded.
    pub fn query(&self) -> Served {
        ready(self.start("query", &[]))
    }

    /// Waits until a replica answers as of the end of the log there is now.
    #[track_caller]
    pub fn caught_up(&self, replica: &Served) {
        let ends = self.kafka.ends(&self.topic);
        assert!(!ends.is_empty(), "there is something in the log");
        eventually_within(CATCH_UP, "the replica has caught up", || {
            (replica.get("/readyz").status == 200 && reaches(&self.position(replica), &ends)).then_some(())
        });
    }

    /// Where a replica stands in the log.
    pub fn position(&self, replica: &Served) -> Offsets {
        self.by_partition(replica, "milepost_log_position")
    }

    /// How many partitions of the log an aggregator has.
    pub fn share(&self, aggregator: &Served) -> usize {
        self.by_partition(aggregator, "milepost_log_lag_records").len()
    }

    /// A family of `/metrics` with a sample for each partition of the log.
    fn by_partition(&self, member: &Served, family: &str) -> Offsets {
        let of_log = |name: &str| {
            let labels = name.strip_prefix(family)?.strip_prefix('{')?;
            labels.contains(&format!("topic=\"{}\"", self.topic)).then_some(())?;
            labels.split_once("partition=\"")?.1.split('"').next()?.parse().ok()
        };
        let samples = exposition::samples(&member.metrics());
        samples.iter().filter_map(|(name, value)| Some((of_log(name)?, *value as i64))).collect()
    }

    /// How far a topic has been kept, as ClickHouse says.
    pub fn progress(&self, topic: &str) -> Offsets {
        self.clickhouse.offsets(
            &self.database,
            &format!(
                "SELECT partition, max(offset) FROM progress WHERE topic = '{topic}' \
                 AND epoch = (SELECT max(epoch) FROM progress) GROUP BY partition"
            ),
        )
    }

    /// Waits until all that is in a topic now is kept, and committed.
    #[track_caller]
    pub fn kept(&self, topic: &str) {
        let ends = self.kafka.ends(topic);
        eventually_within(CATCH_UP, "the topic is kept and committed", || {
            let kept = reaches(&self.progress(topic), &ends);
            (kept && reaches(&self.kafka.committed(&self.group, topic), &ends)).then_some(())
        });
    }

    /// At this moment, in every partition: what is committed is said to be kept, and what is said to be kept is there. Nothing
    /// but events may be in the log.
    #[track_caller]
    pub fn check_order(&self) {
        // In this order: all of them only grow.
        let committed = self.kafka.committed(&self.group, &self.topic);
        let progress = self.progress(&self.topic);
        assert!(reaches(&progress, &committed), "committed {committed:?}, but progress is {progress:?}");
        let of = |get: fn((&i32, &i64)) -> i64| progress.iter().map(get).map(|number| number.to_string());
        let (partitions, offsets) = (of(|(partition, _)| (*partition).into()), of(|(_, offset)| *offset));
        let list = |numbers: Vec<String>| numbers.join(", ");
        if progress.is_empty() {
            return;
        }
        let there = format!(
            "SELECT partition, uniqExact(offset) FROM arrivals WHERE topic = '{}' \
             AND offset < transform(partition, [{}], [{}], toInt64(-1)) GROUP BY partition",
            self.topic,
            list(partitions.collect()),
            list(offsets.collect()),
        );
        assert_eq!(
            self.clickhouse.offsets(&self.database, &there),
            progress,
            "what is there, and the progress"
        );
    }

    /// How many versions of events there are.
    pub fn versions(&self) -> u64 {
        self.clickhouse.number(&self.database, "SELECT uniqExact(source, id, revision, digest) FROM events")
    }

    /// Does something to every table that others write.
    pub fn each_table(&self, statement: impl Fn(&str) -> String) {
        for table in ["events", "arrivals", "progress", "quarantine"] {
            self.clickhouse.sql(&self.database, &statement(table));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may be one that the test has stopped.
        let url = format!("{}/", self.clickhouse.url());
        let _ = ureq::post(url).send(format!("DROP DATABASE IF EXISTS {}", self.database));
    }
}

/// Whether these offsets are not before those, in any partition.
pub fn reaches(offsets: &Offsets, wanted: &Offsets) -> bool {
    wanted.iter().all(|(partition, wanted)| offsets.get(partition).is_some_and(|offset| offset >= wanted))
}

/// Waits until a member is ready.
#[track_caller]
pub fn ready(member: Served) -> Served {
    eventually("it is ready", || (member.get("/readyz").status == 200).then_some(()));
    member
}

/// Sends lines over HTTP, in batches, and gives how many were refused. A batch that is handed back is sent again, as every sender
/// has to.
#[track_caller]
pub fn send(server: &Served, lines: &[String], batch: usize) -> usize {
    send_to(&server.url(), lines, batch)
}

/// As [`send`], to a URL without a path.
#[track_caller]
pub fn send_to(url: &str, lines: &[String], batch: usize) -> usize {
    let send = |lines: &[String]| {
        let body = lines.join("\n");
        let reply = eventually("a batch is taken", || {
            let reply = post(url, &[("content-type", "application/x-ndjson")], body.as_bytes());
            Some(reply.expect("the server answers")).filter(|reply| ![429, 503].contains(&reply.status))
        });
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["refused"].as_array().map_or(0, Vec::len)
    };
    lines.chunks(batch).map(send).sum()
}
