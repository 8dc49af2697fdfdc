//! Topics are made and checked, and what is appended is read.

use milepost_log::{Consumer, LogError, Logged, Options, Producer, prepare};
use milepost_model::Position;
use milepost_services::shared;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::support::{
    PATIENCE, append, batch, consumer, event, events, is_exactly, options, partition, read, rejected,
};

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_once_and_checked_always() {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "made", 3);
    let report = prepare(&options).await.unwrap();
    assert_eq!(report.made, [options.topic.clone(), options.refused_topic.clone()]);
    assert_eq!((report.partitions, report.notes.as_slice()), (3, [].as_slice()));
    let again = prepare(&Options { partitions: 5, ..options.clone() }).await.unwrap();
    assert_eq!((again.made.len(), again.partitions), (0, 3), "a topic stays as it is");

    let said = |wrong: Options| async move { prepare(&wrong).await.unwrap_err().to_string() };
    let replicas = said(Options { replication_factor: 3, ..options.clone() }).await;
    assert!(
        replicas.contains(&options.topic) && replicas.contains("kafka.replication_factor to 1"),
        "{replicas}"
    );
    let larger = said(Options { message_bytes: options.message_bytes + 1, ..options.clone() }).await;
    assert!(larger.contains("max.message.bytes"), "{larger}");
    let insync = said(Options { min_insync_replicas: 2, ..options.clone() }).await;
    assert!(insync.starts_with("kafka.min_insync_replicas: 2: must be at most"), "{insync}");
    let new = Options { topic: shared::unique("unmade"), replication_factor: 3, ..options.clone() };
    let brokers = said(new).await;
    assert!(
        brokers.starts_with("kafka.replication_factor: 3: ") && brokers.contains("fewer brokers"),
        "{brokers}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_read_and_gone_on_from() {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "round", 4);
    prepare(&options).await.unwrap();
    let producer = Producer::new(&options).unwrap();
    producer.append(&[], &[]).await.unwrap();
    let origin = Position { partition: partition("theirs", 2), offset: 99 };
    let refused = [(rejected(1), None), (rejected(2), Some(origin.clone()))];
    producer.append(&events(0..500), &refused).await.unwrap();
    assert_eq!(producer.waiting(), 0);

    let mut first = consumer(&options);
    let (mut accepted, mut refusals, mut done) = (Vec::new(), Vec::new(), milepost_model::Positions::new());
    while accepted.len() < 500 || refusals.len() < 2 {
        let batch = batch(&mut first).await;
        assert!(batch.len() <= 50, "a batch is bounded");
        batch.positions().iter().for_each(|(partition, next)| done.advance(partition, next));
        for part in batch.parts {
            for record in part.records {
                assert!(record.received_at.micros() > 1_700_000_000_000_000, "{:?}", record.received_at);
                match record.value {
                    Logged::Event(sealed) => accepted.push(sealed),
                    Logged::Refused { rejected, origin } => refusals.push((rejected, origin)),
                    Logged::Poison(rejected) => panic!("{rejected:?}"),
                }
            }
        }
    }
    accepted.sort_by_key(|sealed| sealed.event.id.id.parse::<usize>().unwrap());
    assert_eq!(accepted, events(0..500));
    refusals.sort_by_key(|(rejected, _)| rejected.id.clone());
    assert_eq!(refusals, refused);
    first.close().await;

    append(&options, 500..600).await;
    let mut second = crate::support::consumer_from(&options, done);
    let seen = read(&mut second, 100).await;
    assert!(is_exactly(&seen, 500..600), "what was done is not read again: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_poison_in_the_log_stops_nothing() {
    let kafka = shared::kafka().unwrap();
    let options = options(kafka.address(), "poison", 1);
    prepare(&options).await.unwrap();
    let raw: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
    let poison: [Option<&[u8]>; 3] = [None, Some(b"hello"), Some(&[8, 99])];
    append(&options, 0..1).await;
    for value in poison {
        let record = BaseRecord::to(&options.topic).key("k");
        let record = BaseRecord { payload: value, ..record };
        raw.send(record).map_err(|(error, _)| error).unwrap();
    }
    raw.flush(PATIENCE).unwrap();
    append(&options, 1..2).await;
    let mut consumer: Consumer<Logged> = consumer(&options);
    let mut read = Vec::new();
    while read.len() < 5 {
        let batch = batch(&mut consumer).await;
        read.extend(batch.parts.into_iter().flat_map(|part| part.records));
    }
    let said: Vec<_> = read
        .iter()
        .map(|record| match &record.value {
            Logged::Event(sealed) => sealed.event.id.id.clone(),
            Logged::Poison(rejected) => rejected.refusal.message.clone(),
            Logged::Refused { .. } => "refused".to_owned(),
        })
        .collect();
    assert_eq!((said[0].as_str(), said[4].as_str()), ("0", "1"));
    assert!(
        said[1].contains("0 bytes") && said[2].contains("5 bytes") && said[3].contains("form 99"),
        "{said:?}"
    );
    assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_log_does_not_take_is_told_before_anything_is_sent() {
    let options = Options { message_bytes: 300, ..options("localhost:1", "large", 1) };
    let producer = Producer::new(&options).unwrap();
    let mut large = event(1);
    large.event.id.source = "/".repeat(300);
    let refused = producer.append(&[event(0), large], &[]).await;
    assert!(matches!(refused, Err(LogError::TooLarge { index: 1, bytes: 400.., most: 300 })), "{refused:?}");
    assert_eq!(producer.waiting(), 0);
}
