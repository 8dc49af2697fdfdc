//! A real Kafka takes and gives messages, and is paused, killed and restarted.

use std::path::Path;
use std::time::{Duration, Instant};

use milepost_services::{Error, Kind, Place, Service, kafka, shared};
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// For what ends as soon as the broker has done it.
const PATIENCE: Duration = Duration::from_secs(60);

fn broker(directory: &Path) -> Service {
    kafka::start(directory, &kafka::Options::default()).expect("Kafka starts")
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("reconnect.backoff.max.ms", "500");
    config
}

/// Sends each payload and waits for the acknowledgement of all in-sync replicas.
fn produce(address: &str, topic: &str, payloads: &[&str]) {
    let producer: BaseProducer =
        client(address).set("enable.idempotence", "true").create().expect("a producer");
    for payload in payloads {
        producer.send(BaseRecord::<str, str>::to(topic).key("key").payload(payload)).expect("there is room");
    }
    producer.flush(PATIENCE).expect("all is acknowledged");
}

/// The first `count` messages of a topic, read as a member of a group that commits them.
fn consume(address: &str, topic: &str, group: &str, count: usize) -> Vec<String> {
    let mut config = client(address);
    config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("a topic");
    let messages = (0..count).map(|_| next(&consumer)).collect();
    consumer.commit_consumer_state(CommitMode::Sync).expect("it commits");
    messages
}

/// The next message; a poll also ends when the group has moved partitions.
fn next(consumer: &BaseConsumer) -> String {
    let begun = Instant::now();
    loop {
        if let Some(message) = consumer.poll(PATIENCE) {
            return String::from_utf8_lossy(message.expect("a message").payload().unwrap_or_default())
                .into_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "no message");
    }
}

#[test]
fn what_is_produced_is_consumed() {
    let kafka = shared::kafka().unwrap();
    let topic = shared::unique("round-trip");
    produce(kafka.address(), &topic, &["one", "two", "three"]);
    assert_eq!(consume(kafka.address(), &topic, &topic, 3), ["one", "two", "three"]);
    produce(kafka.address(), &topic, &["four"]);
    assert_eq!(consume(kafka.address(), &topic, &topic, 1), ["four"], "the group goes on where it was");
}

#[test]
fn a_killed_broker_keeps_what_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut kafka = broker(directory.path());
    let address = kafka.address().to_string();
    produce(&address, "kept", &["one", "two"]);
    kafka.kill().unwrap();
    assert!(!kafka.place().answers());
    kafka.restart().unwrap();
    assert_eq!(kafka.address().to_string(), address);
    assert_eq!(consume(&address, "kept", "group", 2), ["one", "two"]);
}

#[test]
fn a_paused_broker_answers_nothing_until_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let kafka = broker(directory.path());
    let address = kafka.address().to_string();
    let producer: BaseProducer = client(&address).create().unwrap();
    let topics =
        |patience| producer.client().fetch_metadata(None, patience).map(|metadata| metadata.brokers().len());
    assert_eq!(topics(PATIENCE), Ok(1));
    kafka.pause().unwrap();
    assert!(kafka.place().pid().is_some());
    assert!(!kafka.place().answers());
    let timed_out = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
    assert!(
        matches!(topics(Duration::from_secs(1)), Err(error) if error == timed_out || is_transport(&error))
    );
    kafka.resume().unwrap();
    assert_eq!(topics(PATIENCE), Ok(1));
    produce(&address, "after", &["one"]);
}

fn is_transport(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure)
}

#[test]
fn it_ends_with_the_one_who_started_it_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    // Started by a thread that ends, as a test's does.
    let path = directory.path().to_owned();
    let kafka = std::thread::spawn(move || broker(&path)).join().unwrap();
    let place = Place::new(Kind::Kafka, kafka.place().directory());
    assert!(kafka.place().answers());
    let again = kafka::start(directory.path(), &kafka::Options::default());
    assert!(matches!(again, Err(Error::Running { .. })), "{again:?}");
    drop(kafka);
    assert_eq!(place.pid(), None);
    assert!(!place.stop().unwrap(), "there is nothing left to stop");
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let properties = vec![("log.retention.bytes".to_owned(), "many".to_owned())];
    let options = kafka::Options { properties, ..Default::default() };
    let said = kafka::start(directory.path(), &options).unwrap_err().to_string();
    assert!(said.contains("log.retention.bytes"), "{said}");
}
