//! The thread that polls, decodes and hands over.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use milepost_model::{Partition, Position, Positions, Timestamp};
use rdkafka::Message as _;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::building::Building;
use super::commits::Commits;
use super::context::{Context, Kafka, list_of};
use super::lookup::{Found, Wanted, look};
use super::readings::Readings;
use super::shared::{Change, Shared};
use super::{Incoming, Record, Start, Subscription, Told, Turn};
use crate::{LogError, Options, client};

/// How long one poll takes at most.
const POLL: Duration = Duration::from_millis(100);
/// How long a full batch waits to be taken before fetching is paused: what is fetched already is thrown away then.
const BEFORE_PAUSE: Duration = Duration::from_secs(1);
/// How long is waited for what still goes on beside the thread when it ends.
const BEFORE_LEAVING: Duration = Duration::from_secs(5);

pub(super) type Decode<T> = Box<dyn Fn(&Incoming<'_>) -> T + Send>;

/// What a reader gives its user: what it tells, and that it has ended.
type Ends<T> = (UnboundedReceiver<Told<T>>, oneshot::Receiver<()>);

/// See the module.
struct Reader<T> {
    kafka: Arc<Kafka>,
    shared: Arc<Shared>,
    runtime: Handle,
    start: Start,
    decode: Decode<T>,
    told: UnboundedSender<Told<T>>,
    /// Where the user's turns end: once more often than batches were handed over, when the last one is taken.
    turns: (mpsc::Sender<()>, mpsc::Receiver<()>),
    lookups: (mpsc::Sender<Found>, mpsc::Receiver<Found>),
    readings: Readings,
    building: Building<T>,
    paused: bool,
    /// Whether what is begun already is being looked up.
    looking_again: bool,
    commits: Commits,
}

/// Starts the thread.
pub(super) fn start<T: Send + 'static>(
    options: &Options,
    subscription: Subscription,
    decode: Decode<T>,
    shared: Arc<Shared>,
) -> Result<Ends<T>, LogError> {
    let runtime =
        Handle::try_current().map_err(|_| LogError::Ended("there is no Tokio runtime".to_owned()))?;
    let Subscription { topics, group, start, limits } = subscription;
    let config = client::consumer_config(options, &group)?;
    let context = Context { shared: Arc::clone(&shared) };
    let kafka = Kafka::from_config_and_context(&config, context).map_err(|error| client::not_made(&error))?;
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    kafka.subscribe(&topics).map_err(LogError::unavailable)?;
    let (told, heard) = unbounded_channel();
    let turns = mpsc::channel();
    drop(Turn(turns.0.clone()));
    let reader = Reader {
        kafka: Arc::new(kafka),
        shared,
        runtime,
        start,
        decode,
        told,
        turns,
        lookups: mpsc::channel(),
        readings: Readings::default(),
        building: Building::new(limits),
        paused: false,
        looking_again: false,
        commits: Commits::new(),
    };
    let (ends, ended) = oneshot::channel();
    let run = move || {
        reader.run();
        // Whoever waits may have gone.
        let _ = ends.send(());
    };
    let named = thread::Builder::new().name(format!("kafka {group}"));
    named.spawn(run).map_err(|error| LogError::Ended(format!("no thread for it: {error}")))?;
    Ok((heard, ended))
}

