//! The HTTP door: `POST /v1/events`.
//!
//! What a request as a whole is wrong about (not readable, too large, of an unknown type) is an HTTP error and stores
//! nothing; what one event is wrong about is told in the answer, and the others are stored.

mod body;
mod error;
mod form;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use milepost_model::{Door, Fate};
use serde::Serialize;

use crate::{Grant, Intake, Prepared};
use body::Encoding;
use error::Error;
use form::Form;

/// The routes of this door.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new().route("/v1/events", post(events)).with_state(intake)
}

async fn events(
    State(intake): State<Arc<Intake>>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match take(&intake, Grant::of(&extensions), &headers, body).await {
        Ok(fates) => answer(fates),
        Err(error) => {
            if !matches!(error, Error::HandedBack(_)) {
                intake.unreadable(Door::Http);
            }
            error.into_response()
        }
    }
}

async fn take(
    intake: &Arc<Intake>,
    grant: Grant,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<Fate>, Error> {
    let form = Form::of(headers)?;
    let encoding = Encoding::of(headers)?;
    let body = body::read(body, intake.limits().body_bytes).await?;
    let size = encoding.most_once_decoded(&body, intake.limits().body_bytes);
    let (prepared, reserved) =
        intake.off_workers(size, move |intake| prepare(intake, &grant, &form, encoding, body)).await?;
    Ok(intake.submit(prepared?.within(reserved)).await?)
}

fn prepare(
    intake: &Intake,
    grant: &Grant,
    form: &Form,
    encoding: Encoding,
    body: Bytes,
) -> Result<Prepared, Error> {
    let limits = intake.limits();
    let body = encoding.decode(body, limits.body_bytes)?;
    let events = form.split(&body, limits.batch_events)?;
    if events.is_empty() { Err(Error::Empty) } else { Ok(intake.prepare_granted(grant, Door::Http, events)) }
}

/// What became of a batch.
#[derive(Debug, Default, Serialize)]
struct Answer {
    stored: u64,
    duplicate: u64,
    refused: Vec<Refused>,
    /// Of the stored ones; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<Conflict>,
}

#[derive(Debug, Serialize)]
struct Conflict {
    /// Its place in the batch, from 0.
    index: usize,
    message: &'static str,
}

/// What is told of a conflict.
const CONFLICT: &str = "another event with this id and revision has other contents, and the one with the larger digest \
    wins; send the right one again with a larger customData.revision";

#[derive(Debug, Serialize)]
struct Refused {
    /// Its place in the batch, from 0.
    index: usize,
    reason: &'static str,
    field: String,
    message: String,
}

/// 422 if all events were refused: whoever looks at nothing but the status must notice.
fn answer(fates: Vec<Fate>) -> Response {
    let mut answer = Answer::default();
    for (index, fate) in fates.into_iter().enumerate() {
        match fate {
            Fate::Stored { conflict } => {
                answer.stored += 1;
                answer.conflicts.extend(conflict.then_some(Conflict { index, message: CONFLICT }));
            }
            Fate::Duplicate => answer.duplicate += 1,
            Fate::Refused(refusal) => answer.refused.push(Refused {
                index,
                reason: refusal.reason.as_str(),
                field: refusal.field,
                message: refusal.message,
            }),
        }
    }
    let all_refused = answer.stored + answer.duplicate == 0;
    let status = if all_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    (status, axum::Json(answer)).into_response()
}

#[cfg(test)]
mod tests;
