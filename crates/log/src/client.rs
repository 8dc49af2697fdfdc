//! Configurations of librdkafka's clients: our defaults, over them `kafka.properties`, over them what the log's promises rest on.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{LogError, Options};

/// What `kafka.properties` cannot set, and what does instead.
const OURS: &[(&str, &str)] = &[
    ("acks", "an event is acknowledged when every in-sync replica has it: leave this away"),
    ("allow.auto.create.topics", "topics are made at the start: see kafka.partitions"),
    ("auto.offset.reset", "where a partition is begun follows from what was kept: leave this away"),
    ("bootstrap.servers", "set kafka.brokers"),
    ("enable.auto.commit", "offsets are committed when their events are kept: leave this away"),
    ("enable.auto.offset.store", "offsets are committed when their events are kept: leave this away"),
    ("enable.idempotence", "the producer is always idempotent: leave this away"),
    ("enable.partition.eof", "it would change nothing: leave this away"),
    ("group.id", "set kafka.group"),
    ("group.protocol", "the classic protocol is used: leave this away"),
    ("message.max.bytes", "it follows from the largest event that is taken: leave this away"),
    ("metadata.broker.list", "set kafka.brokers"),
    ("request.required.acks", "an event is acknowledged when every in-sync replica has it: leave this away"),
    ("statistics.interval.ms", "statistics are read every second: leave this away"),
    ("transactional.id", "transactions are not used: leave this away"),
];

/// Of these not even what librdkafka says is repeated, for that may repeat the value.
const SECRETS: [&str; 5] = ["password", "secret", "pem", "sasl.oauthbearer.config", "sasl.jaas"];

/// Bytes of a batch beside the key and the value of its one record.
const OVERHEAD: usize = 1024;

/// What every client has. Fails if a property is wrong, and says which.
pub(crate) fn config(options: &Options) -> Result<ClientConfig, LogError> {
    if options.brokers.trim().is_empty() {
        return Err(LogError::setting("kafka.brokers", "missing: host:port, several with commas between"));
    }
    let mut config = ClientConfig::new();
    // What is told, the filter of our own log decides.
    config.set_log_level(RDKafkaLogLevel::Debug);
    config.set("client.id", "milepost").set("socket.keepalive.enable", "true");
    // A broker that comes back is noticed within a second, not ten.
    config.set("reconnect.backoff.max.ms", "1000");
    for (key, value) in &options.properties {
        check(key, value)?;
        config.set(key, value);
    }
    config.set("bootstrap.servers", &options.brokers);
    Ok(config)
}

/// What a producer has beside.
pub(crate) fn producer_config(options: &Options) -> Result<ClientConfig, LogError> {
    let mut config = config(options)?;
    for (key, value) in [
        ("linger.ms", "5"),
        ("compression.type", "lz4"),
        ("delivery.timeout.ms", "10000"),
        ("queue.buffering.max.messages", "0"),
    ] {
        unless_set(&mut config, options, key, value);
    }
    config.set("acks", "all").set("enable.idempotence", "true");
    config.set("message.max.bytes", (options.message_bytes + OVERHEAD).to_string());
    Ok(config)
}

/// What a member of a group has beside.
pub(crate) fn consumer_config(options: &Options, group: &str) -> Result<ClientConfig, LogError> {
    let mut config = config(options)?;
    for (key, value) in [
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("check.crcs", "true"),
        // Partitions that are added are noticed.
        ("topic.metadata.refresh.interval.ms", "10000"),
        // An empty answer every half second, and what comes at once: the consumer lingers by itself.
        ("fetch.wait.max.ms", "500"),
    ] {
        unless_set(&mut config, options, key, value);
    }
    config.set("group.id", group).set("group.protocol", "classic");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "error").set("statistics.interval.ms", "1000");
    Ok(config)
}

/// The largest batch that the topic must take.
pub(crate) fn batch_bytes(options: &Options) -> usize {
    options.message_bytes + OVERHEAD
}

fn unless_set(config: &mut ClientConfig, options: &Options, key: &str, value: &str) {
    if !options.properties.contains_key(key) {
        config.set(key, value);
    }
}