impl<T: Send + 'static> Reader<T> {
    fn run(mut self) {
        while !self.shared.is_ended() {
            if let Err(error) = self.step() {
                tracing::error!("the consumer ends: {error}");
                self.tell(Told::Failed(error));
                break;
            }
        }
        self.shared.end();
        // A lookup or a commit still uses it, and hears of the end, or from a broker.
        let begun = Instant::now();
        while Arc::strong_count(&self.kafka) > 1 && begun.elapsed() < BEFORE_LEAVING {
            self.kafka.poll(POLL);
        }
        // Dropped, here, it commits what is done and leaves the group.
    }

    /// Once around.
    fn step(&mut self) -> Result<(), LogError> {
        let kafka = Arc::clone(&self.kafka);
        match kafka.poll(self.building.time_left().map_or(POLL, |left| left.min(POLL))) {
            Some(Ok(message)) => self.take(&message),
            Some(Err(error)) => self.trouble(&error)?,
            None => self.shared.tell(),
        }
        if self.shared.has_news() {
            self.serve()?;
        }
        if self.building.is_due() {
            self.hand_over();
        } else {
            // What it was full of may have been revoked.
            self.pause(false);
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let Some(reading) = self.readings.expecting(topic, partition, offset) else { return };
        let (key, value) = (message.key(), message.payload());
        let incoming = Incoming { topic, partition, offset, key, value, headers: message.headers() };
        let record = Record { offset, received_at: received_at(message), value: (self.decode)(&incoming) };
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        reading.next = Some(offset + 1);
        self.building.push(reading, record, bytes);
    }

    /// What beside records there is to do.
    fn serve(&mut self) -> Result<(), LogError> {
        for change in self.shared.changes() {
            match change {
                Change::Assigned { partitions, assignment } => {
                    self.readings.assign(&partitions, assignment);
                    let partitions =
                        partitions.into_iter().map(|partition| (partition, assignment)).collect();
                    self.look(Wanted::Start(self.start.clone()), partitions);
                }
                Change::Revoked(partitions) => {
                    // Nothing is found of what is not ours.
                    self.looking_again = false;
                    self.readings.revoke(&partitions);
                    self.building.drop_revoked(&partitions);
                    self.tell(Told::Revoked(partitions));
                }
            }
        }
        let found: Vec<_> = self.lookups.1.try_iter().collect();
        self.begin(found)?;
        self.commits.serve(&self.kafka, &self.shared, &self.runtime);
        Ok(())
    }

    fn look(&self, wanted: Wanted, partitions: Vec<(Partition, u64)>) {
        if partitions.is_empty() {
            return;
        }
        let (kafka, shared) = (Arc::clone(&self.kafka), Arc::clone(&self.shared));
        self.runtime.spawn(look(kafka, shared, wanted, partitions, self.lookups.0.clone()));
    }

    /// Begins partitions, or begins them again, where Kafka has what is wanted.
    fn begin(&mut self, found: Vec<Found>) -> Result<(), LogError> {
        let mut positions = Positions::new();
        for found in found {
            if !self.shared.owns(&found.partition, found.assignment) {
                continue;
            }
            self.looking_again &= !self.readings.is_begun(&found.partition);
            let next = self.place(&found)?;
            self.shared.ends([(found.partition.clone(), found.end)].into_iter());
            positions.advance(&found.partition, next);
        }
        if positions.is_empty() {
            return Ok(());
        }
        self.assign(&positions).map_err(LogError::unavailable)?;
        let first = positions.iter().filter(|(partition, _)| !self.readings.is_begun(partition));
        let first: Positions = first.map(owned).collect();
        for (partition, next) in positions.iter() {
            self.readings.begin(partition, next);
        }
        for (partition, next) in first.iter() {
            self.shared.begin(partition, next);
        }
        // A partition that was paused when it was revoked is so still when it comes back.
        self.set_paused(&positions).map_err(LogError::unavailable)?;
        if !first.is_empty() {
            self.tell(Told::Assigned(first));
        }
        Ok(())
    }

    /// Where a partition is begun.
    fn place(&self, found: &Found) -> Result<i64, LogError> {
        let Found { partition, wanted, earliest, end, .. } = found;
        let Partition { topic, number } = partition;
        if let Some(wanted) = *wanted
            && wanted > *end
        {
            return self.beyond_the_end(found, wanted);
        }
        // It may have been read on while it was looked up.
        match self.readings.next(partition).or(*wanted) {
            None => Ok(*earliest),
            Some(wanted) if wanted < *earliest => {
                let records = earliest - wanted;
                self.shared.lose(records as u64);
                tracing::error!(
                    topic = &**topic,
                    partition = number,
                    from = wanted,
                    to = earliest - 1,
                    records,
                    "Kafka has deleted records that were never read: its retention is shorter than this consumer was behind"
                );
                Ok(*earliest)
            }
            Some(wanted) => Ok(wanted),
        }
    }

    fn beyond_the_end(&self, found: &Found, read: i64) -> Result<i64, LogError> {
        let Found { partition, earliest, end, .. } = found;
        match self.start {
            Start::Asked(_) => {
                let read = Position { partition: partition.clone(), offset: read };
                Err(LogError::Shorter { read, end: *end })
            }
            Start::Committed => {
                tracing::error!(
                    topic = &*partition.topic,
                    partition = partition.number,
                    read,
                    end,
                    "the topic ends before what was read of it: it was made anew, and is read from its earliest record"
                );
                Ok(*earliest)
            }
        }
    }

    /// Makes librdkafka fetch these partitions from here on, whether it fetched them before or not.
    fn assign(&self, positions: &Positions) -> Result<(), KafkaError> {
        if matches!(self.kafka.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            let again = positions.iter().filter(|(partition, _)| self.readings.is_begun(partition));
            let again = list_of(again.map(|(partition, _)| (partition, None)));
            if again.count() > 0 {
                self.kafka.incremental_unassign(&again)?;
            }
            let list = list_of(positions.iter().map(|(partition, next)| (partition, Some(next))));
            return self.kafka.incremental_assign(&list);
        }
        let others = self.readings.begun().map(|(reading, next)| (&reading.partition, next));
        let others = others.filter(|(partition, _)| positions.next(partition).is_none());
        let all = others.chain(positions.iter()).map(|(partition, next)| (partition, Some(next)));
        self.kafka.assign(&list_of(all))
    }

    fn trouble(&mut self, error: &KafkaError) -> Result<(), LogError> {
        match error {
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation,
            ) => {
                // It does not say which partition, so all are looked up; once for all that say it meanwhile.
                if std::mem::replace(&mut self.looking_again, true) {
                    return Ok(());
                }
                let known = self.readings.begun().map(|(reading, next)| (reading.partition.clone(), next));
                let partitions =
                    self.readings.begun().map(|(reading, _)| (reading.partition.clone(), reading.assignment));
                self.look(Wanted::Known(known.collect()), partitions.collect());
                Ok(())
            }
            KafkaError::MessageConsumptionFatal(code) => Err(LogError::Ended(code.to_string())),
            // Told by the callback, and librdkafka goes on by itself.
            _ => Ok(()),
        }
    }

    /// Hands the batch over, if the last one is taken. If it is full it waits for that, and when that takes long, fetching is
    /// paused: polling goes on all the while.
    fn hand_over(&mut self) {
        let full = self.building.is_full();
        let wait = if full && !self.paused { BEFORE_PAUSE } else { Duration::ZERO };
        if self.turns.1.recv_timeout(wait).is_ok() {
            let (batch, turn) = (self.building.take(), Turn(self.turns.0.clone()));
            self.tell(Told::Batch(batch, turn));
        }
        self.pause(full && !self.building.is_empty());
    }

    fn pause(&mut self, pause: bool) {
        if pause == self.paused {
            return;
        }
        self.paused = pause;
        let begun = self.readings.begun().map(|(reading, next)| (reading.partition.clone(), next));
        if let Err(error) = self.set_paused(&begun.collect()) {
            // Of a partition that is not ours any more.
            tracing::warn!("fetching cannot be paused or go on: {error}");
        }
    }

    fn set_paused(&self, positions: &Positions) -> Result<(), KafkaError> {
        let list = list_of(positions.iter().map(|(partition, _)| (partition, None)));
        if self.paused { self.kafka.pause(&list) } else { self.kafka.resume(&list) }
    }

    fn tell(&self, what: Told<T>) {
        // A user who is gone has told us to end.
        let _ = self.told.send(what);
    }
}

/// When a record was accepted, as Kafka has it.
fn received_at(message: &BorrowedMessage<'_>) -> Timestamp {
    let micros = message.timestamp().to_millis().and_then(|millis| millis.checked_mul(1_000));
    micros.and_then(Timestamp::from_micros).unwrap_or(Timestamp::MIN)
}

fn owned((partition, next): (&Partition, i64)) -> (Partition, i64) {
    (partition.clone(), next)
}
