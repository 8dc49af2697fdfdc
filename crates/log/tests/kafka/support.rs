//! Events, options and consumers for the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt as _;
use milepost_log::{Batch, BatchLimits, Consumer, Fetched, Logged, Options, Producer};
use milepost_model::refusal::Reason;
use milepost_model::{
    Body, Content, Door, Event, EventId, Partition, Positions, Refusal, Rejected, Sealed, Timestamp,
};
use milepost_services::shared;

/// For what ends as soon as it is done; generous, as tests share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A log of topics of its own, with one replica.
pub(crate) fn options(brokers: &str, name: &str, partitions: i32) -> Options {
    let topic = shared::unique(name);
    Options {
        brokers: brokers.to_owned(),
        refused_topic: format!("{topic}-refused"),
        group: format!("{topic}-group"),
        topic,
        partitions,
        replication_factor: 1,
        min_insync_replicas: 1,
        ..Options::default()
    }
}

pub(crate) fn with(options: &Options, properties: &[(&str, &str)]) -> Options {
    let mut options = options.clone();
    let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    options.properties.extend(properties);
    options
}

pub(crate) fn event(id: usize) -> Sealed {
    let content = Content {
        actor: None,
        body: Body::CapabilityUsed,
        capability: Some("ci".to_owned()),
        occurred_at: Timestamp::from_micros(1_782_900_000_000_000 + id as i64).unwrap(),
        service: None,
        team: Some(format!("team {}", id % 7)),
    };
    Sealed::new(Event { id: EventId { source: "/ci".into(), id: id.to_string() }, revision: 0, content })
}

pub(crate) fn events(ids: std::ops::Range<usize>) -> Vec<Sealed> {
    ids.map(event).collect()
}

pub(crate) fn rejected(id: usize) -> Rejected {
    Rejected {
        refusal: Refusal::new(Reason::TooLong, "customData.team", "300 bytes long; at most 256 are taken"),
        door: Door::Kafka,
        source: Some("/ci".into()),
        id: Some(id.to_string()),
        payload: None,
    }
}

/// Appends events, in several appends.
pub(crate) async fn append(options: &Options, ids: std::ops::Range<usize>) {
    let producer = Producer::new(options).unwrap();
    for events in events(ids).chunks(100) {
        producer.append(events, &[]).await.unwrap();
    }
}

pub(crate) fn quick() -> BatchLimits {
    BatchLimits { events: 50, linger: Duration::from_millis(20), ..BatchLimits::default() }
}

/// A consumer that begins at these positions.
pub(crate) fn consumer_from(options: &Options, positions: Positions) -> Consumer<Logged> {
    let ask = move |_| {
        let positions = positions.clone();
        async move { Ok(positions) }.boxed()
    };
    Consumer::start(options, quick(), ask).unwrap()
}

pub(crate) fn consumer(options: &Options) -> Consumer<Logged> {
    consumer_from(options, Positions::new())
}

pub(crate) async fn next(consumer: &mut Consumer<Logged>) -> Fetched<Logged> {
    tokio::time::timeout(PATIENCE, consumer.next()).await.expect("something happens").unwrap()
}

pub(crate) async fn batch(consumer: &mut Consumer<Logged>) -> Batch<Logged> {
    loop {
        if let Fetched::Batch(batch) = next(consumer).await {
            return batch;
        }
    }
}

/// Where partitions are begun, once so many have been assigned.
pub(crate) async fn assigned(consumer: &mut Consumer<Logged>, count: usize) -> BTreeMap<Partition, i64> {
    let mut all = BTreeMap::new();
    while all.len() < count {
        if let Fetched::Assigned(positions) = next(consumer).await {
            all.extend(positions.iter().map(|(partition, next)| (partition.clone(), next)));
        }
    }
    all
}

/// Reads until this many different events were seen, committing as it goes. Gives how often each was.
pub(crate) async fn read(consumer: &mut Consumer<Logged>, count: usize) -> BTreeMap<usize, usize> {
    let mut seen = BTreeMap::new();
    while seen.len() < count {
        let batch = batch(consumer).await;
        for id in ids(&batch) {
            *seen.entry(id).or_default() += 1;
        }
        consumer.commit(&batch.positions());
    }
    seen
}

/// Reads until all of these events were seen, whatever else is seen with them.
pub(crate) async fn read_all_of(consumer: &mut Consumer<Logged>, wanted: std::ops::Range<usize>) {
    let mut missing: BTreeSet<_> = wanted.collect();
    while !missing.is_empty() {
        let batch = batch(consumer).await;
        missing.retain(|id| !ids(&batch).contains(id));
        consumer.commit(&batch.positions());
    }
}

pub(crate) fn ids(batch: &Batch<Logged>) -> Vec<usize> {
    let records = batch.parts.iter().flat_map(|part| &part.records);
    let ids = records.filter_map(|record| match &record.value {
        Logged::Event(sealed) => Some(sealed.event.id.id.parse().unwrap()),
        _ => None,
    });
    ids.collect()
}

pub(crate) fn is_exactly(seen: &BTreeMap<usize, usize>, ids: std::ops::Range<usize>) -> bool {
    seen.keys().copied().collect::<BTreeSet<_>>() == ids.collect::<BTreeSet<_>>()
}

pub(crate) fn partition(topic: &str, number: i32) -> Partition {
    Partition { topic: topic.into(), number }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}
