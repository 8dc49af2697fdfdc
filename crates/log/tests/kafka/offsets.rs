//! Where partitions are begun, and offsets that are not there.

use std::time::Duration;

use milepost_log::{Fetched, LogError, Options, prepare};
use milepost_model::Positions;
use milepost_services::shared;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::{
    append, assigned, batch, consumer, consumer_from, ids, is_exactly, next, options, partition, read, until,
    with,
};

fn admin(options: &Options) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &options.brokers).create().unwrap()
}

/// Makes the broker forget the records before an offset.
async fn delete_before(options: &Options, number: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&options.topic, number, Offset::Offset(offset)).unwrap();
    admin(options).delete_records(&list, &AdminOptions::new()).await.unwrap();
}

fn at(options: &Options, number: i32, next: i64) -> Positions {
    [(partition(&options.topic, number), next)].into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_gap_is_counted_exactly_and_reading_goes_on_at_the_earliest_record() {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "gap", 1);
    prepare(&options).await.unwrap();
    append(&options, 0..100).await;
    delete_before(&options, 0, 40).await;
    let mut behind = consumer_from(&options, at(&options, 0, 25));
    let begun = assigned(&mut behind, 2).await;
    assert_eq!(begun[&partition(&options.topic, 0)], 40);
    assert!(is_exactly(&read(&mut behind, 60).await, 40..100));
    assert_eq!(behind.status().lost(), 15);
    behind.close().await;

    let mut new = consumer(&options);
    assert!(is_exactly(&read(&mut new, 60).await, 40..100));
    assert_eq!(new.status().lost(), 0, "what was deleted before anybody read is no gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_records_that_are_deleted_ahead_of_the_reader_are_counted() {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "overtaken", 1);
    prepare(&options).await.unwrap();
    append(&options, 0..100).await;
    // One record is fetched at a time, so that what is deleted has not been fetched.
    let one = with(&options, &[("fetch.message.max.bytes", "1"), ("queued.min.messages", "1")]);
    let mut consumer = consumer(&one);
    let first = ids(&batch(&mut consumer).await);
    assert_eq!(first[0], 0);
    // Nothing is taken while more than two batches come, so fetching is paused.
    append(&options, 100..1_000).await;
    delete_before(&options, 0, 900).await;
    let mut seen = first;
    while seen.last() != Some(&999) {
        seen.extend(ids(&batch(&mut consumer).await));
    }
    let missing = (0..1_000).filter(|id| !seen.contains(id)).count();
    assert!(missing > 0, "what was fetched before was too much for this test");
    assert_eq!(consumer.status().lost(), missing as u64, "read: {}", seen.len());
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_log_that_is_shorter_than_what_was_read_is_an_error() {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "shorter", 1);
    prepare(&options).await.unwrap();
    append(&options, 0..10).await;
    let mut consumer = consumer_from(&options, at(&options, 0, 11));
    let error = loop {
        match consumer.next().await {
            Ok(Fetched::Batch(batch)) => panic!("{batch:?}"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, LogError::Shorter { end: 10, .. }), "{error}");
    assert!(error.to_string().contains(&format!("{}/0 ends at offset 10", options.topic)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_partitions_that_are_added_are_read_from_their_first_record() {
    let kafka = shared::kafka().unwrap();
    let options =
        with(&options(kafka.address(), "added", 1), &[("topic.metadata.refresh.interval.ms", "200")]);
    prepare(&options).await.unwrap();
    append(&options, 0..50).await;
    let mut consumer = consumer(&options);
    assert!(is_exactly(&read(&mut consumer, 50).await, 0..50));
    admin(&options)
        .create_partitions([&NewPartitions::new(&options.topic, 4)], &AdminOptions::new())
        .await
        .unwrap();
    // A producer of its own, which knows the new partitions at once.
    append(&options, 50..150).await;
    let seen = read(&mut consumer, 100).await;
    assert!(is_exactly(&seen, 50..150), "{seen:?}");
    assert_eq!(consumer.status().lag().len(), 5, "four partitions of events, one of refusals");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_to_begin_is_asked_until_it_is_answered() {
    use futures::FutureExt as _;
    use milepost_log::Consumer;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "asked", 1);
    prepare(&options).await.unwrap();
    append(&options, 0..10).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, positions) = (Arc::clone(&asked), at(&options, 0, 7));
    let ask = move |_| {
        let (asked, positions) = (counted.fetch_add(1, Relaxed), positions.clone());
        async move { if asked < 2 { Err("the database is down".to_owned()) } else { Ok(positions) } }.boxed()
    };
    let mut consumer = Consumer::start(&options, crate::support::quick(), ask).unwrap();
    assert!(is_exactly(&read(&mut consumer, 3).await, 7..10));
    assert_eq!(asked.load(Relaxed), 3);
    let status = consumer.status();
    until("the lag is what is not done", || {
        status.lag().iter().all(|lag| lag.records == 0) && status.lag().len() == 2
    })
    .await;
    append(&options, 10..30).await;
    let unfinished = batch(&mut consumer).await;
    until("what is read and not done is lag", || status.lag().iter().any(|lag| lag.records == 20)).await;
    consumer.commit(&unfinished.positions());
    until("what is done is none", || {
        status.lag().iter().any(|lag| lag.records == 20 - unfinished.len() as i64)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_user_stays_in_the_group_and_loses_nothing() {
    let kafka = shared::kafka().unwrap();
    let slow =
        [("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000"), ("heartbeat.interval.ms", "1000")];
    let options = with(&options(kafka.address(), "slow", 2), &slow);
    prepare(&options).await.unwrap();
    append(&options, 0..1_000).await;
    let mut consumer = consumer(&options);
    let mut seen = ids(&batch(&mut consumer).await);
    // Longer than a member may go without polling.
    tokio::time::sleep(Duration::from_secs(8)).await;
    while seen.len() < 1_000 {
        match next(&mut consumer).await {
            Fetched::Batch(batch) => seen.extend(ids(&batch)),
            Fetched::Assigned(_) => {}
            Fetched::Revoked(partitions) => panic!("put out of the group: {partitions:?}"),
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..1_000).collect::<Vec<_>>(), "each once");
}
