use std::io::Write as _;

use axum::http::{Method, Request, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::DoorLimits;
use crate::counters::DoorCounts;
use crate::testing::{Mood, Recorder, answered, intake, used};

struct Fixture {
    recorder: Arc<Recorder>,
    counters: Arc<crate::Counters>,
    router: Router,
}

fn door(limits: DoorLimits) -> Fixture {
    let recorder = Recorder::new();
    let (intake, counters) = intake(&recorder, limits);
    Fixture { router: router(intake), recorder, counters }
}

impl Fixture {
    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn post(&self, content_type: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = post(content_type).body(body.into()).unwrap();
        let (status, _, body) = self.send(request).await;
        (status, body)
    }

    fn counts(&self) -> DoorCounts {
        self.counters.read(Door::Http)
    }
}

fn post(content_type: &str) -> axum::http::request::Builder {
    Request::post("/v1/events").header(header::CONTENT_TYPE, content_type)
}

fn cloud_event(event: &Value) -> Value {
    let context = &event["context"];
    json!({
        "specversion": "1.0", "id": context["id"], "source": context["source"], "type": context["type"],
        "datacontenttype": "application/json", "data": event,
    })
}

fn stored(n: u64) -> Value {
    json!({"stored": n, "duplicate": 0, "refused": []})
}

#[tokio::test]
async fn every_form_is_taken() {
    let (one, two) = (used("1"), used("2"));
    let lines = format!("\n{one}\r\n\n  {two}");
    for (content_type, body, events) in [
        ("application/json", one.to_string(), 1),
        ("application/json; charset=utf-8", json!([one, two]).to_string(), 2),
        ("Application/JSON", format!(" \n[{one}]"), 1),
        ("application/json", json!([cloud_event(&one), two]).to_string(), 2),
        ("application/cloudevents+json", cloud_event(&one).to_string(), 1),
        ("application/cloudevents-batch+json", json!([cloud_event(&one), cloud_event(&two)]).to_string(), 2),
        ("application/x-ndjson", lines, 2),
    ] {
        let answer = door(DoorLimits::default()).post(content_type, body).await;
        assert_eq!(answer, (StatusCode::OK, stored(events)), "{content_type}");
    }
}

#[tokio::test]
async fn a_binary_cloud_event_is_taken() {
    let event = used("1");
    let request = post("application/json")
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/ci")
        .header("ce-type", event["context"]["type"].as_str().unwrap())
        .body(event.to_string().into())
        .unwrap();
    let (status, _, body) = door(DoorLimits::default()).send(request).await;
    assert_eq!((status, body), (StatusCode::OK, stored(1)));
}

#[tokio::test]
async fn what_is_wrong_with_one_event_harms_no_other() {
    let door = door(DoorLimits::default());
    let with = |path: &str, value: Value| {
        let mut event = used("x");
        *event.pointer_mut(path).unwrap() = value;
        event
    };
    let cases = [
        ("unknown_type", "context.type", with("/context/type", json!("dev.cdevents.build.started.0.3.0"))),
        ("missing", "context.id", with("/context/id", json!(""))),
        ("too_long", "customData.team", with("/customData/team", json!("x".repeat(257)))),
        ("invalid", "customData.team", with("/customData/team", json!("a\u{7}b"))),
        ("invalid", "customData.team", with("/customData/team", json!({"alice": 1}))),
        ("invalid", "context.timestamp", with("/context/timestamp", json!("2026-07-01T10:00:00"))),
        ("invalid", "context.timestamp", with("/context/timestamp", json!("yesterday"))),
        ("future", "context.timestamp", with("/context/timestamp", json!("2026-07-01T12:05:01Z"))),
        ("out_of_range", "subject.content.score", answered("x", 11)),
        ("invalid", "", json!(7)),
    ];
    let mut batch: Vec<_> = cases.iter().map(|(.., event)| event.clone()).collect();
    batch.insert(0, used("1"));
    batch.push(used("2"));
    let (status, answer) = door.post("application/json", json!(batch).to_string()).await;
    assert_eq!((status, &answer["stored"]), (StatusCode::OK, &json!(2)));
    let refused = answer["refused"].as_array().unwrap();
    assert_eq!(refused.len(), cases.len());
    for (index, (told, (reason, field, _))) in refused.iter().zip(&cases).enumerate() {
        assert_eq!(
            (&told["index"], &told["reason"], &told["field"]),
            (&json!(index + 1), &json!(reason), &json!(field)),
            "{told}"
        );
        assert!(!told["message"].as_str().unwrap().contains("alice"), "{told}");
    }
    assert_eq!(door.counts().received(), batch.len() as u64);
    assert_eq!(door.recorder.rejected.lock().unwrap().len(), cases.len());
}

#[tokio::test]
async fn a_broken_line_is_refused_alone() {
    let door = door(DoorLimits::default());
    let (status, answer) =
        door.post("application/x-ndjson", format!("{}\n{{\n{}", used("1"), used("2"))).await;
    assert_eq!((status, &answer["stored"]), (StatusCode::OK, &json!(2)));
    assert_eq!(
        (&answer["refused"][0]["index"], &answer["refused"][0]["reason"]),
        (&json!(1), &json!("malformed"))
    );
    assert_eq!(door.recorder.rejected.lock().unwrap()[0].payload, None);
}

#[tokio::test]
async fn all_refused_is_422_and_a_repetition_is_not() {
    let door = door(DoorLimits::default());
    let event = answered("1", 11).to_string();
    let (status, answer) = door.post("application/json", event).await;
    assert_eq!((status, &answer["refused"][0]["index"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(0)));

    door.post("application/json", used("2").to_string()).await;
    let again = door.post("application/json", used("2").to_string()).await;
    assert_eq!(again, (StatusCode::OK, json!({"stored": 0, "duplicate": 1, "refused": []})));
}

#[tokio::test]
async fn requests_that_are_no_events_are_refused_as_a_whole() {
    let limits = DoorLimits { batch_events: 2, body_bytes: 2_000, ..DoorLimits::default() };
    let three = json!([used("1"), used("2"), used("3")]).to_string();
    for (content_type, body, status, reason) in [
        ("application/json", "{".to_owned(), 400, "malformed"),
        ("application/json", String::new(), 400, "malformed"),
        ("application/json", "[{},".to_owned(), 400, "malformed"),
        ("application/cloudevents-batch+json", "{}".to_owned(), 400, "malformed"),
        ("application/json", "[]".to_owned(), 400, "missing"),
        ("application/x-ndjson", "\n\n".to_owned(), 400, "missing"),
        ("application/json", "[] []".to_owned(), 400, "malformed"),
        ("application/json", three, 413, "too_large"),
        ("application/x-ndjson", "{}\n".repeat(3), 413, "too_large"),
        ("application/json", " ".repeat(2_001), 413, "too_large"),
        ("text/plain", used("1").to_string(), 415, "unsupported"),
        ("", used("1").to_string(), 415, "unsupported"),
    ] {
        let door = door(limits);
        let (got, answer) = door.post(content_type, body).await;
        let told = (got.as_u16(), answer["error"]["reason"].as_str());
        assert_eq!(told, (status, Some(reason)), "{content_type}");
        assert!(door.recorder.events.lock().unwrap().is_empty());
        assert_eq!((door.counts().received(), door.counts().unreadable), (0, 1));
    }
    let (_, answer) = door(limits).post("text/plain", "").await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(error::ACCEPTED.iter().all(|accepted| message.contains(accepted)), "{message}");
}

#[tokio::test]
async fn packed_bodies_are_taken_and_bombs_are_not() {
    let pack = |text: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let door = door(DoorLimits { body_bytes: 100_000, ..DoorLimits::default() });
    for (encoding, body, status) in [
        ("gzip", pack(used("1").to_string().as_bytes()), 200),
        ("identity", used("1").to_string().into_bytes(), 200),
        ("gzip", pack(&vec![b' '; 100_001]), 413),
        ("gzip", b"not packed".to_vec(), 400),
        ("br", used("1").to_string().into_bytes(), 415),
    ] {
        let request =
            post("application/json").header(header::CONTENT_ENCODING, encoding).body(body.into()).unwrap();
        assert_eq!(door.send(request).await.0.as_u16(), status, "{encoding}");
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_handed_back_with_a_time() {
    for (mood, expected) in [(Mood::Busy, 429), (Mood::Unavailable, 503)] {
        let door = door(DoorLimits::default());
        *door.recorder.mood.lock().unwrap() = mood;
        let batch = json!([used("1"), answered("2", 11)]).to_string();
        let (status, headers, body) = door.send(post("application/json").body(batch.into()).unwrap()).await;
        assert_eq!((status.as_u16(), headers[header::RETRY_AFTER].to_str().unwrap()), (expected, "2"));
        assert!(body["error"]["message"].as_str().unwrap().contains("again"), "{body}");
        assert_eq!((door.counts().handed_back, door.counts().received()), (2, 2));
    }
}

#[tokio::test]
async fn other_methods_are_refused() {
    let door = door(DoorLimits::default());
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = Request::builder().method(method).uri("/v1/events").body(Body::empty()).unwrap();
        let (status, headers, _) = door.send(request).await;
        assert_eq!((status.as_u16(), headers[header::ALLOW].to_str().unwrap()), (405, "POST"));
    }
}
