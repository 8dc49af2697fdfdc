//! A real broker that is paused, killed and restarted.

use std::time::Duration;

use milepost_log::{LogError, Producer, prepare};
use milepost_services::kafka;

use crate::support::{PATIENCE, consumer, events, is_exactly, options, read, read_all_of, with};

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_broker_that_dies_is_told_and_comes_back_to_an_intact_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut broker = kafka::start(directory.path(), &kafka::Options::default()).unwrap();
    let options = options(&broker.address().to_string(), "killed", 2);
    let options = with(&options, &[("delivery.timeout.ms", "3000")]);
    prepare(&options).await.unwrap();
    let producer = Producer::new(&options).unwrap();
    let mut consumer = consumer(&options);
    while producer.append(&events(0..50), &[]).await.is_err() {}
    assert!(is_exactly(&read(&mut consumer, 50).await, 0..50));

    broker.kill().unwrap();
    let answer = producer.append(&events(50..60), &[]).await;
    assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
    broker.restart().unwrap();
    let again = async { while producer.append(&events(50..60), &[]).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("it recovers alone");
    read_all_of(&mut consumer, 50..60).await;
    drop(consumer);
    let everything = read(&mut crate::support::consumer(&options), 60).await;
    assert!(is_exactly(&everything, 0..60), "what was acknowledged is there: {everything:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_a_broker_that_answers_nothing_is_no_acknowledgement() {
    let directory = tempfile::tempdir().unwrap();
    let broker = kafka::start(directory.path(), &kafka::Options::default()).unwrap();
    let options = options(&broker.address().to_string(), "paused", 2);
    let options = with(&options, &[("delivery.timeout.ms", "2000")]);
    prepare(&options).await.unwrap();
    let producer = Producer::new(&options).unwrap();
    // A broker that has just started may take its time.
    while producer.append(&events(0..10), &[]).await.is_err() {}
    broker.pause().unwrap();
    let answer = producer.append(&events(10..20), &[]).await;
    assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
    broker.resume().unwrap();
    let again = async { while producer.append(&events(10..20), &[]).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("it recovers alone");
    producer.flush(Duration::from_secs(30)).await.unwrap();
    let mut consumer = consumer(&options);
    let seen = read(&mut consumer, 20).await;
    assert!(is_exactly(&seen, 0..20), "{seen:?}");
    // An outage of the broker is none of the consumer's: it goes on by itself.
    broker.pause().unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), consumer.next()).await.is_err());
    broker.resume().unwrap();
    while producer.append(&events(20..21), &[]).await.is_err() {}
    read_all_of(&mut consumer, 20..21).await;
}
