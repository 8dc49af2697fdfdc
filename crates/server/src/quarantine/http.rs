//! `POST /v1/quarantine/retry`: a page of refused events is tried again. It needs the scope admin.
//!
//! The body is an [`Asked`] as `application/json` (which no page of a browser can send to another place unasked), the
//! answer an [`Outcome`]. What is wrong with a request: `{"error":{"reason":…,"field":…,"message":…}}`, as at every door.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use milepost_ingest::HandedBack;
use serde_json::json;

use super::{Asked, Outcome, Quarantine, RetryError};

/// Where it is.
pub const PATH: &str = "/v1/quarantine/retry";

/// Bytes of a request: a hundred thousand numbers.
const BODY: usize = 2 << 20;

/// The route.
pub fn router(quarantine: Quarantine) -> Router {
    Router::new().route(PATH, post(retry)).layer(DefaultBodyLimit::max(BODY)).with_state(quarantine)
}

async fn retry(State(quarantine): State<Quarantine>, headers: HeaderMap, body: Bytes) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !media.is_some_and(|media| media.eq_ignore_ascii_case("application/json")) {
        let message = "send application/json";
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", "Content-Type", message);
    }
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(wrong) => return error(StatusCode::BAD_REQUEST, "invalid", "body", &wrong.to_string()),
    };
    quarantine.retry(asked).await.map(axum::Json::<Outcome>).into_response()
}

impl IntoResponse for RetryError {
    fn into_response(self) -> Response {
        let message = self.to_string();
        let (status, reason) = match &self {
            Self::HandedBack(HandedBack::Busy { .. }) => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::HandedBack(HandedBack::Unavailable { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::Store(_) | Self::Interrupted => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        let mut response = error(status, reason, "", &message);
        if let Self::HandedBack(handed_back) = &self {
            response.headers_mut().insert(header::RETRY_AFTER, handed_back.retry_after_seconds().into());
        }
        response
    }
}

fn error(status: StatusCode, reason: &str, field: &str, message: &str) -> Response {
    let body = json!({"error": {"reason": reason, "field": field, "message": message}});
    (status, axum::Json(body)).into_response()
}
