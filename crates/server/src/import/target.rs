//! Where an import goes.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use milepost_ingest::sent::Sent;
use milepost_ingest::{DoorLimits, HandedBack, Intake};
use milepost_model::{Door, Fate};
use serde::Deserialize;

use super::lines::Batch;
use super::{ImportError, RefusedLine};
use crate::remote::Remote;

/// Where events are posted.
const EVENTS: &str = "/v1/events";

/// How often a batch that is handed back is brought again.
const ATTEMPTS: usize = 60;

/// What takes the events.
pub enum Target {
    /// A data directory opened by this process.
    Here(Arc<Intake>),
    /// A server.
    There(Remote),
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) stored: u64,
    pub(super) duplicate: u64,
    pub(super) refused: Vec<RefusedLine>,
}

impl Outcome {
    fn refuse(&mut self, batch: &Batch, index: usize, reason: &str, field: &str, message: &str) {
        let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
        let why = format!("{field}{message} ({reason})");
        self.refused.push(RefusedLine { place: batch.place(index), why });
    }
}

impl Target {
    /// Bytes of an event that is worth reading to its end.
    pub(super) fn longest_line(&self) -> usize {
        match self {
            Self::Here(intake) => intake.limits().event_bytes,
            Self::There(_) => DoorLimits::default().event_bytes,
        }
    }

    /// Brings a batch, again if it is handed back.
    pub(super) async fn send(&self, batch: Batch) -> Result<Outcome, ImportError> {
        let batch = Arc::new(batch);
        match self {
            Self::Here(intake) => keep(intake, &batch).await,
            Self::There(remote) => {
                let mut outcome = Outcome::default();
                post(remote, &batch, 0, batch.lines.len(), &mut outcome).await?;
                Ok(outcome)
            }
        }
    }
}

async fn keep(intake: &Arc<Intake>, batch: &Arc<Batch>) -> Result<Outcome, ImportError> {
    let mut attempts = 0;
    let fates = loop {
        attempts += 1;
        match keep_once(intake, Arc::clone(batch)).await {
            Ok(fates) => break fates,
            Err(HandedBack::Busy { retry_after }) if attempts < ATTEMPTS => {
                tokio::time::sleep(retry_after).await;
            }
            Err(handed_back) => return Err(ImportError::NotTaken(handed_back.to_string())),
        }
    };
    let mut outcome = Outcome::default();
    for (index, fate) in fates.into_iter().enumerate() {
        match fate {
            Fate::Stored { .. } => outcome.stored += 1,
            Fate::Duplicate => outcome.duplicate += 1,
            Fate::Refused(r) => outcome.refuse(batch, index, r.reason.as_str(), &r.field, &r.message),
        }
    }
    Ok(outcome)
}

async fn keep_once(intake: &Arc<Intake>, batch: Arc<Batch>) -> Result<Vec<Fate>, HandedBack> {
    let bytes = batch.text.len();
    let (prepared, reserved) = intake
        .off_workers(bytes, move |intake| intake.prepare(Door::Import, batch.events().map(Sent::Json)))
        .await?;
    intake.submit(prepared.within(reserved)).await
}

/// What the HTTP door answers.
#[derive(Debug, Deserialize)]
struct Answer {
    stored: u64,
    duplicate: u64,
    refused: Vec<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    index: usize,
    reason: String,
    field: String,
    message: String,
}

enum Reply {
    Taken(Answer),
    TooMany,
    Later(Duration),
}

/// Posts lines `from` … `to` of the batch; in halves, if the server takes no request as large as that.
fn post<'a>(
    remote: &'a Remote,
    batch: &'a Arc<Batch>,
    from: usize,
    to: usize,
    outcome: &'a mut Outcome,
) -> BoxFuture<'a, Result<(), ImportError>> {
    Box::pin(async move {
        for _ in 0..ATTEMPTS {
            match post_once(remote.clone(), Arc::clone(batch), from, to).await? {
                Reply::Taken(answer) => {
                    outcome.stored += answer.stored;
                    outcome.duplicate += answer.duplicate;
                    for r in answer.refused {
                        outcome.refuse(batch, from + r.index, &r.reason, &r.field, &r.message);
                    }
                    return Ok(());
                }
                Reply::TooMany if to - from == 1 => {
                    outcome.refuse(
                        batch,
                        from,
                        "too_large",
                        "",
                        "the server takes no event as large as that",
                    );
                    return Ok(());
                }
                Reply::TooMany => {
                    let middle = usize::midpoint(from, to);
                    post(remote, batch, from, middle, outcome).await?;
                    return post(remote, batch, middle, to, outcome).await;
                }
                Reply::Later(wait) => tokio::time::sleep(wait).await,
            }
        }
        Err(ImportError::NotTaken(format!("{} is still too busy after {ATTEMPTS} attempts", remote.url(""))))
    })
}

async fn post_once(remote: Remote, batch: Arc<Batch>, from: usize, to: usize) -> Result<Reply, ImportError> {
    let request = move || {
        let body: Vec<_> = batch.events().skip(from).take(to - from).collect();
        let url = remote.url(EVENTS);
        let failed = |error: &dyn std::fmt::Display| ImportError::NotTaken(format!("{url}: {error}"));
        let mut response = remote
            .post(EVENTS)
            .header("content-type", "application/x-ndjson")
            .send(body.join(&b'\n'))
            .map_err(|error| failed(&error))?;
        match response.status().as_u16() {
            200 | 422 => response.body_mut().read_json().map(Reply::Taken).map_err(|error| failed(&error)),
            413 => Ok(Reply::TooMany),
            429 | 503 => {
                let seconds =
                    response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
                Ok(Reply::Later(Duration::from_secs(seconds.unwrap_or(1))))
            }
            status => {
                let said = response.body_mut().read_to_string().unwrap_or_default();
                Err(failed(&format!("status {status}: {said}")))
            }
        }
    };
    tokio::task::spawn_blocking(request).await.map_err(|_| ImportError::Interrupted)?
}
