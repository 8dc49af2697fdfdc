use milepost_wire::{json, pb, proto};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::testing::{Mood, Recorder, answered, intake, used};

/// An event as it may come, well or ill.
#[derive(Debug, Clone)]
enum Arrival {
    Json(Vec<u8>),
    Protobuf(Vec<u8>),
}

impl Arrival {
    fn sent(&self) -> Sent<'_> {
        match self {
            Self::Json(bytes) => Sent::Json(bytes),
            Self::Protobuf(bytes) => Sent::Protobuf(bytes),
        }
    }
}

fn protobuf(event: &serde_json::Value) -> Vec<u8> {
    let event = json::decode(event.to_string().as_bytes()).unwrap();
    proto::encode(&event).encode_to_vec()
}

fn arrival() -> impl Strategy<Value = Arrival> {
    // Few ids, so that many are duplicates and versions of each other.
    let id = (0..20u8).prop_map(|id| id.to_string());
    prop_oneof![
        4 => id.clone().prop_map(|id| Arrival::Json(used(&id).to_string().into_bytes())),
        4 => id.clone().prop_map(|id| Arrival::Protobuf(protobuf(&used(&id)))),
        2 => (id.clone(), -2..14i64).prop_map(|(id, score)| Arrival::Json(answered(&id, score).to_string().into())),
        1 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(Arrival::Json),
        1 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(Arrival::Protobuf),
        1 => id.prop_map(|id| Arrival::Json(used(&id).to_string().replace("alice", &"alice ".repeat(99)).into())),
    ]
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![4 => Just(Mood::Keep), 1 => Just(Mood::Busy), 1 => Just(Mood::Unavailable)]
}

