//! `POST /v1/events`: the first byte says in which form, the second how the body is packed; in binary mode a line for each
//! attribute comes before the body.
#![no_main]

use std::io::Write as _;

use axum::http::{HeaderName, HeaderValue, Request};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use milepost_fuzz::{door, first_line};
use serde_json::Value;
use tower::ServiceExt as _;

const FORMS: [&str; 6] = [
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
    "application/json;binary",
    "text/plain",
];

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all")
}

/// The request, if its attributes can be headers at all.
fn request(data: &[u8]) -> Option<Request<axum::body::Body>> {
    let ([form, packing], mut body) = data.split_first_chunk::<2>()?;
    let form = FORMS[usize::from(form.wrapping_sub(b'0')) % FORMS.len()];
    let (content_type, parameters) = form.split_once(';').unwrap_or((form, ""));
    let mut request = Request::post("/v1/events").header("content-type", content_type);
    while parameters == "binary" {
        let (line, behind) = first_line(body);
        body = behind;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    let body = match packing {
        b'g' => packed(body),
        _ => body.to_owned(),
    };
    if b"gG".contains(packing) {
        request = request.header("content-encoding", "gzip");
    }
    request.body(body.into()).ok()
}

fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else { return };
    let ((status, body), remembered) = door::through(async |intake| {
        let response = milepost_ingest::http::router(intake).oneshot(request).await;
        let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
        (parts.status.as_u16(), body.collect().await.expect("an answer").to_bytes())
    });
    let answer: Value = serde_json::from_slice(&body).expect("an answer is JSON");
    let came = remembered.events.len() + remembered.rejected.len();
    if [200, 422].contains(&status) {
        let refused = answer["refused"].as_array().expect("a list").len();
        assert_eq!(refused, remembered.rejected.len());
        let count = |name: &str| answer[name].as_u64().expect("a number") as usize;
        assert_eq!(count("stored") + count("duplicate") + refused, came, "every event has one fate");
        assert_eq!(status == 422, refused == came);
        assert!(came > 0);
    } else {
        assert!([400, 413, 415].contains(&status), "{status}");
        assert_eq!(came, 0, "what is refused as a whole is refused whole");
        assert!(answer["error"]["message"].is_string());
    }
});
