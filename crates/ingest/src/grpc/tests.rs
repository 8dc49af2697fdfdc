use std::sync::atomic::Ordering::Relaxed;

use milepost_wire::codec::Codec;
use milepost_wire::pb::event_result::Fate as Told;
use milepost_wire::pb::ingest_service_client::IngestServiceClient;
use milepost_wire::{json, proto};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Server};

use super::*;
use crate::testing::{Mood, Recorder, answered, intake, used};
use crate::{Counters, DoorLimits};

/// A request whose events are any bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct RawPublish {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    events: Vec<Bytes>,
}

/// A door at a real port.
struct Fixture {
    recorder: Arc<Recorder>,
    counters: Arc<Counters>,
    client: IngestServiceClient<Channel>,
    channel: Channel,
    closing: watch::Sender<bool>,
}

async fn door(limits: DoorLimits) -> Fixture {
    let recorder = Recorder::new();
    let (intake, counters) = intake(&recorder, limits);
    let closing = watch::Sender::new(false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = IngestService::new(intake, closing.subscribe());
    tokio::spawn(
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    Fixture { recorder, counters, client: IngestServiceClient::new(channel.clone()), channel, closing }
}

impl Fixture {
    async fn publish(&self, events: Vec<pb::Event>) -> Result<Vec<pb::EventResult>, Status> {
        let response = self.client.clone().publish(pb::PublishRequest { events }).await?;
        Ok(response.into_inner().results)
    }

    async fn stream(
        &self,
    ) -> (mpsc::Sender<pb::PublishStreamRequest>, tonic::Streaming<pb::PublishStreamResponse>) {
        let (sender, batches) = mpsc::channel(64);
        let answers = self.client.clone().publish_stream(ReceiverStream::new(batches)).await.unwrap();
        (sender, answers.into_inner())
    }

    /// Waits until so many submissions wait behind the gate.
    async fn until_waiting(&self, submissions: usize) {
        while self.recorder.waiting.load(Relaxed) < submissions {
            tokio::task::yield_now().await;
        }
    }
}

fn event(event: &serde_json::Value) -> pb::Event {
    proto::encode(&json::decode(event.to_string().as_bytes()).unwrap())
}

fn batch(sequence: u64) -> pb::PublishStreamRequest {
    pb::PublishStreamRequest { sequence, events: vec![event(&used(&sequence.to_string()))] }
}

fn word(result: &pb::EventResult) -> &str {
    match result.fate.as_ref().unwrap() {
        Told::Stored(_) => "stored",
        Told::Duplicate(_) => "duplicate",
        Told::Refused(refused) => &refused.reason,
    }
}

#[tokio::test]
async fn a_batch_gets_a_result_for_each_event() {
    let door = door(DoorLimits::default()).await;
    let mut score = event(&answered("2", 3));
    if let Some(pb::event::Body::SurveyAnswered(answer)) = &mut score.body {
        answer.score = Some(11);
    }
    let unborn = pb::Event { body: None, ..event(&used("3")) };
    let timeless = pb::Event { occurred_at: None, ..event(&used("4")) };
    let events = vec![event(&used("1")), event(&used("1")), score, unborn, timeless];
    let results = door.publish(events).await.unwrap();
    let words: Vec<_> = results.iter().map(word).collect();
    assert_eq!(words, ["stored", "duplicate", "out_of_range", "missing", "missing"]);
    let Some(Told::Refused(refused)) = &results[2].fate else { panic!("not refused") };
    assert_eq!(refused.field, "survey_answered.score");
    assert_eq!(door.counters.read(Door::Grpc).received(), 5);
}

/// A batch as a malicious or broken client may send it: `bytes` stand where an event should.
async fn publish_raw(door: &Fixture, message: RawPublish) -> Result<pb::PublishResponse, Status> {
    let mut grpc = tonic::client::Grpc::new(door.channel.clone());
    grpc.ready().await.unwrap();
    let path = "/milepost.v1.IngestService/Publish".parse().unwrap();
    let codec = Codec::<RawPublish, pb::PublishResponse>::default();
    Ok(grpc.unary(Request::new(message), path, codec).await?.into_inner())
}

#[tokio::test]
async fn a_malformed_event_is_refused_alone() {
    let door = door(DoorLimits::default()).await;
    let good = Bytes::from(event(&used("1")).encode_to_vec());
    let events = vec![good, Bytes::from_static(&[0xff; 9]), Bytes::from_static(b"\x0a\x02\xff\xfe")];
    let response = publish_raw(&door, RawPublish { events }).await.unwrap();
    let words: Vec<_> = response.results.iter().map(word).collect();
    assert_eq!(words, ["stored", "malformed", "malformed"]);
}

#[tokio::test]
async fn batches_that_are_none_are_refused_as_a_whole() {
    let door = door(DoorLimits { batch_events: 2, body_bytes: 4_000, ..DoorLimits::default() }).await;
    let empty = door.publish(vec![]).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
    let three = door.publish(vec![event(&used("1")); 3]).await.unwrap_err();
    assert_eq!(three.code(), Code::InvalidArgument);
    assert!(three.message().contains("at most 2"), "{three}");
    let large =
        door.publish(vec![pb::Event { id: "x".repeat(5_000), ..pb::Event::default() }]).await.unwrap_err();
    assert_eq!(large.code(), Code::OutOfRange, "{large}");
    assert_eq!(door.counters.read(Door::Grpc).received(), 0);
    assert_eq!(door.publish(vec![event(&used("1"))]).await.unwrap().len(), 1);
}

/// What is kept must be told, also where the answer is longer than a request may be.
#[tokio::test]
async fn a_long_answer_to_a_short_batch_is_given() {
    let door = door(DoorLimits { body_bytes: 200, ..DoorLimits::default() }).await;
    let results = door.publish(vec![pb::Event::default(); 50]).await.unwrap();
    assert!(results.iter().all(|result| word(result) == "missing"));
    let (batches, mut answers) = door.stream().await;
    let events = vec![pb::Event::default(); 50];
    batches.send(pb::PublishStreamRequest { sequence: 1, events }).await.unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap().results.len(), 50);
}

#[tokio::test]
async fn what_cannot_be_kept_is_handed_back_with_a_time() {
    let door = door(DoorLimits::default()).await;
    for (mood, code) in [(Mood::Busy, Code::ResourceExhausted), (Mood::Unavailable, Code::Unavailable)] {
        *door.recorder.mood.lock().unwrap() = mood;
        let status = door.publish(vec![event(&used("1"))]).await.unwrap_err();
        let retry_after = status.metadata().get("retry-after").unwrap().to_str().unwrap();
        assert_eq!((status.code(), retry_after), (code, "2"));
    }
    assert_eq!(door.counters.read(Door::Grpc).handed_back, 2);
}

#[tokio::test]
async fn a_stream_answers_in_order_and_echoes_the_sequence() {
    let door = door(DoorLimits::default()).await;
    let (sender, answers) = door.stream().await;
    for sequence in [7, 3, 9] {
        sender.send(batch(sequence)).await.unwrap();
    }
    drop(sender);
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    assert_eq!(answers.iter().map(|answer| answer.sequence).collect::<Vec<_>>(), [7, 3, 9]);
    assert!(answers.iter().all(|answer| word(&answer.results[0]) == "stored" && !answer.retry));
}

#[tokio::test]
async fn a_stream_reads_no_further_than_its_limit() {
    let door = door(DoorLimits { stream_batches: 3, ..DoorLimits::default() }).await;
    door.recorder.shut();
    let (sender, mut answers) = door.stream().await;
    for sequence in 0..10 {
        sender.send(batch(sequence)).await.unwrap();
    }
    door.until_waiting(3).await;
    // One passes, and one more is read for it.
    door.recorder.gate.add_permits(1);
    assert_eq!(answers.next().await.unwrap().unwrap().sequence, 0);
    door.until_waiting(3).await;
    door.recorder.gate.add_permits(9);
    drop(sender);
    let rest: Vec<_> = answers.map(|answer| answer.unwrap().sequence).collect().await;
    assert_eq!(rest, (1..10).collect::<Vec<_>>());
    assert_eq!(door.recorder.most_waiting.load(Relaxed), 3);
}

#[tokio::test]
async fn a_batch_handed_back_asks_for_a_retry_and_the_stream_goes_on() {
    let door = door(DoorLimits::default()).await;
    let (sender, mut answers) = door.stream().await;
    *door.recorder.mood.lock().unwrap() = Mood::Busy;
    sender.send(batch(1)).await.unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    assert_eq!((answer.sequence, answer.retry, answer.results.len()), (1, true, 0));
    *door.recorder.mood.lock().unwrap() = Mood::Keep;
    sender.send(batch(1)).await.unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    assert_eq!((answer.retry, word(&answer.results[0])), (false, "stored"));
}

#[tokio::test]
async fn a_stream_cut_in_the_middle_harms_nothing() {
    let door = door(DoorLimits::default()).await;
    door.recorder.shut();
    let (sender, answers) = door.stream().await;
    sender.send(batch(1)).await.unwrap();
    door.until_waiting(1).await;
    drop((sender, answers));
    door.recorder.gate.add_permits(1_000);
    while door.counters.read(Door::Grpc).received() < 1 {
        tokio::task::yield_now().await;
    }
    let results = door.publish(vec![event(&used("1")), event(&used("2"))]).await.unwrap();
    assert_eq!(results.iter().map(word).collect::<Vec<_>>(), ["duplicate", "stored"]);
}

#[tokio::test]
async fn a_batch_that_is_none_is_refused_and_the_stream_goes_on() {
    let door = door(DoorLimits { batch_events: 2, ..DoorLimits::default() }).await;
    let (sender, mut answers) = door.stream().await;
    let large = vec![event(&used("2")); 3];
    for (sequence, events) in [(1, vec![]), (2, large), (3, vec![event(&used("3"))])] {
        sender.send(pb::PublishStreamRequest { sequence, events }).await.unwrap();
    }
    for (sequence, reason) in [(1, "missing"), (2, "too_large")] {
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!((answer.sequence, answer.refused.unwrap().reason.as_str()), (sequence, reason));
    }
    let answer = answers.next().await.unwrap().unwrap();
    assert_eq!((answer.sequence, answer.results.len(), answer.refused), (3, 1, None));
}

#[tokio::test]
async fn a_stream_ends_when_the_process_does_with_all_it_took_answered() {
    let door = door(DoorLimits::default()).await;
    door.recorder.shut();
    let (sender, mut answers) = door.stream().await;
    sender.send(batch(1)).await.unwrap();
    door.until_waiting(1).await;
    door.closing.send_replace(true);
    door.recorder.gate.add_permits(1);
    assert_eq!(answers.next().await.unwrap().unwrap().sequence, 1);
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let door = door(DoorLimits::default()).await;
    let mut grpc = tonic::client::Grpc::new(door.channel.clone());
    grpc.ready().await.unwrap();
    let path = "/milepost.v1.IngestService/Forget".parse().unwrap();
    let codec = Codec::<RawPublish, pb::PublishResponse>::default();
    let status = grpc.unary(Request::new(RawPublish { events: vec![] }), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
