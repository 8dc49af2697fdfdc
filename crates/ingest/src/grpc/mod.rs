//! The gRPC door: `milepost.v1.IngestService`.
//!
//! The service is put together by hand instead of from the generated trait, for one reason: a generated one decodes a
//! batch as a whole, so that one malformed event would take the others with it. Here a batch is read as a list of byte
//! strings, which is the same on the wire, and each event by itself.

mod raw;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use milepost_model::{Door, Fate, Reason, Refusal};
use milepost_wire::pb;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::metadata::MetadataValue;
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status};
use tower::service_fn;

use crate::sent::Sent;
use crate::{Grant, HandedBack, Intake, Share};
use raw::{BatchCodec, Layout, RawBatch};

/// The service. Streams end, their taken batches answered, once `closing` becomes true.
#[derive(Clone)]
pub struct IngestService {
    intake: Arc<Intake>,
    closing: watch::Receiver<bool>,
}

impl IngestService {
    /// In front of `intake`.
    pub fn new(intake: Arc<Intake>, closing: watch::Receiver<bool>) -> Self {
        Self { intake, closing }
    }

    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        // Of requests. Answers are bounded by the events of a batch, and what is kept must be told.
        let most = Some(self.intake.limits().body_bytes);
        let events = self.intake.limits().batch_events;
        let grant = Grant::of(request.extensions());
        match request.uri().path() {
            "/milepost.v1.IngestService/Publish" => {
                let codec = BatchCodec::<pb::PublishResponse>::new(Layout::PUBLISH, events);
                let publish = service_fn(move |request: Request<RawBatch>| {
                    let (intake, grant) = (Arc::clone(&self.intake), grant.clone());
                    async move { publish(&intake, grant, request.into_inner()).await }
                });
                Grpc::new(codec).apply_max_message_size_config(most, None).unary(publish, request).await
            }
            "/milepost.v1.IngestService/PublishStream" => {
                let codec = BatchCodec::<pb::PublishStreamResponse>::new(Layout::STREAM, events);
                let share = Share::of(request.extensions());
                let publish = service_fn(move |request: Request<tonic::Streaming<RawBatch>>| {
                    let (intake, closing) = (Arc::clone(&self.intake), self.closing.clone());
                    let answers = stream::answers(
                        intake,
                        (grant.clone(), share.clone()),
                        request.into_inner(),
                        closing,
                    );
                    std::future::ready(Ok(Response::new(answers)))
                });
                Grpc::new(codec).apply_max_message_size_config(most, None).streaming(publish, request).await
            }
            _ => Status::unimplemented("no such method of milepost.v1.IngestService").into_http(),
        }
    }
}

impl NamedService for IngestService {
    const NAME: &'static str = pb::ingest_service_server::SERVICE_NAME;
}

impl tower::Service<http::Request<Body>> for IngestService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

async fn publish(
    intake: &Arc<Intake>,
    grant: Grant,
    batch: RawBatch,
) -> Result<Response<pb::PublishResponse>, Status> {
    check_size(intake, &batch).map_err(|refusal| Status::invalid_argument(refusal.to_string()))?;
    let results = take(intake, grant, batch.events).await.map_err(|handed_back| status(&handed_back))?;
    Ok(Response::new(pb::PublishResponse { results }))
}

/// A batch that is no batch is nobody's event: it is refused as a whole.
fn check_size(intake: &Intake, batch: &RawBatch) -> Result<(), Refusal> {
    let most = intake.limits().batch_events;
    let (reason, message) = match batch.count {
        0 => (Reason::Missing, "the batch is empty; send at least one event".to_owned()),
        n if n > most => {
            (Reason::TooLarge, format!("{n} events in a batch; at most {most} are taken, so split it"))
        }
        _ => return Ok(()),
    };
    intake.unreadable(Door::Grpc);
    Err(Refusal::new(reason, "events", message))
}

async fn take(
    intake: &Arc<Intake>,
    grant: Grant,
    events: Vec<Bytes>,
) -> Result<Vec<pb::EventResult>, HandedBack> {
    let bytes = events.iter().map(Bytes::len).sum();
    let (prepared, reserved) = intake
        .off_workers(bytes, move |intake| {
            intake.prepare_granted(&grant, Door::Grpc, events.iter().map(|event| Sent::Protobuf(event)))
        })
        .await?;
    Ok(intake.submit(prepared.within(reserved)).await?.into_iter().map(result).collect())
}

fn result(fate: Fate) -> pb::EventResult {
    use pb::event_result::Fate as Told;
    let told = match fate {
        Fate::Stored { conflict } => Told::Stored(pb::Stored { conflict }),
        Fate::Duplicate => Told::Duplicate(pb::Duplicate {}),
        Fate::Refused(refusal) => Told::Refused(refused(refusal)),
    };
    pb::EventResult { fate: Some(told) }
}

fn refused(refusal: Refusal) -> pb::Refused {
    let Refusal { reason, field, message } = refusal;
    pb::Refused { reason: reason.as_str().to_owned(), field, message }
}

/// With the seconds to wait in the metadata `retry-after`.
fn status(handed_back: &HandedBack) -> Status {
    let code = match handed_back {
        HandedBack::Busy { .. } => Code::ResourceExhausted,
        HandedBack::Unavailable { .. } => Code::Unavailable,
    };
    let mut status = Status::new(code, handed_back.to_string());
    status.metadata_mut().insert("retry-after", MetadataValue::from(handed_back.retry_after_seconds()));
    status
}

#[cfg(test)]
mod tests;
