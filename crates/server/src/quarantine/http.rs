//! The quarantine over HTTP. It needs the scope admin.
//!
//! | path | does |
//! |---|---|
//! | `GET /v1/quarantine` | lists refused events, the newest first, as [`super::listed`] says: at most `limit` with a number below `before` |
//! | `POST /v1/quarantine/retry` | tries a page of them again |
//!
//! The body of a retry is an [`Asked`] as `application/json` (which no page of a browser can send to another place unasked), the
//! answer an [`Outcome`]. What is wrong with a request: `{"error":{"reason":…,"field":…,"message":…}}`, as at every door.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use milepost_ingest::HandedBack;
use milepost_store::StoreError;
use serde::Deserialize;
use serde_json::json;

use super::listed::{lines, listed};
use super::{Asked, Outcome, PAGE, Quarantine, RetryError};
use crate::engine::Engine;

/// Where they are tried again.
pub const PATH: &str = "/v1/quarantine/retry";

/// Where they are listed.
pub const LIST: &str = "/v1/quarantine";

/// Why a cluster tries none of them again.
const NOT_HERE: &str = "in a cluster nothing is tried again from the quarantine: once the cause is mended, have the senders send their events again; \
                        `milepost quarantine list` says which";

/// Bytes of a request: a hundred thousand numbers.
const BODY: usize = 2 << 20;

/// The routes, where one process does everything.
pub fn router(quarantine: Quarantine) -> Router {
    let list = listing(&quarantine.engine);
    Router::new()
        .route(PATH, post(retry))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(quarantine)
        .merge(list)
}

/// The routes, where there is no door beside the quarantine.
pub fn without_doors(engine: &Arc<Engine>) -> Router {
    let nothing = || async { error(StatusCode::NOT_IMPLEMENTED, "unsupported", "", NOT_HERE) };
    listing(engine).route(PATH, post(nothing))
}

fn listing(engine: &Arc<Engine>) -> Router {
    Router::new().route(LIST, get(list).with_state(Arc::clone(engine)))
}

/// Which of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    before: Option<u64>,
    limit: Option<usize>,
}

async fn list(State(engine): State<Arc<Engine>>, which: Result<Query<Which>, QueryRejection>) -> Response {
    let (before, limit) = match which {
        Ok(Query(Which { limit: Some(0), .. })) => {
            return error(
                StatusCode::BAD_REQUEST,
                "invalid",
                "limit",
                "0 would list nothing: ask for at least 1",
            );
        }
        Ok(Query(Which { before, limit })) => (before, limit.unwrap_or(PAGE).min(PAGE)),
        Err(wrong) => return error(StatusCode::BAD_REQUEST, "invalid", "query", &wrong.body_text()),
    };
    let read = move || {
        let refused = engine.reader.lock().quarantine(before, limit)?;
        Ok(lines(&refused.iter().map(listed).collect::<Vec<_>>()))
    };
    match tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|panic| Err(StoreError::Io(panic.to_string())))
    {
        Ok(lines) => ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response(),
        Err(wrong @ StoreError::Unavailable(_)) => {
            error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "", &wrong.to_string())
        }
        Err(wrong) => error(StatusCode::INTERNAL_SERVER_ERROR, "failed", "", &wrong.to_string()),
    }
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