fn check(key: &str, value: &str) -> Result<(), LogError> {
    let wrong = |message: &str| LogError::setting(format!("kafka.properties.{key}"), message);
    if let Some((_, instead)) = OURS.iter().find(|(ours, _)| *ours == key) {
        let harmless = matches!(key, "acks" | "request.required.acks") && matches!(value, "all" | "-1");
        return if harmless { Ok(()) } else { Err(wrong(&format!("cannot be set: {instead}"))) };
    }
    match ClientConfig::new().set(key, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(..)) if SECRETS.iter().any(|secret| key.contains(secret)) => {
            Err(wrong("its value is none that librdkafka takes"))
        }
        Err(KafkaError::ClientConfig(_, said, ..)) => {
            Err(wrong(&format!("{said}; see librdkafka's CONFIGURATION.md")))
        }
        Err(error) => Err(wrong(&error.to_string())),
    }
}

/// A client that could not be made, after all its properties were found right.
pub(crate) fn not_made(error: &KafkaError) -> LogError {
    match error {
        KafkaError::ClientConfig(_, said, key, _) => {
            LogError::setting(format!("kafka.properties.{key}"), said.clone())
        }
        error => LogError::setting("kafka.properties", error.to_string()),
    }
}

/// Tells what librdkafka tells.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // All clients are given all properties: that one of them has no use for some is as it should be.
    if facility == "CONFWARN" && message.contains("property and will be ignored by") {
        return;
    }
    // Told once more, with its code, as `trouble`.
    if facility == "FAIL" {
        return tracing::debug!(target: "librdkafka", facility, "{message}");
    }
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// What goes wrong in the background, where librdkafka goes on by itself.
pub(crate) fn trouble(error: &KafkaError, reason: &str) {
    // Of each broker it was told that it is down, and this again every second.
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        return tracing::debug!(target: "librdkafka", "{reason}");
    }
    tracing::warn!(target: "librdkafka", "{error}: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Result<ClientConfig, LogError> {
        let properties = [(key.to_owned(), value.to_owned())].into();
        producer_config(&Options { brokers: "localhost:9092".into(), properties, ..Options::default() })
    }

    #[test]
    fn f04_less_than_all_acks_is_refused() {
        for key in ["acks", "request.required.acks"] {
            for value in ["0", "1", "2"] {
                let said = with(key, value).unwrap_err().to_string();
                assert!(
                    said.starts_with(&format!("kafka.properties.{key}: "))
                        && said.contains("leave this away")
                );
            }
            assert_eq!(with(key, "all").unwrap().get("acks"), Some("all"));
        }
        assert!(with("enable.idempotence", "false").is_err());
    }

    #[test]
    fn every_mistake_names_its_property() {
        for (key, value, said) in [
            ("linger", "5", "No such configuration property"),
            ("linger.ms", "soon", "linger.ms"),
            ("group.id", "mine", "kafka.group"),
            ("auto.offset.reset", "latest", "leave this away"),
            ("enable.auto.commit", "true", "leave this away"),
        ] {
            let error = with(key, value).unwrap_err().to_string();
            assert!(error.starts_with(&format!("kafka.properties.{key}: ")), "{error}");
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_is_ours_is_a_property_of_librdkafka() {
        for (key, _) in OURS {
            if let Err(error) = ClientConfig::new().set(*key, "?").create_native_config() {
                assert!(!error.to_string().contains("No such configuration property"), "{error}");
            }
        }
    }

    #[test]
    fn a_property_goes_over_a_default_and_under_a_promise() {
        let config = with("linger.ms", "50").unwrap();
        assert_eq!((config.get("linger.ms"), config.get("acks")), (Some("50"), Some("all")));
        assert_eq!(config.get("compression.type"), Some("lz4"));
    }

    #[test]
    fn no_secret_is_repeated() {
        let properties = [("sasl.password".to_owned(), "hush".to_owned())].into();
        let options = Options { properties, ..Options::default() };
        assert!(!format!("{options:?}").contains("hush"));
        let error = with("ssl.key.pem", "hush\0hush").unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}
