//! What a request as a whole can be wrong about.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::HandedBack;

/// Content types that are taken.
pub(super) const ACCEPTED: [&str; 4] = [
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/json",
    "application/x-ndjson",
];

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the request is not readable: {0}")]
    Unreadable(String),
    #[error("there is no event in the request; send at least one")]
    Empty,
    #[error("the request is larger than {most} bytes (after decompression); send fewer events at a time")]
    TooLarge { most: usize },
    #[error("{events} events in a batch; at most {most} are taken, so split it")]
    TooMany { events: usize, most: usize },
    #[error("the Content-Type is none of those accepted: {}", ACCEPTED.join(", "))]
    UnknownType,
    #[error("the Content-Encoding is none of those accepted: gzip, identity")]
    UnknownEncoding,
    #[error(transparent)]
    HandedBack(#[from] HandedBack),
}

/// An error as its sender is told.
#[derive(Serialize)]
struct Body {
    error: Told,
}

#[derive(Serialize)]
struct Told {
    reason: &'static str,
    field: &'static str,
    message: String,
}

impl Error {
    /// Status, reason and field.
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unreadable(_) => (StatusCode::BAD_REQUEST, "malformed", ""),
            Self::Empty => (StatusCode::BAD_REQUEST, "missing", ""),
            Self::TooLarge { .. } | Self::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", ""),
            Self::UnknownType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", "Content-Type"),
            Self::UnknownEncoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", "Content-Encoding"),
            Self::HandedBack(HandedBack::Busy { .. }) => (StatusCode::TOO_MANY_REQUESTS, "busy", ""),
            Self::HandedBack(HandedBack::Unavailable { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "")
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, reason, field) = self.parts();
        let error = Told { reason, field, message: self.to_string() };
        let mut response = (status, axum::Json(Body { error })).into_response();
        if let Self::HandedBack(handed_back) = &self {
            let seconds = HeaderValue::from(handed_back.retry_after_seconds());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
