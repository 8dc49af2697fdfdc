//! Appends to the log.
//!
//! All records of an append share one [`Pending`], which counts what the broker acknowledges; its last reference to go answers
//! the append. So an append that was not acknowledged record by record cannot succeed, whatever happens on the way.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use milepost_model::{Position, Rejected, Sealed};
use parking_lot::{Mutex, RwLock};
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::beside::beside;
use crate::logged::{KEY_BYTES, event_bytes, event_key, write_event, write_refused};
use crate::{LogError, Options, client};

/// Where `kafka.properties` bounds what waits for acknowledgement, in KiB; and what it is if it does not.
const ROOM: (&str, usize) = ("queue.buffering.max.kbytes", 64 * 1024);

/// Records that are given to librdkafka before other tasks of this thread have a turn.
const AT_ONCE: usize = 1_000;

/// Appends to the log. One for a process.
pub struct Producer {
    options: Options,
    /// Another one takes its place if it fails for good.
    kafka: RwLock<Arc<Kafka>>,
    room: Arc<Room>,
}

type Kafka = ThreadedProducer<Context>;

impl Producer {
    /// Connects in the background: that no broker answers shows when something is appended.
    pub fn new(options: &Options) -> Result<Self, LogError> {
        let (key, most) = ROOM;
        let most = options.properties.get(key).and_then(|kbytes| kbytes.parse().ok()).unwrap_or(most);
        let room = Room { most: most * 1024, taken: AtomicUsize::new(0) };
        let kafka = RwLock::new(connect(options)?);
        Ok(Self { options: options.clone(), kafka, room: Arc::new(room) })
    }

    /// Appends accepted events, and refused ones with where in Kafka they came from, if they did. Returns once every in-sync
    /// replica has all of them; after an error some may be there.
    ///
    /// Never waits longer than `delivery.timeout.ms`, 10 s by default.
    pub async fn append(
        &self,
        events: &[Sealed],
        rejected: &[(Rejected, Option<Position>)],
    ) -> Result<(), LogError> {
        if events.is_empty() && rejected.is_empty() {
            return Ok(());
        }
        let refused: Vec<_> =
            rejected.iter().map(|(rejected, origin)| write_refused(rejected, origin.as_ref())).collect();
        let bytes = self.sizes(events, &refused)?;
        let room = Room::take(&self.room, bytes)?;
        let kafka = Arc::clone(&self.kafka.read());
        let (pending, answer) = Pending::new(events.len() + refused.len(), room);
        let sent = self.send(&kafka, &pending, events, rejected, &refused).await;
        drop(pending);
        let outcome = match sent {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(unanswered())),
            Err(error) => Err(error),
        };
        outcome.map_err(|error| self.explain(&kafka, &error))
    }

    /// Waits, at most so long, until nothing waits for an acknowledgement any more.
    pub async fn flush(&self, within: Duration) -> Result<(), LogError> {
        let kafka = Arc::clone(&self.kafka.read());
        beside("flush", move || kafka.flush(within)).await?.map_err(LogError::unavailable)
    }

    /// Bytes that wait for acknowledgement.
    pub fn waiting(&self) -> usize {
        self.room.taken.load(Relaxed)
    }

    /// Bytes of all records, each of which must be one that the log takes.
    fn sizes(&self, events: &[Sealed], refused: &[Vec<u8>]) -> Result<usize, LogError> {
        let most = self.options.message_bytes;
        let events = events.iter().map(|event| KEY_BYTES + event_bytes(event));
        let mut sizes = events.chain(refused.iter().map(Vec::len)).enumerate();
        sizes.try_fold(0, |sum, (index, bytes)| {
            if bytes > most { Err(LogError::TooLarge { index, bytes, most }) } else { Ok(sum + bytes) }
        })
    }

    async fn send(
        &self,
        kafka: &Kafka,
        pending: &Arc<Pending>,
        events: &[Sealed],
        rejected: &[(Rejected, Option<Position>)],
        refused: &[Vec<u8>],
    ) -> Result<(), KafkaError> {
        let mut value = Vec::new();
        for events in events.chunks(AT_ONCE) {
            for event in events {
                value.clear();
                write_event(event, &mut value);
                let key = event_key(event);
                let record = BaseRecord::with_opaque_to(&self.options.topic, Arc::clone(pending));
                kafka.send(record.key(&key[..]).payload(value.as_slice())).map_err(|(error, _)| error)?;
            }
            tokio::task::yield_now().await;
        }
        for ((rejected, origin), value) in rejected.iter().zip(refused) {
            let record =
                BaseRecord::<(), _, _>::with_opaque_to(&self.options.refused_topic, Arc::clone(pending));
            let record = record.headers(headers(rejected, origin.as_ref())).payload(value.as_slice());
            kafka.send(record).map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    /// What an append failed with. If this producer can do nothing any more, the next append has a new one.
    fn explain(&self, kafka: &Arc<Kafka>, error: &KafkaError) -> LogError {
        if let Some((code, reason)) = kafka.client().fatal_error() {
            let mut current = self.kafka.write();
            if Arc::ptr_eq(&current, kafka) {
                tracing::error!("the producer has failed for good and is replaced: {code}: {reason}");
                match connect(&self.options) {
                    Ok(new) => *current = new,
                    Err(error) => tracing::error!("no other producer can be made: {error}"),
                }
            }
            return LogError::Unavailable(format!("{code}: {reason}"));
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => {
                LogError::Busy { waiting: self.waiting(), most: self.room.most }
            }
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
                LogError::Unavailable(format!(
                    "the brokers refuse a record that is not too large for Milepost: set max.message.bytes of the topics {} \
                     and {} to {} or more",
                    self.options.topic,
                    self.options.refused_topic,
                    client::batch_bytes(&self.options)
                ))
            }
            Some(code) => LogError::unavailable(code),
            None => LogError::unavailable(error),
        }
    }
}