proptest! {
    /// The laws of the doors: as many fates as events, in order; the counts add up to what was received; what was
    /// handed back left nothing behind; no person's name gets past.
    #[test]
    fn every_event_has_one_fate(
        requests in proptest::collection::vec((mood(), proptest::collection::vec(arrival(), 1..12)), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let recorder = Recorder::new();
        let (intake, counters) = intake(&recorder, DoorLimits::default());
        let (mut received, mut kept, mut refused, mut handed_back) = (0, 0, 0, 0);
        for (mood, events) in &requests {
            *recorder.mood.lock().unwrap() = *mood;
            received += events.len();
            let prepared = intake.prepare(Door::Http, events.iter().map(Arrival::sent));
            if let Ok(fates) = runtime.block_on(intake.submit(prepared)) {
                prop_assert_eq!(fates.len(), events.len());
                let bad = fates.iter().filter(|fate| matches!(fate, Fate::Refused(_))).count();
                refused += bad;
                kept += fates.len() - bad;
            } else {
                prop_assert_ne!(*mood, Mood::Keep);
                handed_back += events.len();
            }
        }
        let counts = counters.read(Door::Http);
        prop_assert_eq!(counts.received(), received as u64);
        prop_assert_eq!((counts.stored + counts.duplicate) as usize, kept);
        prop_assert_eq!((counts.refused() as usize, counts.handed_back as usize), (refused, handed_back));

        let (events, rejected) = (recorder.events.lock().unwrap(), recorder.rejected.lock().unwrap());
        prop_assert_eq!((events.len(), rejected.len()), (kept, refused));
        for sealed in events.iter() {
            prop_assert!(!String::from_utf8_lossy(&sealed.canonical).contains("alice"));
        }
        for rejected in rejected.iter() {
            let kept_of_it = format!("{rejected:?}");
            prop_assert!(!kept_of_it.contains("alice"));
            if let Some(milepost_model::Payload::Protobuf(bytes)) = &rejected.payload {
                prop_assert!(!String::from_utf8_lossy(bytes).contains("alice"));
            }
        }
    }
}

async fn fates(intake: &Arc<Intake>, events: &[Arrival]) -> Vec<Fate> {
    intake.submit(intake.prepare(Door::Grpc, events.iter().map(Arrival::sent))).await.unwrap()
}

#[tokio::test]
async fn both_forms_of_an_event_are_the_same_event() {
    let (intake, _) = intake(&Recorder::new(), DoorLimits::default());
    let event = used("1");
    let json = Arrival::Json(event.to_string().into());
    assert_eq!(
        fates(&intake, &[json, Arrival::Protobuf(protobuf(&event))]).await,
        [Fate::Stored { conflict: false }, Fate::Duplicate]
    );
}

#[tokio::test]
async fn a_refusal_names_the_field_as_it_was_sent() {
    let recorder = Recorder::new();
    let (intake, _) = intake(&recorder, DoorLimits::default());
    let mut message = proto::encode(&json::decode(answered("1", 3).to_string().as_bytes()).unwrap());
    if let Some(pb::event::Body::SurveyAnswered(answer)) = &mut message.body {
        answer.survey = "x".repeat(257);
    }
    let long = answered("1", 3).to_string().replace("q3", &"x".repeat(257));
    let events = [Arrival::Json(long.into()), Arrival::Protobuf(message.encode_to_vec())];
    let fields: Vec<_> = fates(&intake, &events)
        .await
        .into_iter()
        .map(|fate| match fate {
            Fate::Refused(refusal) => (refusal.reason, refusal.field),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        fields,
        [
            (Reason::TooLong, "subject.content.survey".to_owned()),
            (Reason::TooLong, "survey_answered.survey".to_owned())
        ]
    );
    let rejected = recorder.rejected.lock().unwrap();
    assert!(
        rejected.iter().all(|one| one.source.as_deref() == Some("/ci") && one.id.as_deref() == Some("1"))
    );
    assert!(rejected.iter().all(|one| one.payload.is_some() && one.door == Door::Grpc));
}

#[tokio::test]
async fn an_event_that_is_too_large_is_not_even_read() {
    let limits = DoorLimits { event_bytes: 10, ..DoorLimits::default() };
    let (intake, _) = intake(&Recorder::new(), limits);
    let fates = fates(&intake, &[Arrival::Json(b"not json at all".to_vec())]).await;
    assert!(matches!(&fates[..], [Fate::Refused(refusal)] if refusal.reason == Reason::TooLarge));
}

/// A sender who hangs up while his events are being kept.
#[tokio::test]
async fn hanging_up_does_not_stop_the_counting() {
    let recorder = Recorder::new();
    recorder.shut();
    let (intake, counters) = intake(&recorder, DoorLimits::default());
    let event = used("1").to_string();
    let prepared = intake.prepare(Door::Http, [Sent::Json(event.as_bytes())]);
    let mut submitted = Box::pin(intake.submit(prepared));
    assert!(futures::poll!(&mut submitted).is_pending());
    drop(submitted);
    recorder.gate.add_permits(1);
    while counters.read(Door::Http).received() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(counters.read(Door::Http).stored, 1);
}

#[tokio::test]
async fn large_requests_have_room_from_before_they_are_unpacked_until_they_are_kept() {
    use futures::FutureExt as _;

    const ROOM: usize = 1_000_000;
    let recorder = Recorder::new();
    let (intake, _) = intake(&recorder, DoorLimits { decoded_bytes: ROOM, ..DoorLimits::default() });
    let text = used("1").to_string();
    let size = text.len();
    let work = move |intake: &Intake| intake.prepare(Door::Http, [Sent::Json(text.as_bytes())]);
    let (prepared, reserved) = intake.off_workers(900_000, work).await.unwrap();
    assert_eq!(intake.decoded.available_permits(), 100_000);
    assert!(intake.off_workers(900_000, |_| ()).now_or_never().is_none(), "it waits");
    assert!(intake.off_workers(1_000, |_| ()).now_or_never().is_some(), "small ones need no room");

    let prepared = prepared.within(reserved);
    assert_eq!(intake.decoded.available_permits(), ROOM - size, "as much as it turned out to need");
    intake.submit(prepared).await.unwrap();
    assert_eq!(intake.decoded.available_permits(), ROOM);
    // One that is larger than all of it has all of it.
    assert!(intake.off_workers(usize::MAX, |_| ()).await.is_ok());
}
