//! Topics are made where they are missing, and checked.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::beside::beside;
use crate::{LogError, Options, client};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a topic that was made is asked for, until every broker knows it.
const KNOWN: (u32, Duration) = (50, Duration::from_millis(100));

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Topics that were made.
    pub made: Vec<String>,
    /// How many partitions the topic of accepted events has.
    pub partitions: usize,
    /// What is worth telling, though it stops nothing: a check that the brokers did not allow.
    pub notes: Vec<String>,
}

/// Makes the two topics where they are missing, and checks that they keep what is acknowledged and take what is sent.
pub async fn prepare(options: &Options) -> Result<Report, LogError> {
    let admin = Admin::connect(options)?;
    let mut report = Report::default();
    for topic in [&options.topic, &options.refused_topic] {
        let partitions = match admin.look(topic).await? {
            Some(found) => found,
            None if admin.make(topic).await? => {
                report.made.push(topic.clone());
                admin.look_until_known(topic).await?
            }
            // Somebody else was faster.
            None => admin.look_until_known(topic).await?,
        };
        admin.check_replicas(topic, &partitions)?;
        report.notes.extend(admin.check_settings(topic).await?);
        if *topic == options.topic {
            report.partitions = partitions.len();
        }
    }
    Ok(report)
}

/// Of each partition of a topic, how many replicas it has.
type Replicas = Vec<usize>;

struct Admin<'a> {
    options: &'a Options,
    client: Arc<AdminClient<Context>>,
}

impl<'a> Admin<'a> {
    fn connect(options: &'a Options) -> Result<Self, LogError> {
        for (field, value) in [
            ("kafka.partitions", options.partitions),
            ("kafka.replication_factor", options.replication_factor),
            ("kafka.min_insync_replicas", options.min_insync_replicas),
        ] {
            if value < 1 {
                return Err(LogError::setting(field, format!("{value}: must be 1 or more")));
            }
        }
        if options.min_insync_replicas > options.replication_factor {
            let Options { min_insync_replicas, replication_factor, .. } = options;
            let message = format!(
                "{min_insync_replicas}: must be at most kafka.replication_factor, which is {replication_factor}"
            );
            return Err(LogError::setting("kafka.min_insync_replicas", message));
        }
        if options.topic == options.refused_topic {
            return Err(LogError::setting("kafka.refused_topic", "must be another topic than kafka.topic"));
        }
        let config = client::config(options)?;
        let client = AdminClient::from_config_and_context(&config, Context);
        Ok(Self { options, client: Arc::new(client.map_err(|error| client::not_made(&error))?) })
    }

