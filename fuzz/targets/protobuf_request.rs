//! The gRPC door: a request whose events are read one by one gives what reading it as a whole would give.
#![no_main]

use axum::http;
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use milepost_fuzz::door;
use milepost_ingest::grpc::IngestService;
use milepost_wire::pb;
use prost::Message as _;
use tonic::body::Body;
use tower::ServiceExt as _;

/// The status of gRPC, as a number, and the answer.
async fn publish(service: IngestService, message: &[u8]) -> (String, Option<pb::PublishResponse>) {
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    let request = http::Request::post("/milepost.v1.IngestService/Publish")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(http_body_util::Full::from(framed)))
        .expect("a request");
    let response = service.oneshot(request).await.unwrap_or_else(|never| match never {});
    let early = response.headers().get("grpc-status").cloned();
    let collected = response.into_body().collect().await.expect("an answer");
    let late = collected.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
    let status = early.or(late).expect("a status");
    let bytes = collected.to_bytes();
    let answer = bytes.get(5..).map(|bytes| pb::PublishResponse::decode(bytes).expect("an answer"));
    (status.to_str().expect("a number").to_owned(), answer)
}

fuzz_target!(|data: &[u8]| {
    let ((status, answer), remembered) = door::through(async |intake| {
        let (_closing, closed) = tokio::sync::watch::channel(false);
        publish(IngestService::new(intake, closed), data).await
    });
    let came = remembered.events.len() + remembered.rejected.len();
    let results = answer.map_or(0, |answer| answer.results.len());
    assert_eq!(results, came, "every event has one fate");
    assert!(["0", "3"].contains(&status.as_str()), "{status}");
    assert_eq!(status == "0", came > 0);
    if let Ok(request) = pb::PublishRequest::decode(data) {
        assert_eq!(came, request.events.len(), "no event is lost, and none made");
    }
});
