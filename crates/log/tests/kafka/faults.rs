//! Faults that a mock cluster shows on demand.

use std::time::Duration;

use milepost_log::{Consumer, LogError, Logged, Options, Producer, Start, Subscription};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{
    assigned, batch, consumer, event, events, is_exactly, options, quick, read, read_all_of, until, with,
};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// Three brokers, and a log on them. Unlike a real cluster this one makes no topics by request, and keeps 5 MiB a partition.
fn cluster(partitions: i32, properties: &[(&str, &str)]) -> (Cluster, Options) {
    let cluster = MockCluster::new(3).unwrap();
    let options = with(&options(&cluster.bootstrap_servers(), "mock", partitions), properties);
    for topic in [&options.topic, &options.refused_topic] {
        cluster.create_topic(topic, partitions, 3).unwrap();
    }
    (cluster, options)
}

/// Fails soon.
const SOON: [(&str, &str); 2] = [("delivery.timeout.ms", "1500"), ("socket.timeout.ms", "1000")];

async fn unavailable(producer: &Producer, id: usize) {
    let answer = producer.append(&[event(id)], &[]).await;
    assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
}

/// Appends until that is possible again.
async fn append_until_it_is(producer: &Producer, ids: std::ops::Range<usize>) {
    let events = events(ids);
    let appending = async {
        while let Err(error) = producer.append(&events, &[]).await {
            assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, appending).await.expect("it recovers alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_an_append_that_timed_out_is_appended_again() {
    let (cluster, options) = cluster(3, &SOON);
    let producer = Producer::new(&options).unwrap();
    producer.append(&events(0..10), &[]).await.unwrap();
    // Brokers take what they are given, and their answer comes too late.
    for broker in 1..=3 {
        cluster.broker_round_trip_time(broker, Duration::from_secs(4)).unwrap();
    }
    let answer = producer.append(&events(10..20), &[]).await;
    assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
    for broker in 1..=3 {
        cluster.broker_round_trip_time(broker, Duration::ZERO).unwrap();
    }
    append_until_it_is(&producer, 10..20).await;
    append_until_it_is(&producer, 20..21).await;
    let seen = read(&mut consumer(&options), 21).await;
    assert!(is_exactly(&seen, 0..21), "{seen:?}");
    assert_eq!(producer.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_full_queue_and_a_dead_broker_are_told_and_never_acknowledged() {
    let (cluster, options) = cluster(1, &SOON);
    let options = with(&options, &[("queue.buffering.max.kbytes", "1")]);
    let producer = Producer::new(&options).unwrap();
    append_until_it_is(&producer, 0..1).await;
    for broker in 1..=3 {
        cluster.broker_down(broker).unwrap();
    }
    let (one, two) = (events(1..5), events(5..9));
    let (first, second) = tokio::join!(producer.append(&one, &[]), async {
        until("the queue is full", || producer.waiting() > 512).await;
        producer.append(&two, &[]).await
    });
    assert!(matches!(first, Err(LogError::Unavailable(_))), "{first:?}");
    assert!(matches!(second, Err(LogError::Busy { waiting: 513.., most: 1024 })), "{second:?}");
    assert_eq!(producer.waiting(), 0, "what failed waits no longer");
    for broker in 1..=3 {
        cluster.broker_up(broker).unwrap();
    }
    append_until_it_is(&producer, 5..9).await;
    let seen = read(&mut consumer(&options), 5).await;
    assert!([0, 5, 6, 7, 8].iter().all(|id| seen.contains_key(id)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_a_queue_that_librdkafka_finds_full_is_busy() {
    let (cluster, options) = cluster(1, &SOON);
    let options = with(&options, &[("queue.buffering.max.messages", "3")]);
    let producer = Producer::new(&options).unwrap();
    cluster.broker_down(1).unwrap();
    cluster.broker_down(2).unwrap();
    cluster.broker_down(3).unwrap();
    let answer = producer.append(&events(0..10), &[]).await;
    assert!(matches!(answer, Err(LogError::Busy { .. })), "{answer:?}");
}

/// A group that goes on where it has committed.
fn member(options: &Options) -> Consumer<Logged> {
    let subscription = Subscription {
        topics: vec![options.topic.clone()],
        group: options.group.clone(),
        start: Start::Committed,
        limits: quick(),
    };
    Consumer::subscribe(options, subscription, |record| Logged::read(record.value)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_commit_that_is_refused_is_tried_again() {
    let refusals = [
        [RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION],
        [RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS],
    ];
    for refusal in refusals {
        let session = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "1000")];
        let (cluster, options) = cluster(1, &session);
        append_until_it_is(&Producer::new(&options).unwrap(), 0..100).await;
        let mut first = member(&options);
        assigned(&mut first, 1).await;
        let read_first = batch(&mut first).await;
        let done = read_first.len();
        cluster.request_errors(RDKafkaApiKey::OffsetCommit, &refusal);
        first.commit(&read_first.positions());
        let status = first.status();
        until("it was refused", || status.refused_commits() > 0).await;
        // Whatever the group thinks of it, the rest is read, and committed in the end.
        read_all_of(&mut first, done..100).await;
        first.close().await;
        append_until_it_is(&Producer::new(&options).unwrap(), 100..110).await;
        let seen = read(&mut member(&options), 10).await;
        assert!(is_exactly(&seen, 100..110), "{refusal:?}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_partition_without_a_leader_is_waited_for() {
    let (cluster, options) = cluster(1, &SOON);
    // In newer ones the mock says who leads, and does so where nobody does.
    cluster.apiversion(RDKafkaApiKey::Produce, Some(0), Some(9)).unwrap();
    cluster.apiversion(RDKafkaApiKey::Fetch, Some(0), Some(11)).unwrap();
    let options = with(&options, &[("topic.metadata.refresh.interval.ms", "500")]);
    let producer = Producer::new(&options).unwrap();
    let mut consumer = consumer(&options);
    append_until_it_is(&producer, 0..5).await;
    assert!(is_exactly(&read(&mut consumer, 5).await, 0..5));
    cluster.partition_leader(&options.topic, 0, None).unwrap();
    unavailable(&producer, 5).await;
    cluster.partition_leader(&options.topic, 0, Some(2)).unwrap();
    append_until_it_is(&producer, 5..10).await;
    assert!(is_exactly(&read(&mut consumer, 5).await, 5..10));
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_coordinator_that_moves_is_followed() {
    let (cluster, options) = cluster(1, &[]);
    let coordinator =
        |broker| cluster.coordinator(MockCoordinator::Group(options.group.clone()), broker).unwrap();
    let producer = Producer::new(&options).unwrap();
    // The mock moves no leaders when a broker goes.
    cluster.partition_leader(&options.topic, 0, Some(3)).unwrap();
    coordinator(1);
    let mut first = member(&options);
    append_until_it_is(&producer, 0..5).await;
    assert!(is_exactly(&read(&mut first, 5).await, 0..5));
    coordinator(2);
    cluster.broker_down(1).unwrap();
    append_until_it_is(&producer, 5..10).await;
    read_all_of(&mut first, 5..10).await;
    first.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_too_few_replicas_are_no_acknowledgement() {
    let (cluster, options) = cluster(1, &SOON);
    let producer = Producer::new(&options).unwrap();
    append_until_it_is(&producer, 0..1).await;
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 100],
    );
    unavailable(&producer, 1).await;
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    append_until_it_is(&producer, 1..3).await;
    assert!(is_exactly(&read(&mut consumer(&options), 3).await, 0..3));
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_producer_that_has_failed_for_good_is_replaced() {
    let (cluster, options) = cluster(1, &SOON);
    let producer = Producer::new(&options).unwrap();
    append_until_it_is(&producer, 0..1).await;
    let fenced = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    let out_of_order = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    cluster.request_errors(RDKafkaApiKey::Produce, &[out_of_order, fenced]);
    append_until_it_is(&producer, 1..4).await;
    append_until_it_is(&producer, 4..6).await;
    assert!(is_exactly(&read(&mut consumer(&options), 6).await, 0..6));
}
