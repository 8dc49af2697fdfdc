//! The door on a real broker, before a recorder in place of what keeps events.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use milepost_model::{Payload, Reason};
use milepost_services::shared;
use milepost_wire::proto;
use prost::Message as _;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{Mood, Recorder, intake, used};
use crate::{Counters, DoorLimits};

const PATIENCE: Duration = Duration::from_secs(90);

/// A topic that others fill, and the door that reads it.
struct Theirs {
    _kafka: Arc<shared::Shared>,
    options: Options,
    topic: String,
    producer: BaseProducer,
    recorder: Arc<Recorder>,
    counters: Arc<Counters>,
    intake: Arc<Intake>,
}

type Running = (oneshot::Sender<()>, JoinHandle<Result<(), LogError>>);

impl Theirs {
    fn new() -> Self {
        let kafka = shared::kafka().unwrap();
        let topic = shared::unique("theirs");
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
        let recorder = Recorder::new();
        let limits = DoorLimits { event_bytes: 2_000, ..DoorLimits::default() };
        let (intake, counters) = intake(&recorder, limits);
        let properties = [("topic.metadata.refresh.interval.ms".to_owned(), "200".to_owned())].into();
        let options = Options { brokers: kafka.address().to_owned(), properties, ..Options::default() };
        Self { _kafka: kafka, options, topic, producer, recorder, counters, intake }
    }

    fn send(&self, headers: &[(&str, &str)], value: Option<&[u8]>) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let record: BaseRecord<'_, (), [u8]> =
            BaseRecord { payload: value, ..BaseRecord::to(&self.topic).partition(0).headers(headers) };
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        self.producer.flush(PATIENCE).unwrap();
    }

    fn open(&self) -> Running {
        let (topics, group) = (vec![self.topic.clone()], format!("{}-group", self.topic));
        let door = KafkaDoor::new(&self.options, topics, group, Arc::clone(&self.intake)).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        (stop, tokio::spawn(door.run(async { drop(stopped.await) })))
    }

    async fn until(&self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}");
    }

    fn ids(&self) -> Vec<String> {
        self.recorder.events.lock().unwrap().iter().map(|sealed| sealed.event.id.id.clone()).collect()
    }
}

async fn close((stop, running): Running) {
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_every_form_is_taken_and_poison_is_kept_aside_with_its_place() {
    let theirs = Theirs::new();
    let event = |id: &str| used(id).to_string();
    let type_ = "dev.cdeventsx.milepost-capability.used.0.1.0";
    let cloud = serde_json::json!({
        "specversion": "1.0", "id": "structured", "source": "/ci", "type": type_, "data": used("structured"),
    });
    let protobuf = proto::encode(&milepost_wire::json::decode(event("protobuf").as_bytes()).unwrap());
    let binary = [("ce_specversion", "1.0"), ("ce_id", "binary"), ("ce_source", "/ci"), ("ce_type", type_)];
    let json = ("content-type", "application/json");
    let structured = ("content-type", "application/cloudevents+json");

    theirs.send(&[json], Some(event("bare").as_bytes()));
    theirs.send(&[], None);
    theirs.send(&[structured], Some(cloud.to_string().as_bytes()));
    theirs.send(&[], Some(b"\xff\xfe"));
    theirs.send(&binary, Some(event("binary").as_bytes()));
    theirs.send(&binary, Some(event("another").as_bytes()));
    theirs.send(&[("content-type", "application/x-protobuf")], Some(&protobuf.encode_to_vec()));
    theirs.send(&[("content-type", "application/x-protobuf")], Some(b"\xff\xff"));
    theirs.send(&[json], Some(&[b'{'; 2_001]));
    theirs.send(&[("content-type", "application/cloudevents-batch+json")], Some(b"[]"));
    theirs.send(&[json], Some(used("future").to_string().replace("2026", "2027").as_bytes()));
    theirs.send(&[], Some(event("unsaid").as_bytes()));

    let door = theirs.open();
    theirs.until("all are taken", |theirs| theirs.counters.read(Door::Kafka).received() >= 12).await;
    close(door).await;
    let counts = theirs.counters.read(Door::Kafka);
    assert_eq!((counts.stored, counts.refused(), counts.handed_back), (5, 7, 0));
    assert_eq!(theirs.ids(), ["bare", "structured", "binary", "protobuf", "unsaid"]);
    let (rejected, origins) =
        (theirs.recorder.rejected.lock().unwrap(), theirs.recorder.origins.lock().unwrap());
    let told: Vec<_> = rejected
        .iter()
        .zip(origins.iter().flatten())
        .map(|(rejected, origin)| {
            assert_eq!((&*origin.partition.topic, origin.partition.number), (theirs.topic.as_str(), 0));
            assert_eq!(rejected.door, Door::Kafka);
            (origin.offset, rejected.refusal.reason, rejected.refusal.field.as_str())
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, Reason::Malformed, ""),
            (3, Reason::UnknownType, "content-type"),
            (5, Reason::Invalid, "ce_id"),
            (7, Reason::Malformed, ""),
            (8, Reason::TooLarge, ""),
            (9, Reason::UnknownType, "content-type"),
            (10, Reason::Future, "context.timestamp"),
        ]
    );
    assert!(matches!(&rejected[6].payload, Some(Payload::Json(text)) if !text.contains("alice")));
    assert!(rejected[1].payload.is_none() && rejected[1].refusal.message.contains("2 bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_what_is_handed_back_is_tried_again_and_committed_only_when_it_is_durable() {
    let theirs = Theirs::new();
    *theirs.recorder.mood.lock().unwrap() = Mood::Busy;
    for id in 0..5 {
        theirs.send(&[], Some(used(&id.to_string()).to_string().as_bytes()));
    }
    let door = theirs.open();
    theirs.until("it is handed back", |theirs| theirs.counters.read(Door::Kafka).handed_back >= 10).await;
    // It ends with nothing durable: whoever reads on begins where nothing is.
    close(door).await;
    assert_eq!(theirs.ids().len(), 0);

    let door = theirs.open();
    *theirs.recorder.mood.lock().unwrap() = Mood::Unavailable;
    let before = theirs.counters.read(Door::Kafka).handed_back;
    theirs.until("it is tried", |theirs| theirs.counters.read(Door::Kafka).handed_back > before).await;
    *theirs.recorder.mood.lock().unwrap() = Mood::Keep;
    theirs.until("all are taken", |theirs| theirs.ids().len() == 5).await;
    close(door).await;
    assert_eq!(theirs.ids(), ["0", "1", "2", "3", "4"], "in order, each once");

    theirs.send(&[], Some(used("5").to_string().as_bytes()));
    let door = theirs.open();
    theirs.until("it is taken", |theirs| theirs.ids().len() >= 6).await;
    close(door).await;
    assert_eq!(theirs.ids()[5..], ["5"], "what was durable was committed");
    assert_eq!(theirs.recorder.waiting.load(Relaxed), 0);
}