fn connect(options: &Options) -> Result<Arc<Kafka>, LogError> {
    let mut config = client::producer_config(options)?;
    // What may wait is bounded by `Room`, before anything of an append is sent; this bound is never met.
    let (key, most) = ROOM;
    let most = options.properties.get(key).and_then(|kbytes| kbytes.parse().ok()).unwrap_or(most);
    let slack = options.message_bytes / 1024;
    config.set(key, (most + slack).saturating_mul(2).min(i32::MAX as usize).to_string());
    Kafka::from_config_and_context(&config, Context).map(Arc::new).map_err(|error| client::not_made(&error))
}

/// For people and tools that look into the topic of refused events; what counts is in the value.
fn headers(rejected: &Rejected, origin: Option<&Position>) -> OwnedHeaders {
    fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
        headers.insert(Header { key, value: Some(value) })
    }
    let mut headers = OwnedHeaders::new();
    headers = with(headers, "milepost-reason", rejected.refusal.reason.as_str());
    headers = with(headers, "milepost-field", &rejected.refusal.field);
    if let Some(Position { partition, offset }) = origin {
        headers = with(headers, "milepost-origin-topic", &partition.topic);
        headers = with(headers, "milepost-origin-partition", &partition.number.to_string());
        headers = with(headers, "milepost-origin-offset", &offset.to_string());
    }
    headers
}

/// Bytes that may wait for acknowledgement.
struct Room {
    most: usize,
    taken: AtomicUsize,
}

/// Part of a [`Room`], until it is dropped.
struct Taken {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// What is larger than the whole room goes in when nothing else is there.
    fn take(room: &Arc<Self>, bytes: usize) -> Result<Taken, LogError> {
        let fits = |taken: usize| (taken == 0 || taken + bytes <= room.most).then_some(taken + bytes);
        room.taken
            .fetch_update(Relaxed, Relaxed, fits)
            .map_err(|waiting| LogError::Busy { waiting, most: room.most })?;
        Ok(Taken { room: Arc::clone(room), bytes })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Relaxed);
    }
}

/// An append whose records are on their way.
struct Pending {
    unacknowledged: AtomicUsize,
    failure: OnceLock<KafkaError>,
    answer: Mutex<Option<oneshot::Sender<Result<(), KafkaError>>>>,
    _room: Taken,
}

impl Pending {
    fn new(records: usize, room: Taken) -> (Arc<Self>, oneshot::Receiver<Result<(), KafkaError>>) {
        let (answer, answered) = oneshot::channel();
        let pending = Self {
            unacknowledged: AtomicUsize::new(records),
            failure: OnceLock::new(),
            answer: Mutex::new(Some(answer)),
            _room: room,
        };
        (Arc::new(pending), answered)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let outcome = match self.failure.take() {
            Some(error) => Err(error),
            None if *self.unacknowledged.get_mut() == 0 => Ok(()),
            None => Err(unanswered()),
        };
        if let Some(answer) = self.answer.get_mut().take() {
            // Whoever appended may have gone.
            let _ = answer.send(outcome);
        }
    }
}

/// The producer ended without a word about some record.
fn unanswered() -> KafkaError {
    KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight)
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

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Pending>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, pending: Arc<Pending>) {
        match delivered {
            Ok(_) => drop(pending.unacknowledged.fetch_sub(1, Relaxed)),
            // The first failure is told.
            Err((error, _)) => drop(pending.failure.set(error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(records: usize) -> (Arc<Pending>, oneshot::Receiver<Result<(), KafkaError>>, Arc<Room>) {
        let room = Arc::new(Room { most: 10, taken: AtomicUsize::new(0) });
        let (pending, answer) = Pending::new(records, Room::take(&room, 7).unwrap());
        (pending, answer, room)
    }

    #[test]
    fn an_append_succeeds_if_every_record_is_acknowledged() {
        for acknowledged in 0..=3 {
            let (pending, mut answer, room) = pending(3);
            pending.unacknowledged.fetch_sub(acknowledged, Relaxed);
            assert!(answer.try_recv().is_err() && room.taken.load(Relaxed) == 7);
            drop(pending);
            assert_eq!(answer.try_recv().unwrap().is_ok(), acknowledged == 3);
            assert_eq!(room.taken.load(Relaxed), 0);
        }
    }

    #[test]
    fn one_failure_fails_it() {
        let (pending, mut answer, _) = pending(2);
        pending.unacknowledged.fetch_sub(2, Relaxed);
        let failure = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        pending.failure.set(failure.clone()).unwrap();
        drop(pending);
        assert_eq!(answer.try_recv().unwrap(), Err(failure));
    }

    #[test]
    fn the_room_is_bounded_but_for_what_is_alone_in_it() {
        let room = Arc::new(Room { most: 10, taken: AtomicUsize::new(0) });
        let alone = Room::take(&room, 50).unwrap();
        assert!(matches!(Room::take(&room, 1), Err(LogError::Busy { waiting: 50, most: 10 })));
        drop(alone);
        let first = Room::take(&room, 6).unwrap();
        let second = Room::take(&room, 4).unwrap();
        assert!(Room::take(&room, 1).is_err());
        drop((first, second));
        assert_eq!(room.taken.load(Relaxed), 0);
    }
}