    /// Nothing if there is no such topic.
    async fn look(&self, topic: &str) -> Result<Option<Replicas>, LogError> {
        let (client, name) = (Arc::clone(&self.client), topic.to_owned());
        // All topics are asked for: asked for one, brokers may make it, as they think best.
        let looked = beside("metadata", move || {
            let metadata = client.inner().fetch_metadata(None, PATIENCE)?;
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            Ok(found.map(|topic| {
                let replicas = topic.partitions().iter().map(|partition| partition.replicas().len());
                (topic.error(), replicas.collect())
            }))
        });
        match looked.await?.map_err(|error| self.unreachable(&error))? {
            None | Some((Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), _)) => Ok(None),
            Some((Some(error), _)) => Err(LogError::topic(topic, RDKafkaErrorCode::from(error).to_string())),
            Some((None, replicas)) => Ok(Some(replicas)),
        }
    }

    fn unreachable(&self, error: &KafkaError) -> LogError {
        let seconds = PATIENCE.as_secs();
        LogError::Unavailable(format!(
            "no broker of kafka.brokers = \"{}\" has answered within {seconds} s: {error}",
            self.options.brokers
        ))
    }

    async fn look_until_known(&self, topic: &str) -> Result<Replicas, LogError> {
        let (times, between) = KNOWN;
        for _ in 0..times {
            if let Some(found) = self.look(topic).await?.filter(|partitions| !partitions.is_empty()) {
                return Ok(found);
            }
            tokio::time::sleep(between).await;
        }
        Err(LogError::topic(topic, "was made, but no broker knows it: see the brokers' logs"))
    }

    /// Whether it was us who made it.
    async fn make(&self, topic: &str) -> Result<bool, LogError> {
        let Options { replication_factor, min_insync_replicas, .. } = self.options;
        // See docs/decisions/0040-dead-letters-have-one-partition.md.
        let partitions = if topic == self.options.refused_topic { &1 } else { &self.options.partitions };
        let (insync, bytes) =
            (min_insync_replicas.to_string(), client::batch_bytes(self.options).to_string());
        let new = NewTopic::new(topic, *partitions, TopicReplication::Fixed(*replication_factor))
            .set("min.insync.replicas", &insync)
            .set("max.message.bytes", &bytes)
            .set("cleanup.policy", "delete");
        let made = self.client.create_topics([&new], &admin_options()).await;
        let made = made.map_err(|error| self.unreachable(&error))?;
        match made.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => Err(LogError::setting(
                "kafka.replication_factor",
                format!(
                    "{replication_factor}: the cluster has fewer brokers than that, so the topic {topic} cannot be made. Add \
                     brokers, or set kafka.replication_factor and kafka.min_insync_replicas to what there is"
                ),
            )),
            Some(Err((_, code))) => Err(LogError::topic(
                topic,
                format!("is missing and cannot be made: {code}. Make it, or allow this user to"),
            )),
            Some(Ok(_)) | None => Ok(true),
        }
    }

    fn check_replicas(&self, topic: &str, partitions: &Replicas) -> Result<(), LogError> {
        let wanted = self.options.replication_factor as usize;
        let fewest = partitions.iter().copied().min().unwrap_or(0);
        if fewest < wanted {
            let message = format!(
                "has partitions with {fewest} replicas, and kafka.replication_factor is {wanted}. Give it more, or set \
                 kafka.replication_factor to {fewest} if that is meant: an acknowledged event is then on {fewest} brokers"
            );
            return Err(LogError::topic(topic, message));
        }
        Ok(())
    }

    /// What was not allowed to be checked.
    async fn check_settings(&self, topic: &str) -> Result<Option<String>, LogError> {
        let described =
            self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &admin_options()).await;
        let described = described.map_err(|error| self.unreachable(&error))?;
        let settings = match described.into_iter().next() {
            Some(Ok(settings)) => settings,
            Some(Err(code)) => {
                return Ok(Some(format!("the settings of the topic {topic} were not checked: {code}")));
            }
            None => {
                return Ok(Some(format!("the settings of the topic {topic} were not checked: no answer")));
            }
        };
        let number = |name: &str| {
            settings
                .get(name)
                .and_then(|entry| entry.value.as_ref())
                .and_then(|value| value.parse::<usize>().ok())
        };
        let insync = self.options.min_insync_replicas as usize;
        if let Some(found) = number("min.insync.replicas").filter(|found| *found < insync) {
            let message = format!(
                "has min.insync.replicas = {found}, and kafka.min_insync_replicas is {insync}. Set it on the topic, or set \
                 kafka.min_insync_replicas to {found} if that is meant: an event is then acknowledged when {found} brokers have it"
            );
            return Err(LogError::topic(topic, message));
        }
        let bytes = client::batch_bytes(self.options);
        if let Some(found) = number("max.message.bytes").filter(|found| *found < bytes) {
            let message = format!(
                "has max.message.bytes = {found}, which is less than the largest event: set it to {bytes} or more"
            );
            return Err(LogError::topic(topic, message));
        }
        let compacted = settings.get("cleanup.policy").and_then(|entry| entry.value.as_deref());
        if compacted.is_some_and(|policy| policy.contains("compact")) {
            let message = "has cleanup.policy = compact, which deletes versions of events: set it to delete";
            return Err(LogError::topic(topic, message));
        }
        Ok(None)
    }
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// What librdkafka calls back.
struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::trouble(&error, reason);
    }
}
